"""Lots over hours: which part of a lot belongs to which period, and what a period's lots add up to."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from metrology.budget import Budget, Term
from metrology.periods import HOUR_S, period_start

HOUR: Final = timedelta(hours=1)


def shares(start: datetime, end: datetime, ran: Mapping[datetime, bool]) -> dict[datetime, float]:
    """Part of a lot in each clock hour it touches; the parts add up to 1.

    Evenly over the hours in which the unit ran by `ran` (an hour not listed counts as run). Where it stood still in all
    of them, evenly over the clock: fuel was booked, and where it went is not for us to say.
    """
    overlap = {hour: (min(end, hour + HOUR) - max(start, hour)) / HOUR for hour in _hours(start, end)}
    weights = {hour: part for hour, part in overlap.items() if ran.get(hour, True)} or overlap
    whole = math.fsum(weights.values())
    return {hour: part / whole for hour, part in weights.items()}


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = period_start(start, HOUR_S)
    while hour < end:
        yield hour
        hour += HOUR


def added(parts: Iterable[tuple[float, Budget]]) -> tuple[float, Budget]:
    """Sum of values with its budget: common terms of one name add, all others in quadrature."""
    pairs = list(parts)
    grouped: dict[tuple[str, str], list[Term]] = {}
    for _, budget in pairs:
        for term in budget.terms:
            grouped.setdefault((term.name, term.over_time), []).append(term)
    return math.fsum(value for value, _ in pairs), Budget(tuple(_joined(terms) for terms in grouped.values()))


def _joined(terms: Sequence[Term]) -> Term:
    us = [term.u for term in terms]
    u = math.fsum(us) if terms[0].over_time == "common" else math.hypot(*us)
    return replace(terms[0], u=u, verified=all(term.verified for term in terms))
