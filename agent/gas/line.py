"""Whether the gas line itself is in order: the flow while a gas is collected, the pressure while the line is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calibration.evaluate import READINGS_MIN, Sample, window
from calibration.sequence import FlowCheck, LeakCheck
from metrology.units import convert


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check of the line found: `value` in `unit`, None without readings; `failed` says why, None where well."""

    series: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    n: int
    seconds: float | None
    failed: str | None

    def fields(self) -> dict[str, Any]:
        """Members of its record."""
        found = {"series": self.series, "value": self.value, "unit": self.unit, "low": self.low, "high": self.high}
        return {**found, "n": self.n, "seconds": self.seconds, "passed": self.failed is None}


def flow_seen(check: FlowCheck, samples: Sequence[Sample]) -> Seen:
    """The mean flow against its bounds. Raises UnitError where the series has another kind of unit."""
    mean = window(samples).mean
    if mean is None:
        return Seen(check.series, None, check.unit, check.low, check.high, 0, None, f"no reading of {check.series}")
    value = convert(mean, samples[0].unit, check.unit)
    failed = None
    # Written so that a value that is no number holds no bound.
    if check.low is not None and not value >= check.low:
        failed = f"{check.series} is {value:g} {check.unit}, below {check.low:g}"
    elif check.high is not None and not value <= check.high:
        failed = f"{check.series} is {value:g} {check.unit}, above {check.high:g}"
    return Seen(check.series, value, check.unit, check.low, check.high, len(samples), None, failed)


def leak_seen(check: LeakCheck, samples: Sequence[Sample]) -> Seen:
    """The slope of the pressure against its limit, either way: a line under vacuum leaks inwards.

    Raises UnitError where the series is no pressure.
    """
    unit, limit = "kPa/min", check.change_max_kPa_per_min
    slope = window(samples).slope_per_min if len(samples) >= READINGS_MIN else None
    value, failed = None, f"{len(samples)} readings of {check.series}"
    if slope is not None:
        value = convert(1.0, samples[0].unit, "kPa") * slope
        failed = "" if abs(value) <= limit else f"{check.series} changes by {value:.3g} {unit}, allowed are {limit:g}"
    return Seen(check.series, value, unit, -limit, limit, len(samples), check.seconds, failed or None)
