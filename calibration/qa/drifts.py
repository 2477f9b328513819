"""How far readings of certified gas moved: against the certificate, the last adjusted reading, 24 hours and 7 days ago.

Zd = dZ / R * 100 %, Sd = dS / R * 100 %, R the full scale (shape as in HJ 75 and HJ 76-2017; clauses not seen). The
reading against the certificate shows slow drift, the one against the last adjusted reading what happened since the
last adjustment; a reading after an adjustment (as left) begins the latter anew. A difference over a day or a week
counts only where nothing was adjusted in between.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from calibration.qa.checks import Check, check_of

DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
# A check that is a tenth of the span off its time still speaks for the span (own default): schedules shift.
TOLERANCE: Final = 0.1
KEPT_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class DriftPoint:
    """One check with its drifts in percent of full scale; None where there is nothing to compare with.

    `certified`: reading minus certified value. `adjusted`: reading minus the first reading after the last adjustment,
    of what deviates from the certificate (so that another cylinder does not count). `day`, `week`: likewise over
    24 hours and 7 days. `phase`: whether it was read before or after an adjustment, which begins a new count.
    """

    check: Check
    phase: Literal["as-found", "as-left"]
    certified: float | None
    adjusted: float | None
    day: float | None
    week: float | None


class _Past:
    """Earlier checks of one series, role and way of the gas since the last adjustment."""

    def __init__(self) -> None:
        self.checks: deque[Check] = deque(maxlen=KEPT_MAX)
        self.adjusted = False

    def point(self, check: Check) -> DriftPoint:
        phase: Literal["as-found", "as-left"] = "as-left" if self.adjusted else "as-found"
        first = self.checks[0] if self.checks else None
        found = DriftPoint(
            check,
            phase,
            check.percent,
            _moved(first, check),
            _moved(self._before(check, DAY), check),
            _moved(self._before(check, WEEK), check),
        )
        if check.stable:
            self.checks.append(check)
            self.adjusted = False
        return found

    def _before(self, check: Check, span: timedelta) -> Check | None:
        """The check nearest to a span ago, within the tolerance."""
        reach = span * TOLERANCE
        near = [one for one in self.checks if abs(check.at - one.at - span) <= reach]
        return min(near, key=lambda one: abs(check.at - one.at - span), default=None)


def _moved(then: Check | None, now: Check) -> float | None:
    if then is None or not now.full_scale:
        return None
    return (now.deviation - then.deviation) / now.full_scale * 100.0


def drift_points(records: Iterable[Mapping[str, Any]]) -> Iterator[DriftPoint]:
    """Points of all series and roles from calibration records (oldest first).

    Adopted coefficients and an adjustment by a person both begin the count anew; what a run found comes before what it
    adopts.
    """
    past: dict[tuple[str, str, bool], _Past] = {}
    for fields in records:
        check = check_of(fields)
        if check is not None:
            yield past.setdefault((check.series, check.role, check.whole_line), _Past()).point(check)
        elif fields["what"] in ("coefficients", "adjustment"):
            for (series, role, _), one in past.items():
                if series == fields["series"] and not (fields["what"] == "coefficients" and role == "target"):
                    one.checks.clear()
                    one.adjusted = True


def largest(points: Iterable[DriftPoint]) -> dict[tuple[str, str], DriftPoint]:
    """The point of largest magnitude against the certificate, by series and role: what a periodic verdict rests on."""
    found: dict[tuple[str, str], DriftPoint] = {}
    for point in points:
        key = (point.check.series, point.check.role)
        if point.certified is not None:
            known = found.get(key)
            if known is None or abs(point.certified) > abs(known.certified or 0.0):
                found[key] = point
    return found
