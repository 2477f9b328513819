"""Hours of a stack's emission: what was measured, what was not, and why; and the totals of a period."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from metrology.budget import Budget
from metrology.periods import HOUR_S
from metrology.quality import Cause
from metrology.reading import Average
from metrology.stack.emission_budget import SLOW, Summed, sum_over_time


class HourState(StrEnum):
    """What an hour is. Only a valid one has an amount."""

    VALID = "valid"
    MISSING = "missing"  # the source ran and nothing valid is known: no data, a fault, calibration, maintenance
    OUT_OF_CONTROL = "out_of_control"  # after a failed check
    STOPPED = "stopped"  # the source did not run: there is nothing to measure


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of one quantity. `amount` in kg, at `start` (aware UTC), exists where and only where it is valid.

    `suspect`: valid, but between the last good check and one that failed. `last_passed`: for an hour out of control,
    the time of the last check that was passed.
    """

    start: datetime
    state: HourState
    amount: float | None = None
    budget: Budget | None = None
    suspect: bool = False
    last_passed: datetime | None = None

    def __post_init__(self) -> None:
        """An invalid hour has no amount, ever: filling in is another layer's business."""
        if (self.amount is not None) != (self.state is HourState.VALID):
            raise ValueError(f"{self.start.isoformat()}: an hour that is {self.state} and has amount {self.amount}")
        if self.amount is not None and not math.isfinite(self.amount):
            raise ValueError(f"{self.start.isoformat()}: an amount is a number")

    @property
    def ran(self) -> bool:
        """Whether the source ran."""
        return self.state is not HourState.STOPPED


def hour_of(
    average: Average, *, budget: Budget | None = None, suspect: bool = False, last_passed: datetime | None = None
) -> Hour:
    """The hour that an hourly average of a rate stands for. Raises ValueError for another period.

    Valid where it is and has an amount; stopped where no part of it ran; else by its causes out of control or missing:
    an hour in which the source ran at all is an hour it ran.
    """
    if average.period_s != HOUR_S:
        raise ValueError(f"{average.series}: a period of {average.period_s} s is no hour")
    if average.valid and average.sum is not None:
        return Hour(average.start, HourState.VALID, average.sum, budget, suspect)
    causes = average.quality.causes
    if Cause.STOPPED in causes and average.n == 0:
        return Hour(average.start, HourState.STOPPED)
    if Cause.OUT_OF_CONTROL in causes:
        return Hour(average.start, HourState.OUT_OF_CONTROL, last_passed=last_passed)
    return Hour(average.start, HourState.MISSING)


def complete(hours: Iterable[Hour], start: datetime, end: datetime) -> list[Hour]:
    """Every hour from `start` to `end` (exclusive, both on the hour) in order: one that nothing is known of is missing.

    Hours outside the span are kept. A station that stood still itself wrote nothing, and its hours must be counted.
    """
    known = {hour.start: hour for hour in hours}
    step = timedelta(hours=1)
    for index in range(math.ceil((end - start) / step)):
        at = start + index * step
        known.setdefault(at, Hour(at, HourState.MISSING))
    return [known[at] for at in sorted(known)]


@dataclass(frozen=True, slots=True)
class Total:
    """What a period's valid hours add up to, kg, and how many hours there were of each kind."""

    amount: float
    counted: int
    missing: int
    out_of_control: int
    stopped: int
    suspect: int

    @property
    def ran(self) -> int:
        """Hours the source ran."""
        return self.counted + self.missing + self.out_of_control

    @property
    def complete(self) -> bool:
        """True where no hour the source ran is without an amount."""
        return self.counted == self.ran


def total(hours: Iterable[Hour]) -> Total:
    """Sum of the valid hours, with the count of the others beside it."""
    rows = list(hours)
    states = [hour.state for hour in rows]
    return Total(
        amount=math.fsum(hour.amount for hour in rows if hour.amount is not None),
        counted=states.count(HourState.VALID),
        missing=states.count(HourState.MISSING),
        out_of_control=states.count(HourState.OUT_OF_CONTROL),
        stopped=states.count(HourState.STOPPED),
        suspect=sum(hour.suspect for hour in rows),
    )


def total_with_uncertainty(hours: Iterable[Hour], slow: timedelta = SLOW) -> Summed:
    """Sum of the valid hours with its uncertainty; hours without a budget add their amount and nothing to it."""
    rows = sorted((hour for hour in hours if hour.amount is not None), key=lambda hour: hour.start)
    return sum_over_time(((hour.start, hour.amount or 0.0, hour.budget or Budget()) for hour in rows), slow)
