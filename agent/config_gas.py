"""The shape of what a station's configuration says of gas: valves, cylinders, guards, sequences."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from host.hjson import Strict
from host.shapes import Name, Series

Role = Literal["zero", "span", "target"]
# Written as text, so the one place where a type may be converted.
Day = Annotated[date, Field(strict=False)]


class Port(Strict):
    """One gas path of a valve: the coil that opens it, or the position or mask in which the valve opens it."""

    coil: int | None = Field(default=None, ge=0, le=65535)
    position: int | None = Field(default=None, ge=1, le=100)
    mask: int | None = Field(default=None, ge=0, le=63)


class Valve(Strict):
    """What opens one of several gas paths. What it does without power is hardware: declared here, checked, shown.

    `coils`: a block of solenoids on Modbus coils. `vici`: a multiposition valve on a VICI actuator. `picarro`: the
    solenoids an analyzer drives itself.
    """

    kind: Literal["coils", "vici", "picarro"] = "coils"
    bus: Name
    unit: int | None = Field(default=None, ge=0, le=255)
    id: str = Field(default="", pattern="^[0-9A-Z]?$")
    ports: dict[Name, Port]
    sample: Name
    on_power_loss: Literal["sample", "closed", "stays"]
    upstream_shutoff_closes_without_power: bool = False
    dead_man_s: float | None = Field(default=None, gt=0)


class Assigned(Strict):
    """Certified amount of one measurand; `uncertainty` is standard (k=1), `scale` has its version or is a GBW(E)."""

    value: float
    unit: str
    uncertainty: float = Field(ge=0)
    scale: str


class Cylinder(Strict):
    """A standard gas."""

    number: str
    certificate: str
    expires: Day
    assigned: dict[str, Assigned]


class Injection(Strict):
    """One gas of a sequence. Roles are per measurand: the same cylinder may be zero for one and span for another."""

    gas: Name
    port: Name
    roles: dict[str, Role]
    flush_s: float = Field(ge=0, le=7200)
    average_s: float = Field(gt=0, le=3600)
    stdev_max: dict[str, float] = Field(default={})
    check_limit: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})


class Blowback(Strict):
    """Clean air against the flow, in pulses; between two of them `pause_s` on sample air."""

    port: Name
    blow_s: float = Field(gt=0, le=600)
    pulses: int = Field(default=1, ge=1, le=20)
    pause_s: float = Field(default=0, ge=0, le=600)


class Guard(Strict):
    """What must hold for gas to flow: a fresh, valid value of a series within its bounds. No value is a refusal."""

    series: Series
    above: float | None = None
    below: float | None = None
    unit: str
    max_age_s: float = Field(default=120, gt=0, le=3600)


class Schedule(Strict):
    """Every so many hours, shifted from 00:00 UTC by the offset."""

    every_h: float = Field(gt=0, le=8784)
    offset_h: float = Field(default=0, ge=0)


class Sequence(Strict):
    """A calibration run on one instrument, or its blowback: one of `injections` and `blowback`.

    For research series the zero and span points of a run give a two-point correction, unless it is `check_only`.
    `affects` names the measurands the gas touches, where it does not touch all: only those are marked during a run.
    """

    valve: Name
    instrument: Name
    affects: list[str] | None = Field(default=None, min_length=1)
    injections: list[Injection] = Field(default=[])
    blowback: Blowback | None = None
    check_only: bool = False
    guards: dict[Name, Guard] = Field(default={})
    recovery_s: float = Field(ge=0, le=7200)
    flow_L_min: float | None = Field(default=None, gt=0, le=100)
    schedule: Schedule | None = None
