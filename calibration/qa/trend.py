"""Trend of checks over time: Theil and Sen's slope with the test of Mann and Kendall, beside least squares.

Least squares follow a single strange value, the other two do not: where they differ, look at the values.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, linear_regression

from calibration.fit.student import t_quantile
from calibration.robust import Line, theil_sen


@dataclass(frozen=True, slots=True)
class Kendall:
    """Mann-Kendall: `s` the sum of signs, `z` its normal deviate (ties counted), `p` two-sided."""

    s: int
    z: float
    p: float


def mann_kendall(values: Sequence[float]) -> Kendall:
    """The test on values in the order of time (Mann 1945, Kendall 1975), of which there are three at least.

    Raises ValueError for fewer.
    """
    n = len(values)
    if n < 3:
        raise ValueError(f"{n} values: 3 are needed")
    s = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18.0
    z = 0.0 if s == 0 or variance == 0 else (s - math.copysign(1, s)) / math.sqrt(variance)
    return Kendall(s, z, 2.0 * (1.0 - NormalDist().cdf(abs(z))))


@dataclass(frozen=True, slots=True)
class Ols:
    """Ordinary least squares: slope, and its confidence interval."""

    slope: float
    low: float
    high: float


def ols(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Ols | None:
    """Slope of y on x with its interval by Student's t; None for fewer than 3 points or where all x are one."""
    n = len(x)
    if n < 3 or max(x) == min(x):
        return None
    slope, level = linear_regression(x, y)
    mean = math.fsum(x) / n
    residual = math.fsum((b - level - slope * a) ** 2 for a, b in zip(x, y, strict=True)) / (n - 2)
    reach = t_quantile((1 + confidence) / 2, n - 2) * math.sqrt(residual / math.fsum((a - mean) ** 2 for a in x))
    return Ols(slope, slope - reach, slope + reach)


@dataclass(frozen=True, slots=True)
class Trend:
    """All three; slopes per unit of time. `robust` and `least_squares` are None where there are too few values."""

    kendall: Kendall
    robust: Line | None
    least_squares: Ols | None


def trend(times: Sequence[float], values: Sequence[float], confidence: float = 0.95) -> Trend:
    """The trend of values at `times` (ascending, any unit). Raises ValueError for fewer than 3 values."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return Trend(mann_kendall(values), theil_sen(times, values, z), ols(times, values, confidence))
