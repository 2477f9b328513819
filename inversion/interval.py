"""How sure a found source is: curvature of the objective, and scores summed by hour for errors that hang together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from inversion.likelihood import PER_SOURCE, POSITION_UNIT_M, SHARED
from inversion.posterior import Place
from inversion.search import Found

Array = NDArray[np.float64]

_CLUSTER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one source: standard deviation of ln rate, the quantile for 95 %, position covariance (xx, xy, yy) in m2."""

    log_rate_sd: float
    quantile: float
    position: tuple[float, float, float]

    def interval95(self, rate: float) -> tuple[float, float]:
        """Bounds of a rate, both positive."""
        half = self.quantile * self.log_rate_sd
        return rate * math.exp(-half), rate * math.exp(half)

    def above(self, rate: float, floor: float) -> float:
        """Probability that the rate exceeds a floor."""
        return float(norm.cdf(math.log(rate / floor) / self.log_rate_sd))


def spreads(found: Found, places: Sequence[Place]) -> list[Spread]:
    """One spread per source: that of its place and rate, and what everything else, free under its prior, adds to it."""
    covariance, curvature, clusters = _covariance(found)
    quantile = float(t.ppf(0.975, max(clusters - 1, 2)))
    out = []
    for source, place in enumerate(places):
        own = np.append(0, SHARED + PER_SOURCE * source + np.array([0, 1, 3]))
        unit = np.array([POSITION_UNIT_M, POSITION_UNIT_M, 1.0])
        alone = np.linalg.inv(curvature[np.ix_(own, own)])
        added = (covariance[np.ix_(own, own)] - alone)[1:, 1:] * np.outer(unit, unit)
        (xx, xy, _), (_, yy, _), (_, _, rate) = (place.covariance + added).tolist()
        out.append(Spread(math.sqrt(rate), quantile, (xx, xy, yy)))
    return out


def _covariance(found: Found) -> tuple[Array, Array, int]:
    """Inverse curvature plus the cluster-robust term.

    The first holds what the priors leave open and independent noise; the second what neighbouring rows share (a wrong
    wind lasts). Their sum is wider than either alone: intervals from the first alone are known to be too short.
    """
    problem, state = found.problem, found.state
    model, slopes = problem.jacobian(state)
    error = float(np.exp(state[2]))
    sigma = problem.sigma(model, error)
    columns = np.hstack([slopes[0], problem.basis.columns])
    # Expected curvature of a normal row whose mean and spread both depend on the model.
    curvature = columns.T @ (columns / sigma[:, None] ** 2)
    size = len(state)
    widening = problem.widening(model, slopes, sigma, error)
    curvature[:size, :size] += 2 * widening.T @ widening
    curvature /= problem.settings.correlation_factor
    curvature[:size, :size] += np.diag(problem.prior_precision(state))
    curvature[size:, size:] += problem.basis.precision
    inverse = np.asarray(np.linalg.inv(curvature), dtype=float)
    meat, clusters = _meat(found, columns, sigma, model)
    return inverse + inverse @ (meat / problem.settings.correlation_factor**2) @ inverse, curvature, clusters


def _meat(found: Found, columns: Array, sigma: Array, model: Array) -> tuple[Array, int]:
    """Sum over hours of the outer product of the hour's score, with the small-sample factor G / (G - 1)."""
    problem = found.problem
    size = len(found.state)
    _, own = problem.scores(found.state)
    z = (problem.batch.mean - problem.background - model[0]) / sigma
    scores = np.hstack([own, -columns[:, size:] * (np.clip(z, -4, 4) / sigma)[:, None]])
    hours = (problem.batch.starts // _CLUSTER_S)[problem.batch.step]
    names, index = np.unique(hours, return_inverse=True)
    sums = np.zeros((len(names), scores.shape[1]))
    np.add.at(sums, index, scores)
    # The priors make the total differ from zero; that part is no spread between hours.
    sums -= sums.mean(axis=0)
    meat = np.asarray(sums.T @ sums * len(names) / max(len(names) - 1, 1), dtype=float)
    return meat, len(names)
