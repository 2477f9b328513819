"""The platform's end over TCP: many connections, uploads committed in batches and only then answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from host.hj212 import Link, close, until_first_ends
from metrology.clock import Clock
from protocols.hj212.message import Area
from protocols.hj212.platform import PlatformSession
from protocols.hj212.session import Identity, Output, RequestEnded, Timing, Uploaded

CONNECTIONS_MAX: Final = 4096

Commit = Callable[[Sequence[Uploaded]], Awaitable[None]]


class _Connection:
    """One station's line: what waits for its commit is bounded by the session."""

    def __init__(self, server: "PlatformServer", session: PlatformSession) -> None:
        self.session = session
        self.waiting: list[Uploaded] = []
        self.arrived = asyncio.Event()
        self.asked: dict[str, asyncio.Future[RequestEnded]] = {}
        self.link: Link | None = None
        self._server = server

    def take(self, output: Output) -> None:
        if isinstance(output, Uploaded):
            self._server.connections[output.message.mn] = self
            self.waiting.append(output)
            self.arrived.set()
        elif isinstance(output, RequestEnded) and output.qn in self.asked:
            future = self.asked.pop(output.qn)
            if not future.done():
                future.set_result(output)
        else:
            self._server.notice(output)

    async def commit(self, link: Link, commit: Commit) -> None:
        while True:
            await self.arrived.wait()
            self.arrived.clear()
            batch, self.waiting = self.waiting, []
            await commit(batch)
            for uploaded in batch:
                link.perform(self.session.accepted(uploaded.message))


class PlatformServer:
    """Listens for stations. `commit` gets what arrived together; when it returns, all of it is answered 9014.

    `notice` gets every other output of the sessions (bad bytes, refused frames, unexpected ones), to be counted.
    """

    def __init__(
        self,
        stations: Mapping[str, Identity],
        clock: Clock,
        commit: Commit,
        notice: Callable[[Output], None],
        timing: Timing | None = None,
    ) -> None:
        self.notice = notice
        self.connections: dict[str, _Connection] = {}
        self._stations = stations
        self._clock = clock
        self._commit = commit
        self._timing = timing
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (the real one for port 0)."""
        self._server = await asyncio.start_server(self._accept, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Wait for ever; raises what a commit raised. On the way out every connection is closed."""
        try:
            await asyncio.shield(self._failed)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Stop listening, close every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def request(self, mn: str, cn: str, area: Area = ()) -> RequestEnded:
        """Ask a connected station; gives how it ended. Raises ConnectionError, or ValueError for a wrong request."""
        connection = self.connections.get(mn)
        if connection is None or connection.link is None:
            raise ConnectionError(f"station {mn} is not connected")
        qn, outputs = connection.session.request(mn, cn, area, connection.link.now)
        future: asyncio.Future[RequestEnded] = asyncio.get_running_loop().create_future()
        connection.asked[qn] = future
        connection.link.perform(outputs)
        return await future

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            await close(writer)
            return
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._open.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = PlatformSession(self._stations, self._clock.now, timing=self._timing)
        connection = _Connection(self, session)
        link = connection.link = Link(session, reader, writer, self._clock, connection.take)
        try:
            await until_first_ends(link.run(), connection.commit(link, self._commit))
        finally:
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        for mn in [mn for mn, known in self.connections.items() if known is connection]:
            del self.connections[mn]
        for future in connection.asked.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection ended before the station answered"))
