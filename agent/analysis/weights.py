"""What averages made again are uncertain by, told as the first ones tell it (`agent.values.budgets`).

A value between two calibrations has the part of each by its share at the middle of the period; a period that used
several counts them alike. What the readings of different calibrations bring is independent of each other, the cylinders
are the same ones: the slow parts are added in quadrature, the common ones as they are.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from agent.analysis.plan import AND, Plan
from agent.analysis.section import Section
from agent.values.budgets import Parts, indication, parts_among
from agent.values.derived import weighed
from calibration.correction import Coefficients
from metrology.periods import HOUR_S
from metrology.reading import Average, Uncertainty

KNOWN_MAX: Final = 10_000

# Series and id of coefficients.
Name = tuple[str, str]
Around = Callable[[str], Average | None]


class Weights:
    """Of one recomputation. What coefficients bring is to be told (`learn`) before averages that used them come."""

    def __init__(self, plan: Plan, sections: Mapping[str, Section]) -> None:
        self._assigned = {(one.number, one.measurand): one.value for one in plan.assigned}
        self._sections = sections
        self._known: dict[Name, tuple[Coefficients, Parts] | None] = {}

    def unknown(self, used: Iterable[Average]) -> list[Name]:
        """Coefficients that averages used and of which nothing was told yet."""
        names = {
            (one.series, name)
            for one in used
            if one.series.partition(".")[0] not in self._sections
            for joined in one.calibrations
            for name in joined.split(AND)
        }
        return sorted(names - self._known.keys())

    def learn(self, name: Name, one: Coefficients | None, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the records from the time of coefficients; `one` None where an id is of none (a rule's own line)."""
        again = one is not None and "/" in one.id
        parts = parts_among(rows, one, self._assigned if again else {}) if one else None
        self._known[name] = (one, parts) if one and parts else None
        while len(self._known) > KNOWN_MAX:
            self._known.pop(next(iter(self._known)))

    def weighed(self, average: Average, around: Around) -> Average:
        """The average with its uncertainty where that is known; `around` gives others of its period, by series."""
        if average.mean is None:
            return average
        section = self._sections.get(average.series.partition(".")[0])
        if section is not None:
            return _derived(section, average, around)
        middle = average.start + (average.end - average.start) / 2
        found = [self._of(average, joined, middle) for joined in average.calibrations]
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found):
            return average
        slow = math.sqrt(math.fsum(slow * slow for slow, _ in known) / len(known))
        common = math.fsum(common for _, common in known) / len(known)
        independent = (average.sd or 0.0) / math.sqrt(average.n)
        return replace(average, uncertainty=Uncertainty(independent, slow, common))

    def _of(self, average: Average, joined: str, middle: datetime) -> tuple[float, float] | None:
        """Slow and common part of the coefficients behind a value; None where one's are not known."""
        known = [self._known.get((average.series, name)) for name in joined.split(AND)]
        both = [one for one in known if one is not None]
        if len(both) < len(known) or average.mean is None:
            return None
        at = [parts(indication(coefficients, average.mean)) for coefficients, parts in both]
        shares = _shares([coefficients.valid_from for coefficients, _ in both], middle)
        slow = math.sqrt(math.fsum((share * slow) ** 2 for share, (slow, _) in zip(shares, at, strict=True)))
        return slow, math.fsum(share * common for share, (_, common) in zip(shares, at, strict=True))


def _shares(times: list[datetime], middle: datetime) -> list[float]:
    if len(times) != 2 or times[0] == times[1]:
        return [1.0 / len(times)] * len(times)
    share = (middle - times[0]) / (times[1] - times[0])
    share = min(max(share, 0.0), 1.0)
    return [1.0 - share, share]


def _derived(section: Section, average: Average, around: Around) -> Average:
    """An hour of what a stack derives."""
    if average.period_s != HOUR_S:
        return average
    plan = section.at(average.start)
    names = {f"{plan.name}.{name}" for name in plan.measurands} | section.inputs
    rows = {name: one for name in sorted(names) if (one := around(name)) is not None} | {average.series: average}
    return weighed(plan, average.series.partition(".")[2], rows, section.scales) or average
