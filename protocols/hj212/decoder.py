"""Bytes of a stream into frames (HJ 212-2017 table 2), by the declared length.

What is no frame becomes a `FrameError` and reading goes on at the very next `##`: a damaged frame costs itself alone.
The same bytes give the same answer however they are cut into pieces.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from protocols.hj212.crc import crc16
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import FRAME_MAX, HEADER, SEGMENT_MAX, contradiction
from protocols.hj212.profile import Profile

_HEAD: Final = 6
_TAIL: Final = 6
_REQUIRED: Final = ("QN", "ST", "CN", "PW", "MN", "Flag")

# Keys of the peer that wrote these header fields, to be tried in this order.
Keys = Callable[[Mapping[str, str]], Sequence[bytes]]


def no_keys(_: Mapping[str, str]) -> Sequence[bytes]:
    """For links without encryption."""
    return ()


class Decoder:
    """Feed it what came; it holds at most one unfinished frame and one frame's length of rubbish, never raises."""

    def __init__(self, profile: Profile | None = None, keys: Keys = no_keys) -> None:
        self._profile = profile or Profile.strict()
        self._keys = keys
        self._buffer = bytearray()
        self._offset = 0

    @property
    def unfinished(self) -> bool:
        """True where bytes wait for more: after a silence `end` should have them."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        """Frames and errors completed by `data`, in order."""
        found: list[Frame | FrameError] = []
        for start in range(0, len(data), FRAME_MAX):
            self._buffer += data[start : start + FRAME_MAX]
            while self._step(found):
                pass
        return found

    def end(self) -> list[Frame | FrameError]:
        """What is left when the stream has closed or fallen silent; the decoder is then empty."""
        found: list[Frame | FrameError] = []
        while self._buffer:
            found.append(FrameError(bytes(self._buffer), self._offset, "truncated", "the stream ends"))
            self._drop(2)
            while self._step(found):
                pass
        return found

    def _drop(self, size: int) -> bytes:
        dropped = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._offset += len(dropped)
        return dropped

    def _step(self, found: list[Frame | FrameError]) -> bool:
        at = self._buffer.find(b"##")
        if at < 0:
            at = len(self._buffer) - self._buffer.endswith(b"#")
        if at:
            offset = self._offset
            rubbish = self._drop(at)
            if rubbish.strip():
                found.append(FrameError(rubbish, offset, "header", "no frame begins here"))
        if len(self._buffer) < _HEAD:
            return False
        if not self._buffer[2:_HEAD].isdigit():
            return self._bad(found, "length", _HEAD)
        size = int(self._buffer[2:_HEAD])
        if size > SEGMENT_MAX:
            return self._bad(found, "oversize", _HEAD)
        total = _HEAD + size + _TAIL
        if len(self._buffer) < total:
            return False
        if self._buffer[total - 2 : total] != b"\r\n":
            return self._bad(found, "length", total)
        segment, crc = bytes(self._buffer[_HEAD : _HEAD + size]), bytes(self._buffer[_HEAD + size : total - 2])
        if crc != b"%04X" % crc16(segment):
            return self._bad(found, "crc", total)
        offset = self._offset
        raw = self._drop(total)
        try:
            found.append(_parse(segment, raw, offset))
        except ValueError as error:
            found.append(FrameError(raw, offset, "segment", str(error)))
        return True

    def _bad(self, found: list[Frame | FrameError], reason: str, size: int) -> bool:
        found.append(FrameError(bytes(self._buffer[:size]), self._offset, reason))  # type: ignore[arg-type]
        self._drop(2)
        return True


def _parse(segment: bytes, raw: bytes, offset: int) -> Frame:
    head, marker, rest = segment.partition(b"CP=&&")
    if not marker or not rest.endswith(b"&&"):
        raise ValueError("not wrapped in CP=&& and &&")
    fields: dict[str, str] = {}
    for part in head.decode("ascii").removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        if name not in HEADER or name in fields or not HEADER[name].fullmatch(value):
            raise ValueError(f"field {name[:8]!r} is unknown, repeated or misshapen")
        fields[name] = value
    if fields.get("ST") != "91" or fields.get("Flag", "4") > "3":
        missing = [name for name in _REQUIRED if name not in fields]
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
    pnum, pno = (int(fields[name]) if name in fields else None for name in ("PNUM", "PNO"))
    problem = contradiction(int(fields["Flag"]), pnum, pno)
    if problem:
        raise ValueError(problem)
    text = rest[:-2].decode("utf-8")
    cp = [[_pair(sub) for sub in item.split(",")] for item in text.split(";") if item.strip()]
    return Frame(raw, offset, fields, cp, [])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text[:40]!r} is no name=value")
    return name.strip(), value.strip()
