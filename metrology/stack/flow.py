"""From a differential pressure to the flow of a stack (HJ 212-2017 appendix D, formulas 29 to 32).

The pitot equation and the density of the gas are the textbook forms (ISO 10780:1994, ISO 16911-1:2013); the standard
state of the density is the one of the flow: 273 K, 101325 Pa, 22.4 L/mol.
"""

import math
from collections.abc import Iterable
from typing import Final

from metrology.stack.concentration import absolute_pressure
from metrology.stack.tables import molar_mass_g_mol
from metrology.units import STACK_DRY

SECONDS_PER_HOUR: Final = 3600.0


def stack_molar_mass_g_mol(
    *, co2_percent_dry: float, o2_percent_dry: float, moisture_fraction: float, co_percent_dry: float = 0.0
) -> float:
    """Molar mass of the moist gas, g/mol: CO2, O2, CO as measured dry, the rest nitrogen, and water.

    Raises ValueError where the parts are no parts of a whole.
    """
    rest = 100.0 - co2_percent_dry - o2_percent_dry - co_percent_dry
    if rest < 0.0 or min(co2_percent_dry, o2_percent_dry, co_percent_dry) < 0.0 or not 0.0 <= moisture_fraction < 1.0:
        raise ValueError("composition: parts of the dry gas in percent, moisture as a fraction")
    parts = {"co2": co2_percent_dry, "o2": o2_percent_dry, "co": co_percent_dry, "n2": rest}
    dry = math.fsum(share / 100.0 * molar_mass_g_mol(species) for species, share in parts.items())
    return dry * (1.0 - moisture_fraction) + molar_mass_g_mol("h2o") * moisture_fraction


def standard_density_kg_m3(molar_mass_g_mol: float) -> float:
    """Density at the standard state, M / 22.4, kg/m3. Moist flue gas of coal has about 1.30 to 1.34."""
    return molar_mass_g_mol / STACK_DRY.molar_volume


def stack_density_kg_m3(
    standard_kg_m3: float, temperature_degC: float, barometer_Pa: float, static_pressure_Pa: float
) -> float:
    """Density of the gas as it is in the stack, kg/m3."""
    return standard_kg_m3 * state_factor(temperature_degC, barometer_Pa, static_pressure_Pa)


def pitot_velocity_m_s(differential_pressure_Pa: float, density_kg_m3: float, pitot_coefficient: float) -> float:
    """Velocity at the point of measurement, Kp sqrt(2 Pd / rho), m/s.

    A negative difference (backflow, or noise about zero) gives a negative velocity: its root is not thrown away, so
    that noise of a stopped stack averages to nothing. Raises ValueError where the density is not positive.
    """
    if density_kg_m3 <= 0.0:
        raise ValueError("density must be positive")
    root = math.sqrt(2.0 * abs(differential_pressure_Pa) / density_kg_m3)
    return pitot_coefficient * math.copysign(root, differential_pressure_Pa)


def section_velocity_m_s(point_velocity_m_s: float, velocity_field_coefficient: float) -> float:
    """Mean velocity over the section, Vs = Kv Vp (formula 29)."""
    return velocity_field_coefficient * point_velocity_m_s


def actual_flow_m3_h(area_m2: float, section_velocity_m_s: float) -> float:
    """Flow of the gas as it is, Qsh = 3600 F Vs (formula 30)."""
    return SECONDS_PER_HOUR * area_m2 * section_velocity_m_s


def state_factor(temperature_degC: float, barometer_Pa: float, static_pressure_Pa: float) -> float:
    """What a volume at stack state is at 273 K and 101325 Pa: 273/(273 + ts) (Ba + Ps)/101325."""
    standard = STACK_DRY
    pressure_Pa = absolute_pressure(barometer_Pa, static_pressure_Pa)
    return standard.temperature_K / (standard.temperature_K + temperature_degC) * pressure_Pa / standard.pressure_Pa


def standard_wet_flow_m3_h(
    actual_m3_h: float, temperature_degC: float, barometer_Pa: float, static_pressure_Pa: float
) -> float:
    """Flow at the standard state with its water: formula 31 without its last factor."""
    return actual_m3_h * state_factor(temperature_degC, barometer_Pa, static_pressure_Pa)


def dry_flow_m3_h(standard_wet_m3_h: float, moisture_fraction: float) -> float:
    """Qsn, flow at the standard state without its water, of that with it (formula 31)."""
    return standard_wet_m3_h * (1.0 - moisture_fraction)


def daily_flow_m3(hourly_dry_m3_h: Iterable[float]) -> float:
    """Sum over the valid hours of a day, m3 (formula 32); the caller says beside it how many hours there were."""
    return math.fsum(hourly_dry_m3_h)
