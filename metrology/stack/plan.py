"""What a stack's velocity, flow and emission are derived from: its plan, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from metrology.measurand import catalogue
from metrology.stack.oxygen import GUARD_PERCENT
from metrology.stack.velocity_field import History

VELOCITY, DIFFERENTIAL = "velocity", "differential_pressure"
# What an input is reckoned in; moisture is a fraction afterwards.
UNITS: Final = {
    DIFFERENTIAL: "Pa", VELOCITY: "m/s", "temperature": "degC", "static_pressure": "Pa", "barometer": "Pa",
    "moisture": "%", "oxygen": "%", "oxygen_wet": "%",
}  # fmt: skip
# Gases given off without a value at reference oxygen: no rule has one.
NO_REFERENCE: Final = frozenset({"co2", "ch4", "n2o"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input comes from: a series, with the greatest age it may have, or a declared constant with its unit."""

    series: str = ""
    max_age_s: float = 5.0
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class GasSource:
    """A gas: its series, whether it is read wet, at actual state, and for NOx that is read as NO the series of NO2."""

    source: Source
    wet: bool = False
    actual: bool = False
    no2: Source | None = None


@dataclass(frozen=True, slots=True)
class StopRule:
    """When the plant counts as stopped: every bound that is given holds, and every value it is about is known.

    The velocity is that of the section, m/s; temperature in degC, oxygen dry in percent.
    """

    velocity_below_m_s: float | None = None
    temperature_below_degC: float | None = None
    oxygen_above_percent: float | None = None

    def holds(self, velocity: float | None, temperature: float | None, dry_oxygen: float | None) -> bool:
        """Whether the plant is stopped by these values."""
        below = [(velocity, self.velocity_below_m_s), (temperature, self.temperature_below_degC)]
        found = [value is not None and value < bound for value, bound in below if bound is not None]
        if self.oxygen_above_percent is not None:
            found.append(dry_oxygen is not None and dry_oxygen > self.oxygen_above_percent)
        return bool(found) and all(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """One stack. `inputs` by role (a key of UNITS), one of velocity and differential_pressure among them.

    `standard_density_kg_m3` is of the moist gas at 273 K, 101325 Pa; None: from CO2, O2 and moisture, which must be
    inputs then. Below `cut_off_m_s` the velocity counts as 0.
    """

    name: str
    area_m2: float
    kv: History
    inputs: Mapping[str, Source]
    gases: Mapping[str, GasSource] = field(default_factory=dict)
    pitot_coefficient: float = 1.0
    standard_density_kg_m3: float | None = None
    reference_oxygen_percent: float | None = None
    guard_percent: float = GUARD_PERCENT
    cut_off_m_s: float = 0.0
    stopped: StopRule | None = None

    @property
    def trigger(self) -> str:
        """The series whose readings make derived ones."""
        return self.inputs[VELOCITY if VELOCITY in self.inputs else DIFFERENTIAL].series

    @property
    def measurands(self) -> dict[str, str]:
        """Everything it gives, with units."""
        names = ["stack_velocity", "flow_actual", "flow_wet", "flow_dry"]
        for gas in self.gases:
            converted = self.reference_oxygen_percent is not None and gas not in NO_REFERENCE
            names += [f"{gas}_std", *([f"{gas}_zs"] if converted else []), f"{gas}_rate"]
        return {name: catalogue()[name].unit for name in names}
