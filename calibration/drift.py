"""Zero and span drift of a regulated analyzer in percent of full scale, and its judgement by a table of limits.

Zd = dZ / R * 100 %, Sd = dS / R * 100 %, where the difference of largest magnitude counts (shape as in HJ 75 and
HJ 76-2017; the clauses were not seen, so each limit says whether it is verified).
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from calibration.evaluate import SpanPoint, ZeroPoint
from calibration.sequence import Role

Verdict = Literal["pass", "adjust", "out-of-control"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: at most `pass_percent` passes, more than `out_percent` is out of control."""

    role: str
    pass_percent: float
    out_percent: float
    verified: bool
    source: str


@cache
def limits() -> dict[str, Limit]:
    """Limits of gaseous CEMS by role (`limits.csv`)."""
    text = resources.files("calibration").joinpath("limits.csv").read_text(encoding="utf-8")
    return {
        row["role"]: Limit(
            row["role"], float(row["pass_percent"]), float(row["out_percent"]), row["verified"] == "yes", row["source"]
        )
        for row in csv.DictReader(text.splitlines())
    }


def drift_percent(readings: Iterable[float], reference: float, full_scale: float) -> float:
    """Drift of largest magnitude, signed, in percent of `full_scale` (above 0, unit of the readings)."""
    if full_scale <= 0:
        raise ValueError(f"full scale {full_scale} must be above 0")
    return max((reading - reference for reading in readings), key=abs) / full_scale * 100.0


@dataclass(frozen=True, slots=True)
class Drift:
    """As-found state of one point against its certificate."""

    role: Role
    reading: float
    assigned: float
    full_scale: float
    percent: float
    limit: Limit

    @property
    def verdict(self) -> Verdict:
        """By the limit; whether that is verified is `limit.verified`."""
        if abs(self.percent) <= self.limit.pass_percent:
            return "pass"
        return "out-of-control" if abs(self.percent) > self.limit.out_percent else "adjust"


def drift(found: ZeroPoint | SpanPoint, full_scale: float) -> Drift:
    """Drift of one point against the certified value. Raises FitError where the point has no reading."""
    percent = drift_percent([found.reading], found.assigned.value, full_scale)
    return Drift(found.role, found.reading, found.assigned.value, full_scale, percent, limits()[found.role])
