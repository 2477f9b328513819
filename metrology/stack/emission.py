"""Emission rates and amounts (HJ 212-2017 appendix D, formulas 33 and 34; 40 CFR 75 appendix F, equation F-11)."""

import math
from collections.abc import Iterable
from typing import Final

from metrology.stack.concentration import percent_to_mg_m3

MG_PER_KG: Final = 1e6
KG_PER_T: Final = 1e3
# Equation F-11: short tons of CO2 in a standard cubic foot (68 degF) for each percent.
F11_SHORT_TON_PER_SCF_PERCENT: Final = 5.7e-7
KG_PER_SHORT_TON: Final = 907.18474
M3_PER_FT3: Final = 0.3048**3


def rate_kg_h(concentration_mg_m3: float, flow_m3_h: float) -> float:
    """Emission rate C Q 1e-6, kg/h (formula 33).

    Both at the standard state and on one basis: dry with dry, wet with wet. The measured concentration, never the one
    at reference oxygen.
    """
    return concentration_mg_m3 * flow_m3_h / MG_PER_KG


def co2_t_h(co2_percent: float, flow_m3_h: float) -> float:
    """CO2, t/h, from its volume percentage and the flow at the standard state on the same basis.

    A dry analyzer with the dry flow and an in-situ one with the wet flow give the same where the moisture is the same.
    """
    return rate_kg_h(percent_to_mg_m3(co2_percent, "co2"), flow_m3_h) / KG_PER_T


def amount_kg(mean_rate_kg_h: float, seconds: float) -> float:
    """Amount of a period from its mean rate, kg: rate times time."""
    return mean_rate_kg_h * seconds / 3600.0


def daily_kg(hourly_kg: Iterable[float]) -> float:
    """Sum of the valid hours, kg (formula 34 without the second 1e-6 of the printed page, which cannot be right)."""
    return math.fsum(hourly_kg)


def f11_short_ton_h(co2_percent_wet: float, wet_flow_scf_h: float) -> float:
    """CO2 by equation F-11 of 40 CFR 75 appendix F, short tons an hour; the factor is recalled (unverified).

    44.01 lb/lb-mol over 385.3 scf/lb-mol gives 5.711e-7: the printed factor is 0.2 % low.
    """
    return F11_SHORT_TON_PER_SCF_PERCENT * co2_percent_wet * wet_flow_scf_h
