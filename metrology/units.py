"""Unit conversions. A conversion between amount and mass needs a stated state; without one it is an error.

Constants: HJ 212-2017 appendix D (273 K, 101325 Pa, 22.4 L/mol) for stack gas; GB 3095 ambient state (298.15 K,
1013.25 hPa) for ambient gases. 8.31446261815324 J/(mol K) is the SI gas constant.
"""

from dataclasses import dataclass
from typing import Final

GAS_CONSTANT: Final = 8.31446261815324


class UnitError(ValueError):
    """A conversion that does not exist or lacks a state."""


@dataclass(frozen=True, slots=True)
class State:
    """Temperature and pressure a concentration refers to; `dry` where water is left out. `molar_volume` in L/mol."""

    name: str
    temperature_K: float
    pressure_Pa: float
    dry: bool
    molar_volume: float


STACK_DRY: Final = State("stack-dry", 273.0, 101325.0, True, 22.4)
AMBIENT: Final = State("ambient-298K", 298.15, 101325.0, False, GAS_CONSTANT * 298.15 / 101325.0 * 1000.0)
STATES: Final = {state.name: state for state in (STACK_DRY, AMBIENT)}

_FACTORS: Final = {
    ("Pa", "kPa"): 1e-3,
    ("hPa", "kPa"): 1e-1,
    ("hPa", "Pa"): 1e2,
    ("umol/mol", "nmol/mol"): 1e3,
    ("umol/mol", "%"): 1e-4,
    ("mg/m3", "ug/m3"): 1e3,
    ("kg/h", "g/s"): 1 / 3.6,
    ("kg/h", "t/h"): 1e-3,
    ("m3/s", "m3/h"): 3600.0,
    ("L/min", "mL/min"): 1e3,
    ("psi", "kPa"): 6.894757293168361,  # 0.45359237 kg x 9.80665 m/s2 on a square inch
    ("bar", "kPa"): 1e2,
    ("MPa", "kPa"): 1e3,
    ("%", "mmol/mol"): 1e1,
    ("m/s", "km/h"): 3.6,
    ("m/s", "knot"): 3600 / 1852,
    ("m/s", "mph"): 1 / 0.44704,
    ("m/s", "ft/min"): 60 / 0.3048,
}

# What a rate adds up to: the unit of an amount, hours times the rate.
AMOUNTS: Final = {"kg/h": "kg", "m3/h": "m3"}

# How people write the units that records spell in plain signs.
SHOWN: Final = {
    "umol/mol": "ppm",
    "nmol/mol": "ppb",
    "mg/m3": "mg/m³",
    "ug/m3": "µg/m³",
    "ng/m3": "ng/m³",
    "m3/h": "m³/h",
    "m3/s": "m³/s",
    "m3": "m³",
    "degC": "°C",
    "deg": "°",
}


def convert(
    value: float, source: str, target: str, *, molar_mass: float | None = None, state: State | None = None
) -> float:
    """Convert a value between units.

    Mole fraction to mass concentration is C = x M / Vm (HJ 212-2017 formula 20 for stack gas) and needs `molar_mass`
    (g/mol) and `state`. Raises `UnitError` where no conversion is known or the state is missing.
    """
    if source == target:
        return value
    if (source, target) in _FACTORS:
        return value * _FACTORS[source, target]
    if (target, source) in _FACTORS:
        return value / _FACTORS[target, source]
    mole = {"umol/mol": 1.0, "nmol/mol": 1e-3, "%": 1e4}
    mass = {"mg/m3": 1.0, "ug/m3": 1e3}
    if {source, target} & mole.keys() and {source, target} & mass.keys():
        if molar_mass is None or state is None:
            raise UnitError(f"{source} to {target} needs a molar mass and a stated state (temperature, pressure)")
        if source in mole:
            return value * mole[source] * molar_mass / state.molar_volume * mass[target]
        return value / mass[source] * state.molar_volume / molar_mass / mole[target]
    raise UnitError(f"no conversion from {source} to {target}")


def wet_to_dry(value: float, water_fraction: float) -> float:
    """Convert wet to dry basis, C / (1 - Xsw); `water_fraction` is a volume fraction (HJ 212-2017 formula 19)."""
    if not 0.0 <= water_fraction < 1.0:
        raise UnitError(f"water fraction {water_fraction} is outside 0 to 1: it is a fraction, not a percentage")
    return value / (1.0 - water_fraction)


def to_standard_state(value: float, temperature_degC: float, pressure_Pa: float) -> float:
    """Actual to standard state of stack gas, C (101325 / P) ((273 + t) / 273) (HJ 212-2017 formula 18)."""
    return value * 101325.0 / pressure_Pa * (273.0 + temperature_degC) / 273.0
