"""A calibration sequence as plain data, and the plan of it: a generator that says what it wants next.

The plan moves nothing. Who carries it out owns the safe state: on a fault or a cancellation the generator is simply
dropped, and bringing the inlet back to sample air is the runner's duty, not the plan's.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Role = Literal["zero", "span", "target"]
Phase = Literal["flush", "blowback", "pause", "recovery"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Certified amount of one measurand; `uncertainty` is standard (k=1), `scale` with its version or GBW(E) number."""

    value: float
    unit: str
    uncertainty: float
    scale: str


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A standard gas; `name` is the station's own word for it."""

    name: str
    number: str
    certificate: str
    expires: date
    assigned: Mapping[str, Assigned]


@dataclass(frozen=True, slots=True)
class Injection:
    """One gas on one port. `roles`, `stdev_max` and `check_limit` (unit of the series) are per measurand."""

    cylinder: Cylinder
    port: str
    roles: Mapping[str, Role]
    flush_s: float
    average_s: float
    stdev_max: Mapping[str, float]
    check_limit: Mapping[str, float] = field(default_factory=dict)


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
class Sequence:
    """Injections in order, or a blowback; then sample air again, and the time until it counts as air."""

    name: str
    instrument: str
    sample_port: str
    injections: tuple[Injection, ...]
    recovery_s: float
    blowback: Blowback | None = None

    @property
    def seconds(self) -> float:
        """How long a run lasts."""
        blowing = self.blowback.seconds if self.blowback else 0.0
        return blowing + sum(one.flush_s + one.average_s for one in self.injections) + self.recovery_s


@dataclass(frozen=True, slots=True)
class OpenPort:
    """Close every other port, then open this one."""

    port: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Let gas or air flow; nothing is used."""

    seconds: float
    phase: Phase


@dataclass(frozen=True, slots=True)
class Collect:
    """Take the readings of the next seconds for this injection's points."""

    injection: Injection
    seconds: float


Step = OpenPort | Wait | Collect
Plan = Generator[Step, None, None]


def plan(sequence: Sequence) -> Plan:
    """The steps of one run."""
    if sequence.blowback:
        yield from _blow(sequence.blowback, sequence.sample_port)
    for injection in sequence.injections:
        yield OpenPort(injection.port)
        yield Wait(injection.flush_s, "flush")
        yield Collect(injection, injection.average_s)
    yield OpenPort(sequence.sample_port)
    yield Wait(sequence.recovery_s, "recovery")


def _blow(blowback: Blowback, sample_port: str) -> Plan:
    for pulse in range(blowback.pulses):
        if pulse:
            yield OpenPort(sample_port)
            yield Wait(blowback.pause_s, "pause")
        yield OpenPort(blowback.port)
        yield Wait(blowback.blow_s, "blowback")
