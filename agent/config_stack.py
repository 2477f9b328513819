"""The shape of a stack in a station's configuration: what its velocity, flow and emission are derived from."""

from typing import Annotated, Literal

from pydantic import Field

from agent.config_gas import Day
from host.hjson import Strict
from host.shapes import Name, Series

# A text that says something.
Said = Annotated[str, Field(pattern="[^ ]")]
StackRole = Literal[
    "velocity", "differential_pressure", "temperature", "static_pressure", "barometer", "moisture", "oxygen",
    "oxygen_wet",
]  # fmt: skip
StackGasName = Literal["so2", "nox", "no", "no2", "co", "dust", "hcl", "co2", "ch4", "n2o"]


class FiledKv(Strict):
    """One filed velocity-field coefficient: who filed it, by what authority, why, and from which day on it holds."""

    id: Name
    value: float = Field(gt=0, lt=10)
    repeatability: float = Field(ge=0)
    reference: Literal["national-facility", "on-site"]
    determined: Day
    filed: Day
    valid_from: Day
    filed_by: Said
    authority: Said
    reason: Said


class StackInput(Strict):
    """One input: a series and the greatest age it may have, or a declared constant with its unit."""

    series: Series | None = None
    max_age_s: float = Field(default=5.0, gt=0, le=3600)
    value: float | None = None
    unit: str | None = None


class StackGas(Strict):
    """One gas: its series, the basis and state it is read in; for NOx read as NO, the series of NO2."""

    series: Series
    max_age_s: float = Field(default=5.0, gt=0, le=3600)
    basis: Literal["dry", "wet"] = "dry"
    state: Literal["standard", "actual"] = "standard"
    no2: Series | None = None


class Oxygen(Strict):
    """Reference oxygen of the rule that applies, and the oxygen above which a converted value means nothing."""

    reference_percent: float = Field(ge=0, lt=21)
    guard_percent: float = Field(default=20.9, gt=0, lt=21)


class Stopped(Strict):
    """The plant counts as stopped where all of these that are given hold: its values are then no emission."""

    velocity_below_m_s: float | None = Field(default=None, gt=0, le=20)
    temperature_below_degC: float | None = Field(default=None, gt=-40, le=300)
    oxygen_above_percent: float | None = Field(default=None, gt=0, lt=25)


class Stack(Strict):
    """One section of a stack."""

    area_m2: float = Field(gt=0, le=2000)
    kv: list[FiledKv] = Field(min_length=1)
    pitot_coefficient: float | None = Field(default=None, gt=0, le=2)
    standard_density_kg_m3: float | None = Field(default=None, gt=0.1, le=5)
    cut_off_m_s: float = Field(default=0.0, ge=0, le=5)
    inputs: dict[StackRole, StackInput]
    gases: dict[StackGasName, StackGas] = Field(default={})
    oxygen: Oxygen | None = None
    stopped: Stopped | None = None
