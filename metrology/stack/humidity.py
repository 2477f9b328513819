"""Moisture of stack gas as a volume fraction, by the ways it is measured."""

import math
from typing import Final

# Wagner and Pruss, J. Phys. Chem. Ref. Data 22, 783 (1993), the saturation pressure equation IAPWS took over
# (release SR1-86(1992)); valid from the triple to the critical point.
CRITICAL_K: Final = 647.096
CRITICAL_Pa: Final = 22.064e6
WAGNER: Final = (
    (-7.85951783, 1.0),
    (1.84408259, 1.5),
    (-11.7866497, 3.0),
    (22.6807411, 3.5),
    (-15.9618719, 4.0),
    (1.80122502, 7.5),
)
ZERO_degC_K: Final = 273.15
# Coefficient of the psychrometer, 1/degC, as GB/T 16157-1996 has it for stack gas (unverified).
PSYCHROMETER_PER_degC: Final = 0.00067


def from_oxygen(o2_percent_wet: float, o2_percent_dry: float) -> float:
    """Moisture fraction from the same oxygen read wet and dry, 1 - O2wet / O2dry (from HJ 212-2017 formula 19).

    Raises ValueError where no moisture explains the two readings: dry oxygen not positive, or less than the wet.
    """
    if not 0.0 <= o2_percent_wet <= o2_percent_dry or o2_percent_dry == 0.0:
        raise ValueError("wet oxygen must lie between 0 and the dry oxygen")
    return 1.0 - o2_percent_wet / o2_percent_dry


def saturation_pressure(temperature_degC: float) -> float:
    """Saturation pressure over water, Pa; 0 to 373 degC, else ValueError. IAPWS (Wagner and Pruss 1993)."""
    if not 0.0 <= temperature_degC <= 373.0:
        raise ValueError("saturation pressure is known from 0 to 373 degC")
    temperature_K = temperature_degC + ZERO_degC_K
    tau = 1.0 - temperature_K / CRITICAL_K
    series = math.fsum(factor * tau**power for factor, power in WAGNER)
    return CRITICAL_Pa * math.exp(CRITICAL_K / temperature_K * series)


def from_relative_humidity(
    relative_humidity_percent: float, temperature_degC: float, absolute_pressure_Pa: float
) -> float:
    """Moisture fraction from a capacitive sensor: relative humidity at the sensor's own temperature and pressure."""
    fraction = relative_humidity_percent / 100.0 * saturation_pressure(temperature_degC) / absolute_pressure_Pa
    return _checked(fraction)


def from_dew_point(dew_point_degC: float, absolute_pressure_Pa: float) -> float:
    """Moisture fraction from a dew point at the pressure it was read at."""
    return _checked(saturation_pressure(dew_point_degC) / absolute_pressure_Pa)


def from_psychrometer(
    dry_bulb_degC: float,
    wet_bulb_degC: float,
    wet_bulb_pressure_Pa: float,
    stack_pressure_Pa: float,
    coefficient_per_degC: float = PSYCHROMETER_PER_degC,
) -> float:
    """Moisture fraction from dry and wet bulb, (pw - K (tc - tb) P at the wet bulb) / P in the stack.

    Pressures are absolute, Pa. Form of GB/T 16157-1996 section 5.2.3 (unverified).
    """
    if wet_bulb_degC > dry_bulb_degC:
        raise ValueError("a wet bulb is not warmer than the dry one")
    cooling = coefficient_per_degC * (dry_bulb_degC - wet_bulb_degC) * wet_bulb_pressure_Pa
    return _checked((saturation_pressure(wet_bulb_degC) - cooling) / stack_pressure_Pa)


def _checked(fraction: float) -> float:
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"moisture fraction {fraction:.3f} is outside 0 to 1")
    return fraction
