"""The wires of a board's management: its serial console, and UDP."""

import asyncio
import struct
from typing import Any, cast

from smp import packet
from smp.exceptions import SMPException

from simulation.smp import ManagedBoard


class Console:
    """A board's serial console: `hear` what is typed, get what it prints. Lines for people stand between, if wished."""

    def __init__(self, board: ManagedBoard) -> None:
        self._board = board
        self._line = b""
        self._lines: list[bytes] = []

    def hear(self, data: bytes) -> bytes:
        """Bytes that came, in pieces of any size."""
        *complete, self._line = (self._line + data).split(b"\n")
        return b"".join(self._take(line + b"\n") for line in complete)

    def _take(self, line: bytes) -> bytes:
        if line.startswith(packet.START_DELIMITER):
            self._lines = []
        self._lines.append(line)
        decoder = packet.decode()
        next(decoder)
        try:
            for one in self._lines:
                decoder.send(one)
        except StopIteration as done:
            return self._printed(self._board.answer(done.value))
        except (SMPException, ValueError, struct.error):
            self._lines = []
        return b""

    def _printed(self, answer: bytes) -> bytes:
        lines = b"".join(packet.encode(answer)) if answer else b""
        return b"[00:00:12.001] <inf> adc: 2047 mV\r\n" + lines if self._board.trouble.log_lines else lines


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, board: ManagedBoard) -> None:
        self._board = board

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is none by its class (Python 3.11).
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        if answer := self._board.answer(data):
            self._transport.sendto(answer, address)


async def serve_udp(board: ManagedBoard) -> tuple[int, asyncio.DatagramTransport]:
    """Answer on a free UDP port of 127.0.0.1: the port, and what ends it when closed."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(board), local_addr=("127.0.0.1", 0))
    return int(transport.get_extra_info("sockname")[1]), transport
