"""Weighted least squares of a polynomial of degree 1 or 2, without and with errors in x.

Covariances are unscaled: they follow from the stated standard uncertainties alone, not from how well the points lie on
the curve (the residuals say that, and `chi_square` tests it). Errors in x: Gauss-Newton on coefficients and true x
(Lybanon 1984, Am. J. Phys. 52, 22-26); for a line it gives York's result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from calibration.fit.linear import FitError, Matrix, Vector, apply, dot, inverse, quadratic_form, sandwich

__all__ = ["FitError", "Fitted", "Pair", "PolynomialFit", "fit", "least_squares", "mend"]
_ROUNDS_MAX: Final = 100
_TOLERANCE: Final = 1e-14
_RELATIVE_SIGMA: Final = 0.001


class Pair(NamedTuple):
    """A point of a fit with the standard uncertainties of both axes."""

    x: float
    y: float
    u_x: float
    u_y: float


class Fitted(NamedTuple):
    """Coefficients and unscaled covariance; `gain` holds for each row what its value adds to each coefficient."""

    beta: Vector
    covariance: Matrix
    gain: tuple[Vector, ...]


def least_squares(design: Sequence[Sequence[float]], values: Sequence[float], sigmas: Sequence[float]) -> Fitted:
    """Weighted linear least squares: rows of a design, values, standard uncertainties above 0. Raises FitError."""
    if not all(math.isfinite(one) for one in (*values, *sigmas)) or min(sigmas, default=0.0) <= 0.0:
        raise FitError("a value is missing, or a standard uncertainty is not above 0")
    size = range(len(design[0]))
    if len(design) < len(size):
        raise FitError(f"{len(design)} points for {len(size)} coefficients")
    weights = [1.0 / (sigma * sigma) for sigma in sigmas]
    columns = list(zip(*design, strict=True))
    normal = [[math.fsum(w * a * b for w, a, b in zip(weights, columns[i], columns[j], strict=True)) for j in size]
              for i in size]  # fmt: skip
    covariance = inverse(normal)
    gain = tuple(tuple(w * one for one in apply(covariance, row)) for row, w in zip(design, weights, strict=True))
    beta = tuple(math.fsum(g[i] * v for g, v in zip(gain, values, strict=True)) for i in size)
    return Fitted(beta, covariance, gain)


@dataclass(frozen=True, slots=True)
class PolynomialFit:
    """Value = beta[0] + beta[1] x + beta[2] x^2 (coefficients low to high).

    `covariance` is `from_y` (what the assigned values bring, the same in every fit of the same tanks) plus `from_x`
    (what the readings bring, new in every fit). `residual_sd` has n - degree - 1 in the denominator, 0 where that is 0;
    `chi_square` is the weighted sum of squared residuals on `dof` degrees of freedom.
    """

    beta: Vector
    covariance: Matrix
    from_y: Matrix
    from_x: Matrix
    residuals: Vector
    residual_sd: float
    chi_square: float
    dof: int

    def correct(self, x: float) -> float:
        """Value at x (Horner)."""
        value = 0.0
        for one in reversed(self.beta):
            value = value * x + one
        return value

    def slope(self, x: float) -> float:
        """Derivative at x."""
        return math.fsum(power * one * x ** (power - 1) for power, one in enumerate(self.beta) if power)

    def uncertainty(self, x: float) -> float:
        """Standard uncertainty of the value at an exact x: sqrt(g' Cov g) with g = (1, x, x^2), JCGM 100:2008, H.3."""
        return math.sqrt(quadratic_form(self.covariance, powers(x, len(self.beta))))


def powers(x: float, size: int) -> Vector:
    """1, x, x^2 ... as many as `size`."""
    return tuple(x**power for power in range(size))


def mend(sigmas: Sequence[float], x: Sequence[float], floor: float) -> list[float]:
    """Standard uncertainties without zeros: zeros become the mean of the others; all zero: max(0.1 % of |x|, floor).

    `floor` is above 0, in the unit of x. Rule of the NOAA observatories, with a floor where a difference is itself 0.
    """
    known = [one for one in sigmas if one > 0.0]
    if known:
        mean = math.fsum(known) / len(known)
        return [one if one > 0.0 else mean for one in sigmas]
    return [max(_RELATIVE_SIGMA * abs(one), floor) for one in x]


def fit(pairs: Sequence[Pair], degree: int = 1, *, errors_in_x: bool = True) -> PolynomialFit:
    """Fit y on x; without `errors_in_x` the weights are those of y alone.

    Raises FitError where there are too few different x, where a value is no number, or where nothing settles.
    """
    _refuse(pairs, degree)
    centre = math.fsum(one.x for one in pairs) / len(pairs)
    return _moved(_centred([one._replace(x=one.x - centre) for one in pairs], degree, errors_in_x), centre)


def _centred(pairs: Sequence[Pair], degree: int, errors_in_x: bool) -> PolynomialFit:
    """The fit about the mean x, where the numbers are well conditioned."""
    design = [powers(one.x, degree + 1) for one in pairs]
    y = [one.y for one in pairs]
    found = least_squares(design, y, [one.u_y for one in pairs])
    if not errors_in_x:
        return _finished(pairs, found, [one.x for one in pairs], [one.u_y for one in pairs])
    found = least_squares(design, y, [1.0] * len(y))
    true = [one.x for one in pairs]
    reach = powers(max(abs(x) for x in true), degree + 1)
    settled = _TOLERANCE * max(abs(one) for one in y)
    for done in range(_ROUNDS_MAX):
        before = found.beta
        found, true, sigmas = _round(pairs, before, true)
        # Of equal weights the first round repeats the start, whose x have not moved yet: that is no end.
        if done and all(abs(a - b) * r <= settled for a, b, r in zip(found.beta, before, reach, strict=True)):
            return _finished(pairs, found, true, sigmas)
    raise FitError(f"no fit after {_ROUNDS_MAX} rounds")


def _moved(found: PolynomialFit, centre: float) -> PolynomialFit:
    """The same curve in x itself: p(x - c) written in powers of x."""
    shift = [(1.0, -centre, centre * centre), (0.0, 1.0, -2.0 * centre), (0.0, 0.0, 1.0)]
    size = len(found.beta)
    rows = [row[:size] for row in shift[:size]]

    def turned(matrix: Matrix) -> Matrix:
        half = [apply(matrix, row) for row in rows]
        return tuple(tuple(dot(row, other) for other in half) for row in rows)

    return replace(
        found,
        beta=apply(rows, found.beta),
        covariance=turned(found.covariance),
        from_y=turned(found.from_y),
        from_x=turned(found.from_x),
    )


def _refuse(pairs: Sequence[Pair], degree: int) -> None:
    if degree not in (1, 2):
        raise FitError(f"degree {degree}: 1 and 2 are possible")
    if len(pairs) <= degree:
        raise FitError(f"{len(pairs)} points for {degree + 1} coefficients")
    if not all(math.isfinite(number) for one in pairs for number in one):
        raise FitError("a point has no finite value")
    if any(one.u_x < 0.0 or one.u_y < 0.0 or not one.u_x + one.u_y > 0.0 for one in pairs):
        raise FitError("a point has no standard uncertainty above 0 (see mend)")
    distinct = len({one.x for one in pairs})
    if distinct <= degree:
        raise FitError(f"{distinct} different x for {degree + 1} coefficients: the gases read the same")


def _round(pairs: Sequence[Pair], beta: Vector, true: Sequence[float]) -> tuple[Fitted, list[float], list[float]]:
    """One linearisation about the true x; gives coefficients, new true x, and the effective sigmas of the rows."""
    size = len(beta)
    slopes = [math.fsum(p * b * x ** (p - 1) for p, b in enumerate(beta) if p) for x in true]
    sigmas = [math.sqrt(one.u_y**2 + (slope * one.u_x) ** 2) for one, slope in zip(pairs, slopes, strict=True)]
    values = [one.y - slope * (one.x - x) for one, slope, x in zip(pairs, slopes, true, strict=True)]
    found = least_squares([powers(x, size) for x in true], values, sigmas)
    moved = []
    for one, slope, x, sigma, value in zip(pairs, slopes, true, sigmas, values, strict=True):
        left = value - dot(powers(x, size), found.beta)
        moved.append(one.x + slope * (one.u_x / sigma) ** 2 * left)
    return found, moved, sigmas


def _finished(pairs: Sequence[Pair], found: Fitted, true: Sequence[float], sigmas: Sequence[float]) -> PolynomialFit:
    size = len(found.beta)
    residuals = tuple(one.y - dot(powers(one.x, size), found.beta) for one in pairs)
    dof = len(pairs) - size
    squares = math.fsum(one * one for one in residuals)
    slopes = [math.fsum(p * b * x ** (p - 1) for p, b in enumerate(found.beta) if p) for x in true]
    from_y = sandwich(found.gain, [one.u_y**2 for one in pairs])
    from_x = sandwich(found.gain, [(slope * one.u_x) ** 2 for one, slope in zip(pairs, slopes, strict=True)])
    chi_square = math.fsum((one / sigma) ** 2 for one, sigma in zip(residuals, sigmas, strict=True))
    sd = math.sqrt(squares / dof) if dof else 0.0
    return PolynomialFit(found.beta, found.covariance, from_y, from_x, residuals, sd, chi_square, dof)
