"""A straight line with uncertain x and y: York, Evensen, Martinez and Delgado 2004, Am. J. Phys. 72, 367-375."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calibration.fit.polynomial import FitError, Pair, fit

_ROUNDS_MAX: Final = 200
_TOLERANCE: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope x; standard uncertainties and covariance unscaled; `s` the weighted sum of squares."""

    intercept: float
    slope: float
    u_intercept: float
    u_slope: float
    covariance: float
    s: float
    dof: int


@dataclass(frozen=True, slots=True)
class _Step:
    """One round of the iteration: weights, the means they give, and the points moved onto the line."""

    weights: list[float]
    x_mean: float
    y_mean: float
    moved: list[float]
    slope: float


def york(pairs: Sequence[Pair], correlations: Sequence[float] | None = None) -> Line:
    """The best line; each pair needs both uncertainties above 0, `correlations` are those of x and y errors (none: 0).

    Equations 13a to 13d of the paper. Raises FitError where the points define no line.
    """
    r = list(correlations or [0.0] * len(pairs))
    if any(one.u_x <= 0.0 or one.u_y <= 0.0 for one in pairs):
        raise FitError("York's line needs both standard uncertainties of every point above 0")
    slope = fit(pairs, 1, errors_in_x=False).beta[1]
    for _ in range(_ROUNDS_MAX):
        step = _step(pairs, r, slope)
        settled = abs(step.slope - slope) <= _TOLERANCE * (1.0 + abs(slope))
        slope = step.slope
        if settled:
            return _line(pairs, step, _step(pairs, r, slope))
    raise FitError(f"no line after {_ROUNDS_MAX} rounds")


def _step(pairs: Sequence[Pair], r: Sequence[float], slope: float) -> _Step:
    wx = [1.0 / one.u_x**2 for one in pairs]
    wy = [1.0 / one.u_y**2 for one in pairs]
    alpha = [math.sqrt(a * b) for a, b in zip(wx, wy, strict=True)]
    weights = [a * b / (a + slope * slope * b - 2.0 * slope * ri * al)
               for a, b, ri, al in zip(wx, wy, r, alpha, strict=True)]  # fmt: skip
    total = math.fsum(weights)
    x_mean = math.fsum(w * one.x for w, one in zip(weights, pairs, strict=True)) / total
    y_mean = math.fsum(w * one.y for w, one in zip(weights, pairs, strict=True)) / total
    moved, up, down = [], [], []
    for one, a, b, ri, al, w in zip(pairs, wx, wy, r, alpha, weights, strict=True):
        u, v = one.x - x_mean, one.y - y_mean
        beta = w * (u / b + slope * v / a - (slope * u + v) * ri / al)
        moved.append(beta)
        up.append(w * beta * v)
        down.append(w * beta * u)
    below = math.fsum(down)
    if below == 0.0:
        raise FitError("all x are equal")
    return _Step(weights, x_mean, y_mean, moved, math.fsum(up) / below)


def _line(pairs: Sequence[Pair], step: _Step, last: _Step) -> Line:
    slope = step.slope
    intercept = last.y_mean - slope * last.x_mean
    total = math.fsum(last.weights)
    adjusted = [last.x_mean + beta for beta in last.moved]
    mean = math.fsum(w * x for w, x in zip(last.weights, adjusted, strict=True)) / total
    variance = 1.0 / math.fsum(w * (x - mean) ** 2 for w, x in zip(last.weights, adjusted, strict=True))
    s = math.fsum(w * (one.y - slope * one.x - intercept) ** 2 for w, one in zip(last.weights, pairs, strict=True))
    u_intercept = math.sqrt(1.0 / total + mean * mean * variance)
    return Line(intercept, slope, u_intercept, math.sqrt(variance), -mean * variance, s, len(pairs) - 2)
