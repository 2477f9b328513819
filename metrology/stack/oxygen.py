"""Concentrations at reference oxygen, the `Zs` values (HJ 212-2017 appendix D, formulas 26 to 28).

Near the oxygen of air the denominator vanishes and the conversion multiplies noise without bound. The oxygen is
therefore held at a limit, and the result says so: such a value is no good one. 20.9 % is what public data loggers use
(unverified as a rule); a site may set a lower one.
"""

from dataclasses import dataclass
from typing import Final

AIR_PERCENT: Final = 21.0
GUARD_PERCENT: Final = 20.9


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted value in the unit of what was given; `guarded` where the oxygen was held at the limit."""

    value: float
    guarded: bool


def excess_air(o2_percent_dry: float) -> float:
    """Excess-air factor a = 21 / (21 - O2) (formula 27). Raises ValueError at 21 % and above."""
    if o2_percent_dry >= AIR_PERCENT:
        raise ValueError("no excess-air factor at the oxygen of air")
    return AIR_PERCENT / (AIR_PERCENT - o2_percent_dry)


def at_reference_oxygen(
    dry: float, o2_percent_dry: float, reference_percent: float, guard_percent: float = GUARD_PERCENT
) -> Converted:
    """A dry concentration at reference oxygen, C (21 - O2s) / (21 - O2) (formula 28). Raises ValueError for a limit
    that is no oxygen content below 21 %.
    """
    held = _held(o2_percent_dry, guard_percent)
    return Converted(dry * (AIR_PERCENT - reference_percent) / (AIR_PERCENT - held), held != o2_percent_dry)


def at_reference_excess_air(
    dry: float, o2_percent_dry: float, reference_factor: float, guard_percent: float = GUARD_PERCENT
) -> Converted:
    """A dry concentration at a reference excess-air factor, C a / as (formula 26)."""
    held = _held(o2_percent_dry, guard_percent)
    return Converted(dry * excess_air(held) / reference_factor, held != o2_percent_dry)


def _held(o2_percent: float, guard_percent: float) -> float:
    if not 0.0 <= guard_percent < AIR_PERCENT:
        raise ValueError("the limit of the oxygen lies between 0 and 21 %")
    return min(o2_percent, guard_percent)
