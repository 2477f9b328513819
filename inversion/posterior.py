"""Where a found source is and how strong, as the mean over all places that explain the window, not as the best one.

Seen by one sensor alone a source may stand near and be faint, or far and strong: the best fit along such a ridge is a
matter of chance, and its curvature knows nothing of the ridge. So the posterior is summed over places and rates.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inversion.likelihood import LOG_FACTOR_Y, PER_SOURCE, POSITION_UNIT_M, SHARED, TURN_UNIT, losses
from inversion.search import Found, SearchMap, promise

Array = NDArray[np.float64]

_RATES_KG_H: Final = np.geomspace(0.1, 300.0, 61)
_FACTORS_Y: Final = 0.2 * np.arange(-2, 3)  # ln sigma-y factor about the best one
_NEGLIGIBLE: Final = 6.0  # nats below the best place: such places are left out
_COARSE: Final = 16.0  # the same where the rate is on a coarse ladder
_ENOUGH: Final = 30  # places that carry the posterior
_FINEST_M: Final = 1.5


@dataclass(frozen=True)
class Place:
    """Mean of east and north (m) and ln rate (kg/h), and their covariance (3, 3), all else held at the best fit."""

    x: float
    y: float
    log_rate: float
    covariance: Array


def places(found: Found, candidates: SearchMap) -> list[Place]:
    """One place per found source, the others held."""
    return [_place(found, number, candidates) for number in range((len(found.state) - SHARED) // PER_SOURCE)]


def _place(found: Found, source: int, candidates: SearchMap) -> Place:
    settings, state = found.problem.settings, found.state
    own = slice(SHARED + PER_SOURCE * source, SHARED + PER_SOURCE * (source + 1))
    best = state[own][:2] * POSITION_UNIT_M
    rest = np.delete(state, own)
    drops = promise(found.problem, rest, candidates)[0] / settings.correlation_factor
    size = settings.search_m
    order = np.argsort(-drops, kind="stable")[: 4 * _ENOUGH]
    points = candidates.points[order[drops[order] > drops.max() - _COARSE]]
    while True:
        points = _with_best(points, best, size, candidates.points[0] - settings.search_m / 2)
        weights = _log_weights(found, rest, float(state[own][2]), points)
        heights = np.logaddexp.reduce(weights, axis=1)
        order = np.argsort(-heights, kind="stable")[:_ENOUGH]
        kept = order[heights[order] > heights.max() - _NEGLIGIBLE]
        if len(kept) == _ENOUGH or size / 2 < _FINEST_M:
            return _moments(points, weights)
        size /= 2
        quarter = size / 2 * np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)])
        points = (points[kept][:, None] + quarter).reshape(-1, 2)


def _with_best(points: Array, best: Array, size: float, corner: Array) -> Array:
    """The squares' centres and, where missing, those of the nine squares around the best fit."""
    first = corner + size / 2
    nearest = first + size * np.round((best - first) / size)
    around = nearest + size * np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    unique: Array = np.unique(np.round(np.vstack([points, around]), 6), axis=0)
    return unique


def _log_weights(found: Found, rest: Array, height: float, points: Array) -> Array:
    """Log posterior (points, rates) up to a constant, even over areas and over the logarithm of the rate.

    Summed over factors on sigma-y: a near source under a narrow plume looks like a far one under a wide one.
    """
    problem = found.problem
    error, f = float(np.exp(found.state[2])), problem.settings.correlation_factor
    factor_z, turn = float(np.exp(found.state[1])), float(found.state[3]) * TURN_UNIT
    factors = [value for value in found.state[0] + _FACTORS_Y if LOG_FACTOR_Y[0] <= value <= LOG_FACTOR_Y[1]]
    prior = -0.5 * (np.array(factors) / problem.settings.sigma_y_prior) ** 2
    others = problem.model(rest).astype(np.float32)
    residual = (problem.batch.mean - problem.background - others[0]).astype(np.float32)
    rates = _RATES_KG_H.astype(np.float32)
    out = np.empty((len(points), len(factors), len(rates)))
    for number, (x, y) in enumerate(points.tolist()):
        for which, factor in enumerate(np.exp(factors).tolist()):
            unit = problem.batch.response(x, y, height, factor, factor_z, turn).astype(np.float32)
            added = unit[:, None] * rates[:, None]
            sigma = problem.sigma(added + others[:, None], error)
            out[number, which] = prior[which] - losses(residual - added[0], sigma).sum(axis=1) / f
    summed: Array = np.logaddexp.reduce(out, axis=1)
    return summed


def _moments(points: Array, weights: Array) -> Place:
    share = np.exp(weights - weights.max())
    share /= share.sum()
    values = np.array(np.broadcast_arrays(points[:, 0, None], points[:, 1, None], np.log(_RATES_KG_H)))
    mean = (values * share).sum(axis=(1, 2))
    away = values - mean[:, None, None]
    x, y, log_rate = mean.tolist()
    return Place(x, y, log_rate, covariance=np.einsum("ipr,jpr,pr->ij", away, away, share))
