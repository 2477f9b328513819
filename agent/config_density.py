"""How indications of an analyzer are brought to one density of the gas in its cell, as a station declares it."""

from pydantic import Field

from calibration.density import AtDensity
from calibration.ndir import Density as Stated
from host.hjson import Strict


class Density(Strict):
    """Measurands of the same scan, the exponents of this analyzer (never guessed), and the state that is stated."""

    measurands: list[str] = Field(min_length=1)
    pressure: str
    temperature: str
    pressure_exponent: float = Field(ge=-3, le=3)
    temperature_exponent: float = Field(ge=-3, le=3)
    pressure_kPa: float = Field(default=101.325, gt=0, le=1000)
    temperature_degC: float = Field(default=25.0, gt=-100, le=500)

    def of(self, measurand: str) -> AtDensity | None:
        """What brings a measurand; None where it is taken as it comes."""
        if measurand not in self.measurands:
            return None
        stated = Stated(self.pressure_exponent, self.temperature_exponent, self.pressure_kPa, self.temperature_degC)
        return AtDensity(self.pressure, self.temperature, stated)
