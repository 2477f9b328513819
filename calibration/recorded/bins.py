"""Rows gathered into short bins: what plateaus are looked for in."""

import itertools
from dataclasses import dataclass, field
from typing import Final

from calibration.recorded.total import Total
from metrology.recorded import SECOND, Row

WIDTH_MIN: Final = 5 * SECOND
# Readings in a bin; slower rows than this have a bin each.
READINGS: Final = 3
SLOW: Final = 20 * SECOND
_LEARN_ROWS: Final = 300


@dataclass(slots=True)
class Bin:
    """Totals of a few seconds on one port and one gas; times are those of its first and last row."""

    start: int
    end: int
    port: str | None
    gas: str | None
    totals: dict[str, Total] = field(default_factory=dict)


class Binner:
    """Makes bins of rows in order of time; samples with a cause are left out, and rows that have no other.

    The width follows from the first rows: three readings of a species, at least 5 s; rows of minutes stand alone.
    """

    def __init__(self) -> None:
        self.width = 0
        self._held: list[Row] = []
        self._bin: Bin | None = None
        self._slot = 0

    def add(self, row: Row) -> list[Bin]:
        """Bins that are complete."""
        if self.width:
            done = self._put(row)
            return [done] if done is not None else []
        self._held.append(row)
        return self._learnt() if len(self._held) >= _LEARN_ROWS else []

    def end(self) -> list[Bin]:
        """What is left."""
        done = self._learnt() if self._held else []
        if self._bin is not None:
            done.append(self._bin)
            self._bin = None
        return done

    def _learnt(self) -> list[Bin]:
        step = _step(self._held)
        self.width = max(WIDTH_MIN, READINGS * step) if step < SLOW else max(step // 2, 1)
        held, self._held = self._held, []
        return [done for row in held if (done := self._put(row)) is not None]

    def _put(self, row: Row) -> Bin | None:
        counted = [one for one in row.samples if one.value is not None and one.cause is None]
        if not counted:
            return None
        slot, last, done = row.at // self.width, self._bin, None
        if last is None or slot != self._slot or row.port != last.port or row.gas != last.gas:
            done = last
            last = self._bin = Bin(row.at, row.at, row.port, row.gas)
            self._slot = slot
        last.start, last.end = min(last.start, row.at), max(last.end, row.at)
        totals = last.totals
        for sample in counted:
            total = totals.get(sample.species)
            if total is None:
                total = totals[sample.species] = Total()
            total.add(sample)
        return done


def _step(rows: list[Row]) -> int:
    """Median time between two readings of the species that comes most often, microseconds."""
    times: dict[str, list[int]] = {}
    for row in rows:
        for sample in row.samples:
            times.setdefault(sample.species, []).append(row.at)
    often = max(times.values(), key=len, default=[])
    steps = sorted(after - before for before, after in itertools.pairwise(often) if after > before)
    return steps[len(steps) // 2] if steps else SECOND
