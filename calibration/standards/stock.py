"""How much gas a cylinder still holds, how fast it goes, and how long it lasts. Pressures are above ambient (gauge)."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from metrology.units import convert

DAY_S: Final = 86400.0
# Litres are of gas at this pressure and at the cylinder's own temperature.
AMBIENT_BAR: Final = 1.01325
# Consumption is told by the pressures of this span, and from no shorter one than a day.
SPAN: Final = timedelta(days=90)
_LEAST_DAYS: Final = 1.0
# A pressure that rose by more is another cylinder's, or the same one filled again.
_REFILLED_BAR: Final = 10.0


class Pressure(NamedTuple):
    """A reading of the gauge."""

    at: datetime
    bar: float


class Stock(NamedTuple):
    """What is left: litres in all and above the reserve, bar and litres a day, and weeks until the reserve; None where
    it is not known. `weeks_left` is None too where nothing is consumed."""

    litres: float | None
    usable_litres: float | None
    bar_per_day: float | None
    litres_per_day: float | None
    weeks_left: float | None


def bar(value: float, unit: str) -> float:
    """A gauge's reading in bar. Raises UnitError for a unit that is none of pressure."""
    return value if unit == "bar" else convert(value if unit == "kPa" else convert(value, unit, "kPa"), "kPa", "bar")


def litres(pressure_bar: float, volume_L: float) -> float:
    """Gas that comes out until the cylinder is at ambient pressure: ideal gas, p V at one temperature."""
    return max(0.0, pressure_bar) * volume_L / AMBIENT_BAR


def consumption(pressures: Sequence[Pressure]) -> float | None:
    """Bar a day by least squares over the last 90 days before the newest reading, since the last filling.

    None for fewer than two readings or less than a day; never below 0.
    """
    recent = _since_filled([one for one in pressures if pressures[-1].at - one.at <= SPAN])
    if len(recent) < 2:
        return None
    days = [(one.at - recent[0].at).total_seconds() / DAY_S for one in recent]
    if days[-1] < _LEAST_DAYS:
        return None
    mean_day, mean_bar = math.fsum(days) / len(days), math.fsum(one.bar for one in recent) / len(recent)
    up = math.fsum((day - mean_day) * (one.bar - mean_bar) for day, one in zip(days, recent, strict=True))
    return max(0.0, -up / math.fsum((day - mean_day) ** 2 for day in days))


def _since_filled(pressures: Sequence[Pressure]) -> Sequence[Pressure]:
    start = 0
    for place in range(1, len(pressures)):
        if pressures[place].bar > pressures[place - 1].bar + _REFILLED_BAR:
            start = place
    return pressures[start:]


def stock(pressures: Sequence[Pressure], volume_L: float | None, reserve_bar: float) -> Stock:
    """What pressures in order of time say; the reserve is what must stay in the cylinder."""
    if not pressures:
        return Stock(None, None, None, None, None)
    now, rate = pressures[-1].bar, consumption(pressures)
    above = max(0.0, now - reserve_bar)
    weeks = above / rate / 7.0 if rate else None
    if volume_L is None:
        return Stock(None, None, rate, None, weeks)
    per_day = None if rate is None else litres(rate, volume_L)
    return Stock(litres(now, volume_L), litres(above, volume_L), rate, per_day, weeks)
