"""Lines an instrument sends unasked, cut from a stream; and lines it sends when asked, taken apart by the same code."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from drivers.base import Ask, BadAnswer, Poll, Scan, StreamFault, Text

LINE_BYTES_MAX: Final = 1024
LINE_END: Final = re.compile(rb"[\r\n]")
# What is kept of a line that grew too long, so that an end of several bytes is still seen.
_TAIL_BYTES: Final = 32

# Scan of one line, None for a line that holds nothing of ours. Raises `BadAnswer` for a line that cannot be read.
Decode = Callable[[bytes, datetime], Scan | None]


class LineStream:
    """One instrument on a line. Its memory never holds more than one line and the piece just fed.

    `begin` is what a line starts with: noise before it is passed over. Without it nothing tells whether the first line
    after opening is whole, so that one is passed over.
    """

    def __init__(
        self,
        instrument: str,
        measurands: Mapping[str, str],
        decode: Decode,
        *,
        begin: re.Pattern[bytes] | None = None,
        end: re.Pattern[bytes] = LINE_END,
        line_bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        self._instrument = instrument
        self._measurands = dict(measurands)
        self._decode = decode
        self._begin = begin
        self._end = end
        self._line_bytes_max = line_bytes_max
        self._rest = b""
        self._first = True
        self._too_long = False

    @property
    def measurands(self) -> dict[str, str]:
        """See `StreamDriver`."""
        return self._measurands

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        """See `StreamDriver`; a scan carries the moment its line was complete, unless the line itself says when."""
        *lines, self._rest = self._end.split(self._rest + data)
        found = [one for line in lines if (one := self._line(line, at)) is not None]
        if len(self._rest) > self._line_bytes_max:
            self._rest, self._too_long = self._rest[-_TAIL_BYTES:], True
        return found

    def _line(self, line: bytes, at: datetime) -> Scan | StreamFault | None:
        if not line.strip():
            return None
        first, self._first = self._first, False
        too_long, self._too_long = self._too_long or len(line) > self._line_bytes_max, False
        try:
            return self._read(line, at, first, too_long)
        except BadAnswer as error:
            return None if first else StreamFault(str(error), at, 0, self._instrument)

    def _read(self, line: bytes, at: datetime, first: bool, too_long: bool) -> Scan | None:
        if too_long:
            raise BadAnswer(f"no end of a line within {self._line_bytes_max} bytes")
        if self._begin is None:
            return None if first else self._decode(line, at)
        begins = [found.start() for found in self._begin.finditer(line)]
        if not begins:
            raise BadAnswer("bytes outside a line")
        return self._decode(line[begins[-1] :], at)


class AskedLine:
    """One instrument that answers one question with one line."""

    def __init__(self, measurands: Mapping[str, str], ask: Ask, decode: Decode) -> None:
        self._measurands = dict(measurands)
        self._ask = ask
        self._decode = decode

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return self._measurands

    def poll(self) -> Poll:
        """Ask once; one scan. Raises `BadAnswer` where the answer holds no line that can be read."""
        answer = yield self._ask
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        scan = self._decode(answer.data, answer.at)
        return [] if scan is None else [scan]
