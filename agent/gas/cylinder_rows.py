"""Rows of the register from what is declared or asked: shapes of requests, and what a changed declaration changes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field

from agent.config_cylinders import Scale, Uncertainty
from agent.config_gas import Day
from calibration.standards.cylinder import FILL, LOW_BAR, WARN_DAYS, Cylinder, Row, Valuation
from calibration.standards.stock import Pressure, bar
from calibration.standards.value import Certificate, Value, day_of
from host.hjson import Strict
from host.shapes import Name, Series

CERTIFIED: Final = ("certificate", "certified", "expires", "assigned")
Block = Mapping[str, Any]
Measurand = Annotated[str, Field(pattern="^[a-z0-9_]{1,40}$")]
Use = Literal["zero", "span", "target", "unknown"]


class NoValueError(ValueError):
    """A measurand that has no value yet came without its unit or scale."""

    def __init__(self, measurand: str) -> None:
        super().__init__(f"{measurand}: unit and scale are needed")
        self.measurand = measurand


class AskedValue(Strict):
    """A certified amount; unit and scale may be left out where they stay those of the value before."""

    value: float
    uncertainty: Uncertainty
    unit: str | None = None
    scale: Scale | None = None
    u_measurement: Uncertainty | None = None
    repeat_sd: Uncertainty | None = None


class AskedCertificate(Strict):
    """A certificate, of all measurands of a cylinder or of some."""

    number: str = Field(min_length=1, max_length=200)
    certified: Day | None = None
    expires: Day | None = None
    assigned: dict[Measurand, AskedValue] = Field(min_length=1, max_length=50)


class AskedCylinder(Strict):
    """A cylinder that is not known yet."""

    name: Name
    number: str = Field(min_length=1, max_length=80)
    fill: str = Field(default=FILL, min_length=1, max_length=20)
    supplier: str = Field(default="", max_length=200)
    lot: str = Field(default="", max_length=200)
    volume_L: float | None = Field(default=None, gt=0, le=1000)
    filling_pressure_bar: float | None = Field(default=None, gt=0, le=400)
    pressure_bar: float | None = Field(default=None, ge=0, le=400)
    roles: dict[Measurand, Use] = Field(default={})
    pressure_series: Series | None = None
    valuation: Valuation = "auto"
    warn_days: int = Field(default=WARN_DAYS, ge=0, le=730)
    low_bar: float = Field(default=LOW_BAR, ge=0, le=400)
    certificate: AskedCertificate | None = None


class AskedRoles(Strict):
    """What a cylinder is used for, by measurand."""

    roles: dict[Measurand, Use] = Field(max_length=50)


class AskedPressure(Strict):
    """A reading of the gauge, above ambient."""

    value: float = Field(ge=0)
    unit: str = "bar"


def declared_row(name: str, block: Block) -> Row:
    """The row of a block of the configuration (as JSON). Raises ValueError."""
    assigned = {measurand: Value.of(one) for measurand, one in block["assigned"].items()}
    paper = block["certificate"], day_of(block["certified"]), day_of(block["expires"])
    certificate = Certificate(*paper, assigned) if assigned else None
    kept = {key: block[key] for key in block if key not in (*CERTIFIED, "installed")}
    return Row(name, certificate=certificate, installed=day_of(block["installed"]), **kept)


def redeclared(row: Row, former: Block, block: Block) -> Row:
    """A row with what changed between two declarations of the same fill; all else stays as persons wrote it."""
    new = declared_row(row.name, block)
    changed = {key for key in block if block[key] != former.get(key)}
    names = {"certificate" if key in CERTIFIED else key for key in changed}
    return replace(row, **{name: getattr(new, name) for name in names})


def added_row(asked: AskedCylinder, now: datetime) -> Row:
    """A new cylinder. Raises ValueError where a value has no unit or scale."""
    kept = asked.model_dump(exclude={"certificate", "pressure_bar"})
    certificate = certificate_of(asked.certificate, None, now.date()) if asked.certificate else None
    pressure = None if asked.pressure_bar is None else Pressure(now, asked.pressure_bar)
    return Row(**kept, installed=now.date(), certificate=certificate, pressure=pressure)


def certificate_of(asked: AskedCertificate, cylinder: Cylinder | None, day: date) -> Certificate:
    """A certificate with units and scales filled in from the values that hold on a day.

    Raises NoValueError, ValueError.
    """
    assigned = {}
    for measurand, one in asked.assigned.items():
        before = cylinder.value(measurand, day) if cylinder else None
        unit = one.unit or (before.unit if before else None)
        scale = one.scale or (before.scale if before else None)
        if unit is None or scale is None:
            raise NoValueError(measurand)
        assigned[measurand] = Value(one.value, unit, one.uncertainty, scale, one.u_measurement, one.repeat_sd)
    return Certificate(asked.number, asked.certified, asked.expires, cast(Mapping[str, Value], assigned))


def read_gauge(row: Row, asked: AskedPressure, now: datetime) -> Row:
    """A row with a new reading. Raises UnitError."""
    return replace(row, pressure=Pressure(now, round(bar(asked.value, asked.unit), 3)))
