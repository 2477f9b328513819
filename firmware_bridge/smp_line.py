"""SMP on a serial console: lines of base64 among the lines a firmware prints for people, over the public codec.

Source: Zephyr, "SMP transport: UART/serial and console": a message is one line after 06 09, more after 04 14.
"""

import struct
from binascii import Error as Base64Error
from collections.abc import Generator, Iterator
from typing import Final

from smp import packet
from smp.exceptions import SMPDecodeError

# The longest line taken; firmware allows 128 characters unless it is told otherwise.
LINE_BYTES_MAX: Final = 8192
# The longest message: its length is a number of 16 bits that counts the check sum too.
LINES_MAX: Final = 2048


def lines(message: bytes, line_length: int = 127) -> bytes:
    """Bytes for the line that carry one message, in lines no longer than the firmware's buffer."""
    return b"".join(packet.encode(message, line_length))


class Console:
    """Cuts messages out of what comes from a console. Memory is bounded; `damaged` counts messages that are none."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._decoder: Generator[None, bytes, bytes] | None = None
        self._taken = 0
        self.damaged = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Give the messages that are complete now; lines for people are passed over."""
        *complete, rest = data.split(packet.LF)
        found = [message for part in complete for message in self._end(part)]
        self._line += rest
        if len(self._line) > LINE_BYTES_MAX:
            del self._line[:-LINE_BYTES_MAX]
        return found

    def _end(self, part: bytes) -> Iterator[bytes]:
        line = bytes(self._line) + part + packet.LF
        self._line.clear()
        # A firmware's own words without a line end may stand before a message.
        starts = [line.rfind(packet.START_DELIMITER), line.rfind(packet.CONTINUE_DELIMITER)]
        if (at := max(starts)) < 0:
            return
        line = line[at:].replace(b"\r", b"")
        if line.startswith(packet.START_DELIMITER):
            self.damaged += self._decoder is not None
            self._decoder, self._taken = packet.decode(), 0
            next(self._decoder)
        if self._decoder is None:
            self.damaged += 1
            return
        yield from self._decoded(self._decoder, line)

    def _decoded(self, decoder: "Generator[None, bytes, bytes]", line: bytes) -> Iterator[bytes]:
        """The message, where this line completes it; a broken one is counted and let go."""
        try:
            decoder.send(line)
        except StopIteration as done:
            self._decoder = None
            yield done.value
        except (SMPDecodeError, Base64Error, struct.error):
            self._lose()
        else:
            self._taken += 1
            if self._taken >= LINES_MAX:
                self._lose()

    def _lose(self) -> None:
        self._decoder = None
        self.damaged += 1
