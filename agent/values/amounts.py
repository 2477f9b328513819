"""What a rate (kg/h, m3/h) comes to: an amount, of valid periods alone."""

import math

from agent.values.members import Members
from metrology.periods import HOUR_S
from metrology.units import AMOUNTS


def amount(unit: str, rate: float | None, seconds: float) -> float | None:
    """Amount of so many seconds at a mean rate; None for other quantities."""
    return rate * seconds / HOUR_S if rate is not None and unit in AMOUNTS else None


def amount_of(unit: str, period_s: int, members: Members, mean: float | None, *, valid: bool) -> float | None:
    """Amount of a period up to an hour where it is valid, and of a day the sum of its valid hours.

    HJ 212-2017 appendix D, formula 34.
    """
    if period_s <= HOUR_S:
        return amount(unit, mean, period_s) if valid else None
    hours = [amount(unit, hour.mean, HOUR_S) for hour in members.moments] if members.valid else []
    known = [one for one in hours if one is not None]
    return math.fsum(known) if known else None
