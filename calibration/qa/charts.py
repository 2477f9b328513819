"""Control charts as folds over deviations from the certified value: Shewhart, QAL3's CUSUM, EWMA.

The centre is the certified value, never a running mean, and `sd` comes from the type approval or from checks in
control: limits recomputed from drifting data widen themselves. Deviations and `sd` are in one unit.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

# QAL3 of EN 14181, in units of s and s squared: constants as printed in ABB OI/EL3000-EN, page 160. The recursion and
# the factor of the adjustment are (unverified).
PRECISION_LIMIT: Final = 6.90
PRECISION_ALLOWANCE: Final = 1.85
DRIFT_LIMIT: Final = 2.85
DRIFT_ALLOWANCE: Final = 0.501
ADJUSTED_SHARE: Final = 0.7
# EWMA, own defaults: a run length in control of about 370 (Lucas and Saccucci, Technometrics 32, 1990: 0.2 and 2.86).
EWMA_WEIGHT: Final = 0.2
EWMA_LIMIT: Final = 2.86
WARN_SD: Final = 2.0
ACT_SD: Final = 3.0

Zone = Literal["pass", "warning", "action"]
Alarm = Literal["drift", "precision"]


def zone(deviation: float, sd: float) -> Zone:
    """Shewhart's verdict on one check: warning beyond 2 sd, action beyond 3 sd. Raises ValueError for an sd of 0."""
    size = abs(deviation) / _above_zero(sd)
    return "action" if size > ACT_SD else "warning" if size > WARN_SD else "pass"


def _above_zero(sd: float) -> float:
    if not sd > 0:
        raise ValueError(f"standard deviation {sd} must be above 0")
    return sd


def western_electric(deviations: Sequence[float], sd: float) -> tuple[int, ...]:
    """Which rules the last check breaks, by their numbers (Western Electric, Statistical Quality Control Handbook).

    1: beyond 3 sd; 2: two of three beyond 2 sd on one side; 3: four of five beyond 1 sd on one side; 4: eight in a row
    on one side. Each rule added to the first raises the number of false alarms.
    """
    scaled = [one / _above_zero(sd) for one in deviations[-8:]]
    broken = [1] if scaled and abs(scaled[-1]) > ACT_SD else []
    for rule, of, needed, beyond in ((2, 3, 2, 2.0), (3, 5, 4, 1.0), (4, 8, 8, 0.0)):
        last = scaled[-of:]
        for side in (1.0, -1.0):
            if last and side * last[-1] > beyond and sum(side * one > beyond for one in last) >= needed:
                broken.append(rule)
    return tuple(broken)


@dataclass(frozen=True, slots=True)
class Cusum:
    """The state of QAL3's chart after a check. Sums are in the unit of the deviations, `spread` in its square.

    `above_n` and `below_n` count the checks since that sum left 0.
    """

    sd: float
    spread: float = 0.0
    above: float = 0.0
    below: float = 0.0
    above_n: int = 0
    below_n: int = 0
    last: float | None = None

    def after(self, deviation: float) -> "Cusum":
        """The state after one more check."""
        jump = 0.0 if self.last is None else (deviation - self.last) ** 2 / 2.0 - PRECISION_ALLOWANCE * self.sd**2
        above = max(0.0, self.above + deviation - DRIFT_ALLOWANCE * self.sd)
        below = max(0.0, self.below - deviation - DRIFT_ALLOWANCE * self.sd)
        return Cusum(
            self.sd,
            max(0.0, self.spread + jump),
            above,
            below,
            self.above_n + 1 if above else 0,
            self.below_n + 1 if below else 0,
            deviation,
        )

    @property
    def alarm(self) -> Alarm | None:
        """Precision is tested first: noise that grew asks for maintenance, and no adjustment."""
        if self.spread > PRECISION_LIMIT * self.sd**2:
            return "precision"
        return "drift" if max(self.above, self.below) > DRIFT_LIMIT * self.sd else None

    @property
    def adjustment(self) -> float | None:
        """What to add to the reading after a drift alarm, in its unit; None where there is none."""
        if self.alarm != "drift":
            return None
        allowance = DRIFT_ALLOWANCE * self.sd
        if self.above > DRIFT_LIMIT * self.sd:
            return -ADJUSTED_SHARE * (allowance + self.above / self.above_n)
        return ADJUSTED_SHARE * (allowance + self.below / self.below_n)

    def adjusted(self) -> "Cusum":
        """The state after the adjustment: sums and counts begin anew."""
        return Cusum(self.sd)


def cusum(deviations: Iterable[float], sd: float) -> Iterator[Cusum]:
    """The chart after each check, without any adjustment in between."""
    state = Cusum(_above_zero(sd))
    for deviation in deviations:
        state = state.after(deviation)
        yield state


@dataclass(frozen=True, slots=True)
class Ewma:
    """Exponentially weighted mean after `count` checks (Roberts, Technometrics 1, 1959): weight 0 < w <= 1.

    `value` is in the unit of the deviations, `limit_sd` in standard deviations of the mean, exact for the count so far.
    """

    sd: float
    weight: float = EWMA_WEIGHT
    limit_sd: float = EWMA_LIMIT
    value: float = 0.0
    count: int = 0

    def after(self, deviation: float) -> "Ewma":
        """The state after one more check."""
        return replace(self, value=self.value + self.weight * (deviation - self.value), count=self.count + 1)

    @property
    def limit(self) -> float:
        """How far the mean may be from 0."""
        share = self.weight / (2.0 - self.weight) * (1.0 - (1.0 - self.weight) ** (2 * self.count))
        return self.limit_sd * self.sd * math.sqrt(share)

    @property
    def alarm(self) -> bool:
        """True where the mean has left its limits."""
        return abs(self.value) > self.limit


def ewma(
    deviations: Iterable[float], sd: float, weight: float = EWMA_WEIGHT, limit_sd: float = EWMA_LIMIT
) -> Iterator[Ewma]:
    """The chart after each check. Raises ValueError for a weight or a standard deviation that is none."""
    if not 0 < weight <= 1:
        raise ValueError(f"weight {weight} must be above 0 and at most 1")
    state = Ewma(_above_zero(sd), weight, limit_sd)
    for deviation in deviations:
        state = state.after(deviation)
        yield state
