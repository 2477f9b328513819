"""Files made of a header and rows of cells: what Picarro, LI-COR, GCWerks and most loggers write.

A plan is made from each header met, so that concatenated files may repeat it, or change it.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.recorded.numbers import SENTINELS, number
from drivers.recorded.stamps import Stamp, StampError
from drivers.recorded.text import Line
from metrology.quality import Cause
from metrology.recorded import FLAGGED, Refused, Row, Sample

Split = Callable[[str], list[str]]
_SHOWN: Final = 40
_NO_NOTES: Final[frozenset[Cause]] = frozenset()


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one species stands in a row: columns of value, count, spread and flag (-1 for none).

    `good` holds flags that leave the value counted; `factor` makes the file's unit the wanted one.
    """

    species: str
    value: int
    n: int = -1
    sd: int = -1
    flag: int = -1
    good: Callable[[str], bool] = lambda flag: True
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows under one header are read. A row with another number of cells than `width` is refused.

    `stamp` takes the cells; `clock` is a lone column of it, whose date and time are two cells among white space; `gas`,
    `port`, `code` and `notes` say what the cells hold beside the values.
    """

    width: int
    stamp: Callable[[Sequence[str]], Stamp]
    cells: Sequence[Cell]
    split: Split
    clock: int = -1
    gas: Callable[[Sequence[str]], str | None] = lambda cells: None
    port: int = -1
    code: int = -1
    notes: Callable[[Sequence[str]], frozenset[Cause]] = lambda cells: _NO_NOTES
    missing: frozenset[float] = SENTINELS
    fixed: bool = False
    number: Callable[[str, frozenset[float]], float | None] = number


def spaces(text: str) -> list[str]:
    """Cells between white space."""
    return text.split()


def separated(sign: str) -> Split:
    """Cells between a sign; quotes are respected."""

    def split(text: str) -> list[str]:
        if '"' in text:
            return [cell.strip() for cell in next(csv.reader([text], delimiter=sign, skipinitialspace=True), [])]
        return [cell.strip() for cell in text.split(sign)]

    return split


def separator(header: str) -> Split:
    """How a header is split: by tabs, semicolons or commas where it has some, else by white space."""
    sign = next((sign for sign in "\t;," if header.count(sign) >= 1), None)
    return spaces if sign is None else separated(sign)


class Rows:
    """Rows of one file. `plan` makes a Plan of a line that is a header, None of one that is not.

    `ignored` says which other lines are no rows and no mistakes.
    """

    def __init__(self, plan: Callable[[str], Plan | None], ignored: Callable[[str], bool] = lambda text: False) -> None:
        self._plan_of = plan
        self._ignored = ignored
        self._plan: Plan | None = None
        self._length = 0

    def read(self, lines: Iterable[Line]) -> Iterator[Row | Refused]:
        """Every row and whatever was refused, in the order of the file."""
        last = 0
        for line in lines:
            last = line.number
            text = line.text
            if text is None:
                yield Refused(line.number, "long")
            elif not text or text.isspace():
                continue
            elif "\0" in text:
                yield Refused(line.number, "zeros")
            else:
                yield from self._line(line.number, text, line.whole)
        if self._plan is None:
            yield Refused(last, "no-header")

    def _line(self, place: int, text: str, whole: bool) -> Iterator[Row | Refused]:
        plan = self._plan
        if plan is None:
            self._plan = self._plan_of(text)
            return
        cells = plan.split(text)
        if len(cells) != plan.width:
            cells = _mended(plan, text, cells)
        try:
            if len(cells) != plan.width:
                raise StampError(text)
            at, offset = plan.stamp(cells)
        except StampError:
            found = self._not_a_row(place, text, cells, whole)
            if found is not None:
                yield found
            return
        length = len(text.rstrip())
        if not whole and plan.fixed and length < self._length:
            yield Refused(place, "truncated", _shown(text))
            return
        self._length = length
        yield from _row(plan, place, cells, at, offset)

    def _not_a_row(self, place: int, text: str, cells: Sequence[str], whole: bool) -> Refused | None:
        """A header repeated, a line beside the table, or a mistake."""
        if (plan := self._plan_of(text)) is not None:
            self._plan = plan
            return None
        if self._ignored(text):
            return None
        width = self._plan.width if self._plan else 0
        if len(cells) != width:
            return Refused(place, "columns" if whole else "truncated", f"{len(cells)}/{width}: {_shown(text)}")
        return Refused(place, "time", _shown(text))


def _mended(plan: Plan, text: str, cells: list[str]) -> list[str]:
    """A row whose separators run on past the last cell, that has none of them, or whose stamp was split."""
    if len(cells) > plan.width and not any(cells[plan.width :]):
        return cells[: plan.width]
    # Empty cells between lone spaces.
    if len(lone := text.rstrip("\r\n").split(" ")) == plan.width:
        return lone
    cells = spaces(text)
    at = plan.clock
    if at >= 0 and len(cells) == plan.width + 1:
        return [*cells[:at], f"{cells[at]} {cells[at + 1]}", *cells[at + 2 :]]
    return cells


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _row(plan: Plan, place: int, cells: Sequence[str], at: int, offset: int | None) -> Iterator[Row | Refused]:
    samples = []
    missing, read = plan.missing, plan.number
    for cell in plan.cells:
        text = cells[cell.value]
        try:
            value = read(text, missing)
            if cell.n < 0 and cell.flag < 0 and cell.factor == 1.0:
                samples.append(Sample(cell.species, value))
            else:
                samples.append(_sample(plan, cell, value, cells))
        except ValueError:
            yield Refused(place, "value", f"{cell.species}: {_shown(text)}", stands=True)
    code = cells[plan.code] if plan.code >= 0 else ""
    port = cells[plan.port] if plan.port >= 0 else None
    yield Row(at, samples, plan.gas(cells), port, offset, plan.notes(cells), code, place)


def _sample(plan: Plan, cell: Cell, value: float | None, cells: Sequence[str]) -> Sample:
    """A value with its count, spread and flag. A count of 0 is no value; one that is absent counts as one reading."""
    count = plan.number(cells[cell.n], plan.missing) if cell.n >= 0 else 1.0
    spread = plan.number(cells[cell.sd], plan.missing) if cell.sd >= 0 else None
    n = 1 if count is None else round(count)
    cause = None if cell.flag < 0 or cell.good(cells[cell.flag].strip()) else FLAGGED
    if value is None or n < 1:
        return Sample(cell.species, None, 1, None, cause)
    if spread is not None and (spread < 0 or n < 2):
        spread = None
    return Sample(cell.species, value * cell.factor, n, None if spread is None else spread * abs(cell.factor), cause)
