"""How a question in SMP reaches a board and its answer comes back."""

import asyncio
from typing import Final, Protocol

from agent.config_firmware import SerialBoard, UdpBoard
from agent.config_wires import SerialWire, UdpWire
from agent.firmware.line import BoardLine
from agent.wires.wire import Wire, WireError
from agent.wires.wire_serial import SerialPort
from agent.wires.wire_udp import UdpPeer
from firmware_bridge.manage import PAYLOAD_BYTES_MAX, Kind
from firmware_bridge.smp_line import Console, lines
from firmware_bridge.smp_talk import answers
from metrology.clock import Clock

# An Ethernet frame without the headers of IPv6 and UDP: no datagram is cut on the way.
UDP_BYTES_MAX: Final = 1452
# What a console takes is bounded by the board's buffer alone, which also holds length and check sum.
CONSOLE_BYTES_MAX: Final = 2048
CONSOLE_WRAP_BYTES: Final = 4
# A broken wire is not asked again at once.
BROKEN_WALL_S: Final = 1.0


class Link(Protocol):
    """A way to one board. `line` names what it shares with others, which then take turns."""

    line: str
    message_bytes_max: int
    wrap_bytes: int

    async def ask(self, question: bytes, timeout_s: float) -> bytes | None:
        """The answer to a question; None where none came within so many wall seconds, or the wire is broken."""

    def close(self) -> None:
        """Let the wire go until the next question."""


class WireLink:
    """A board alone on its wire: a serial console, or UDP."""

    def __init__(self, config: SerialBoard | UdpBoard, clock: Clock) -> None:
        self._clock = clock
        self._console: Console | None = None
        self._wire: Wire
        if isinstance(config, SerialBoard):
            wire = SerialWire(kind="serial", device=config.device, baud=config.baud)
            self._wire, self._console = SerialPort(wire), Console()
            self.line, self.message_bytes_max, self.wrap_bytes = config.device, CONSOLE_BYTES_MAX, CONSOLE_WRAP_BYTES
        else:
            self._wire = UdpPeer(UdpWire(kind="udp", host=config.host, port=config.port))
            self.line, self.message_bytes_max, self.wrap_bytes = f"{config.host}:{config.port}", UDP_BYTES_MAX, 0

    async def ask(self, question: bytes, timeout_s: float) -> bytes | None:
        """See `Link`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(question)
        except TimeoutError:
            return None
        except WireError:
            self._wire.close()
            await self._clock.sleep_wall(min(timeout_s, BROKEN_WALL_S))
            return None

    async def _exchange(self, question: bytes) -> bytes:
        if not self._wire.is_open:
            await self._wire.open()
        self._wire.drain_input()
        await self._wire.write(lines(question) if self._console else question)
        while True:
            came = await self._wire.read()
            for message in self._console.feed(came) if self._console else [came]:
                if answers(question, message):
                    return message

    def close(self) -> None:
        """See `Link`."""
        self._wire.close()


class FrameLink:
    """A board among others on the line its readings come by: SMP inside its frames of version 2."""

    message_bytes_max = PAYLOAD_BYTES_MAX
    wrap_bytes = 0

    def __init__(self, line: BoardLine, board: int) -> None:
        self.line = line.name
        self._line = line
        self._board = board

    async def ask(self, question: bytes, timeout_s: float) -> bytes | None:
        """See `Link`."""
        letter = await self._line.ask(self._board, Kind.SMP, question, timeout_s)
        return letter.payload if letter and answers(question, letter.payload) else None

    def close(self) -> None:
        """See `Link`; the line belongs to its bus."""
