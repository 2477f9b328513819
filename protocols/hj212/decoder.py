"""Bytes of a stream into frames (HJ 212-2017 table 2), by the declared length.

What is no frame becomes a `FrameError`, and reading goes on at the very next `##`, inside a frame that failed too: a
damaged frame or a forged length costs itself alone. Frames and errors stand in the order of the stream and do not
overlap; of what came, only blanks between frames are in none of them. The same bytes give the same answer however they
are cut into pieces.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from protocols.hj212.candidate import OVERSIZE_MAX, Candidates, Keys
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.framing import START
from protocols.hj212.plain import plain_flags, plain_frame
from protocols.hj212.profile import Profile
from protocols.hj212.segment import RefusedError

__all__ = ["PIECE_MAX", "Decoder", "Keys", "no_keys"]

# Bytes that are no frame are reported in pieces of at most this size, that of the longest frame that can be declared.
PIECE_MAX: Final = 2 + 4 + OVERSIZE_MAX + 4 + 2
# How much of a long input is looked at in one go.
_BLOCK: Final = 1 << 16
_START_SIZE: Final = 3
_BLANK: Final = re.compile(rb"[ \t\r\n\v\f]*")


def no_keys(_: Mapping[str, str]) -> Sequence[bytes]:
    """For links without encryption."""
    return ()


class Decoder:
    """Feed it what came. It never raises on any input.

    What it keeps is less than `PIECE_MAX` and three bytes, and where a peer with a key prints its cipher bytes less
    than six times as much. A frame that is not finished holds back what follows only up to its declared length.
    """

    def __init__(self, profile: Profile | None = None, keys: Keys = no_keys) -> None:
        profile = profile or Profile.strict()
        self._candidates = Candidates(profile, keys)
        self._flags = plain_flags(profile)
        self._rest = b""
        self._offset = 0
        # Why the bytes at the front of `_rest` are no frame, while it is not known how far they go.
        self._refused: RefusedError | None = None

    @property
    def unfinished(self) -> bool:
        """True where bytes wait for more: after a silence `end` should have them."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        """Frames and errors completed by `data`, in order."""
        found: list[Frame | FrameError] = []
        for start in range(0, len(data), _BLOCK):
            self._run(self._rest + data[start : start + _BLOCK], found, final=False)
        return found

    def end(self) -> list[Frame | FrameError]:
        """What is left when the stream has closed or fallen silent; the decoder is then empty."""
        found: list[Frame | FrameError] = []
        self._run(self._rest, found, final=True)
        return found

    def _run(self, data: bytes, found: list[Frame | FrameError], *, final: bool) -> None:
        at, base, flags = 0, self._offset, self._flags
        while at < len(data):
            one = plain_frame(data, at, base, flags) or self._next(data, at, final=final)
            if one is None:
                break
            if isinstance(one, int):
                at = one
            else:
                found.append(one)
                at = one.offset - base + len(one.raw)
        self._rest = data[at:]
        self._offset = base + at

    def _next(self, data: bytes, at: int, *, final: bool) -> Frame | FrameError | int | None:
        """What comes next by the long way: a frame, an error, where to go on behind blanks; None to wait."""
        blank = _BLANK.match(data, at)
        if blank and blank.end() > at:
            return blank.end()
        if not START.match(data, at):
            return self._rubbish(data, at, final=final)
        refused = self._refused
        if refused is None:
            try:
                return self._candidates.read(data, at, self._offset, final=final)
            except RefusedError as error:
                # A new one: what was raised keeps its traceback, and with it everything that came in the same piece.
                refused = RefusedError(error.reason, error.detail, error.end)
        end = _end_of(data, at, refused, final=final)
        self._refused = refused if end is None else None
        return None if end is None else self._error(data, at, end, refused)

    def _rubbish(self, data: bytes, at: int, *, final: bool) -> FrameError | None:
        start = START.search(data, at, at + PIECE_MAX + _START_SIZE)
        if start:
            end = start.start()
        elif final or len(data) >= at + PIECE_MAX + _START_SIZE:
            end = len(data)
        else:
            return None
        return self._error(data, at, min(end, at + PIECE_MAX), RefusedError("header", "no frame begins here"))

    def _error(self, data: bytes, at: int, end: int, why: RefusedError) -> FrameError:
        return FrameError(data[at:end], self._offset + at, why.reason, why.detail)


def _end_of(data: bytes, at: int, why: RefusedError, *, final: bool) -> int | None:
    """Where the bytes of a refused frame end: at the next `##`, at its own end, or where its line does."""
    inside = at + _START_SIZE - 1
    limit = at + PIECE_MAX + _START_SIZE if why.end is None else why.end
    start = START.search(data, inside, limit)
    ends = [start.start()] if start else []
    if why.end is not None:
        return min([why.end, *ends])
    line = data.find(b"\r\n", inside, limit)
    if line >= 0:
        ends.append(line + 2)
    if ends or final or len(data) >= limit:
        return min([*ends, at + PIECE_MAX, len(data)])
    return None
