"""Responses: the fitted curve of one calibration, and the curve that holds at a moment between calibrations.

The parts of a curve's covariance behave differently. What the assigned values bring is the same in every calibration
with the same tanks and stays in any mean; what the readings bring is new each time, and the mean of two calibrations
holds half its variance. The NOAA observatories average whole covariances; splitting them is ours.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from calibration.chain.data import Standard
from calibration.fit.linear import FitError, Matrix, Vector, add, dot, quadratic_form, scale
from calibration.fit.polynomial import Pair, fit, mend, powers
from calibration.fit.student import chi_square_quantile

# Beyond this quantile of chi-square the standards contradict each other more than they should.
_DISAGREE: Final = 0.99
_NEXT_TO_ZERO: Final = 1e-9


class StandardPoint(NamedTuple):
    """A standard in a calibration: x as the response takes it, its standard uncertainty. A Target is no Standard."""

    tank: Standard
    x: float
    u_x: float


@dataclass(frozen=True, slots=True)
class Response:
    """One calibration: value = polynomial of x. `assigned` and `readings` are the parts of the covariance of `beta`."""

    id: str
    at_s: float
    beta: Vector
    assigned: Matrix
    readings: Matrix
    residual_sd: float
    chi_square: float
    dof: int
    points: tuple[StandardPoint, ...]

    def correct(self, x: float) -> float:
        """Value at x."""
        return dot(self.beta, powers(x, len(self.beta)))

    @property
    def covariance(self) -> Matrix:
        """Of `beta`, unscaled but for contradicting standards."""
        return add(self.assigned, self.readings)


def respond(
    at_s: float, points: Sequence[StandardPoint], degree: int, *, errors_in_x: bool, u_reference: float, floor: float
) -> Response:
    """Fit assigned values on x. `u_reference` is the error all x share (it moves the curve as a whole).

    One standard gives a line through zero. Where chi-square passes its 99 % quantile, the part of the assigned values
    is widened by chi-square over degrees of freedom (Birge's ratio). Raises FitError.
    """
    for one in points:
        if not isinstance(one.tank, Standard) or one.tank.assigned is None:
            raise FitError(f"{one.tank.label} is no standard with an assigned value")
    scales = {one.tank.assigned.scale for one in points if one.tank.assigned}
    if len(scales) > 1:
        raise FitError(f"standards on different scales: {', '.join(sorted(scales))}")
    name = f"response@{at_s:.0f}"
    if len(points) == 1:
        return _through_zero(name, at_s, points[0], u_reference)
    found = fit(pairs(points, floor), degree, errors_in_x=errors_in_x)
    size = len(found.beta)
    shift = tuple(tuple((found.beta[1] * u_reference) ** 2 if i == j == 0 else 0.0 for j in range(size))
                  for i in range(size))  # fmt: skip
    return Response(
        name, at_s, found.beta, scale(found.from_y, birge(found.chi_square, found.dof)), add(found.from_x, shift),
        found.residual_sd, found.chi_square, found.dof, tuple(points),
    )  # fmt: skip


def pairs(points: Sequence[StandardPoint], floor: float) -> list[Pair]:
    """Pairs of a fit; zero uncertainties mended."""
    x = [one.x for one in points]
    assigned = [one.tank.assigned for one in points]
    y = [one.value if one else math.nan for one in assigned]
    u_x = mend([one.u_x for one in points], x, floor)
    u_y = mend([one.uncertainty if one else 0.0 for one in assigned], y, floor)
    return [Pair(*four) for four in zip(x, y, u_x, u_y, strict=True)]


def _through_zero(name: str, at_s: float, point: StandardPoint, u_reference: float) -> Response:
    """K = S / S' (one point): value = K x."""
    assigned = point.tank.assigned
    if assigned is None or abs(point.x) <= _NEXT_TO_ZERO * abs(assigned.value):
        raise FitError("one standard gives a line through zero, and it reads next to zero")
    k = assigned.value / point.x
    from_y = (assigned.uncertainty / point.x) ** 2
    from_x = (k / point.x) ** 2 * (point.u_x**2 + u_reference**2)
    return Response(
        name, at_s, (0.0, k), ((0.0, 0.0), (0.0, from_y)), ((0.0, 0.0), (0.0, from_x)), 0.0, 0.0, 0, (point,)
    )


def birge(chi_square: float, dof: int) -> float:
    """Factor on the variance where points disagree beyond chance; 1 otherwise (Birge 1932, Phys. Rev. 40, 207)."""
    return chi_square / dof if dof and chi_square > chi_square_quantile(_DISAGREE, dof) else 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """What holds at a moment. `drift` is the covariance that the time to the calibrations adds; `side` as in Track."""

    beta: Vector
    assigned: Matrix
    readings: Matrix
    drift: Matrix
    ids: tuple[str, ...]
    side: str = ""

    def correct(self, x: float) -> float:
        """Value at x."""
        if len(self.beta) == 2:
            return self.beta[0] + self.beta[1] * x
        return dot(self.beta, powers(x, len(self.beta)))

    def slope(self, x: float) -> float:
        """Derivative at x."""
        return math.fsum(power * one * x ** (power - 1) for power, one in enumerate(self.beta) if power)

    def u(self, part: Matrix, x: float) -> float:
        """Standard uncertainty at x by one part of the covariance."""
        return math.sqrt(quadratic_form(part, powers(x, len(self.beta))))


How = Literal["mean", "linear", "nearest", "previous"]


class Responses:
    """The responses of a block, in order of time; `walk` is the covariance the coefficients gain per second."""

    def __init__(self, responses: Sequence[Response], how: How, reach_s: float, walk: Matrix | None = None) -> None:
        self._responses = tuple(responses)
        self._times = [one.at_s for one in responses]
        self._how, self._reach = how, reach_s
        self._walk = walk
        self._cache: dict[int, Curve] = {}

    def at(self, at_s: float) -> Curve | None:
        """The curve at a moment from the neighbours strictly within reach; None where there is none."""
        place = bisect_right(self._times, at_s)
        before = place > 0 and at_s - self._times[place - 1] < self._reach
        after = place < len(self._times) and self._times[place] - at_s < self._reach
        if self._how == "previous" and before:
            return self._one(place - 1, at_s, "")
        if before and after:
            return self._between(place, at_s) if self._how != "mean" else self._mean(place)
        if before or after:
            return self._one(place - 1 if before else place, at_s, "<" if before else ">")
        return None

    def _mean(self, place: int) -> Curve:
        if place not in self._cache:
            gap = self._times[place] - self._times[place - 1]
            self._cache[place] = self._mixed(place, 0.5, self._drift(0.25 * gap))
        return self._cache[place]

    def _between(self, place: int, at_s: float) -> Curve:
        before, after = self._times[place - 1], self._times[place]
        share = (at_s - before) / (after - before)
        if self._how == "nearest":
            return self._one(place - 1 if share <= 0.5 else place, at_s, "")
        return self._mixed(place, share, self._drift((after - before) * share * (1.0 - share)))

    def _mixed(self, place: int, share: float, drift: Matrix) -> Curve:
        one, other = self._responses[place - 1], self._responses[place]
        rest = 1.0 - share
        beta = tuple(rest * a + share * b for a, b in zip(one.beta, other.beta, strict=True))
        assigned = add(scale(one.assigned, rest), other.assigned, share)
        readings = add(scale(one.readings, rest * rest), other.readings, share * share)
        return Curve(beta, assigned, readings, drift, (one.id, other.id))

    def _one(self, index: int, at_s: float, side: str) -> Curve:
        one = self._responses[index]
        return Curve(one.beta, one.assigned, one.readings, self._drift(abs(at_s - one.at_s)), (one.id,), side)

    def _drift(self, seconds: float) -> Matrix:
        size = len(self._responses[0].beta)
        return scale(self._walk, seconds) if self._walk else tuple((0.0,) * size for _ in range(size))


def coefficient_walk(blocks: Sequence[Sequence[Response]]) -> Matrix | None:
    """Covariance per second by which the coefficients walk: what successive calibrations differ by beyond their noise.

    None where no two follow each other. A variance below zero is none, and takes its covariances with it.
    """
    steps = [pair for block in blocks for pair in pairwise(block)]
    seconds = math.fsum(b.at_s - a.at_s for a, b in steps)
    if not seconds:
        return None
    size = range(len(steps[0][0].beta))
    total = [[math.fsum(_step(a, b, i, j) for a, b in steps) / seconds for j in size] for i in size]
    return tuple(tuple(total[i][j] if i == j else _bounded(total, i, j) for j in size) if total[i][i] > 0.0 else
                 (0.0,) * len(size) for i in size)  # fmt: skip


def _step(a: Response, b: Response, i: int, j: int) -> float:
    return (b.beta[i] - a.beta[i]) * (b.beta[j] - a.beta[j]) - a.readings[i][j] - b.readings[i][j]


def _bounded(total: Sequence[Sequence[float]], i: int, j: int) -> float:
    """A covariance no larger than its variances allow."""
    if total[j][j] <= 0.0:
        return 0.0
    bound = math.sqrt(total[i][i] * total[j][j])
    return max(-bound, min(bound, total[i][j]))
