"""The steady Gaussian plume over flat ground with measured turbulence. Kernels in s/m3, dispersion lengths in m."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from inversion.met import KARMAN, Winds

Array = NDArray[np.float64]

NEAREST_M: Final = 1.0  # below it the kernel is 0: the plume does not describe the source itself
SOURCE_HALF_WIDTH_M: Final = 1.0
_LEAST_SIGMA_M: Final = 0.2
_DRAXLER_A: Final = 0.9
_DRAXLER_TI_S: Final = 300.0  # horizontal, source near the ground
_WIDEST: Final = 5.0  # of the crosswind spread: beyond it no plume reaches
_TABLE_M: Final = np.geomspace(NEAREST_M, 20000.0, 400)


def wind_shape(height_m: Array, roughness_m: float, length_m: float | None) -> Array:
    """kappa U / u* of the surface layer (Monin-Obukhov similarity); `length_m` None is neutral."""
    usable = np.maximum(height_m, max(0.5, 5 * roughness_m))
    shape: Array = np.log(usable / roughness_m)
    if length_m is not None:
        shape = shape - _stability(usable, length_m) + _stability(np.array([roughness_m]), length_m)
    return shape


def _stability(z: Array, length_m: float) -> Array:
    """Integrated correction psi(z/L): Businger-Dyer where unstable, van Ulden and Holtslag (1985) where stable."""
    zeta = z / length_m
    if length_m > 0:
        stable: Array = -17.0 * (1 - np.exp(-0.29 * zeta))
        return stable
    x = (1 - 16 * zeta) ** 0.25
    psi: Array = 2 * np.log((1 + x) / 2) + np.log((1 + x**2) / 2) - 2 * np.arctan(x) + math.pi / 2
    return psi


def sigma_z_similarity(x: Array, roughness_m: float, length_m: float | None) -> Array:
    """Vertical spread sqrt(2/pi) (u* x / U) times a stability factor (Venkatram 1992), U taken at 0.6 sigma_z.

    U is proportional to u*, which therefore cancels: distance, roughness and Obukhov length decide.
    """
    sigma = np.full_like(x, 2.0)
    growth = math.sqrt(2 / math.pi) * KARMAN * x * _convection(x, length_m)
    for _ in range(30):
        sigma = np.maximum(0.5 * sigma + 0.5 * growth / wind_shape(0.6 * sigma, roughness_m, length_m), _LEAST_SIGMA_M)
    return sigma


def _convection(x: Array, length_m: float | None) -> Array:
    """How stability changes the neutral growth of sigma_z."""
    if length_m is None:
        return np.ones_like(x)
    changed: Array = (1 + 0.7 * x / length_m) ** (-1 / 3) if length_m > 0 else np.sqrt(1 + 0.006 * (x / length_m) ** 2)
    return changed


def sigma_y_draxler(x: Array, speed: Array, sigma_theta: Array) -> Array:
    """Crosswind spread sigma_theta x f, f = 1 / (1 + 0.9 sqrt(T / 300 s)), T = x / u (Draxler 1976, near ground)."""
    spread: Array = sigma_theta * x / (1 + _DRAXLER_A * np.sqrt(x / (speed * _DRAXLER_TI_S)))
    return spread


def mean_height(sigma_z: Array, height_m: float) -> Array:
    """Mean height of a plume that the ground reflects: there its speed is taken."""
    folded: Array = sigma_z * math.sqrt(2 / math.pi) * np.exp(-0.5 * (height_m / sigma_z) ** 2) + height_m * erf(
        height_m / (math.sqrt(2) * sigma_z)
    )
    return folded


@dataclass(frozen=True)
class Operator:
    """Mole fraction per rate, umol/mol per kg/h, for receptors (n, 3) under a table of winds.

    The kernel is Q / (2 pi u sy sz) exp(-y2/2sy2) [exp(-(z-h)2/2sz2) + exp(-(z+h)2/2sz2)], u at the plume's mean
    height. Sigma-z depends on distance alone, so that the vertical part is one table over distance.
    """

    winds: Winds
    receptors: Array
    roughness_m: float
    obukhov_length_m: float | None = None

    @cached_property
    def sigma_z(self) -> Array:
        """Sigma-z at the distances of the table."""
        return sigma_z_similarity(_TABLE_M, self.roughness_m, self.obukhov_length_m)

    def response(
        self, x: float, y: float, height_m: float, factor_y: float, factor_z: float, turn: float = 0.0
    ) -> tuple[Array, Array]:
        """What 1 kg/h at a point gives at each receptor under each wind, and its change per radian of direction.

        Both of shape (winds, receptors). The second is that of the crosswind term, which alone matters in a plume.
        `turn` (radians) is added to all directions the wind comes from.
        """
        winds = self.winds
        east, north = self.receptors[:, 0] - x, self.receptors[:, 1] - y
        toward = (1.5 * math.pi - winds.direction_from - turn)[:, None]
        cos, sin = np.cos(toward), np.sin(toward)
        along, across = cos * east + sin * north, cos * north - sin * east
        # Few of all pairs lie in a plume: the rest is never computed.
        widest = _WIDEST * factor_y * winds.sigma_theta[:, None] * along + _WIDEST * SOURCE_HALF_WIDTH_M
        row, column = np.nonzero((along > NEAREST_M) & (np.abs(across) < widest))
        down, speed = along[row, column], winds.speed[row]
        spread = factor_y * sigma_y_draxler(down, speed, winds.sigma_theta[row]) + SOURCE_HALF_WIDTH_M
        crosswind = np.exp(-0.5 * (across[row, column] / spread) ** 2) / (math.sqrt(2 * math.pi) * speed * spread)
        response, turned = np.zeros(along.shape), np.zeros(along.shape)
        vertical = self._vertical(down, column, height_m, factor_z)
        inside = crosswind * vertical * (1e6 / 3600.0) / winds.density[row]
        response[row, column] = inside
        turned[row, column] = -inside * across[row, column] * down / spread**2
        return response, turned

    def _speed_ratio(self, height_m: Array) -> Array:
        """Speed at heights over the speed at the mast's height."""
        mast = np.array([self.winds.height_m])
        ratio: Array = wind_shape(height_m, self.roughness_m, self.obukhov_length_m) / wind_shape(
            mast, self.roughness_m, self.obukhov_length_m
        )
        return ratio

    @cached_property
    def _levels(self) -> tuple[Array, NDArray[np.intp]]:
        """The distinct receptor heights and which of them each receptor has."""
        heights, which = np.unique(self.receptors[:, 2], return_inverse=True)
        return heights, which

    def _vertical(self, down: Array, column: NDArray[np.intp], height_m: float, factor_z: float) -> Array:
        """Vertical term over the speed ratio at the plume's height, from one table for each receptor height."""
        sigma = factor_z * self.sigma_z + _LEAST_SIGMA_M
        ratio = self._speed_ratio(mean_height(sigma, height_m))
        heights, which = self._levels
        out = np.empty_like(down)
        for number, z in enumerate(heights):
            image = np.exp(-0.5 * ((z - height_m) / sigma) ** 2) + np.exp(-0.5 * ((z + height_m) / sigma) ** 2)
            chosen = which[column] == number
            out[chosen] = np.interp(down[chosen], _TABLE_M, image / (math.sqrt(2 * math.pi) * sigma * ratio))
        return out
