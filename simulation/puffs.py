"""Gas leaves a source as a train of Gaussian puffs, each carried by an eddy of its own.

Growth follows Taylor's picture: the large eddies move the whole puff (an Ornstein-Uhlenbeck velocity per puff with a
Lagrangian time scale), the small ones widen it (Draxler's interpolation, Atmos. Environ. 10, 1976, with the world's
sigma_v and sigma_w).
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from simulation.layout import Leak
from simulation.wind import STEP_S, Wind

_LAGRANGIAN_S: Final = 80.0
_RELEASE_MEMORY_S: Final = 12.0
_CARRYING_SHARE: Final = 0.75  # of the variance of v: eddies that move a puff; the rest widens it
_HORIZONTAL_S: Final = 300.0  # Draxler's time scales
_VERTICAL_S: Final = 60.0
_OUT_OF_DOMAIN_M: Final = 900.0
_MOST_PUFFS: Final = 4000
_X, _Y, _HEIGHT, _AGE, _SIGMA_H, _SIGMA_Z, _U, _V, _MASS, _TRAIN_H = range(10)


class Puffs:
    """All puffs of one gas. Bounded: puffs that left the field, and beyond `_MOST_PUFFS` the oldest, are dropped."""

    def __init__(self, seed: int, leaks: tuple[Leak, ...]) -> None:
        self._rng = np.random.default_rng([seed, 4, len(leaks)])
        self._leaks = leaks
        self._release = self._rng.standard_normal((len(leaks), 2))
        self._rows: NDArray[np.float64] = np.zeros((10, 0))

    def step(self, wind: Wind) -> None:
        """Release, carry and widen for `STEP_S`."""
        if not self._leaks:
            return
        self._emit(wind)
        self._carry(wind)
        self._widen(wind)
        near = np.maximum(abs(self._rows[_X]), abs(self._rows[_Y])) < _OUT_OF_DOMAIN_M
        self._rows = self._rows[:, near][:, -_MOST_PUFFS:]

    def _emit(self, wind: Wind) -> None:
        """One puff per leak. Neighbours in time share an eddy, as they do at a fixed point."""
        decay = math.exp(-STEP_S / _RELEASE_MEMORY_S)
        kick = self._rng.standard_normal(self._release.shape)
        self._release = decay * self._release + math.sqrt(1 - decay**2) * kick
        fresh = np.zeros((10, len(self._leaks)))
        for number, leak in enumerate(self._leaks):
            place = leak.position
            fresh[[_X, _Y, _HEIGHT, _MASS], number] = place.x, place.y, place.height_m, leak.rate_kg_h / 3600 * STEP_S
            # Half the length one step releases, so that the train is continuous from the start.
            fresh[_TRAIN_H, number] = 0.3 * STEP_S * wind.mean()[0] * wind.profile(place.height_m)
        fresh[[_U, _V]] = self._release.T
        self._rows = np.concatenate([self._rows, fresh], axis=1)

    def _carry(self, wind: Wind) -> None:
        """Move with the field's wind at the puff's mean height, plus the puff's own eddy."""
        rows = self._rows
        speed, direction = wind.mean()
        scale = wind.turbulence()
        height = np.maximum(_mean_height(rows[_HEIGHT], rows[_SIGMA_Z]), 10 * scale.roughness_m)
        carried = speed * np.log(height / scale.roughness_m) / math.log(10.0 / scale.roughness_m)
        eddy = math.sqrt(_CARRYING_SHARE) * scale.sigma_v
        along, across = carried + eddy * rows[_U], eddy * rows[_V]
        toward = math.radians(270.0 - direction)
        rows[_X] += STEP_S * (along * math.cos(toward) - across * math.sin(toward))
        rows[_Y] += STEP_S * (along * math.sin(toward) + across * math.cos(toward))
        decay = math.exp(-STEP_S / _LAGRANGIAN_S)
        kick = self._rng.standard_normal((2, rows.shape[1]))
        rows[[_U, _V]] = decay * rows[[_U, _V]] + math.sqrt(1 - decay**2) * kick

    def _widen(self, wind: Wind) -> None:
        """Grow each sigma by the slope of Draxler's curve at the puff's age, under the turbulence of this moment."""
        rows = self._rows
        scale = wind.turbulence()
        rows[_AGE] += STEP_S
        inner = math.sqrt(1 - _CARRYING_SHARE) * scale.sigma_v
        rows[_SIGMA_H] += inner * _draxler_increment(rows[_AGE], _HORIZONTAL_S)
        rows[_SIGMA_Z] += scale.sigma_w * _draxler_increment(rows[_AGE], _VERTICAL_S)

    def density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """kg/m3 at points of shape (n, 3): x, y, height in metres; the ground reflects."""
        rows = self._rows
        if rows.shape[1] == 0:
            return np.zeros(len(points))
        spread = rows[_SIGMA_H] ** 2 + rows[_TRAIN_H] ** 2
        apart = (points[:, 0, None] - rows[_X]) ** 2 + (points[:, 1, None] - rows[_Y]) ** 2
        below, above = points[:, 2, None] - rows[_HEIGHT], points[:, 2, None] + rows[_HEIGHT]
        twice = 2 * rows[_SIGMA_Z] ** 2
        vertical = np.exp(-(below**2) / twice) + np.exp(-(above**2) / twice)
        strength = rows[_MASS] / ((2 * math.pi) ** 1.5 * spread * rows[_SIGMA_Z])
        total: NDArray[np.float64] = (strength * np.exp(-apart / (2 * spread)) * vertical).sum(axis=1)
        return total


def _draxler_increment(age: NDArray[np.float64], scale_s: float) -> NDArray[np.float64]:
    """Growth of t / (1 + 0.9 sqrt(t / scale)) over the last step, in seconds."""
    return _draxler(age, scale_s) - _draxler(age - STEP_S, scale_s)


def _draxler(age: NDArray[np.float64], scale_s: float) -> NDArray[np.float64]:
    shape: NDArray[np.float64] = age / (1 + 0.9 * np.sqrt(age / scale_s))
    return shape


def _mean_height(height: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean height of a Gaussian about `height` folded at the ground."""
    safe = np.maximum(sigma, 1e-6)
    folded: NDArray[np.float64] = safe * math.sqrt(2 / math.pi) * np.exp(-0.5 * (height / safe) ** 2) + height * erf(
        height / (math.sqrt(2) * safe)
    )
    return folded
