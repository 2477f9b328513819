"""HJ 212 sessions over TCP: one connection carried, a client that comes back by itself.

Protocol time-outs are wall time of the injected clock. A dead peer is found by failed acknowledgements and, below them,
by the kernel (`TCP_USER_TIMEOUT`), because HJ 212-2017 has no heartbeat.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, Protocol

from metrology.clock import Clock
from protocols.hj212.session import Output, Send

READ_BYTES: Final = 65536
USER_TIMEOUT_MS: Final = 60_000
BACKOFF_MIN_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
CONNECT_S: Final = 10.0


class Session(Protocol):
    """What both ends have in common (`StationSession`, `PlatformSession`)."""

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted."""

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""

    def end(self, now: float) -> list[Output]:
        """Take what is left of a stream that has closed."""


class Link:
    """One open connection that carries one session. `take` gets every output that is not `Send`, in order."""

    def __init__(
        self,
        session: Session,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        clock: Clock,
        take: Callable[[Output], None],
    ) -> None:
        self._session = session
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._take = take
        self._changed = asyncio.Event()
        self._waited_for: float | None = None
        watch_peer(writer.transport)

    @property
    def now(self) -> float:
        """Wall time as the session wants it."""
        return self._clock.wall_monotonic()

    @property
    def peer(self) -> str:
        """Address of the other end."""
        address = self._writer.get_extra_info("peername")
        return f"{address[0]}:{address[1]}" if address else "unknown"

    def perform(self, outputs: list[Output]) -> None:
        """Do what the session said. What waits in the socket is bounded by the session's own windows."""
        for output in outputs:
            if isinstance(output, Send):
                self._writer.write(output.data)
            else:
                self._take(output)
        if self._session.deadline != self._waited_for:
            self._changed.set()

    def abort(self) -> None:
        """Break the connection now; `run` then returns."""
        self._writer.transport.abort()

    async def run(self) -> None:
        """Carry the session until the connection ends, whoever ends it and however."""
        try:
            await until_first_ends(self._receive(), self._keep_time())
        finally:
            await close(self._writer)

    async def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(READ_BYTES):
                self.perform(self._session.receive(data, self.now))
                await self._writer.drain()
        self.perform(self._session.end(self.now))

    async def _keep_time(self) -> None:
        while True:
            self._changed.clear()
            deadline = self._waited_for = self._session.deadline
            if deadline is not None and deadline <= self.now:
                self.perform(self._session.tick(self.now))
                continue
            await wait_first(self._clock, None if deadline is None else deadline - self.now, self._changed)


async def wait_first(clock: Clock, wall_s: float | None, event: asyncio.Event) -> None:
    """Wait until the event is set or, where a span of wall time is given, until that is over."""
    if wall_s is None:
        await event.wait()
    else:
        await until_first_ends(event.wait(), clock.sleep_wall(wall_s))


async def until_first_ends(*parts: Awaitable[object]) -> None:
    """Run the parts side by side until the first ends, then cancel the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def watch_peer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel give up a peer that acknowledges nothing, also while nothing is sent."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection that may be broken already."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


async def keep_connected(
    host: str,
    port: int,
    clock: Clock,
    carry: Streams,
    trouble: Callable[[str], None],
    *,
    first_s: float = BACKOFF_MIN_S,
) -> NoReturn:
    """Connect for ever; `carry` has each connection and says whether it was of any use.

    Between tries the pause doubles from `first_s` to 60 s of wall time, shortened at random by up to a half so that a
    thousand stations do not come back at once; a useful connection starts it anew. `trouble` is told why a try failed.
    """
    pause = first_s
    while True:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            trouble(f"{host}:{port}: {error or 'no answer'}")
        else:
            if await carry(reader, writer):
                pause = first_s
        await clock.sleep_wall(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, BACKOFF_MAX_S)
