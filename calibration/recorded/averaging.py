"""Averages of recorded rows over periods of the file's own clock, in bounded memory."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from calibration.recorded.total import Total
from metrology.quality import Cause
from metrology.recorded import Row

# Values kept open (a period of a species is one), for rows that come late (a clock set back, the newest row first):
# what bounds the memory. A year of hours of ten species.
OPEN_MAX: Final = 100_000
GOOD: Final = "good"
MISSING: Final = "missing"


class Average(NamedTuple):
    """One species in one period; `start` in microseconds. `quality` is `good`, or why values did not count."""

    start: int
    species: str
    mean: float | None
    sd: float | None
    n: int
    quality: str


@dataclass(slots=True)
class _Cell:
    total: Total = field(default_factory=Total)
    causes: frozenset[str] = frozenset()


class Averages:
    """Averages over periods of `period` microseconds, counted from 1970-01-01 00:00. Tank gas is not air."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._open: dict[int, dict[str, _Cell]] = {}
        self._order: dict[str, int] = {}
        self._cells = 0
        self._starts: list[int] = []
        self._closed: int | None = None
        self.late = 0

    def add(self, row: Row) -> None:
        """Take one row. A row of a period that was given out already is counted in `late` and left out."""
        start = row.at // self._period * self._period
        if self._closed is not None and start <= self._closed:
            self.late += 1
            return
        cells = self._open.get(start)
        if cells is None:
            cells = self._open[start] = {}
            heapq.heappush(self._starts, start)
        tank = Cause.CALIBRATION if row.gas else None
        for sample in row.samples:
            cell = cells.get(sample.species)
            if cell is None:
                cell = cells[sample.species] = _Cell()
                self._cells += 1
                self._order.setdefault(sample.species, len(self._order))
            cause = tank or sample.cause
            if cause is not None:
                cell.causes |= {cause}
            elif sample.value is not None:
                cell.total.add(sample)
                if row.notes:
                    cell.causes |= row.notes

    def ready(self) -> Iterator[Average]:
        """Periods that can be given out, oldest first."""
        while self._cells > OPEN_MAX and len(self._open) > 1:
            yield from self._close(heapq.heappop(self._starts))

    def end(self) -> Iterator[Average]:
        """All that is left."""
        for start in sorted(self._open):
            yield from self._close(start)

    def _close(self, start: int) -> Iterator[Average]:
        self._closed = start
        cells = self._open.pop(start)
        self._cells -= len(cells)
        for species in sorted(cells, key=self._order.__getitem__):
            yield _average(start, species, cells[species])


def _average(start: int, species: str, cell: _Cell) -> Average:
    total = cell.total
    words = sorted(map(str, cell.causes))
    if not total.n:
        return Average(start, species, None, None, 0, ";".join(words) or MISSING)
    return Average(start, species, total.mean, total.sd, total.n, ";".join(words) or GOOD)
