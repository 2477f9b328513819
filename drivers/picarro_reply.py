"""Replies of the Picarro G2000 command interface taken apart: framing, errors, buffer records, time stamps.

Source: Remote Command Interface guide 40-0063 rev. A (2019). A reply ends with CR; some installations add LF before or
after it. A buffer is `n;`, then n records, each a line, then (not everywhere) an empty line.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.base import Answer, Ask, BadAnswer, Step, Text
from drivers.values import SHOWN_CHARACTERS_MAX, whole

ENDS: Final = (b"\r", b"\n")
STAMP: Final = "%y/%m/%d %H:%M:%S.%f"
BUSY: Final = 1001  # with the command before: the FIFO keeps its rows
BUSY_TRIES: Final = 3
DISABLED: Final = 3001  # no measurement, in warm-up above all
NO_DATA: Final = 3002  # an answer that holds no record, not a failure
_ERROR: Final = re.compile(r"ERR:(\d{4})")
_EMPTY_LINE: Final = (b"\r\r", b"\n\n", b"\r\n\r\n", b"\n\r\n\r")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the buffer: the analyzer's own clock (naive, its zone is a setting) and a text per column."""

    local: datetime
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that cannot be read, or that is missing; the FIFO does not give it again."""

    why: str


def _lines(answer: bytes) -> list[str]:
    return [line for line in re.split(r"[\r\n]+", answer.decode("ascii", "replace")) if line.strip()]


def _announced(line: str) -> int | None:
    return whole(line.strip().removesuffix(";"))


def whole_buffer(answer: bytes) -> bool:
    """Tell whether a reply to GetBuffer is complete: all announced records, an empty line, or no number at all."""
    lines = _lines(answer)
    if not lines:
        return False
    count = _announced(lines[0])
    return count is None or len(lines) > count or answer.endswith(_EMPTY_LINE)


def whole_line(answer: bytes) -> bool:
    """Tell whether a reply of one line is complete: line ends left over from the reply before are none."""
    return bool(answer.strip())


def single_line(answer: bytes) -> str:
    """Give the first line of a reply. Raises `BadAnswer` for an error code or an empty reply."""
    line = next(iter(_lines(answer)), "")
    error = _ERROR.match(line)
    if error or not line:
        raise BadAnswer(f"the analyzer answers {line[:SHOWN_CHARACTERS_MAX]!r}")
    return line


def error_code(answer: bytes) -> int | None:
    """The code of a reply that is an error; None for other replies."""
    error = _ERROR.match(next(iter(_lines(answer)), ""))
    return int(error[1]) if error else None


def when_idle(question: Ask) -> Generator[Step, Answer, Text]:
    """Ask, and ask again while the analyzer says that it is busy: nothing is lost by that."""
    tries = 0
    while True:
        answer = yield question
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        tries += 1
        if error_code(answer.data) != BUSY or tries == BUSY_TRIES:
            return answer


def buffer_records(answer: bytes, columns: int) -> list[Record | Malformed]:
    """Records of a GetBuffer reply in the analyzer's order. Raises `BadAnswer` where the reply is none.

    Both forms are read, `t;v;v;` and that of older servers, `t;v;t;v;`. What is missing of the announced number is
    reported as one `Malformed` at the end.
    """
    lines = _lines(answer)
    if error_code(answer) == NO_DATA:
        return []
    count = _announced(single_line(answer))
    if count is None:
        raise BadAnswer(f"no buffer: {lines[0][:SHOWN_CHARACTERS_MAX]!r}")
    records = [_record(line, columns) for line in lines[1:]]
    if len(records) != count:
        records.append(Malformed(f"{count} records announced, {len(records)} came"))
    return records


def _record(line: str, columns: int) -> Record | Malformed:
    texts = line.strip().removesuffix(";").split(";")
    if len(texts) == 2 * columns:
        texts = [texts[0], *texts[1::2]]
    if len(texts) != columns + 1:
        return Malformed(f"{len(texts) - 1} values instead of {columns}: {line[:SHOWN_CHARACTERS_MAX]!r}")
    try:
        return Record(datetime.strptime(texts[0], STAMP), tuple(texts[1:]))  # noqa: DTZ007  (zone is a setting)
    except ValueError:
        return Malformed(f"no time stamp: {texts[0][:SHOWN_CHARACTERS_MAX]!r}")
