"""Drift of a cylinder between its certificates: mean, line or parabola over time, the highest that is significant.

Method of the NOAA laboratory (`ccg_calfit`): weights 1/(u_typeB^2 + u_meas^2), time counted from the weighted mean
date; quadratic, then linear, then mean, the first whose highest coefficient passes |b|/s(b) > t(0.975, dof), with no
degree of freedom |b|/s(b) >= 2. No quadratic for three distinct dates or fewer, the mean alone for one date or one
distinct value. Covariance unscaled.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple

from calibration.fit.linear import Matrix, Vector, dot, quadratic_form
from calibration.fit.polynomial import least_squares, mend, powers
from calibration.fit.student import t_quantile
from calibration.standards.value import Value

Model = Literal["mean", "linear", "quadratic"]
MODELS: Final[tuple[Model, ...]] = ("mean", "linear", "quadratic")
DAYS_PER_YEAR: Final = 365.25
_WITHOUT_FREEDOM: Final = 2.0
_PROBABILITY: Final = 0.975
# Stands in, with 0.1 % of the value, where no certificate states an uncertainty.
_FLOOR: Final = 1e-6


class Certified(NamedTuple):
    """One certification: its day, its value, and the name of what is its own in the uncertainty."""

    day: date
    value: Value
    own: str


class Test(NamedTuple):
    """A model that was tried: its highest coefficient over its standard uncertainty, and what it had to pass."""

    model: Model
    ratio: float
    threshold: float


@dataclass(frozen=True, slots=True)
class DriftFit:
    """Value = beta[0] + beta[1] t + beta[2] t^2, t in years (of 365.25 days) from `centre` (days since year 1).

    `gain` says for each certificate what its value adds to each coefficient; `residual_sd` is on `dof` degrees of
    freedom, 0 where there are none.
    """

    model: Model
    centre: float
    beta: Vector
    covariance: Matrix
    gain: tuple[Vector, ...]
    residuals: Vector
    residual_sd: float
    dof: int
    tested: tuple[Test, ...]

    def _powers(self, day: date) -> Vector:
        return powers((day.toordinal() - self.centre) / DAYS_PER_YEAR, len(self.beta))

    def value(self, day: date) -> float:
        """Assigned value on a day, in the unit of the certificates."""
        return dot(self.beta, self._powers(day))

    def u(self, day: date) -> float:
        """Standard uncertainty on a day from the covariance alone: certificates taken as independent."""
        return math.sqrt(quadratic_form(self.covariance, self._powers(day)))

    def weights(self, day: date) -> Vector:
        """What each certificate's value adds to the value on a day; they add up to 1."""
        at = self._powers(day)
        return tuple(dot(one, at) for one in self.gain)


def drift_fit(history: Sequence[Certified]) -> DriftFit:
    """The fit of one or more certificates of one fill. Raises ValueError where there is none."""
    if not history:
        raise ValueError("no certificate")
    sigmas = _sigmas([one.value for one in history])
    weights = [1.0 / (one * one) for one in sigmas]
    days = [one.day.toordinal() for one in history]
    centre = dot(weights, [float(day) for day in days]) / math.fsum(weights)
    years = [(day - centre) / DAYS_PER_YEAR for day in days]
    values = [one.value.value for one in history]
    tested: list[Test] = []
    for degree in range(_highest(days, values), 0, -1):
        found = _fitted(degree, centre, years, values, sigmas)
        spread = math.sqrt(found.covariance[degree][degree])
        threshold = t_quantile(_PROBABILITY, found.dof) if found.dof else _WITHOUT_FREEDOM
        test = Test(found.model, abs(found.beta[degree]) / spread, threshold)
        tested.append(test)
        if test.ratio > threshold or (not found.dof and test.ratio == threshold):
            return _with(found, tested)
    return _with(_fitted(0, centre, years, values, sigmas), tested)


def _sigmas(values: Sequence[Value]) -> list[float]:
    """Uncertainties above 0, as weights need them: see `mend`; where none is known all weigh the same.

    A single certificate of none keeps it, as far as a weight allows.
    """
    found = [one.u for one in values]
    if len(found) == 1:
        return [max(found[0], 1e-150)]
    largest = max(abs(one.value) for one in values)
    return mend(found, [largest] * len(found), _FLOOR)


def _highest(days: Sequence[int], values: Sequence[float]) -> int:
    dates = len(set(days))
    if dates == 1 or len(set(values)) == 1:
        return 0
    return 1 if dates <= 3 else 2


def _fitted(
    degree: int, centre: float, years: Sequence[float], values: Sequence[float], sigmas: Sequence[float]
) -> DriftFit:
    design = [powers(year, degree + 1) for year in years]
    found = least_squares(design, values, sigmas)
    residuals = tuple(y - dot(row, found.beta) for y, row in zip(values, design, strict=True))
    dof = len(values) - degree - 1
    sd = math.sqrt(math.fsum(one * one for one in residuals) / dof) if dof else 0.0
    return DriftFit(MODELS[degree], centre, found.beta, found.covariance, found.gain, residuals, sd, dof, ())


def _with(found: DriftFit, tested: Sequence[Test]) -> DriftFit:
    return DriftFit(
        found.model, found.centre, found.beta, found.covariance, found.gain, found.residuals, found.residual_sd,
        found.dof, tuple(tested),
    )  # fmt: skip


def parts_on(history: Sequence[Certified], fit: DriftFit, day: date) -> dict[str, float]:
    """Contributions to the fitted value on a day by source.

    What certificates share does not average out between them; where they share nothing the root of the sum of squares
    is `DriftFit.u`.
    """
    found: dict[str, float] = {}
    for weight, one in zip(fit.weights(day), history, strict=True):
        for source, part in one.value.parts(one.own).items():
            found[source] = found.get(source, 0.0) + weight * part
    return found


def total(parts: Mapping[str, float]) -> float:
    """Standard uncertainty of contributions by source."""
    return math.hypot(*parts.values()) if parts else 0.0
