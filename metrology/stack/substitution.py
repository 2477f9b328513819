"""Amounts for hours without one, as a layer of their own: never beside a measured value, never in its place.

Two schemes, each a table of rules (`substitution.csv`): HJ 75-2017, and 40 CFR 75.33 with 75.35. Both are applied to
hourly emission amounts here, not to concentrations (design, section 13.10); for 40 CFR 75, which fills concentration
and flow apart, that is our reading.

Words. A *gap* is a run of consecutive hours without an amount; hours when the source stood still belong to no gap, do
not end one and do not count in its length. *Availability* is in percent. HJ 75: valid hours over hours run in the
calendar quarter (UTC+8) that holds the hour. 40 CFR 75.32: valid over run in the last 8760 hours run up to the end of
the gap, or since the first hour known. The *percentile* is by nearest rank: the smallest of n values with at least p
percent of them at or below it, the one of rank ceil(p n / 100).
"""

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, Literal

from metrology.periods import CHINA
from metrology.stack.hours import Hour, HourState
from metrology.stack.tables import rows
from metrology.stack.validity import capture_percent

Scheme = Literal["hj75", "part75"]
AVAILABILITY_HOURS: Final = 8760


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: which hours it is for, and how it fills them."""

    name: str
    availability_min: float
    gap_hours_max: int | None
    method: Literal["maximum", "neighbours", "percentile", "potential", "by_hand"]
    look_back_hours: int
    percentile: float
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Substituted:
    """An amount, kg, that was filled in for the hour at `start`; None where the rule leaves it to a person.

    `look_back` is the first and the last hour that were looked at, `count` how many of them there were, `wanted` how
    many the rule asks for: fewer are used where the record is too short, and that can be seen.
    """

    start: datetime
    amount: float | None
    rule: str
    scheme: Scheme
    availability_percent: float
    gap_hours: int
    look_back: tuple[datetime, datetime] | None
    count: int
    wanted: int
    verified: bool


@cache
def rules(scheme: Scheme) -> tuple[Rule, ...]:
    """Rules of a scheme, in the order in which the first that fits is taken."""
    return tuple(
        Rule(
            row["rule"],
            float(row["availability_min"]),
            int(row["gap_hours_max"]) if row["gap_hours_max"] else None,
            row["method"],  # type: ignore[arg-type]
            int(row["look_back_hours"] or 0),
            float(row["percentile"] or 0),
            row["source"],
            row["verified"] == "yes",
        )
        for row in rows("substitution")
        if row["scheme"] == scheme
    )


def rule_for(scheme: Scheme, availability_percent: float, gap_hours: int) -> Rule:
    """The first rule that fits an hour of a gap of so many hours."""
    return next(
        rule
        for rule in rules(scheme)
        if availability_percent >= rule.availability_min
        and (rule.gap_hours_max is None or gap_hours <= rule.gap_hours_max)
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Percentile by nearest rank. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(1, math.ceil(percent * len(values) / 100.0)) - 1]


def substitute(
    hours: Sequence[Hour], scheme: Scheme, *, maximum_potential_kg: float | None = None
) -> list[Substituted]:
    """Substituted amounts for every hour that ran and has none, in order of time.

    `hours` are in order, one for each hour of the record. An hour out of control looks back from its `last_passed`
    check: what was measured between that check and the failed one is suspect.
    """
    record = _Record(hours, scheme)
    found: list[Substituted] = []
    for gap in record.gaps():
        neighbours = record.neighbours(gap)
        for index in gap:
            availability = record.availability(index, gap[-1])
            rule = rule_for(scheme, availability, len(gap))
            looked = record.before(gap[0], rule.look_back_hours)
            found.append(
                Substituted(
                    start=hours[index].start,
                    amount=_amount(rule, looked, neighbours, maximum_potential_kg),
                    rule=rule.name,
                    scheme=scheme,
                    availability_percent=availability,
                    gap_hours=len(gap),
                    look_back=(looked[0].start, looked[-1].start) if looked else None,
                    count=len(looked),
                    wanted=rule.look_back_hours,
                    verified=rule.verified,
                )
            )
    return found


def quarter_of(start: datetime) -> tuple[int, int]:
    """Year and quarter (0 to 3) of an instant, in UTC+8."""
    local = start.astimezone(CHINA)
    return local.year, (local.month - 1) // 3


class _Record:
    """The hours with what is asked of them again and again."""

    def __init__(self, hours: Sequence[Hour], scheme: Scheme) -> None:
        self._hours = hours
        self._valid = [hour for hour in hours if hour.amount is not None]
        self._starts = [hour.start for hour in self._valid]
        self._quarters = _capture(hours) if scheme == "hj75" else None
        # Indices of the hours run, and how many of them are valid before each.
        self._run = [index for index, hour in enumerate(hours) if hour.ran]
        self._valid_run = [0, *itertools.accumulate(hours[index].amount is not None for index in self._run)]

    def availability(self, index: int, gap_end: int) -> float:
        """Percent, by the scheme, for the hour at `index` of a gap that ends at `gap_end`."""
        if self._quarters is not None:
            return self._quarters[quarter_of(self._hours[index].start)]
        end = bisect.bisect_right(self._run, gap_end)
        first = max(0, end - AVAILABILITY_HOURS)
        return 100.0 * (self._valid_run[end] - self._valid_run[first]) / (end - first)

    def gaps(self) -> Iterator[list[int]]:
        """Indices of the hours of each gap; what is out of control and what is missing are gaps of their own."""
        gap: list[int] = []
        for index in self._run:
            hour = self._hours[index]
            if gap and (hour.amount is not None or _kind(hour) != _kind(self._hours[gap[0]])):
                yield gap
                gap = []
            if hour.amount is None:
                gap.append(index)
        if gap:
            yield gap

    def before(self, index: int, count: int) -> list[Hour]:
        """The last `count` valid hours that a gap beginning at `index` looks back on, oldest first."""
        hour = self._hours[index]
        end = bisect.bisect_left(self._starts, hour.last_passed or hour.start)
        return self._valid[max(0, end - count) : end]

    def neighbours(self, gap: Sequence[int]) -> list[float]:
        """Amounts of the valid hour before and the one after a gap, as far as there are any."""
        after = bisect.bisect_left(self._starts, self._hours[gap[-1]].start)
        beside = [*self.before(gap[0], 1), *self._valid[after : after + 1]]
        return [hour.amount for hour in beside if hour.amount is not None]


def _capture(hours: Sequence[Hour]) -> dict[tuple[int, int], float]:
    by_quarter: dict[tuple[int, int], list[Hour]] = {}
    for hour in hours:
        by_quarter.setdefault(quarter_of(hour.start), []).append(hour)
    return {quarter: capture_percent(members) or 0.0 for quarter, members in by_quarter.items()}


def _kind(hour: Hour) -> tuple[HourState, datetime | None]:
    return hour.state, hour.last_passed


def _amount(rule: Rule, looked: Sequence[Hour], neighbours: Sequence[float], potential: float | None) -> float | None:
    """By the rule; None where it has nothing to go by, which is then a person's decision."""
    amounts = [hour.amount for hour in looked if hour.amount is not None]
    mean = math.fsum(neighbours) / 2.0 if len(neighbours) == 2 else None
    match rule.method:
        case "maximum":
            return max(amounts, default=None)
        case "neighbours":
            return mean
        case "percentile":
            # The greater of the two; before the gap's end is known, the percentile alone.
            return (
                max([percentile(amounts, rule.percentile), *([mean] if mean is not None else [])]) if amounts else None
            )
        case "potential":
            return potential
        case "by_hand":
            return None
