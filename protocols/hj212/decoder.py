"""Bytes of a stream into frames (HJ 212-2017 table 2), by the declared length.

What is no frame becomes a `FrameError` and reading goes on at the very next `##`: a damaged frame costs itself alone.
The same bytes give the same answer however they are cut into pieces.
"""

from typing import Final

from protocols.hj212.crc import crc16
from protocols.hj212.frame import FRAME_MAX, SEGMENT_MAX, Fault, Frame, FrameError, Slip, parse_segment

_HEAD: Final = 6
_TAIL: Final = 6
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class Decoder:
    """Feed it what came; it holds at most one unfinished frame and one frame's length of rubbish, never raises."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._rubbish = bytearray()
        self._in_bad_frame = False

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        """Frames and errors completed by `data`, in order."""
        found: list[Frame | FrameError] = []
        for start in range(0, len(data), FRAME_MAX):
            self._buffer += data[start : start + FRAME_MAX]
            while self._step(found):
                pass
        return found

    def _step(self, found: list[Frame | FrameError]) -> bool:
        at = self._buffer.find(b"##")
        if at != 0:
            return self._skip(at, found)
        self._report_rubbish(found)
        self._in_bad_frame = False
        result = self._frame()
        if result is not None:
            found.append(result)
        return result is not None

    def _skip(self, at: int, found: list[Frame | FrameError]) -> bool:
        # A single # at the end may be the first half of the next head.
        size = at if at > 0 else len(self._buffer) - self._buffer.endswith(b"#")
        # What follows a bad frame up to the next head belongs to it and was already reported.
        for byte in b"" if self._in_bad_frame else self._buffer[:size]:
            self._rubbish.append(byte)
            if len(self._rubbish) == FRAME_MAX:
                self._report_rubbish(found)
        del self._buffer[:size]
        return at > 0

    def _report_rubbish(self, found: list[Frame | FrameError]) -> None:
        # Blank lines between frames are harmless and frequent.
        if self._rubbish.strip():
            found.append(FrameError(Fault.RUBBISH, f"{len(self._rubbish)} bytes", bytes(self._rubbish)))
        self._rubbish.clear()

    def _frame(self) -> Frame | FrameError | None:
        digits = bytes(self._buffer[2:_HEAD])
        if digits and not digits.isdigit():
            wrong = next(i for i in range(len(digits)) if not digits[i : i + 1].isdigit())
            return self._bad(Fault.LENGTH, "not four digits", 2 + wrong + 1)
        if len(digits) < 4:
            return None
        size = int(digits)
        if size > SEGMENT_MAX:
            return self._bad(Fault.LENGTH, f"{size} bytes, allowed are {SEGMENT_MAX}", _HEAD)
        end = self._buffer.find(b"\r\n", _HEAD, _HEAD + size)
        if end >= 0:
            return self._bad(Fault.LENGTH, f"declared {size}, line ends after {end - _HEAD}", end + 2)
        if len(self._buffer) < _HEAD + size + _TAIL:
            return None
        return self._whole(size)

    def _whole(self, size: int) -> Frame | FrameError:
        total = _HEAD + size + _TAIL
        segment, crc = bytes(self._buffer[_HEAD : _HEAD + size]), bytes(self._buffer[_HEAD + size : total - 2])
        if self._buffer[total - 2 : total] != b"\r\n":
            return self._bad(Fault.TAIL, "no CR LF after the check sum", total)
        if not _HEX.issuperset(crc) or int(crc, 16) != crc16(segment):
            return self._bad(Fault.CRC, f"{crc!r}, computed {crc16(segment):04X}", total)
        raw = bytes(self._buffer[:total])
        del self._buffer[:total]
        slips = frozenset({Slip.LOWER_CASE_CRC}) if crc != crc.upper() else frozenset()
        return parse_segment(segment, raw, slips)

    def _bad(self, fault: Fault, detail: str, size: int) -> FrameError:
        error = FrameError(fault, detail, bytes(self._buffer[:size]))
        del self._buffer[:1]
        self._in_bad_frame = True
        return error
