"""The rules file of `plumeline process` (HJSON): columns, time, water, valve, plausible ranges; all may be absent."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from agent.recorded.gc_rules import Gc
from agent.recorded.tanks import Lower, Tank
from calibration.models.rules import Rule, read
from calibration.recorded.dry import RELLA_CH4, RELLA_CO2, Correction, by_dilution, quadratic
from drivers.recorded.csv_table import Column as Declared
from drivers.recorded.csv_table import Map
from drivers.recorded.numbers import SENTINELS
from drivers.recorded.stamps import StampError, pattern
from host.hjson import Strict

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Time(Strict):
    """Which columns are the stamp, and how it is written; `utc_offset` is what the file's clock is ahead of UTC."""

    columns: list[Lower] = Field(default=[])
    format: str = ""
    counts: Literal["", "epoch_s", "epoch_ms", "excel", "matlab", "decimal_year"] = ""
    order: Literal["", "ymd", "mdy", "dmy", "yyyymmdd", "yymmdd"] = ""
    utc_offset: str = Field(default="", pattern=r"^([+-]\d{2}:[0-5]\d)?$")

    @model_validator(mode="after")
    def _format_can_be_read(self) -> "Time":
        if self.format:
            try:
                pattern(self.format)
            except StampError:
                raise ValueError(f"format {self.format!r}: %Y %y %m %d %j %H %I %M %S %f %p %z, with a date") from None
        return self

    @property
    def offset(self) -> int | None:
        """Microseconds the clock is ahead of UTC; None where it is not said."""
        if not self.utc_offset:
            return None
        hours, minutes = int(self.utc_offset[1:3]), int(self.utc_offset[4:])
        size = (hours * 3600 + minutes * 60) * 1_000_000
        return -size if self.utc_offset[0] == "-" else size


class Column(Strict):
    """A measurement: its name in the output, columns of count, spread and flag; `factor`, then a plausible `range`."""

    name: str = ""
    n: str = ""
    sd: str = ""
    flag: str = ""
    good: list[str] | None = None
    factor: float = 1.0
    range: Pair | None = None


class Gas(Strict):
    """The column that says what flows, and the words that mean air."""

    column: str
    air: list[str] = Field(default=["air"])


class Valve(Strict):
    """The column of the valve's position, and what is dropped after each change of it (or of the gas)."""

    column: str = ""
    flush_s: float = Field(default=0.0, ge=0.0, le=86400.0)


class Water(Strict):
    """A correction from wet to dry. `form` has coefficients a, b of `wet / (1 + a h + b h^2)`, h in percent, or a name.

    `dry` is the species made, `{wet}_dry` by default; a column of that name in the file gives way to it.
    """

    wet: Lower
    water: Lower
    dry: str = ""
    form: Literal["rella-co2", "rella-ch4", "dilution"] | Pair
    unit: Literal["%", "mmol/mol"] = "%"

    @property
    def correction(self) -> Correction:
        """The correction; names in lower case."""
        wet = self.wet.lower()
        named = {"rella-co2": RELLA_CO2, "rella-ch4": RELLA_CH4, "dilution": by_dilution(self.unit)}
        share = 1.0 if self.unit == "%" else 0.1
        inner = named[self.form] if isinstance(self.form, str) else quadratic(*self.form)
        percent = isinstance(self.form, str) and self.form == "dilution"
        form = inner if percent or share == 1.0 else (lambda value, water: inner(value, water * share))
        return Correction(wet, self.water.lower(), self.dry.lower() or f"{wet}_dry", form)


class Plateaus(Strict):
    """What is done with plateaus that are found: nothing, or their rows are tank gas and not air.

    What flowed so long before and after each is flush then.
    """

    leave_out: bool = False
    flush_before_s: float = Field(default=0.0, ge=0.0, le=86400.0)
    flush_after_s: float = Field(default=0.0, ge=0.0, le=86400.0)


class Rules(Strict):
    """All of a rules file. `columns` names the measurements; without it they are told by the names in the header."""

    delimiter: str = Field(default="", max_length=1)
    decimal: Literal[".", ","] = "."
    skip_lines: int = Field(default=0, ge=0, le=10000)
    names: list[str] = Field(default=[])
    missing: list[float] = Field(default=[])
    time: Time = Field(default=Time())
    columns: dict[str, Column] = Field(default={})
    gas: Gas | None = None
    valve: Valve = Field(default=Valve())
    water: list[Water] = Field(default=[])
    standards: dict[str, Tank] = Field(default={})
    plateaus: Plateaus = Field(default=Plateaus())
    calibration: list[dict[str, Any]] = Field(default=[])
    gc: Gc | None = None

    @field_validator("calibration", mode="after")
    @classmethod
    def _dated_rules_can_be_read(cls, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        read(rows)
        return rows

    @property
    def dated(self) -> tuple[Rule, ...]:
        """The dated rules of the calibration chain."""
        return read(self.calibration)

    @property
    def map(self) -> Map:
        """What the reader of tables has to know."""
        lower = {
            name.strip().lower(): Declared(
                one.n.lower(), one.sd.lower(), one.flag.lower(), None if one.good is None else frozenset(one.good)
            )
            for name, one in self.columns.items()
        }
        gas = self.gas or Gas(column="", air=[])
        return Map(
            columns=lower, time=[name.lower() for name in self.time.columns], form=self.time.format,
            counts=self.time.counts, order=self.time.order, delimiter=self.delimiter, decimal=self.decimal,
            names=self.names, skip=self.skip_lines, port=self.valve.column.lower(),
            gas=gas.column.lower(), air=frozenset(word.lower() for word in gas.air),
            missing=SENTINELS | frozenset(self.missing),
        )  # fmt: skip

    @property
    def renamed(self) -> dict[str, tuple[str, float]]:
        """Name in the output and factor of the columns that have either."""
        return {
            name.strip().lower(): (one.name.lower() or name.strip().lower(), one.factor)
            for name, one in self.columns.items()
            if one.name or one.factor != 1.0
        }

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Plausible range of each species, by its name in the output."""
        return {
            (one.name or name).strip().lower(): (one.range[0], one.range[1])
            for name, one in self.columns.items()
            if one.range
        }
