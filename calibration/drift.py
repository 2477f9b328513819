"""Zero and span drift of an analyzer as found, in percent of full scale, and its judgement by a rule set.

Zd = dZ / R * 100 %, Sd = dS / R * 100 %, where the difference of largest magnitude counts (shape as in HJ 75 and
HJ 76-2017; the clauses were not seen, so each limit says whether it is verified).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from calibration.evaluate import SpanPoint, ZeroPoint
from calibration.qa.rules import Judgement, Policy, Verdict
from calibration.sequence import Role


def drift_percent(readings: Iterable[float], reference: float, full_scale: float) -> float:
    """Drift of largest magnitude, signed, in percent of `full_scale` (above 0, unit of the readings)."""
    if full_scale <= 0:
        raise ValueError(f"full scale {full_scale} must be above 0")
    return max((reading - reference for reading in readings), key=abs) / full_scale * 100.0


@dataclass(frozen=True, slots=True)
class Drift:
    """As-found state of one point against its certificate; `corrected` is the reading as the station reports it."""

    role: Role
    reading: float
    corrected: float
    assigned: float
    full_scale: float
    percent: float
    rules: Judgement | None

    @property
    def verdict(self) -> Verdict:
        """Of the value as the station reports it; whether the limit is verified is `rules.verified`."""
        return self.rules.verdict(self.corrected - self.assigned) if self.rules else "unjudged"

    @property
    def limit_percent(self) -> float | None:
        """The largest drift that passes, in percent of full scale."""
        return None if self.rules is None or self.rules.passes is None else self.rules.passes / self.full_scale * 100.0


def drift(found: ZeroPoint | SpanPoint, full_scale: float, policy: Policy, corrected: float | None = None) -> Drift:
    """Drift of one point against the certified value; `corrected` is needed only where a series has coefficients.

    Raises FitError where the point has no reading.
    """
    assigned = found.assigned.value
    percent = drift_percent([found.reading], assigned, full_scale)
    rules = policy.judgement(found.measurand, found.role, full_scale, assigned, found.assigned.unit)
    reported = found.reading if corrected is None else corrected
    return Drift(found.role, found.reading, reported, assigned, full_scale, percent, rules)
