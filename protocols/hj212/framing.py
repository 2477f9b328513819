"""Where a frame begins and where it may end, told by the bytes alone."""

import re
from collections.abc import Iterator
from typing import Final

from protocols.hj212.profile import Leniency

# Where a frame begins; of more than two `#` in a row the last two count.
START: Final = re.compile(rb"##[^#]")

_BLANKS: Final = b"\n\r \t\v\f"
# One character of UTF-8, and of GBK.
_CHARACTERS: Final = (rb"[^\x80-\xbf][\x80-\xbf]*+", rb"(?:[\x81-\xfe][\x40-\xfe]|[\x00-\x80\xff])")


def tail_at(data: bytes, at: int, *, final: bool) -> tuple[int, list[Leniency]] | None:
    """Where the frame ends whose check sum ends at `at`, and how its end departs from CR LF; None to wait for more."""
    tail = data[at : at + 2]
    if tail == b"\r\n":
        return at + 2, []
    if len(tail) < 2 and not final and tail in (b"", b"\r", b"#"):
        return None
    if not tail:
        return at, [Leniency.MISSING_CR_LF]
    if tail == b"##":
        return at, [Leniency.BACK_TO_BACK]
    return at + (tail[:1] in _BLANKS), [Leniency.OTHER_TAIL]


def ends_in_characters(data: bytes, begin: int, size: int, limit: int) -> Iterator[int]:
    """Where a segment of `size` characters may end before `limit`: in UTF-8, then in GBK.

    The end of the data where it may lie beyond them; nothing where the text is ASCII.
    """
    if data[begin : begin + size].isascii():
        return
    for character in _CHARACTERS:
        match = re.compile(b"(?:%b){%d}" % (character, size), re.DOTALL).match(data, begin, limit)
        if match is None and len(data) < limit:
            yield len(data)
        elif match is not None and match[0].endswith(b"&&"):
            yield match.end()
