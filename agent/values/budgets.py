"""What a correction brings to the uncertainty of averages: found once for each coefficients record, not for each scan.

Of an average of a corrected series: `independent` is the scatter of its members over the root of their number, `slow`
what the readings of the calibration bring, `common` what the values of the cylinders bring (`agent.analysis.uncertain`,
which also weighs drift and resolution).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from calibration.correction import Coefficients
from metrology.periods import iso
from metrology.reading import Average, Uncertainty

RUN_MAX: Final = timedelta(days=2)
RECORDS: Final = ("coefficients", "point")
RECORDS_MAX: Final = 2000
# Coefficients of the periods that are still open, and a few before them.
KNOWN_MAX: Final = 10_000

# Slow and common standard uncertainty at an indication.
Parts = Callable[[float], tuple[float, float]]


class Budgets:
    """One for a station; `coefficients` are those in force by series, which others change."""

    def __init__(self, log: Log, index: Index | None, coefficients: Mapping[str, Coefficients]) -> None:
        self._log, self._index = log, index
        self._coefficients = coefficients
        self._known: dict[str, tuple[Coefficients, Parts] | None] = {}

    async def look(self) -> None:
        """Read the points behind coefficients that are new."""
        if self._index is None:
            return
        wanted = [one for one in self._coefficients.values() if one.id not in self._known]
        for one in wanted:
            parts = await self._log.look_up(_parts, self._index, one)
            self._known[one.id] = (one, parts) if parts else None
        while len(self._known) > KNOWN_MAX:
            self._known.pop(next(iter(self._known)))

    def weighed(self, averages: Iterable[Average]) -> list[Average]:
        """The averages, those of corrected series with their uncertainty where it is known."""
        return [self._weighed(one) if one.calibrations and one.mean is not None else one for one in averages]

    def _weighed(self, average: Average) -> Average:
        found = self._known.get(average.calibrations[-1])
        if found is None or average.mean is None or average.uncertainty is not None:
            return average
        coefficients, parts = found
        slow, common = parts(indication(coefficients, average.mean))
        independent = (average.sd or 0.0) / math.sqrt(average.n)
        return replace(average, uncertainty=Uncertainty(independent, slow, common))


def _parts(index: Index, one: Coefficients) -> Parts | None:
    since, until = window(one)
    return parts_among(index.told("calibration", RECORDS, iso(since), iso(until), RECORDS_MAX), one)


def window(one: Coefficients) -> tuple[datetime, datetime]:
    """When the record of coefficients and the points of its run were written."""
    return one.valid_from - RUN_MAX, one.valid_from + timedelta(hours=1)


def parts_among(
    rows: Iterable[Mapping[str, Any]], one: Coefficients, assigned: Mapping[tuple[str, str], float] | None = None
) -> Parts | None:
    """What coefficients bring, by the records of their `window`; None where their record or its points are not there.

    So it is with a board's table that did not come of a co-location. `assigned` are corrected values of cylinders by
    number and measurand, where the coefficients were fitted again with them.
    """
    rows = list(rows)
    name = one.id.rpartition("/")[2]
    own = next((row for row in rows if row["what"] == "coefficients" and row["id"] == name), None)
    if own is None or ("chip" in own and "colocation" not in own):
        return None
    from agent.analysis.uncertain import parts_of

    points = [row for row in rows if row["what"] == "point" and row["run"] == own.get("run")]
    points = [_said(row, one.series, assigned or {}) for row in points if row["series"] == one.series]
    if "points" in own:
        own = {**own, "points": [_said(row, one.series, assigned or {}) for row in own["points"]]}
    return parts_of(own, points)


def _said(point: Mapping[str, Any], series: str, assigned: Mapping[tuple[str, str], float]) -> Mapping[str, Any]:
    """A point with the corrected value of its cylinder."""
    key = (point.get("number") or "", series.partition(".")[2])
    return {**point, "assigned": assigned[key]} if key in assigned else point


def indication(coefficients: Coefficients, value: float) -> float:
    """The indication that is corrected to a value, by Newton's method; exact of a line in one step."""
    x = value
    for _ in range(8):
        step = 1e-6 * max(1.0, abs(x))
        slope = (coefficients.correct(x + step) - coefficients.correct(x - step)) / (2.0 * step)
        x -= (coefficients.correct(x) - value) / slope if slope else 0.0
    return x
