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


Limit = Annotated[float, Field(gt=0)]
OnFail = Literal["mark", "abort"]


class Flush(Strict):
    """A wait that ends as soon as every measurand is steady over the window: after `min_s`, and at `max_s` at last."""

    min_s: float = Field(ge=0, le=7200)
    max_s: float = Field(gt=0, le=7200)
    window_s: float = Field(default=60, gt=0, le=3600)
    slope_max: dict[str, Limit] = Field(default={})
    stdev_max: dict[str, Limit] = Field(default={})
    on_unstable: OnFail = "mark"


class Injection(Strict):
    """One gas of a sequence. Roles are per measurand: the same cylinder may be zero for one and span for another.

    `flush_s` or `flush`. The gas enters by `port`, or the instrument itself lets it in and says so by `state`.
    """

    gas: Name
    port: Name | None = None
    state: list[str | float] | None = Field(default=None, min_length=1)
    roles: dict[str, Role | Literal["unknown"]]
    flush_s: float | None = Field(default=None, ge=0, le=7200)
    flush: Flush | None = None
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
    """Every so many hours, shifted from 00:00 UTC by the offset; or by a cron expression, in the station's own day."""

    every_h: float | None = Field(default=None, gt=0, le=8784)
    offset_h: float = Field(default=0, ge=0)
    cron: str | None = None


class Flow(Strict):
    """The flow while a gas is collected; one bound at the least."""

    series: Series
    min: float | None = None
    max: float | None = None
    unit: str
    on_fail: OnFail = "mark"


class Leak(Strict):
    """The line is closed before the first gas, and its pressure must stay; `port`: a dead end of a valve that turns."""

    series: Series
    port: Name | None = None
    settle_s: float = Field(default=10, ge=0, le=600)
    seconds: float = Field(default=60, gt=0, le=600)
    max_drop_kPa_per_min: float = Field(gt=0)
    on_fail: OnFail = "abort"


class LineChecks(Strict):
    """What of the line is checked during a run."""

    flow: Flow | None = None
    leak: Leak | None = None


class Response(Strict):
    """The curve through three or more gases of a research series: straight or of second degree, and how well it fits.

    `residual_max` is in the unit of the series, by measurand; absent: a percent of full scale (own default).
    """

    model: Literal["linear", "quadratic"] = "linear"
    residual_max: dict[str, Limit] = Field(default={})


class Passive(Strict):
    """The instrument calibrates itself and says so in `field`: a status word, or a measurand (the state of a valve)."""

    field: str
    max_s: float = Field(default=7200, gt=0, le=86400)


class Sequence(Strict):
    """A calibration run on one instrument, or its blowback: one of `injections` and `blowback`.

    For research series the zero and span points of a run give a two-point correction, three or more gases a curve,
    unless it is `check_only`. `affects` names the measurands the gas touches, where it does not touch all: only those
    are marked during a run. A `passive` one has no valve: nothing is moved.
    """

    valve: Name | None = None
    instrument: Name
    passive: Passive | None = None
    path: Literal["line", "analyzer"] | None = None
    priority: int = Field(default=0, ge=-100, le=100)
    interrupts: bool = False
    wait_max_s: float = Field(default=3600, ge=0, le=86400)
    loops: int = Field(default=1, ge=1, le=20)
    counts: Literal["last", "all"] = "last"
    checks: LineChecks | None = None
    response: Response | None = None
    affects: list[str] | None = Field(default=None, min_length=1)
    injections: list[Injection] = Field(default=[])
    blowback: Blowback | None = None
    check_only: bool = False
    guards: dict[Name, Guard] = Field(default={})
    recovery_s: float | None = Field(default=None, ge=0, le=7200)
    recovery: Flush | None = None
    flow_L_min: float | None = Field(default=None, gt=0, le=100)
    schedule: Schedule | None = None
