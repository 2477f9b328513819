"""Statistics that a minority of strange values does not move: median, quantiles, and the slope of Theil and Sen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

# Scales the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_SD: Final = 1.4826
AUTOCORRELATION_MAX: Final = 0.9


@dataclass(frozen=True, slots=True)
class Line:
    """`level` is the value at x = 0; the true slope lies between `low` and `high` with the confidence asked for."""

    slope: float
    low: float
    high: float
    level: float

    def at(self, x: float) -> float:
        """Value of the line."""
        return self.level + self.slope * x

    @property
    def is_level(self) -> bool:
        """Whether no slope at all cannot be ruled out."""
        return self.low <= 0.0 <= self.high


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between the sorted values; `values` is not empty."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The middle of values, of which there is one at least."""
    return quantile(values, 0.5)


def spread(values: Sequence[float]) -> float:
    """Standard deviation as the median absolute deviation gives it."""
    middle = median(values)
    return MAD_TO_SD * median([abs(value - middle) for value in values])


def theil_sen(x: Sequence[float], y: Sequence[float], z: float) -> Line | None:
    """Median of the slopes of all pairs (Theil 1950, Sen 1968); None where all x are one or there are fewer than 4.

    The interval is Sen's, from the variance of Kendall's S, with `z` normal deviates. Neighbours in a series of x that
    resemble each other widen it by the first autocorrelation of the residuals (Yue and Wang 2004).
    """
    pairs = combinations(zip(x, y, strict=True), 2)
    slopes = sorted((b - d) / (a - c) for (a, b), (c, d) in pairs if a != c)
    if len(x) < 4 or not slopes:
        return None
    slope = median(slopes)
    level = median([b - slope * a for a, b in zip(x, y, strict=True)])
    ordered = [b - slope * a - level for a, b in sorted(zip(x, y, strict=True))]
    n, alike = len(x), autocorrelation(ordered)
    variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + alike) / (1 - alike)
    reach = z * math.sqrt(variance)
    last = len(slopes) - 1
    low = slopes[max(0, math.floor((last + 1 - reach) / 2) - 1)]
    high = slopes[min(last, math.ceil((last + 1 + reach) / 2))]
    return Line(slope, low, high, level)


def autocorrelation(values: Sequence[float]) -> float:
    """First autocorrelation of ordered residuals, from 0 to AUTOCORRELATION_MAX; negative ones count as none.

    Of the signs, so that single strange values count no more than others (the sine law of normal values).
    """
    signs = [math.copysign(1.0, value) for value in values]
    same = math.fsum(a * b for a, b in pairwise(signs)) / max(1, len(signs) - 1)
    return min(max(0.0, math.sin(math.pi / 2 * same)), AUTOCORRELATION_MAX)
