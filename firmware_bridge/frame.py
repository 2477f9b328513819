"""The frame of the micro-sensor board, both directions. For firmware authors: docs/drivers/micro_board.md.

On the line: COBS of the frame, then 0x00. The frame, little-endian throughout: version u8 (1), board id u16, boot id
u16, sequence u32, ticks_ms u32, count u8, then count times (channel u8, value f32), then CRC-16/XMODEM (u16) over
everything before it.
"""

import binascii
import struct
from dataclasses import dataclass
from typing import Final

from cobs import cobs

VERSION: Final = 1
DELIMITER: Final = b"\0"
_HEADER: Final = struct.Struct("<BHHIIB")
_VALUE: Final = struct.Struct("<Bf")
_CHECK: Final = struct.Struct("<H")
FRAME_BYTES_MAX: Final = _HEADER.size + 255 * _VALUE.size + _CHECK.size
# COBS adds one byte, and one for each 254 (Cheshire and Baker 1999).
STUFFED_BYTES_MAX: Final = FRAME_BYTES_MAX + 1 + FRAME_BYTES_MAX // 254


class FrameError(ValueError):
    """Bytes between two delimiters that are no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `boot` is another number after each start of the board; `sequence` grows by one with each frame.

    `values` holds channel and value as the board sent them, in its order.
    """

    board: int
    boot: int
    sequence: int
    ticks_ms: int
    values: tuple[tuple[int, float], ...]


def encode_frame(frame: Frame) -> bytes:
    """Bytes for the line, delimiter included. Raises struct.error where a number does not fit its field."""
    head = _HEADER.pack(VERSION, frame.board, frame.boot, frame.sequence, frame.ticks_ms, len(frame.values))
    return stuffed(head + b"".join(_VALUE.pack(channel, value) for channel, value in frame.values))


def stuffed(body: bytes) -> bytes:
    """A frame's body with its check sum, as it stands on the line, delimiter included."""
    return bytes(cobs.encode(body + _CHECK.pack(binascii.crc_hqx(body, 0)))) + DELIMITER


def unstuffed(piece: bytes) -> bytes:
    """Body of a frame from the bytes before a delimiter, its check sum right. Raises `FrameError`."""
    try:
        return checked(cobs.decode(piece))
    except cobs.DecodeError as error:
        raise FrameError(f"byte stuffing broken: {error}") from None


def checked(frame: bytes) -> bytes:
    """Body of a frame that ends with its check sum. Raises `FrameError`."""
    body, check = frame[: -_CHECK.size], frame[-_CHECK.size :]
    if not body:
        raise FrameError(f"{len(frame)} bytes are too few")
    if _CHECK.unpack(check)[0] != binascii.crc_hqx(body, 0):
        raise FrameError("check sum wrong")
    return body


def decode_frame(piece: bytes) -> Frame:
    """Frame from the bytes before a delimiter. Raises `FrameError`."""
    return decode_body(unstuffed(piece))


def decode_body(body: bytes) -> Frame:
    """Frame from its body, whose check sum was right. Raises `FrameError`."""
    if len(body) < _HEADER.size:
        raise FrameError(f"{len(body)} bytes are too few")
    version, board, boot, sequence, ticks_ms, count = _HEADER.unpack_from(body)
    if version != VERSION:
        raise FrameError(f"frame version {version}, known is {VERSION}")
    if len(body) != _HEADER.size + count * _VALUE.size:
        raise FrameError(f"length does not fit {count} values")
    return Frame(board, boot, sequence, ticks_ms, tuple(_VALUE.iter_unpack(body[_HEADER.size :])))


class Cutter:
    """Cuts a stream at the delimiters. Memory is bounded: a piece longer than any frame is let go and reported once."""

    def __init__(self) -> None:
        self._piece = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> list[bytes | FrameError]:
        """Give the pieces that are complete now; empty ones (a board may send spare delimiters) are left out."""
        found: list[bytes | FrameError] = []
        *complete, rest = data.split(DELIMITER)
        for part in complete:
            self._take(part)
            if self._too_long:
                found.append(FrameError(f"more than {STUFFED_BYTES_MAX} bytes without a delimiter"))
            elif self._piece:
                found.append(bytes(self._piece))
            self._piece.clear()
            self._too_long = False
        self._take(rest)
        return found

    def _take(self, part: bytes) -> None:
        if len(self._piece) + len(part) > STUFFED_BYTES_MAX:
            self._too_long = True
            self._piece.clear()
        if not self._too_long:
            self._piece += part
