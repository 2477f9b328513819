"""Concentrations of stack gas: state, basis, volume and mass (HJ 212-2017 appendix D, formulas 18 to 22)."""

from metrology.stack.tables import molar_mass_g_mol
from metrology.units import STACK_DRY, convert, to_standard_state


def absolute_pressure(barometer_Pa: float, static_pressure_Pa: float) -> float:
    """Ba + Ps, Pa; the static pressure of a stack is a gauge pressure and mostly negative."""
    return barometer_Pa + static_pressure_Pa


def standard_state_mg_m3(
    actual_mg_m3: float, temperature_degC: float, barometer_Pa: float, static_pressure_Pa: float
) -> float:
    """Concentration at 273 K, 101325 Pa of one at stack state, on the same wet or dry basis (formula 18)."""
    return to_standard_state(actual_mg_m3, temperature_degC, absolute_pressure(barometer_Pa, static_pressure_Pa))


def wet(dry: float, moisture_fraction: float) -> float:
    """A dry concentration or oxygen content on wet basis, in its own unit: the inverse of formula 19."""
    return dry * (1.0 - moisture_fraction)


def mass_mg_m3(volume_ppm: float, species: str) -> float:
    """Mass concentration at the standard state of a volume fraction in ppm, C = Cv M / 22.4 (formula 20)."""
    return convert(volume_ppm, "umol/mol", "mg/m3", molar_mass=molar_mass_g_mol(species), state=STACK_DRY)


def nox_from_mass_mg_m3(no_mg_m3: float, no2_mg_m3: float) -> float:
    """NOx counted as NO2, mg/m3, from NO and NO2 in mg/m3 (formula 21)."""
    return no_mg_m3 * molar_mass_g_mol("no2") / molar_mass_g_mol("no") + no2_mg_m3


def nox_from_volume_mg_m3(no_ppm: float, no2_ppm: float) -> float:
    """NOx counted as NO2, mg/m3, from NO and NO2 in ppm (formula 22)."""
    return mass_mg_m3(no_ppm + no2_ppm, "no2")


def percent_to_mg_m3(volume_percent: float, species: str) -> float:
    """Mass concentration at the standard state of a volume percentage (formula 20; 1 % of CO2 is 19647 mg/m3)."""
    return mass_mg_m3(volume_percent * 1e4, species)
