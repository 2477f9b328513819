"""What goes into the chain and what comes out. Instants are unix seconds (UTC), amounts in the unit of the series.

    result = calibrate(minutes, tanks, rules)          # calibration.chain.calibrate

`minutes` are `Minute` of one measurand of one instrument, in order of time; `tanks` are `Reference`, `Standard` and
`Target`, each for the time it was connected; `rules` are dated (`calibration.models.rules`). Every minute has its
value; budgets belong to periods (an hour, or a minute with `period_s=60`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from calibration.sequence import Assigned
from metrology.budget import Budget
from metrology.quality import Cause

AIR: Final = "air"


class Minute(NamedTuple):
    """Mean of one minute (or of any other constant step), as the instrument indicated it.

    `source` is AIR, the `name` of a tank, or any other word for gas that is neither. `water` is the analyzer's own
    humidity in percent (Picarro: `h2o_reported`), needed where the rules correct for it. `usable` is False where the
    instrument reported a fault, was warming up, or the row carries a mark that forbids its use.
    """

    at_s: float
    source: str
    value: float | None
    sd: float | None = None
    n: int = 1
    water: float | None = None
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Tank:
    """A cylinder from the moment it was connected until it was taken away (exclusive).

    `name` is the port's word in `Minute.source`, `number` tells the cylinder; two tanks may follow each other under one
    name. `assigned` may be None for a reference, whose reading alone matters. Its uncertainty is standard (k = 1).
    """

    name: str
    assigned: Assigned | None = None
    number: str = ""
    expires_s: float = math.inf
    from_s: float = -math.inf
    to_s: float = math.inf

    @property
    def label(self) -> str:
        """Name and number, as people know it."""
        return f"{self.name} ({self.number})" if self.number else self.name


class Reference(Tank):
    """Read often; its reading takes the analyzer's drift away."""


class Standard(Tank):
    """Defines the response curve. `assigned` is required."""


class Target(Tank):
    """A known gas that passes for air; no fit accepts it."""


class Flag(StrEnum):
    """What there is to say about a value; those in `INVALID` leave it no valid value."""

    FLUSH = "flush"
    STANDARD = "standard"
    FAULT = "fault"
    NO_VALUE = "no_value"
    NO_WATER = "no_water"
    NO_REFERENCE = "no_reference"
    NO_CALIBRATION = "no_calibration"
    IMPOSSIBLE = "impossible"
    STEP = "step"
    LEAK = "leak"
    OUT_OF_CONTROL = "out_of_control"
    INCOMPLETE = "incomplete"
    SUSPECT = "suspect"
    EXPIRED = "expired"
    PREVIOUS_ONLY = "previous_only"
    NEXT_ONLY = "next_only"


Flags = frozenset[Flag]
GOOD: Final[Flags] = frozenset()
VALID: Final[Flags] = frozenset({Flag.SUSPECT, Flag.EXPIRED, Flag.PREVIOUS_ONLY, Flag.NEXT_ONLY})
INVALID: Final[Flags] = frozenset(Flag) - VALID
# Causes of quality for the flags that have one; the others stand beside the value as they are.
CAUSES: Final[Mapping[Flag, Cause]] = {
    Flag.FLUSH: Cause.FLUSH,
    Flag.STANDARD: Cause.CALIBRATION,
    Flag.FAULT: Cause.FAULT,
    Flag.NO_VALUE: Cause.FAULT,
    Flag.NO_WATER: Cause.FAULT,
    Flag.NO_REFERENCE: Cause.STALE,
    Flag.NO_CALIBRATION: Cause.STALE,
    Flag.IMPOSSIBLE: Cause.OUT_OF_RANGE,
    Flag.STEP: Cause.FAULT,
    Flag.LEAK: Cause.FAULT,
    Flag.OUT_OF_CONTROL: Cause.OUT_OF_CONTROL,
    Flag.INCOMPLETE: Cause.INCOMPLETE,
    Flag.EXPIRED: Cause.EXPIRED,
}


def notation(flags: Iterable[Flag]) -> str:
    """The three characters of the NOAA observatories' tables: rejection, nothing, which side alone was available."""
    present = frozenset(flags)
    first = "C" if Flag.NO_CALIBRATION in present else "*" if present & INVALID else "."
    sides = (("<", Flag.PREVIOUS_ONLY), (">", Flag.NEXT_ONLY))
    return f"{first}." + next((sign for sign, flag in sides if flag in present), ".")


class Value(NamedTuple):
    """One minute through the chain: `value` is None exactly where a flag of INVALID is set.

    `x` is what the response was applied to (dry sample minus reference, or over it), `response` names the calibrations.
    """

    at_s: float
    source: str
    value: float | None
    flags: Flags
    x: float | None = None
    response: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """A period of air: n-weighted mean of its valid minutes and the total spread of what lies in them.

    The budget is that of the mean over the valid minutes; what the missing minutes held is not guessed (`minutes` and
    `n` say how many there were). `responses` are the ids of the calibrations used.
    """

    start_s: float
    value: float | None
    sd: float | None
    n: int
    minutes: int
    flags: Flags
    budget: Budget = field(default_factory=Budget)
    responses: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """True where the period has a value that may be used."""
        return self.value is not None


@dataclass(frozen=True, slots=True)
class Check:
    """A visit of a target gas, judged: `bias` is value minus assigned, `passed` within the limit of the rules."""

    at_s: float
    tank: Target
    value: float
    bias: float
    limit: float | None
    budget: Budget

    @property
    def passed(self) -> bool:
        """True where the limit is kept, or where there is none."""
        return self.limit is None or abs(self.bias) <= self.limit


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or worth saying, and named: `size` with the half width of its 95 % interval, in `unit`.

    `what`: drift, leak, wrong-assigned-value, standards-disagree, expired, short-flush, out-of-control, step,
    rejected-calibration.
    """

    what: str
    about: str
    from_s: float
    to_s: float
    size: float | None = None
    half_width: float | None = None
    unit: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ResponseUsed:
    """A calibration as it was used, or why it was not: `rejected` is empty where it counts.

    `beta` (low to high) and `covariance` are in amounts per x, `points` the labels of its standards.
    """

    id: str
    at_s: float
    beta: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    residual_sd: float = 0.0
    points: tuple[str, ...] = ()
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All that a call finds; `noise` is the standard deviation of one minute on a steady gas (0: not known)."""

    minutes: tuple[Value, ...]
    periods: tuple[Period, ...]
    checks: tuple[Check, ...]
    responses: tuple[ResponseUsed, ...]
    findings: tuple[Finding, ...]
    noise: float
