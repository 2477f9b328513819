"""A micro-sensor beside a reference: zero, slope and, where they show, terms of temperature and humidity.

The fit is `reference = b0 + slope x + k_T (T - 25) + k_RH (RH - 50)` by least squares over averages of equal length; a
term stays only where it is significant at 95 %. Neighbouring hours err alike: the effective number of observations is
n (1 - r) / (1 + r) with the residuals' lag-1 autocorrelation r (Bayley and Hammersley 1946, J. R. Stat. Soc. Suppl. 8).
What the sensor is worth is said by days that had no part in the fit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from calibration.correction import Term as Correction
from calibration.fit.linear import FitError, Matrix, Vector, dot, quadratic_form, scale
from calibration.fit.polynomial import least_squares
from calibration.fit.student import t_quantile
from metrology.budget import Budget, Term

CENTRES: Final = {"temperature": 25.0, "humidity": 50.0}
DAY_S: Final = 86_400.0
DAYS_MIN: Final = 4
EFFECTIVE_MIN: Final = 20.0


@dataclass(frozen=True, slots=True)
class Together:
    """One average of both, of the same time; `u_reference` is standard. Missing conditions exclude their term."""

    at_s: float
    indication: float
    reference: float
    u_reference: float
    temperature: float | None = None
    humidity: float | None = None

    def condition(self, name: str) -> float | None:
        """Temperature in degC or relative humidity in %, by name."""
        return self.temperature if name == "temperature" else self.humidity


@dataclass(frozen=True, slots=True)
class Colocation:
    """`value = (indication - zero) * slope + terms`, and what it is worth.

    `rmse` is over days that had no part in their fit (every other day in turn), `residual_sd` over all; both in the
    unit of the reference. `covariance` is of (b0, slope, terms...), already widened for neighbouring hours.
    """

    zero: float
    slope: float
    terms: tuple[Correction, ...]
    beta: Vector
    covariance: Matrix
    residual_sd: float
    autocorrelation: float
    rmse: float
    n: int
    u_reference: float

    def correct(self, indication: float, temperature: float | None = None, humidity: float | None = None) -> float:
        """Value in the unit of the reference. Raises ValueError where a condition is needed and missing."""
        row = self._row(indication, {"temperature": temperature, "humidity": humidity})
        return dot(self.beta, row)

    def budget(self, indication: float, temperature: float | None = None, humidity: float | None = None) -> Budget:
        """Scatter about the reference, the fit, and the reference itself.

        The scatter is stated as slowly varying where neighbouring averages err alike (r above 0.5): a day's mean of
        it is not much better than an hour's.
        """
        row = self._row(indication, {"temperature": temperature, "humidity": humidity})
        return Budget(
            (
                Term(
                    "scatter about the reference",
                    max(self.residual_sd, self.rmse),
                    "slow" if self.autocorrelation > 0.5 else "independent",
                    "co-location",
                ),
                Term("co-location fit", math.sqrt(quadratic_form(self.covariance, row)), "common", "co-location"),
                Term("reference instrument", self.u_reference, "common", "declared"),
            )
        )

    def _row(self, indication: float, conditions: dict[str, float | None]) -> Vector:
        row = [1.0, indication]
        for term in self.terms:
            value = conditions[term.measurand]
            if value is None:
                raise ValueError(f"{term.measurand} is needed to correct this sensor")
            row.append(value - term.centre)
        return tuple(row)


def colocate(hours: Sequence[Together], conditions: Sequence[str] = ("temperature", "humidity")) -> Colocation:
    """Fit one sensor. Raises FitError for too little or too uniform data, and for a slope that is not above 0."""
    days = sorted({one.at_s // DAY_S for one in hours})
    if len(days) < DAYS_MIN:
        raise FitError(f"{len(days)} days side by side: at least {DAYS_MIN} are needed")
    names = [name for name in conditions if all(one.condition(name) is not None for one in hours)]
    names = _significant(hours, names)
    beta, covariance, residuals = _fit(hours, names)
    r = _autocorrelation(residuals)
    sd = math.sqrt(math.fsum(e * e for e in residuals) / (len(hours) - len(beta)))
    effective = _effective(len(hours), r)
    if effective < EFFECTIVE_MIN:
        raise FitError(f"as much as {effective:.0f} independent hours: at least {EFFECTIVE_MIN:g} are needed")
    if not beta[1] > 0.0:
        raise FitError("the sensor does not follow the reference")
    return Colocation(
        zero=-beta[0] / beta[1],
        slope=beta[1],
        terms=tuple(Correction(name, k, CENTRES[name]) for name, k in zip(names, beta[2:], strict=True)),
        beta=beta,
        covariance=scale(covariance, sd**2 * len(hours) / effective),
        residual_sd=sd,
        autocorrelation=r,
        rmse=_held_out(hours, names, days),
        n=len(hours),
        u_reference=math.sqrt(math.fsum(one.u_reference**2 for one in hours) / len(hours)),
    )


def _design(hours: Sequence[Together], names: Sequence[str]) -> list[list[float]]:
    return [[1.0, one.indication, *((one.condition(name) or 0.0) - CENTRES[name] for name in names)] for one in hours]


def _fit(hours: Sequence[Together], names: Sequence[str]) -> tuple[Vector, Matrix, list[float]]:
    design = _design(hours, names)
    found = least_squares(design, [one.reference for one in hours], [1.0] * len(hours))
    residuals = [one.reference - dot(found.beta, row) for one, row in zip(hours, design, strict=True)]
    return found.beta, found.covariance, residuals


def _significant(hours: Sequence[Together], names: Sequence[str]) -> list[str]:
    """Drop the weakest term until each stands out of its own uncertainty."""
    kept = list(names)
    while kept:
        beta, covariance, residuals = _fit(hours, kept)
        effective = _effective(len(hours), _autocorrelation(residuals))
        dof = max(1.0, effective - len(beta))
        sd = math.sqrt(math.fsum(e * e for e in residuals) / effective)
        ratios = [abs(beta[2 + i]) / (sd * math.sqrt(covariance[2 + i][2 + i])) for i in range(len(kept))]
        weakest = min(range(len(kept)), key=ratios.__getitem__)
        if ratios[weakest] > t_quantile(0.975, dof):
            break
        del kept[weakest]
    return kept


def _autocorrelation(residuals: Sequence[float]) -> float:
    """Lag-1 autocorrelation, not below 0."""
    power = math.fsum(e * e for e in residuals)
    if not power:
        return 0.0
    return max(0.0, math.fsum(a * b for a, b in pairwise(residuals)) / power)


def _effective(n: int, r: float) -> float:
    return max(1.0, n * (1.0 - r) / (1.0 + r))


def _held_out(hours: Sequence[Together], names: Sequence[str], days: Sequence[float]) -> float:
    """Root mean square error on every other day, by a fit of the days between, and the other way round."""
    even = {day for i, day in enumerate(days) if i % 2 == 0}
    halves = [[one for one in hours if (one.at_s // DAY_S in even) is side] for side in (True, False)]
    squares: list[float] = []
    for learnt, judged in (halves, halves[::-1]):
        beta, _, _ = _fit(learnt, names)
        design = _design(judged, names)
        squares += [(one.reference - dot(beta, row)) ** 2 for one, row in zip(judged, design, strict=True)]
    return math.sqrt(math.fsum(squares) / len(squares))


def fields_of(found: Colocation) -> dict[str, Any]:
    """What a record keeps of a fit beside zero, slope and terms, so that its budget can be made again."""
    return {
        "beta": list(found.beta),
        "covariance": [list(row) for row in found.covariance],
        "terms": [term.measurand for term in found.terms],
        "residual_sd": found.residual_sd,
        "autocorrelation": found.autocorrelation,
        "rmse": found.rmse,
        "n": found.n,
        "u_reference": found.u_reference,
    }


def colocation_of(fields: Mapping[str, Any]) -> Colocation:
    """Inverse of `fields_of`."""
    beta = tuple(fields["beta"])
    terms = tuple(Correction(name, k, CENTRES[name]) for name, k in zip(fields["terms"], beta[2:], strict=True))
    return Colocation(
        zero=-beta[0] / beta[1],
        slope=beta[1],
        terms=terms,
        beta=beta,
        covariance=tuple(tuple(row) for row in fields["covariance"]),
        residual_sd=fields["residual_sd"],
        autocorrelation=fields["autocorrelation"],
        rmse=fields["rmse"],
        n=fields["n"],
        u_reference=fields["u_reference"],
    )
