"""Real wires for simulated instruments: serial lines as ptys, and TCP ports on the loopback interface."""

import asyncio
import contextlib
import os
import select
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from metrology.clock import Clock

_LOOK_S: Final = 0.05
_SETTLE_S: Final = 0.25  # a program that opens a port flushes it first; instruments that speak unasked wait that long

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Pty:
    """A serial line. The far end opens `link`; `hear` gets what it sends and returns what is answered at once.

    The line outlives the program at its far end. What is sent while nobody has it open is gone, as on a real line.
    """

    def __init__(self, link: Path, clock: Clock, hear: Callable[[bytes], bytes]) -> None:
        self._clock = clock
        self._hear = hear
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._device = os.ttyname(slave)
        os.close(slave)  # a pty says "hung up" only after a first close: this is how we see who is there
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._open_since: float | None = None
        self._rest = b""
        self._muted = False
        self.dropped = 0
        self._link = link
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._device)

    async def run(self) -> None:
        """Watch for programs that open the line, until cancelled."""
        try:
            while True:
                if self._open_since is None and not self._muted and not self._hung_up():
                    self._opened()
                await asyncio.sleep(_LOOK_S)
        finally:
            self._closed()
            self._link.unlink(missing_ok=True)
            os.close(self._master)

    def send(self, data: bytes) -> bool:
        """Send unasked. False, and counted, where nobody reads or what the kernel keeps for a reader is full."""
        heard = self._open_since is not None and self._clock.wall_monotonic() - self._open_since >= _SETTLE_S
        if heard and not self._hung_up() and self._write(data):
            return True
        self.dropped += 1
        return False

    def mute(self) -> None:
        """Say nothing more. A reader still gets what was sent; `run` may end when it had the time to take it."""
        self._closed()
        self._muted = True

    def _hung_up(self) -> bool:
        return any(events & select.POLLHUP for _, events in self._poll.poll(0))

    def _write(self, data: bytes) -> bool:
        try:
            if self._rest:
                self._rest = self._rest[os.write(self._master, self._rest) :]
            if self._rest:
                return False
            self._rest = data[os.write(self._master, data) :]
        except BlockingIOError:
            return False
        return True

    def _opened(self) -> None:
        self._open_since = self._clock.wall_monotonic()
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _closed(self) -> None:
        if self._open_since is not None:
            asyncio.get_running_loop().remove_reader(self._master)
        self._open_since = None
        self._rest = b""

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last program closed the line
            self._closed()
            return
        answer = self._hear(data)
        if answer and not self._write(answer):
            self.dropped += 1


class TcpPort:
    """A listening port on 127.0.0.1; each connection gets its own `handler`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end the connections."""
        if self._server is not None:
            self._server.close()
        # A handler is ended where it waits for a request: closing its writer first would let it answer, and journal,
        # a request that it already holds, into a closed connection.
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the far end went away, or `close` ends this task, of which asyncio would complain
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
