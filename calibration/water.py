"""Water correction of cavity ring-down analyzers: wet mole fraction to dry.

`h` is the analyzer's column `h2o_reported`, in percent; the column `H2O` is another quantity (see
`h2o_column`). Source: Rella et al. 2013, Atmos. Meas. Tech. 6, 837-860, the quadratic for the G2300 and G2400 families.
"""

from typing import Final

CO2: Final = (-0.01200, -2.674e-4)
CH4: Final = (-0.00982, -2.393e-4)


def _dry(wet: float, h: float, coefficients: tuple[float, float]) -> float:
    linear, quadratic = coefficients
    return wet / (1.0 + linear * h + quadratic * h * h)


def dry_co2(wet: float, h: float) -> float:
    """Dry CO2 in the unit of `wet`."""
    return _dry(wet, h, CO2)


def dry_ch4(wet: float, h: float) -> float:
    """Dry CH4 in the unit of `wet`."""
    return _dry(wet, h, CH4)


def h2o_column(h: float) -> float:
    """What the analyzer shows as `H2O`, in percent, for a given `h2o_reported` (fitted to an instrument's own log)."""
    return 0.772 * h + 0.01949 * h * h


def dilution(wet: float, water: float) -> float:
    """Dry from wet by dilution alone; `water` in mol/mol, below 1 (exact). Raises ValueError outside 0 to 1."""
    if not 0.0 <= water < 1.0:
        raise ValueError(f"water {water} is outside 0 to 1: it is mol/mol, not percent")
    return wet / (1.0 - water)
