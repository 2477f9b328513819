"""NDIR analyzers: zero offset, span factor, and the density of the gas in the cell.

Absorption follows the number of molecules in the light path, so an indication at cell pressure p and temperature T is
brought to a stated density by (p0 / p)^a (T / T0)^b first; a = b = 1 is the ideal gas, an instrument with a correction
of its own has less or none. Zero and span are then the line through two gases, found at the same stated density.
"""

import math
from dataclasses import dataclass

from calibration.evaluate import TwoPoint
from calibration.sequence import Assigned
from metrology.budget import Budget, Term

KELVIN = 273.15


@dataclass(frozen=True, slots=True)
class Density:
    """Exponents of an instrument and the state its indications are brought to."""

    pressure_exponent: float = 1.0
    temperature_exponent: float = 1.0
    pressure_kPa: float = 101.325
    temperature_degC: float = 25.0

    def bring(self, indication: float, pressure_kPa: float, temperature_degC: float) -> float:
        """The indication at the stated density. Raises ValueError for a pressure or temperature that cannot be."""
        kelvin = temperature_degC + KELVIN
        if not (pressure_kPa > 0.0 and kelvin > 0.0):
            raise ValueError(f"{pressure_kPa} kPa and {temperature_degC} degC are no state of a gas")
        pressure = math.pow(self.pressure_kPa / pressure_kPa, self.pressure_exponent)
        temperature = math.pow(kelvin / (self.temperature_degC + KELVIN), self.temperature_exponent)
        return indication * pressure * temperature


@dataclass(frozen=True, slots=True)
class Gas:
    """What the instrument gave on one gas, already at the stated density; `u_reading` is that of the mean."""

    assigned: Assigned
    reading: float
    u_reading: float


@dataclass(frozen=True, slots=True)
class Sensors:
    """Standard uncertainties of the cell's pressure and temperature; they hold between two calibrations."""

    u_pressure_kPa: float = 0.0
    u_temperature_K: float = 0.0


@dataclass(frozen=True, slots=True)
class Ndir:
    """One calibrated analyzer: `line` holds for indications at the stated density."""

    density: Density
    line: TwoPoint
    zero: Gas
    span: Gas
    sensors: Sensors = Sensors()

    def correct(self, indication: float, pressure_kPa: float, temperature_degC: float) -> float:
        """Value in the unit of the assigned values."""
        return (self.density.bring(indication, pressure_kPa, temperature_degC) - self.line.zero) * self.line.slope

    def budget(self, indication: float, pressure_kPa: float, temperature_degC: float, noise: float = 0.0) -> Budget:
        """`noise` is the standard uncertainty of the indication itself, in its unit."""
        at = self.density.bring(indication, pressure_kPa, temperature_degC)
        per_unit = at / indication if indication else self.density.bring(1.0, pressure_kPa, temperature_degC)
        share = (at - self.zero.reading) / (self.span.reading - self.zero.reading)
        state = math.hypot(
            self.density.pressure_exponent * self.sensors.u_pressure_kPa / pressure_kPa,
            self.density.temperature_exponent * self.sensors.u_temperature_K / (temperature_degC + KELVIN),
        )
        slope = abs(self.line.slope)
        return Budget(
            (
                Term("noise", slope * per_unit * noise, "independent", "declared or measured"),
                Term("reading of the zero gas", slope * abs(1 - share) * self.zero.u_reading, "slow", "calibration"),
                Term("reading of the span gas", slope * abs(share) * self.span.u_reading, "slow", "calibration"),
                Term("cell pressure and temperature", slope * abs(at) * state, "slow", "declared"),
                Term("zero gas", abs(1 - share) * self.zero.assigned.uncertainty, "common", self.zero.assigned.scale),
                Term("span gas", abs(share) * self.span.assigned.uncertainty, "common", self.span.assigned.scale),
            )
        )


def calibrate(density: Density, zero: Gas, span: Gas, sensors: Sensors | None = None) -> Ndir:
    """The line through two gases. Raises ValueError where they do not differ or their units do."""
    if zero.assigned.unit != span.assigned.unit:
        raise ValueError(f"zero gas in {zero.assigned.unit}, span gas in {span.assigned.unit}")
    if span.reading == zero.reading or span.assigned.value == zero.assigned.value:
        raise ValueError("zero and span do not differ")
    slope = (span.assigned.value - zero.assigned.value) / (span.reading - zero.reading)
    line = TwoPoint(zero.reading - zero.assigned.value / slope, slope)
    return Ndir(density, line, zero, span, sensors or Sensors())
