"""The statement of an emission: amounts by day, month, quarter and year; what is missing, and what was filled in.

`statement(hours, options)` gives data with rows: a report is a view of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from metrology.stack.calendar import DAY_OFFSET, CalendarPeriod, period_key
from metrology.stack.emission_budget import SLOW
from metrology.stack.hours import Hour, Total, total, total_with_uncertainty
from metrology.stack.substitution import Scheme, Substituted, substitute
from metrology.stack.validity import Verdict, capture_percent, judge, judge_month, judge_quarter


@dataclass(frozen=True, slots=True)
class StatementOptions:
    """`scheme` fills hours without an amount, as a layer; None fills nothing. `slow`: how long slow errors last."""

    periods: tuple[CalendarPeriod, ...] = ("day", "month", "quarter", "year", "total")
    scheme: Scheme | None = None
    maximum_potential_kg: float | None = None
    day_offset: timedelta = DAY_OFFSET
    slow: timedelta = SLOW


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One period. `measured_kg` is of the valid hours alone, with its standard uncertainty where all of them have one.

    `substituted_kg` stands beside it, never in it. `verdict`: of a day by its valid hours, of a month by its valid
    days, of a quarter by its capture rate; None where there is no rule, or the source never ran.
    """

    period: CalendarPeriod
    key: str
    hours: Total
    measured_kg: float
    measured_u_kg: float | None
    substituted_kg: float
    substituted_hours: int
    by_hand_hours: int
    capture_percent: float | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Statement:
    """Rows by period, in order, and the layer of substituted hours."""

    rows: tuple[StatementRow, ...]
    substituted: tuple[Substituted, ...]


def statement(hours: Sequence[Hour], options: StatementOptions) -> Statement:
    """State an emission from its hours: in order, one for each hour of the record (`hours.complete`)."""
    filled = (
        substitute(hours, options.scheme, maximum_potential_kg=options.maximum_potential_kg) if options.scheme else []
    )
    rows = [row for period in options.periods for row in _rows(hours, filled, period, options)]
    return Statement(tuple(rows), tuple(filled))


def _rows(
    hours: Sequence[Hour], filled: Sequence[Substituted], period: CalendarPeriod, options: StatementOptions
) -> list[StatementRow]:
    by_key: dict[str, tuple[list[Hour], list[Substituted]]] = {}
    for hour in hours:
        by_key.setdefault(period_key(hour.start, period, options.day_offset), ([], []))[0].append(hour)
    for one in filled:
        by_key[period_key(one.start, period, options.day_offset)][1].append(one)
    return [_row(period, key, *members, options) for key, members in by_key.items()]


def _row(
    period: CalendarPeriod, key: str, hours: list[Hour], filled: list[Substituted], options: StatementOptions
) -> StatementRow:
    counts = total(hours)
    known = all(hour.budget is not None for hour in hours if hour.amount is not None) and counts.counted > 0
    return StatementRow(
        period=period,
        key=key,
        hours=counts,
        measured_kg=counts.amount,
        measured_u_kg=total_with_uncertainty(hours, options.slow).total_u if known else None,
        substituted_kg=math.fsum(one.amount or 0.0 for one in filled),
        substituted_hours=sum(one.amount is not None for one in filled),
        by_hand_hours=sum(one.amount is None for one in filled),
        capture_percent=capture_percent(hours),
        verdict=_verdict(period, key, hours, counts, options.day_offset),
    )


def _verdict(
    period: CalendarPeriod, key: str, hours: Sequence[Hour], counts: Total, day_offset: timedelta
) -> Verdict | None:
    if not counts.ran:
        return None
    if period == "day":
        return judge("day", counts.counted)
    if period == "quarter":
        return judge_quarter(hours)
    if period == "month":
        days: dict[str, int] = {}
        for hour in hours:
            day = period_key(hour.start, "day", day_offset)
            days[day] = days.get(day, 0) + (hour.amount is not None)
        return judge_month(sum(judge("day", valid).valid for valid in days.values()), int(key[-2:]))
    return None
