"""The averages a longer period is made of, as numbers in a row.

A station of a thousand series holds sixty thousand averages of minutes while an hour is open: as objects they would be
thirty megabytes, so only what the longer period needs of each is kept.
"""

import math
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from metrology.quality import Cause
from metrology.reading import Average
from metrology.statistics import Moments

_NONE: Final[frozenset[str]] = frozenset()
_FIGURES: Final = 5


class _Part:
    """Moments of some members, and the calibrations they used."""

    __slots__ = ("calibrations", "figures")

    def __init__(self) -> None:
        self.figures = array("d")
        self.calibrations = _NONE

    def add(self, average: Average) -> None:
        numbers = (average.n, average.mean, average.minimum, average.maximum, average.sd)
        self.figures.extend(math.nan if number is None else number for number in numbers)
        if not self.calibrations.issuperset(average.calibrations):
            self.calibrations = self.calibrations.union(average.calibrations)

    def __len__(self) -> int:
        return len(self.figures) // _FIGURES

    def moments(self) -> Iterator[Moments]:
        for at in range(0, len(self.figures), _FIGURES):
            n, *rest = self.figures[at : at + _FIGURES]
            yield Moments(int(n), *(None if math.isnan(number) else number for number in rest))


class Members:
    """Averages of one series over parts of one period: the valid ones, and those that are incomplete and no more.

    `marks` holds (cause, origin) of every mark on any of them.
    """

    __slots__ = ("_incomplete", "_valid", "marks")

    def __init__(self, averages: Iterable[Average] = ()) -> None:
        self._valid = _Part()
        self._incomplete: _Part | None = None
        self.marks: frozenset[tuple[Cause, str]] = frozenset()
        for average in averages:
            self.add(average)

    def add(self, average: Average) -> None:
        """Take one; those that are neither valid nor merely incomplete leave only their marks."""
        if average.valid:
            self._valid.add(average)
        elif average.mean is not None and average.quality.causes == {Cause.INCOMPLETE}:
            self._incomplete = self._incomplete or _Part()
            self._incomplete.add(average)
        if average.quality.marks:
            self.marks = self.marks.union((mark.cause, mark.origin) for mark in average.quality.marks)

    @property
    def valid(self) -> int:
        """How many are valid."""
        return len(self._valid)

    @property
    def _used(self) -> _Part:
        # An incomplete hour is still shown with what it holds: the mean of a rule that failed is no valid mean.
        return self._valid if self._valid.figures or self._incomplete is None else self._incomplete

    @property
    def moments(self) -> list[Moments]:
        """Moments of the valid ones; where none is, of the incomplete ones."""
        return list(self._used.moments())

    @property
    def calibrations(self) -> tuple[str, ...]:
        """Calibrations those used."""
        return tuple(sorted(self._used.calibrations))
