"""Quantiles of Student's t and of chi-square, from the incomplete beta and gamma functions, by bisection.

Series and continued fractions: Abramowitz and Stegun 1964, 6.5.29, 6.5.31, 26.5.8, 26.7.1.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_TINY: Final = 1e-300
_ROUNDS: Final = 400
_EPSILON: Final = 1e-16


@lru_cache(maxsize=512)
def t_quantile(p: float, dof: float) -> float:
    """Student's t with probability `p` below it (0 < p < 1), `dof` above 0."""
    if not 0.0 < p < 1.0 or dof <= 0.0:
        raise ValueError(f"p {p} must lie between 0 and 1, degrees of freedom {dof} above 0")
    if p < 0.5:
        return -t_quantile(1.0 - p, dof)
    return _root(lambda t: t_cdf(t, dof), p)


@lru_cache(maxsize=512)
def chi_square_quantile(p: float, dof: float) -> float:
    """Chi-square with probability `p` below it."""
    if not 0.0 < p < 1.0 or dof <= 0.0:
        raise ValueError(f"p {p} must lie between 0 and 1, degrees of freedom {dof} above 0")
    return _root(lambda x: gamma_p(dof / 2.0, x / 2.0), p)


def t_cdf(t: float, dof: float) -> float:
    """Probability below t."""
    tail = 0.5 * incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t))
    return 1.0 - tail if t > 0.0 else tail


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / a / _fraction(lambda m: _beta_term(a, b, x, m))


def _beta_term(a: float, b: float, x: float, m: int) -> tuple[float, float]:
    half, odd = divmod(m, 2)
    if odd:
        return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1)), 1.0
    return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half)), 1.0


def _fraction(term: Callable[[int], tuple[float, float]]) -> float:
    """1 + a1/(b1 + a2/(b2 + ...)) by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for m in range(1, _ROUNDS):
        a, b = term(m)
        d = b + a * d
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = b + a / (c if abs(c) > _TINY else _TINY)
        value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return value


def gamma_p(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function, by its series (degrees of freedom here are few)."""
    if x <= 0.0:
        return 0.0
    term = total = 1.0 / a
    n = a
    while abs(term) > _EPSILON * abs(total):
        n += 1.0
        term *= x / n
        total += term
    return min(1.0, total * math.exp(a * math.log(x) - x - math.lgamma(a)))


def _root(cdf: Callable[[float], float], p: float) -> float:
    low, high = 0.0, 1.0
    while cdf(high) < p:
        low, high = high, 2.0 * high
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return middle
        low, high = (middle, high) if cdf(middle) < p else (low, middle)
