"""Indications brought to one stated density by the pressure and temperature of the cell, told in the same scan."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from calibration.ndir import Density
from metrology.quality import Cause
from metrology.reading import Reading
from metrology.units import UnitError, convert

# Causes that say that a number is no measurement of the cell.
UNTOLD: Final = frozenset(
    {Cause.COMMUNICATION, Cause.FAULT, Cause.STALE, Cause.OUT_OF_RANGE, Cause.SUBSTITUTED, Cause.INCOMPLETE}
)


@dataclass(frozen=True, slots=True)
class AtDensity:
    """`pressure` and `temperature` are measurands of the instrument; `density` says how, and to what (`Density`)."""

    pressure: str
    temperature: str
    density: Density

    def bring(self, indication: float, scan: Iterable[Reading]) -> float | None:
        """The indication at the stated density; None where the scan does not tell pressure and temperature.

        Marks of the whole instrument (a calibration, maintenance) leave them told.
        """
        around = {one.measurand: one for one in scan if one.value is not None and not one.quality.causes & UNTOLD}
        pressure = _in(around.get(self.pressure), "kPa")
        temperature = _in(around.get(self.temperature), "degC")
        if pressure is None or temperature is None:
            return None
        try:
            return self.density.bring(indication, pressure, temperature)
        except (ValueError, OverflowError):
            return None

    def fields(self) -> dict[str, Any]:
        """For a record."""
        return {"pressure": self.pressure, "temperature": self.temperature, **asdict(self.density)}


def at_density_of(fields: Mapping[str, Any] | None) -> AtDensity | None:
    """Inverse of `AtDensity.fields`; None of none."""
    if fields is None:
        return None
    inner = {key: value for key, value in fields.items() if key not in ("pressure", "temperature")}
    return AtDensity(fields["pressure"], fields["temperature"], Density(**inner))


def _in(reading: Reading | None, unit: str) -> float | None:
    if reading is None or reading.value is None:
        return None
    try:
        return convert(reading.value, reading.unit, unit)
    except UnitError:
        return None
