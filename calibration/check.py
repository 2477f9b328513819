"""A standard check: a known gas passes for air, the deviation from its certificate is judged, nothing is changed."""

from dataclasses import dataclass

from calibration.evaluate import Point
from calibration.qa.checks import configured as by_the_site
from calibration.qa.rules import DEFAULT, Judgement, Policy


@dataclass(frozen=True, slots=True)
class StandardCheck:
    """One gas and measurand; `limit` is the largest deviation that passes, in the unit of the reading.

    `rules` says where the limit is from: the configuration, or a row of the table of rule sets.
    """

    reading: float
    assigned: float
    limit: float
    rules: Judgement
    stable: bool

    @property
    def deviation(self) -> float:
        """Reading minus certified amount."""
        return self.reading - self.assigned

    @property
    def passed(self) -> bool:
        """True where the gas was read within the limit. An unsteady reading passes nothing (rule of ours)."""
        return self.stable and abs(self.deviation) <= self.limit


def standard_check(
    found: Point, reading: float, full_scale: float, configured: float | None, policy: Policy
) -> StandardCheck:
    """Judge the reading of a point, as the station reports it, by the configured limit, else by the policy's row.

    Where the policy's rule set has no limit for it, HJ 75's row stands in and is named as the source.
    """
    about = (found.measurand, found.role, full_scale, found.assigned.value, found.assigned.unit)
    rules = policy.judgement(*about)
    if rules is None or rules.passes is None:
        rules = DEFAULT["regulated"].judgement(*about)
    assert rules is not None, "HJ 75 has a row for every measurand"
    if configured is not None:
        rules = by_the_site(rules, configured)
    assert rules.passes is not None, "with a limit of what passes"
    return StandardCheck(reading, found.assigned.value, rules.passes, rules, found.stable)
