"""How one series travels: pollutant code, unit, decimals and the state its concentration refers to."""

import math
from dataclasses import dataclass

from metrology.measurand import catalogue
from metrology.units import STATES, State, UnitError, convert


@dataclass(frozen=True, slots=True)
class Factor:
    """One row of a platform's profile; the unit on the wire is stated, never guessed from the code.

    `converted` names the series at reference oxygen, whose values go as ZsRtd, ZsMin, ZsAvg and ZsMax; `emission` that
    of the rate (kg/h), whose amount goes as Cou.
    """

    code: str
    series: str
    unit: str
    decimals: int
    state: State | None
    molar_mass: float | None
    converted: str | None = None
    emission: str | None = None

    def render(self, value: float, unit: str) -> str:
        """Decimal text of a value given in `unit`; this is the only place where a value is rounded.

        Raises UnitError where the conversion does not exist or needs a state that was not stated.
        """
        return decimal(convert(value, unit, self.unit, molar_mass=self.molar_mass, state=self.state), self.decimals)


def decimal(value: float, decimals: int) -> str:
    """Value rounded to `decimals`, half to even as GB/T 8170 wants; no exponent, no negative zero."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no decimal form")
    return f"{value:z.{decimals}f}"


def factor(
    code: str,
    series: str,
    *,
    unit: str | None = None,
    decimals: int | None = None,
    state: str | None = None,
    converted: str | None = None,
    emission: str | None = None,
) -> Factor:
    """Factor for a series `instrument.measurand`; what is None comes from the measurand catalogue.

    The code is the platform's own: another standard's, of 2005, or one agreed on where HJ 212 has none (N2O).
    Raises KeyError for a measurand or state that is not known, UnitError where the catalogue's unit of the measurand
    cannot become the unit on the wire.
    """
    measurand = catalogue()[series.rpartition(".")[2]]
    made = Factor(
        code=code,
        series=series,
        unit=unit or measurand.hj212_unit,
        decimals=measurand.decimals if decimals is None else decimals,
        state=STATES[state] if state else None,
        molar_mass=measurand.molar_mass,
        converted=converted,
        emission=emission,
    )
    try:
        made.render(1.0, measurand.unit)
    except UnitError as error:
        raise UnitError(f"factor {code} ({series}): {error}") from error
    return made
