"""Background over time and offsets of sensors: a robust first guess, then a joint linear fit beside the sources."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from inversion.data import Settings
from inversion.prepare import Batch

Array = NDArray[np.float64]

_LOW_QUANTILE: Final = 0.25
_SMOOTHING_S: Final = 7200.0
_KNOT_S: Final = 3600.0
_KNOT_WALK_PPM: Final = 0.05  # how far the background may move from knot to knot, one standard deviation


def first_guess(batch: Batch) -> Array:
    """Per row: low quantile over the sensors, smoothed over two hours, plus each sensor's median low residual."""
    seen = np.unique(batch.step)  # a step may have wind and no reading at all
    low = [float(np.quantile(batch.mean[batch.step == step], _LOW_QUANTILE)) for step in seen]
    by_step = np.interp(np.arange(len(batch.starts)), seen, low)
    spacing = float(np.median(np.diff(batch.starts))) if len(batch.starts) > 1 else _SMOOTHING_S
    width = max(1, round(_SMOOTHING_S / spacing))
    level = np.asarray(median_filter(by_step, size=width, mode="nearest"), dtype=float)[batch.step]
    residual = batch.mean - level
    offsets = np.zeros(len(batch.sensors))
    for number in np.unique(batch.sensor):
        own = residual[batch.sensor == number]
        offsets[number] = np.median(own[own <= np.median(own)])
    return np.asarray(level + offsets[batch.sensor], dtype=float)


@dataclass(frozen=True)
class Basis:
    """Columns of the joint fit: background knots (linear in between), then one offset per sensor."""

    columns: Array
    precision: Array
    knots: int

    def fit(self, residual: Array, sigma: Array) -> Array:
        """The ridge solution: coefficients for `residual` (umol/mol) with standard deviations `sigma`."""
        scaled = self.columns / sigma[:, None] ** 2
        centre = float(np.median(residual))
        solved = np.linalg.solve(self.columns.T @ scaled + self.precision, scaled.T @ (residual - centre))
        coefficients = np.asarray(solved, dtype=float)
        coefficients[: self.knots] += centre
        return coefficients


def basis_of(batch: Batch, settings: Settings) -> Basis:
    """Knots every hour with a random-walk prior, offsets with a zero-mean prior."""
    elapsed = (batch.starts - batch.starts[0]) / _KNOT_S
    knots = int(np.ceil(elapsed[-1])) + 1
    hats = np.maximum(0.0, 1.0 - np.abs(elapsed[:, None] - np.arange(knots)))
    sensors = np.eye(len(batch.sensors))
    columns = np.hstack([hats[batch.step], sensors[batch.sensor]])
    walk = np.diff(np.eye(knots), axis=0) / _KNOT_WALK_PPM
    precision = np.zeros((columns.shape[1],) * 2)
    precision[:knots, :knots] = walk.T @ walk + 1e-6 * np.eye(knots)
    precision[knots:, knots:] = sensors / settings.offset_sd_ppm**2
    return Basis(columns, precision, knots)
