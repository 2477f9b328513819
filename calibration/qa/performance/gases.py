"""Figures from gases of known amount: repeatability, indication error, detection limit, response time, drift.

Amounts are in the unit of the series, times in seconds on any scale. `full_scale` is the span of the range.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DETECTION_SD: Final = 3.0
# A drift over a span may be taken from readings so far off it (own default): schedules shift.
SPAN_TOLERANCE: Final = 0.1
LEVELS_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Standard deviation (n - 1) of repeated readings of one gas; `percent` of their mean, None where that is 0."""

    n: int
    mean: float
    sd: float
    percent: float | None


def repeatability(readings: Sequence[float]) -> Repeatability:
    """Of two readings at least; raises statistics.StatisticsError for fewer."""
    sd, mean = statistics.stdev(readings), statistics.fmean(readings)
    return Repeatability(len(readings), mean, sd, sd / abs(mean) * 100.0 if mean else None)


def pooled(parts: Sequence[Sequence[float]]) -> Repeatability | None:
    """Of the steady readings of several windows, each about its own mean, so that drift between them does not count.

    `n` counts the readings. None where no window holds two.
    """
    used = [part for part in parts if len(part) > 1]
    if not used:
        return None
    squares = math.fsum((len(part) - 1) * statistics.variance(part) for part in used)
    sd = math.sqrt(squares / sum(len(part) - 1 for part in used))
    mean = mean_of([statistics.fmean(part) for part in used], [len(part) for part in used])
    return Repeatability(sum(len(part) for part in used), mean, sd, sd / abs(mean) * 100.0 if mean else None)


def detection_limit(sd: float) -> float:
    """Three standard deviations of readings of zero gas (IUPAC's convention)."""
    return DETECTION_SD * sd


@dataclass(frozen=True, slots=True)
class Level:
    """Mean of the readings of one gas against its certified amount."""

    n: int
    assigned: float
    mean: float

    @property
    def error(self) -> float:
        """Indication error: mean reading minus certified amount."""
        return self.mean - self.assigned

    def percent_of_scale(self, full_scale: float) -> float:
        """Error in percent of full scale."""
        return self.error / full_scale * 100.0

    @property
    def percent_of_gas(self) -> float | None:
        """Error in percent of the certified amount (the accuracy of a cylinder gas audit); None for zero gas."""
        return self.error / self.assigned * 100.0 if self.assigned else None


@dataclass(frozen=True, slots=True)
class Linearity:
    """Least squares of mean readings on certified amounts; `worst` is the largest residual from that line."""

    slope: float
    intercept: float
    r2: float
    worst: float


def linearity(levels: Sequence[Level]) -> Linearity | None:
    """Of three different amounts at least, else None."""
    x, y = [one.assigned for one in levels], [one.mean for one in levels]
    if len(set(x)) < LEVELS_MIN:
        return None
    slope, intercept = statistics.linear_regression(x, y)
    residuals = [b - intercept - slope * a for a, b in zip(x, y, strict=True)]
    r2 = statistics.correlation(x, y) ** 2 if max(y) > min(y) else 0.0
    return Linearity(slope, intercept, r2, max(residuals, key=abs))


@dataclass(frozen=True, slots=True)
class Response:
    """A step from one steady reading to another, from the moment the gas was switched.

    `t90_s` to 90 % of the change, of which `lag_s` to its first 10 % and `transit_s` from there.
    """

    t90_s: float
    lag_s: float
    before: float
    after: float

    @property
    def transit_s(self) -> float:
        """From 10 to 90 %."""
        return self.t90_s - self.lag_s

    @property
    def rising(self) -> bool:
        """Whether the reading went up."""
        return self.after > self.before


def response(
    times: Sequence[float], values: Sequence[float], step_s: float, before: float, after: float
) -> Response | None:
    """Readings (ascending in time) around a step at `step_s` between two steady readings.

    None where the readings never reach 90 % of the change. Between two readings the crossing is interpolated.
    """
    lag, t90 = (_crossing(times, values, step_s, before, after, share) for share in (0.1, 0.9))
    return None if lag is None or t90 is None else Response(t90, min(lag, t90), before, after)


def _crossing(
    times: Sequence[float], values: Sequence[float], step_s: float, before: float, after: float, share: float
) -> float | None:
    """Seconds from the step to the first reading beyond `share` of the change."""
    last: tuple[float, float] | None = None
    for at, value in zip(times, values, strict=True):
        progress = (value - before) / (after - before)
        if at >= step_s and progress >= share:
            if last is None or last[1] >= share:
                return at - step_s
            return max(0.0, last[0] + (share - last[1]) / (progress - last[1]) * (at - last[0]) - step_s)
        last = at, progress
    return None


@dataclass(frozen=True, slots=True)
class Drift:
    """The largest change between two readings of one gas a span apart, and when they were."""

    change: float
    first_s: float
    second_s: float
    pairs: int

    def percent(self, full_scale: float) -> float:
        """In percent of full scale."""
        return self.change / full_scale * 100.0


def drift(readings: Sequence[tuple[float, float]], span_s: float) -> Drift | None:
    """Of (time, reading), ascending, with nothing adjusted in between; each later one against the one `span_s` before.

    Within SPAN_TOLERANCE of the span, the nearest to it. None where no two readings lie so far apart.
    """
    found: list[tuple[float, float, float]] = []
    for index, (at, value) in enumerate(readings):
        near = [one for one in readings[:index] if abs(at - one[0] - span_s) <= SPAN_TOLERANCE * span_s]
        if near:
            then = min(near, key=lambda one: abs(at - one[0] - span_s))
            found.append((value - then[1], then[0], at))
    if not found:
        return None
    worst = max(found, key=lambda one: abs(one[0]))
    return Drift(*worst, len(found))


def mean_of(values: Sequence[float], counts: Sequence[int] | None = None) -> float:
    """Mean weighted by counts, plain without them."""
    if counts is None:
        return math.fsum(values) / len(values)
    return math.fsum(n * v for n, v in zip(counts, values, strict=True)) / sum(counts)
