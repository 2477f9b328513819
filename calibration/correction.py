"""Coefficients in force, and the one step that makes a Measurement of a Reading.

The correction is `value = (indication - zero) * slope`: `zero` is the indication at which the corrected value is 0, in
the unit of the series, `slope` has no unit. A series without coefficients is passed on as it came (identity), and a
regulated series always is: its analyzer is adjusted, its data are not (HJ 75-2017; design, section 13.1).
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from metrology.reading import Measurement, Reading

# Only the newest can be asked for by readings that are still to come; older ones stay in the log.
KEPT_PER_SERIES: Final = 16

_valid_from = attrgetter("valid_from")


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A two-point correction of one series from an instant on (aware UTC), until a later one replaces it."""

    id: str
    series: str
    zero: float
    slope: float
    valid_from: datetime

    def apply(self, indication: float) -> float:
        """Corrected value, in the unit of the indication."""
        return (indication - self.zero) * self.slope


class Corrections:
    """The coefficients in force of a station's research series."""

    def __init__(self, regulated: Iterable[str] = ()) -> None:
        """`regulated` names the instruments whose series are never corrected."""
        self._regulated = frozenset(regulated)
        self._known: dict[str, list[Coefficients]] = {}

    def adopt(self, coefficients: Coefficients) -> None:
        """Put coefficients in force from their `valid_from` on. Raises ValueError for a regulated series."""
        instrument = coefficients.series.partition(".")[0]
        if instrument in self._regulated:
            raise ValueError(f"{coefficients.series} is regulated: its readings are never corrected")
        known = self._known.setdefault(coefficients.series, [])
        known[:] = [other for other in known if other.id != coefficients.id]
        insort(known, coefficients, key=_valid_from)
        del known[:-KEPT_PER_SERIES]

    def in_force(self, series: str, at: datetime) -> Coefficients | None:
        """The coefficients valid at an instant; None is identity."""
        known = self._known.get(series, [])
        index = bisect_right(known, at, key=_valid_from)
        return known[index - 1] if index else None

    def correct(self, reading: Reading) -> Measurement:
        """The measurement of a reading; names the coefficients used."""
        coefficients = self.in_force(reading.series, reading.at)
        if coefficients is None:
            return Measurement(reading, reading.value)
        value = None if reading.value is None else coefficients.apply(reading.value)
        return Measurement(reading, value, coefficients.id)
