"""The platform's end over TCP for thousands of stations: uploads of all connections committed together, then answered.

No connection has a task of its own. What came meanwhile makes the next batch of the one committer; the next time-out of
all sessions is waited for by the one keeper of time.
"""

import asyncio
import heapq
import itertools
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from host.hj212 import wait_first
from host.hj212_connection import Connection
from metrology.clock import Clock
from protocols.hj212.message import Area, Message
from protocols.hj212.platform import PlatformSession
from protocols.hj212.session import Identity, Notified, Output, RequestEnded, Timing, Uploaded
from protocols.hj212.transitions import State

CONNECTIONS_MAX: Final = 8192
BACKLOG: Final = 1024
# Uploads of all connections that wait for their commit; beyond it nothing more is read until some are done.
WAITING_MAX: Final = 8192
BATCH_MAX: Final = 1024
# Who has not shown an enrolled MN and its password by then makes room for others.
STRANGER_S: Final = 60.0


class Owner(Protocol):
    """Who keeps what the stations send."""

    async def commit(self, batch: Sequence[Uploaded]) -> None:
        """Store uploads of any connections durably; they are answered 9014 once this returned."""

    def notice(self, output: Output) -> None:
        """Take every other output of the sessions: bad bytes, refused frames, notices, missing parts."""

    def attached(self, mn: str) -> None:
        """A station has shown itself on a new connection."""

    def sent(self, data: bytes) -> None:
        """A frame goes out that is not the answer to an upload."""

    def heard(self, message: Message) -> None:
        """An answer to a request came in."""


class PlatformServer:
    """Listens for stations. `stations` by MN may change while it runs; `owner` keeps what they send."""

    def __init__(
        self,
        stations: Mapping[str, Identity],
        clock: Clock,
        owner: Owner,
        *,
        timing: Timing | None = None,
        execution_s: Mapping[str, float] | None = None,
    ) -> None:
        self.connections: dict[str, Connection] = {}
        self._stations = stations
        self._clock = clock
        self._owner = owner
        self._timing = timing
        self._execution_s = execution_s
        self._open: dict[int, Connection] = {}
        self._stopping = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._held: set[Connection] = set()
        self._waiting: list[tuple[Connection, Uploaded]] = []
        self._arrived = asyncio.Event()
        self._due: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._sooner = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def now(self) -> float:
        """Wall time as the sessions want it."""
        return self._clock.wall_monotonic()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (the real one for port 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Serve for ever; raises what a commit raised. On the way out every connection is closed."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._commit_all())
                group.create_task(self._keep_time())
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Stop listening, close every connection."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._open.values()):
            if connection.transport is not None:
                connection.transport.abort()
        await self._empty.wait()

    async def request(self, mn: str, cn: str, area: Area = ()) -> RequestEnded:
        """Ask a connected station; gives how it ended.

        Raises ConnectionError, ValueError for a wrong request, RuntimeError where too many are open.
        """
        connection = self.connections.get(mn)
        if connection is None:
            raise ConnectionError(f"station {mn} is not connected")
        qn, outputs = connection.session.request(mn, cn, area, self.now)
        future: asyncio.Future[RequestEnded] = asyncio.get_running_loop().create_future()
        connection.asked[qn] = future
        connection.perform(outputs)
        return await future

    # -- called by connections

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._open[connection.number] = connection
        self._empty.clear()
        if (self._stopping or len(self._open) > CONNECTIONS_MAX) and connection.transport is not None:
            connection.transport.abort()
        self.watch(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone: its stations are, unless they have come back by another one."""
        self._open.pop(connection.number, None)
        if not self._open:
            self._empty.set()
        self._held.discard(connection)
        for mn in connection.mns:
            if self.connections.get(mn) is connection:
                del self.connections[mn]

    def take(self, connection: Connection, output: Output) -> None:
        """One output that is not `Send`."""
        match output:
            case Uploaded(message):
                self._waiting.append((connection, output))
                self._arrived.set()
                if len(self._waiting) > WAITING_MAX:
                    self._held.add(connection)
                    connection.hold(True)
                self._show(connection, message.mn)
            case RequestEnded(qn):
                future = connection.asked.pop(qn, None)
                if future is None or future.done():
                    return
                if output.outcome == State.LOST:
                    future.set_exception(ConnectionError("the connection ended before the station answered"))
                else:
                    future.set_result(output)
            case Notified(message):
                self._show(connection, message.mn)
                self._owner.notice(output)
            case _:
                self._owner.notice(output)

    def told(self, data: bytes) -> None:
        """A frame goes out that is not the answer to an upload."""
        self._owner.sent(data)

    def watch(self, connection: Connection) -> None:
        """Wake up for what this connection has due."""
        deadline = connection.deadline
        if deadline is not None and (connection.due is None or deadline < connection.due):
            connection.due = deadline
            heapq.heappush(self._due, (deadline, connection.number))
            if self._due[0][1] == connection.number:
                self._sooner.set()

    # --

    def _connection(self) -> Connection:
        session = PlatformSession(
            self._stations,
            self._clock.now,
            timing=self._timing,
            execution_s=self._execution_s,
            heard=self._owner.heard,
        )
        return Connection(self, next(self._numbers), session, self.now + STRANGER_S)

    def _show(self, connection: Connection, mn: str) -> None:
        if self.connections.get(mn) is not connection:
            self.connections[mn] = connection
            connection.mns.add(mn)
            self._owner.attached(mn)

    async def _commit_all(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._arrived.clear()
            await self._owner.commit([uploaded for _, uploaded in batch])
            for connection, uploaded in batch:
                connection.perform(connection.session.accepted(uploaded.message), told=False)
            if self._held and len(self._waiting) <= WAITING_MAX // 2:
                held, self._held = self._held, set()
                for connection in held:
                    connection.hold(False)

    async def _keep_time(self) -> None:
        while True:
            self._sooner.clear()
            now = self.now
            while self._due and self._due[0][0] <= now:
                connection = self._open.get(heapq.heappop(self._due)[1])
                if connection is not None:
                    connection.due = None
                    connection.tick(now)
                    self.watch(connection)
            await wait_first(self._clock, self._due[0][0] - now if self._due else None, self._sooner)
