"""Bias of target gases against the compatibility goals of WMO/GAW: a target checks the whole path and fits nothing.

Network compatibility is the largest bias between laboratories that still lets their data be used together; the
extended goal is for campaigns and strong gradients. The numbers are rows of `rules.csv`, with their sources.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from calibration.qa.checks import Check
from calibration.qa.rules import Judgement, Policy

WORST_DAYS: Final = 5
BINS: Final = 11


@dataclass(frozen=True, slots=True)
class Bias:
    """Checks of one target gas by one series, in `unit`. `goal` and `extended` are None where no row speaks of it.

    `bias` is the mean deviation, `sd` its repeatability (None of one check), `within_goal` and `within_extended` the
    share of checks inside, 0 to 1. `worst` holds the days of largest mean deviation, `histogram` (lower edge, count).
    """

    series: str
    gas: str
    unit: str
    n: int
    bias: float
    sd: float | None
    rules: Judgement | None
    within_goal: float | None
    within_extended: float | None
    worst: tuple[tuple[date, float], ...]
    histogram: tuple[tuple[float, int], ...]

    @property
    def goal(self) -> float | None:
        """Compatibility goal."""
        return self.rules.warn if self.rules else None

    @property
    def extended(self) -> float | None:
        """Extended goal."""
        return self.rules.passes if self.rules else None

    @property
    def standard_error(self) -> float | None:
        """Of the mean, as if checks were independent."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)


def target_bias(checks: Iterable[Check], rule_set: str = "wmo") -> list[Bias]:
    """By series and target gas, from steady target checks, in the order of their first; goals of a rule set."""
    found: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        if check.role == "target" and check.stable:
            found.setdefault((check.series, check.gas), []).append(check)
    return [_bias(series, gas, rows, Policy(rule_set)) for (series, gas), rows in found.items()]


def _bias(series: str, gas: str, rows: Sequence[Check], policy: Policy) -> Bias:
    last = rows[-1]
    rules = policy.judgement(series.partition(".")[2], "target", last.full_scale or 0.0, last.assigned, last.unit)
    deviations = [one.deviation for one in rows]
    days: dict[date, list[float]] = {}
    for one in rows:
        days.setdefault(one.at.date(), []).append(one.deviation)
    means = [(day, statistics.fmean(values)) for day, values in days.items()]
    return Bias(
        series,
        gas,
        last.unit,
        len(rows),
        statistics.fmean(deviations),
        statistics.stdev(deviations) if len(rows) > 1 else None,
        rules,
        _share(deviations, rules.warn if rules else None),
        _share(deviations, rules.passes if rules else None),
        tuple(sorted(means, key=lambda pair: -abs(pair[1]))[:WORST_DAYS]),
        histogram(deviations),
    )


def _share(deviations: Sequence[float], limit: float | None) -> float | None:
    return None if limit is None else sum(abs(one) <= limit for one in deviations) / len(deviations)


def histogram(values: Sequence[float], bins: int = BINS) -> tuple[tuple[float, int], ...]:
    """Counts in `bins` equal parts between the extremes, by their lower edges; one part where all values are one."""
    low, high = min(values), max(values)
    width = (high - low) / bins
    if width == 0:
        return ((low, len(values)),)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    return tuple((low + index * width, count) for index, count in enumerate(counts))
