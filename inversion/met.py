"""Wind for the plume: means of directions, Yamartino's sigma_theta, and one table of winds per run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inversion.data import MetRow, Settings

KARMAN: Final = 0.4
FALLBACK_SIGMA_THETA_DEG: Final = 12.0  # neutral, open country (class C to D at 10 m)
_DEFAULT_TEMPERATURE_K: Final = 288.15
_DEFAULT_PRESSURE_PA: Final = 101325.0


def mean_direction(directions: Sequence[float]) -> float:
    """Vector mean of directions in degrees, 0 to 360."""
    angles = np.radians(np.asarray(directions, dtype=float))
    return float(np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())) % 360.0)


def yamartino(directions: Sequence[float]) -> float:
    """Standard deviation of directions in degrees (Yamartino 1984, single pass)."""
    angles = np.radians(np.asarray(directions, dtype=float))
    resultant = float(np.sin(angles).mean()) ** 2 + float(np.cos(angles).mean()) ** 2
    e = math.sqrt(max(0.0, 1.0 - resultant))
    return math.degrees(math.asin(min(e, 1.0)) * (1.0 + (2.0 / math.sqrt(3.0) - 1.0) * e**3))


@dataclass(frozen=True)
class Winds:
    """Winds in time order, arrays of one length. Speed at `height_m`; angles in radians.

    `start` and `period_s` in unix seconds. `density` is that of the gas at the air's pressure and temperature, kg/m3.
    """

    start: NDArray[np.float64]
    period_s: NDArray[np.float64]
    speed: NDArray[np.float64]
    direction_from: NDArray[np.float64]
    sigma_theta: NDArray[np.float64]
    density: NDArray[np.float64]
    height_m: float
    scheme: str

    def select(self, keep: NDArray[np.bool_]) -> "Winds":
        """The winds where `keep` is true."""
        return replace(
            self,
            start=self.start[keep],
            period_s=self.period_s[keep],
            speed=self.speed[keep],
            direction_from=self.direction_from[keep],
            sigma_theta=self.sigma_theta[keep],
            density=self.density[keep],
        )


def winds_of(rows: Sequence[MetRow], settings: Settings, molar_mass: float, gas_constant: float) -> Winds:
    """The usable rows as arrays; calm ones (plume invalid) are left out. `molar_mass` in kg/mol.

    Raises ValueError where no row is usable or masts of several heights are mixed.
    """
    kept = sorted((row for row in rows if row.speed >= settings.lowest_speed), key=lambda row: row.start)
    if not kept:
        raise ValueError("no usable wind")
    heights = {row.height_m for row in kept}
    if len(heights) > 1:
        raise ValueError(f"winds of several heights: {sorted(heights)}")
    sigma, scheme = _sigma_theta(kept)
    temperature = _filled([row.temperature_K for row in kept], _DEFAULT_TEMPERATURE_K)
    pressure = _filled([row.pressure_Pa for row in kept], _DEFAULT_PRESSURE_PA)
    return Winds(
        start=np.array([row.start.timestamp() for row in kept]),
        period_s=np.array([row.period_s for row in kept], dtype=float),
        speed=np.array([row.speed for row in kept], dtype=float),
        direction_from=np.radians(np.array([row.direction_from for row in kept], dtype=float)),
        sigma_theta=sigma,
        density=pressure * molar_mass / (gas_constant * temperature),
        height_m=heights.pop(),
        scheme=scheme,
    )


def _sigma_theta(rows: Sequence[MetRow]) -> tuple[NDArray[np.float64], str]:
    """Measured sigma_theta, gaps filled with the run's root mean square, or with the fall-back, in radians."""
    given = [row.sigma_theta for row in rows if row.sigma_theta is not None and row.sigma_theta > 0]
    if not given:
        return np.full(len(rows), math.radians(FALLBACK_SIGMA_THETA_DEG)), "fall-back sigma_theta"
    usual = math.sqrt(sum(value**2 for value in given) / len(given))
    filled = [usual if row.sigma_theta is None else max(row.sigma_theta, 0.25 * usual) for row in rows]
    return np.radians(np.array(filled)), "measured sigma_theta"


def _filled(values: Sequence[float | None], default: float) -> NDArray[np.float64]:
    """Missing values replaced by the mean of the others, all by the default where none is known."""
    known = [value for value in values if value is not None]
    usual = sum(known) / len(known) if known else default
    return np.array([usual if value is None else value for value in values], dtype=float)
