"""Periods of air from its minutes: n-weighted mean, total spread, flags, and the budget of the mean."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from calibration.chain.data import AIR, GOOD, INVALID, Flag, Minute, Period, Value
from calibration.chain.path import Path
from calibration.models.rules import DeclaredTerm, Rules, Settings
from metrology.budget import Budget, Term
from metrology.statistics import Moments, merge

_INCOMPLETE: Final = frozenset({Flag.INCOMPLETE})
# Flags of a single minute that make the whole period unfit, however few they are.
_TAINTS: Final = frozenset({Flag.OUT_OF_CONTROL, Flag.LEAK})


@dataclass(frozen=True, slots=True)
class Budgeting:
    """What a budget is made from besides the path: noise of one minute, and terms found over the whole interval."""

    path: Path
    rules: Rules
    noise: float
    found: tuple[Term, ...] = ()

    def budget(self, times: Sequence[float], n: int, x: float, value: float, water: tuple[float, float]) -> Budget:
        """Budget of the mean of n minutes at x with a value; `water` holds the dry indication and the humidity, %."""
        middle = times[len(times) // 2]
        curve = self.path.curve(middle)
        if curve is None:
            return Budget()
        settings = self.rules.at(middle)
        gain = abs(self.path.sensitivity(middle, x, curve))
        terms = [Term("noise", gain * self.noise / math.sqrt(n), "independent", "minutes on steady gas")]
        terms += self.path.terms(times, x, curve)
        terms += _water(settings, gain, water)
        terms += [_declared(one, value) for one in settings.terms if one.least <= value < one.most]
        return Budget((*(one for one in terms if one.u > 0.0), *self.found))


def _water(settings: Settings, gain: float, water: tuple[float, float]) -> list[Term]:
    model = settings.water_correction
    if model is None:
        return []
    u = gain * model.uncertainty(*water)
    return [Term("water correction", u, "common", model.source, model.verified)]


def _declared(one: DeclaredTerm, value: float) -> Term:
    u = math.hypot(one.value, one.ratio * value)
    return Term(one.name, u, one.over_time, one.source, one.verified)


def periods(
    minutes: Sequence[Minute],
    dry: Sequence[float | None],
    values: Sequence[Value],
    budgeting: Budgeting,
    period_s: float,
    step_s: float,
) -> Iterator[Period]:
    """Whole periods from the first minute's to the last one's; a period without any minute of air is left out."""
    places = (i for i, value in enumerate(values) if value.source == AIR)
    for start, group in groupby(places, key=lambda i: math.floor(values[i].at_s / period_s)):
        yield _period(start * period_s, list(group), minutes, dry, values, budgeting, period_s / step_s)


def _period(
    start_s: float, places: list[int], minutes: Sequence[Minute], dry: Sequence[float | None], values: Sequence[Value],
    budgeting: Budgeting, full: float,
) -> Period:  # fmt: skip
    good = [i for i in places if values[i].value is not None]
    flags = GOOD.union(*{values[i].flags for i in places})
    kept = flags - INVALID | (flags & _TAINTS)
    settings = budgeting.rules.at(start_s)
    if len(good) < max(1.0, settings.coverage * full) or kept & _TAINTS:
        return Period(start_s, None, None, 0, len(good), flags | _INCOMPLETE if not kept & _TAINTS else flags)
    mean = merge([_moments(minutes[i], values[i]) for i in good], weighted=True)
    n = math.fsum(minutes[i].n for i in good)
    x = math.fsum(minutes[i].n * (values[i].x or 0.0) for i in good) / n
    wet = [minutes[i].water or 0.0 for i in good]
    level = math.fsum(dry[i] or 0.0 for i in good) / len(good)
    times = [minutes[good[0]].at_s, minutes[good[len(good) // 2]].at_s, minutes[good[-1]].at_s]
    budget = budgeting.budget(times, len(good), x, mean.mean or 0.0, (level, math.fsum(wet) / len(wet)))
    responses = tuple(sorted({values[i].response for i in good}))
    return Period(start_s, mean.mean, mean.sd, mean.n, len(good), kept, budget, responses)


def _moments(minute: Minute, value: Value) -> Moments:
    return Moments(minute.n, value.value, value.value, value.value, minute.sd or 0.0)
