"""TCP in memory: ordered bytes with a latency drawn from the seed, and links that fail as real ones do."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sim_loop import PROCESS, Process, SimLoop

HIGH_WATER = 64 * 1024
SYN_S = 127.0


@dataclass
class Weather:
    """How links to one port are now: new ones refused or unanswered, bytes held back, in halves, slow."""

    refused: bool = False
    silent: bool = False
    stalled_until: float = 0.0
    extra_s: float = 0.0
    bytes_per_s: float = 1e7
    pieces: float = 0.02


class _Socket:
    """What the programs set on a socket is without meaning here."""

    def setsockopt(self, *_: Any) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 0)


@dataclass(eq=False)
class _Server:
    factory: Callable[[], Any]
    context: Context
    net: "Net"
    port: Any
    sockets: list[Any] = field(default_factory=lambda: [_Socket()])

    def close(self) -> None:
        if self.net.servers.get(self.port) is self:
            del self.net.servers[self.port]

    async def serve_forever(self) -> None:
        await asyncio.Event().wait()

    async def __aenter__(self) -> "_Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Line(asyncio.Transport):
    """One end of a link."""

    def __init__(self, net: "Net", port: Any, context: Context) -> None:
        super().__init__({"socket": _Socket(), "peername": ("127.0.0.1", port), "sockname": ("127.0.0.1", 0)})
        self._net, self._port, self.context = net, port, context
        self.peer: Line
        self._protocol: Any = None
        self._closing = self._lost = self._paused = self._full = False
        self._waiting: deque[bytes | None] = deque()
        self._last_due, self._under_way = 0.0, 0

    @property
    def process(self) -> Process | None:
        """Whose end it is."""
        return self.context.get(PROCESS)

    def attach(self, protocol: Any) -> None:
        """Begin."""
        self._protocol = protocol
        self._net.loop.call_soon(protocol.connection_made, self, context=self.context)

    def set_protocol(self, protocol: Any) -> None:
        """See asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """See asyncio."""
        return self._protocol

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def write(self, data: Any) -> None:
        """See asyncio."""
        if self._closing or not data:
            return
        data = bytes(data)
        weather, dice = self._net.weather(self._port), self._net.dice
        cuts = (
            sorted(dice.randrange(1, len(data)) for _ in range(2))
            if len(data) > 3 and dice.random() < weather.pieces
            else []
        )
        for first, last in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self._send(data[first:last])
        if self._under_way > HIGH_WATER and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def _send(self, data: bytes | None) -> None:
        net, weather = self._net, self._net.weather(self._port)
        size = len(data or b"")
        due = max(net.loop.time(), weather.stalled_until) + net.latency() + weather.extra_s + size / weather.bytes_per_s
        self._last_due = due = max(due, self._last_due + 1e-6)
        self._under_way += size
        net.loop.call_at(due, self._arrived, data, context=net.context)

    def _arrived(self, data: bytes | None) -> None:
        self._under_way -= len(data or b"")
        if self._full and self._under_way < HIGH_WATER // 2 and not self._lost:
            self._full = False
            self._net.loop.call_soon(self._protocol.resume_writing, context=self.context)
        self.peer.take(data)

    def take(self, data: bytes | None) -> None:
        """Bytes (None: the end) have come to this end."""
        if self._lost:
            return
        if self._paused:
            self._waiting.append(data)
            return
        self._net.loop.call_soon(self._feed, data, context=self.context)

    def _feed(self, data: bytes | None) -> None:
        if self._lost or self._protocol is None:
            return
        if data is not None:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def write_eof(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._send(None)

    def close(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._send(None)
            self._end(None)

    def abort(self) -> None:
        """See asyncio."""
        if not self._lost:
            self._end(None)
            self._net.loop.call_later(self._net.latency(), self.peer.broken, context=self._net.context)

    def broken(self) -> None:
        """The other end, or the line, is gone."""
        if not self._lost:
            self._end(ConnectionResetError(104, "Connection reset by peer"))

    def _end(self, error: Exception | None) -> None:
        self._closing = self._lost = True
        self._net.lines.discard(self)
        if self._protocol is not None:
            self._net.loop.call_soon(self._protocol.connection_lost, error, context=self.context)

    def is_reading(self) -> bool:
        """See asyncio."""
        return not self._paused

    def pause_reading(self) -> None:
        """See asyncio."""
        self._paused = True

    def resume_reading(self) -> None:
        """See asyncio."""
        self._paused = False
        while self._waiting:
            self._net.loop.call_soon(self._feed, self._waiting.popleft(), context=self.context)

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return self._under_way

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""

    def half_close(self) -> None:
        """A fault: the end of the stream comes to this end although nobody closed."""
        self.take(None)


class _Lines(dict[Line, None]):
    """A set that keeps its order."""

    def add(self, line: Line) -> None:
        self[line] = None

    def discard(self, line: Line) -> None:
        self.pop(line, None)


class Net:
    """All links and listeners by port."""

    def __init__(self, loop: SimLoop, seed: object) -> None:
        self.loop = loop
        self.dice = Random(f"{seed}/net")
        self.context = copy_context()
        self.servers: dict[Any, _Server] = {}
        self.lines = _Lines()
        self._weather: dict[Any, Weather] = {}

    def weather(self, port: Any) -> Weather:
        """How links to a port are; to be changed by faults."""
        return self._weather.setdefault(port, Weather())

    def latency(self) -> float:
        """Seconds on the way."""
        return 0.0002 + 0.004 * self.dice.random()

    def listen(self, factory: Callable[[], Any], port: Any) -> _Server:
        """A listener in the context of who asks."""
        server = self.servers[port] = _Server(factory, copy_context(), self, port)
        return server

    async def connect(self, factory: Callable[[], Any], port: Any) -> tuple[Line, Any]:
        """A link. Raises OSError."""
        weather = self.weather(port)
        if weather.silent:
            await asyncio.sleep(SYN_S)
            raise TimeoutError(110, "Connection timed out")
        await asyncio.sleep(self.latency() + weather.extra_s)
        server = self.servers.get(port)
        owner = server.context.get(PROCESS) if server else None
        if server is None or weather.refused or (owner is not None and not owner.alive):
            raise ConnectionRefusedError(111, "Connection refused")
        near, far = Line(self, port, copy_context()), Line(self, port, server.context)
        near.peer, far.peer = far, near
        self.lines.add(near)
        self.lines.add(far)
        far.attach(server.context.copy().run(server.factory))
        protocol = factory()
        near.attach(protocol)
        await asyncio.sleep(0)
        return near, protocol

    def cut(self, port: Any = None, process: Process | None = None, after_s: float = 0.0) -> None:
        """Break the links to a port, or those of a process that died: who is left notices `after_s` later."""
        for line in list(self.lines):
            if (port is not None and line._port == port) or (process is not None and line.process is process):
                self.loop.call_later(after_s, line.broken, context=self.context)
                self.loop.call_later(after_s, line.peer.broken, context=self.context)

    def half_close(self, port: Any) -> None:
        """Let the end of the stream come to the client's side of every link to a port."""
        for line in list(self.lines):
            if line._port == port:
                line.half_close()
