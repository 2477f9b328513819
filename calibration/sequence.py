"""A calibration sequence as plain data, and the plan of it: a generator that says what it wants next.

The plan moves nothing. Who carries it out owns the safe state: on a fault or a cancellation the generator is simply
dropped, and bringing the inlet back to sample air is the runner's duty, not the plan's.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

# An unknown gas is read to learn what it is worth, beside known ones.
Role = Literal["zero", "span", "target", "unknown"]
Phase = Literal["flush", "blowback", "pause", "recovery"]
# What a check that failed does to the run: it ends it, or the points it concerns do not count.
OnFail = Literal["mark", "abort"]
# Where gas enters: at the probe, through the whole sampling line, or at the analyzer.
Path = Literal["line", "analyzer"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Certified amount of one measurand; `uncertainty` is standard (k=1), `scale` with its version or GBW(E) number."""

    value: float
    unit: str
    uncertainty: float
    scale: str


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A standard gas; `name` is the station's own word for it, `cautions` what speaks against it now.

    `fill` tells one filling of the same cylinder from the next.
    """

    name: str
    number: str
    certificate: str
    expires: date
    assigned: Mapping[str, Assigned]
    fill: str = "A"
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stability:
    """When readings count as steady: over the last `window_s` each measurand slopes and scatters no more than this.

    Not before `min_s`; `slope_max` per minute and `stdev_max` in the unit of the series.
    """

    min_s: float
    window_s: float
    slope_max: Mapping[str, float]
    stdev_max: Mapping[str, float]
    on_unstable: OnFail = "mark"

    @property
    def least_s(self) -> float:
        """The earliest that it can be known: a whole window has to be seen."""
        return max(self.min_s, self.window_s)


@dataclass(frozen=True, slots=True)
class Injection:
    """One gas on one port. `roles`, `stdev_max` and `check_limit` (unit of the series) are per measurand.

    With `settle` the flush ends as soon as all is steady, and after `flush_s` at the latest.
    """

    cylinder: Cylinder
    port: str
    roles: Mapping[str, Role]
    flush_s: float
    average_s: float
    stdev_max: Mapping[str, float]
    check_limit: Mapping[str, float] = field(default_factory=dict)
    settle: Stability | None = None


@dataclass(frozen=True, slots=True)
class Blowback:
    """Clean air against the flow, `pulses` times for `blow_s`, with `pause_s` on sample air between two pulses."""

    port: str
    blow_s: float
    pulses: int = 1
    pause_s: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the pulses and pauses last."""
        return self.pulses * self.blow_s + (self.pulses - 1) * self.pause_s


@dataclass(frozen=True, slots=True)
class FlowCheck:
    """The mean of a series while a gas is collected lies between these, in `unit`; None has no bound."""

    series: str
    low: float | None
    high: float | None
    unit: str
    on_fail: OnFail = "mark"


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """With every port closed, or with only a dead-ended one open, a pressure stays, either way, as it is."""

    series: str
    port: str | None
    settle_s: float
    seconds: float
    change_max_kPa_per_min: float
    on_fail: OnFail = "abort"


@dataclass(frozen=True, slots=True)
class Response:
    """How many powers of the reading the curve through three or more gases has, and how far it may miss a gas."""

    degree: Literal[1, 2] = 1
    residual_max: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Injections in order, `loops` times, or a blowback; then sample air again, and the time until it counts as air.

    With `settle` that time ends as soon as the air is steady, and after `recovery_s` at the latest. `counts`: points
    of the last loop, or those of all.
    """

    name: str
    instrument: str
    sample_port: str
    injections: tuple[Injection, ...]
    recovery_s: float
    blowback: Blowback | None = None
    settle: Stability | None = None
    loops: int = 1
    counts: Literal["last", "all"] = "last"
    path: Path | None = None
    leak: LeakCheck | None = None
    flow: FlowCheck | None = None
    response: Response = Response()

    @property
    def seconds(self) -> float:
        """How long a run lasts at the most."""
        gases = math.fsum(one.flush_s + one.average_s for one in self.injections)
        return self._before + self.loops * gases + self.recovery_s

    @property
    def least_s(self) -> float:
        """How long it lasts where everything is steady as soon as that can be known."""
        gases = math.fsum(least_s(one.flush_s, one.settle) + one.average_s for one in self.injections)
        return self._before + self.loops * gases + least_s(self.recovery_s, self.settle)

    def gases(self, today: date) -> list[dict[str, Any]]:
        """Its cylinders and ports for a record, with whether the certificate has expired by `today`."""
        return [
            {
                "gas": one.cylinder.name,
                "number": one.cylinder.number,
                "fill": one.cylinder.fill,
                "certificate": one.cylinder.certificate,
                "expired": one.cylinder.expires < today,
                "cautions": list(one.cylinder.cautions),
                "port": one.port or None,
            }
            for one in self.injections
        ]

    @property
    def _before(self) -> float:
        blowing = self.blowback.seconds if self.blowback else 0.0
        return blowing + (self.leak.settle_s + self.leak.seconds if self.leak else 0.0)


def least_s(seconds: float, settle: Stability | None) -> float:
    """The shortest a wait of at most `seconds` may last."""
    return seconds if settle is None else min(seconds, settle.least_s)


@dataclass(frozen=True, slots=True)
class OpenPort:
    """Close every other port, then open this one."""

    port: str


@dataclass(frozen=True, slots=True)
class ClosePorts:
    """Close every port."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Let gas or air flow, at most so long and, with `settle`, until it is steady; nothing is used."""

    seconds: float
    phase: Phase
    settle: Stability | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """Watch the pressure of the closed line."""

    check: LeakCheck


@dataclass(frozen=True, slots=True)
class Collect:
    """Take the readings of the next seconds for this injection's points, in which loop, and whether they count."""

    injection: Injection
    seconds: float
    loop: int = 1
    counted: bool = True


Step = OpenPort | ClosePorts | Wait | Leak | Collect
Plan = Generator[Step, None, None]


def plan(sequence: Sequence) -> Plan:
    """The steps of one run."""
    if sequence.blowback:
        yield from _blow(sequence.blowback, sequence.sample_port)
    if sequence.leak:
        yield ClosePorts() if sequence.leak.port is None else OpenPort(sequence.leak.port)
        yield Wait(sequence.leak.settle_s, "pause")
        yield Leak(sequence.leak)
    for loop in range(1, sequence.loops + 1):
        for injection in sequence.injections:
            yield OpenPort(injection.port)
            yield Wait(injection.flush_s, "flush", injection.settle)
            counted = sequence.counts == "all" or loop == sequence.loops
            yield Collect(injection, injection.average_s, loop, counted)
    yield OpenPort(sequence.sample_port)
    yield Wait(sequence.recovery_s, "recovery", sequence.settle)


def _blow(blowback: Blowback, sample_port: str) -> Plan:
    for pulse in range(blowback.pulses):
        if pulse:
            yield OpenPort(sample_port)
            yield Wait(blowback.pause_s, "pause")
        yield OpenPort(blowback.port)
        yield Wait(blowback.blow_s, "blowback")
