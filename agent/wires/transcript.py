"""Transcripts: what passed on a bus, as text a person reads and a test plays.

    # Plumeline transcript 1: ...
    # {"bus": "line", "config": {...}, "instruments": {"ndir": {...}}}
    2026-01-02T03:04:05.123456Z > FE 04 00 00 00 04 E5 C6  |........|
    2026-01-02T03:04:05.164020Z < FE 04 08 00 00 00 00 00 00 01 90 16 E6  |.............|

A line is a time (UTC), a mark, bytes, and the same bytes as text, which is not read again. A long piece goes on in
lines marked `+`. Other lines that begin with `#` are notes; lines may be added and taken away by hand.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

FORM: Final = "# Plumeline transcript 1"
LEGEND: Final = f"{FORM}: time (UTC); > sent, < came, x came when nobody waited for it, + goes on; bytes; as text"
LINE_BYTES: Final = 32

Mark = Literal[">", "<", "x"]
_LINE: Final = re.compile(r"(?P<at>\S+) (?P<mark>[><x+]) (?P<bytes>[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2})*)(?:  \|.*)?")


class TranscriptError(ValueError):
    """A file that is no transcript; the message says file, line and what was found."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that passed at once: sent (`>`), came (`<`), or came when nobody waited for them (`x`)."""

    at: datetime
    mark: Mark
    data: bytes


@dataclass(frozen=True, slots=True)
class Transcript:
    """One bus: its name, its block and its instruments' blocks of the configuration, and what passed."""

    bus: str
    config: Mapping[str, Any]
    instruments: Mapping[str, Mapping[str, Any]]
    pieces: tuple[Piece, ...]


def header(bus: str, config: Mapping[str, Any], instruments: Mapping[str, Any]) -> str:
    """The first lines of a file. The blocks of a bus and its instruments hold no secret, at most where one lies."""
    about = {"bus": bus, "config": config, "instruments": instruments}
    return f"{LEGEND}\n# {json.dumps(about, ensure_ascii=False)}\n"


def written(piece: Piece) -> str:
    """The lines of a piece."""
    at = stamp(piece.at)
    cuts = [piece.data[start : start + LINE_BYTES] for start in range(0, len(piece.data), LINE_BYTES)]
    return "".join(
        f"{at} {'+' if number else piece.mark} {cut.hex(' ').upper()}  |{_shown(cut)}|\n"
        for number, cut in enumerate(cuts)
    )


def noted(at: datetime, text: str) -> str:
    """A line for people."""
    return f"# {stamp(at)} {' '.join(text.split())}\n"


def stamp(at: datetime) -> str:
    """Time to the microsecond, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _shown(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def read(paths: Iterable[Path]) -> Transcript:
    """Read the files of one bus, in their order. Raises TranscriptError, OSError for a file that cannot be read."""
    about: dict[str, Any] = {}
    pieces: list[Piece] = []
    for path in paths:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines.pop()  # torn: the power went, or the disk was full
        for number, line in enumerate(lines, 1):
            try:
                if line.startswith('# {"bus"'):
                    about = about or json.loads(line[2:])
                elif line.strip() and not line.startswith("#"):
                    _take(line.strip(), pieces)
            except ValueError as error:
                raise TranscriptError(f"{path}:{number}: {error}") from error
    if not {"bus", "config", "instruments"} <= about.keys():
        raise TranscriptError('no line of these files says which bus they are of: it begins with # {"bus"')
    return Transcript(about["bus"], about["config"], about["instruments"], tuple(pieces))


def _take(line: str, pieces: list[Piece]) -> None:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"neither a time, a mark and bytes, nor a note: {line[:60]!r}")
    data = bytes.fromhex(found["bytes"])
    if found["mark"] == "+":
        if not pieces:
            raise ValueError("the line goes on, and nothing is before it")
        last = pieces.pop()
        pieces.append(Piece(last.at, last.mark, last.data + data))
        return
    at = datetime.fromisoformat(found["at"])
    if at.tzinfo is None:
        raise ValueError(f"a time without its zone: {found['at']}")
    pieces.append(Piece(at.astimezone(UTC), cast(Mark, found["mark"]), data))


def exchanges(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, list[Piece]]]:
    """Each question with the pieces that came for it, up to the next question."""
    question: Piece | None = None
    came: list[Piece] = []
    for piece in pieces:
        if piece.mark == "<":
            came.append(piece)
        elif piece.mark == ">":
            if question is not None:
                yield question, came
            question, came = piece, []
    if question is not None:
        yield question, came
