"""From the readings of a window to points, from points to drift, a two-point fit, or the check of a target gas.

A target gas checks and never fits: the fit takes a `ZeroPoint` and a `SpanPoint`, and a `TargetPoint` is neither.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from calibration.sequence import Assigned, Injection, Role
from metrology.units import convert

# Own defaults: a fit outside them needs a person, it is never adopted by itself.
SLOPE_RANGE: Final = (0.9, 1.1)
OFFSET_PERCENT_MAX: Final = 5.0
READINGS_MIN: Final = 2


class FitError(ValueError):
    """Points that give no coefficients, and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable reading of a window; `at_s` on any scale of seconds."""

    at_s: float
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Window:
    """Statistics of a window: `sd` of the sample (n - 1), `slope_per_min` by least squares; None where undefined."""

    n: int
    mean: float | None
    sd: float | None
    slope_per_min: float | None


def window(samples: Sequence[Sample]) -> Window:
    """Statistics of the readings of one measurand."""
    values = [sample.value for sample in samples]
    n = len(values)
    if n == 0:
        return Window(0, None, None, None)
    mean = math.fsum(values) / n
    if n == 1:
        return Window(1, mean, None, None)
    times = [sample.at_s for sample in samples]
    slope = statistics.linear_regression(times, values).slope * 60.0 if max(times) > min(times) else None
    return Window(n, mean, statistics.stdev(values), slope)


@dataclass(frozen=True, slots=True)
class Point:
    """What an instrument indicated on one gas; `assigned` is in the unit of the readings."""

    role: ClassVar[Role]
    measurand: str
    cylinder: str
    assigned: Assigned
    window: Window
    stdev_max: float | None
    slope_max: float | None = None
    # Why it does not count although it may scatter little: a gas that did not settle, too little flow.
    doubt: str | None = None

    @property
    def reading(self) -> float:
        """Mean indication. Raises FitError where there was none."""
        if self.window.mean is None:
            raise FitError(f"{self.role} gas {self.cylinder}: no usable reading of {self.measurand}")
        return self.window.mean

    @property
    def stable(self) -> bool:
        """True where the window holds enough readings within the stability limit, and nothing else speaks against."""
        if self.doubt is not None or self.window.sd is None or self.window.n < READINGS_MIN:
            return False
        return self.stdev_max is None or self.window.sd <= self.stdev_max

    @property
    def sloping(self) -> bool:
        """True where the window itself still slopes more than a settled gas may: a warning."""
        slope = self.window.slope_per_min
        return self.slope_max is not None and slope is not None and abs(slope) > self.slope_max

    @property
    def why_unusable(self) -> str | None:
        """Why it has no part in a fit, in words; None where it has."""
        gas = f"{self.role} gas {self.cylinder}"
        if self.window.mean is None:
            return f"{gas}: no usable reading"
        if self.stable:
            return None
        return f"{gas}: {self.doubt or f'unstable, sd {self.window.sd} of {self.window.n} readings'}"


class ZeroPoint(Point):
    """The low gas of a measurand."""

    role = "zero"


class SpanPoint(Point):
    """The high gas of a measurand."""

    role = "span"


class TargetPoint(Point):
    """A known gas that passes for air; it has no part in a fit."""

    role = "target"


class UnknownPoint(Point):
    """A gas whose amount is to be found: `assigned` tells its unit alone, 0 without a scale. It judges nothing."""

    role = "unknown"


_POINTS: Final[dict[Role, type[Point]]] = {
    "zero": ZeroPoint,
    "span": SpanPoint,
    "target": TargetPoint,
    "unknown": UnknownPoint,
}


def point(injection: Injection, measurand: str, samples: Sequence[Sample], doubt: str | None = None) -> Point:
    """The point of one measurand of an injection, with what else speaks against it.

    Raises UnitError where certificate and readings do not convert.
    """
    if injection.roles[measurand] == "unknown":
        assigned = Assigned(0.0, samples[0].unit if samples else "", 0.0, "")
    else:
        certified = injection.cylinder.assigned[measurand]
        unit = samples[0].unit if samples else certified.unit
        value, u = (convert(one, certified.unit, unit) for one in (certified.value, certified.uncertainty))
        assigned = Assigned(value, unit, u, certified.scale)
    kind = _POINTS[injection.roles[measurand]]
    limit = injection.stdev_max.get(measurand)
    slope = injection.settle.slope_max.get(measurand) if injection.settle else None
    return kind(measurand, injection.cylinder.name, assigned, window(samples), limit, slope, doubt)


@dataclass(frozen=True, slots=True)
class TwoPoint:
    """`value = (indication - zero) * slope`, see `calibration.correction`."""

    zero: float
    slope: float


def two_point(zero: ZeroPoint, span: SpanPoint) -> TwoPoint:
    """The line through both points. Raises FitError where they define none or one of them is unstable."""
    for one in (zero, span):
        if one.reading is not None and one.why_unusable:
            raise FitError(one.why_unusable)
    if zero.assigned.unit != span.assigned.unit:
        raise FitError(f"zero gas in {zero.assigned.unit}, span gas in {span.assigned.unit}")
    if span.reading == zero.reading or span.assigned.value == zero.assigned.value:
        raise FitError("zero and span do not differ")
    slope = (span.assigned.value - zero.assigned.value) / (span.reading - zero.reading)
    return TwoPoint(zero.reading - zero.assigned.value / slope, slope)


def doubts(fit: TwoPoint, full_scale: float) -> list[str]:
    """Why a fit must not be adopted without a person; empty where it may (own defaults)."""
    found = []
    low, high = SLOPE_RANGE
    if not low <= fit.slope <= high:
        found.append(f"slope {fit.slope:.4g} is outside {low:g} to {high:g}")
    offset_percent = abs(fit.zero * fit.slope) / full_scale * 100.0
    if offset_percent > OFFSET_PERCENT_MAX:
        found.append(f"offset is {offset_percent:.2g} % of full scale, above {OFFSET_PERCENT_MAX:g} %")
    return found
