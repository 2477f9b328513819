"""Bytes of a recorded file to its lines: mixed line ends, byte order marks, UTF-8, GBK and UTF-16."""

import codecs
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LINE_BYTES_MAX: Final = 1 << 20
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Line(NamedTuple):
    """A line without its end. `whole` is False for a last line that has no end; `text` is None for a longer one
    than `LINE_BYTES_MAX`."""

    number: int
    text: str | None
    whole: bool = True


def lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Lines of a file given in pieces of any size; CR LF, LF and CR end a line. Memory stays within one line."""
    for number, (raw, whole) in enumerate(_raw_lines(_as_utf8(iter(pieces))), 1):
        yield Line(number, None if raw is None else _decoded(raw), whole)


def _as_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark; UTF-16 becomes UTF-8."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(codecs.BOM_UTF8):
            break
    if head[:2] in _UTF16:
        decoder = codecs.getincrementaldecoder(_UTF16[head[:2]])("replace")
        yield decoder.decode(head[2:]).encode("utf-8", "replace")
        for piece in pieces:
            yield decoder.decode(piece).encode("utf-8", "replace")
        return
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _raw_lines(pieces: Iterator[bytes]) -> Iterator[tuple[bytes | None, bool]]:
    """Bytes between line ends; None for a line that is too long."""
    rest, skipping = b"", False
    for piece in pieces:
        rest += piece
        # A CR at the very end may be the first half of CR LF.
        kept = rest[-1:] if rest.endswith(b"\r") else b""
        found = rest[: len(rest) - len(kept)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for one in found[:-1]:
            yield (None, True) if skipping else (one, True)
            skipping = False
        rest = found[-1] + kept
        if len(rest) > LINE_BYTES_MAX:
            rest, skipping = kept, True
    if rest.endswith(b"\r"):
        yield (None, True) if skipping else (rest[:-1], True)
    elif rest or skipping:
        yield (None, False) if skipping else (rest, False)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")
