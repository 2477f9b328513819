"""The response of an instrument from one run with three or more gases: a line or parabola, errors in both axes.

The certified amount is fitted on the indication (`calibration.fit.polynomial`, York's line for degree 1): the weight of
a gas is its certificate's standard uncertainty and the standard deviation of the mean of its readings. A target gas is
no part of it, by type.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from calibration.evaluate import OFFSET_PERCENT_MAX, SLOPE_RANGE, FitError, SpanPoint, ZeroPoint
from calibration.fit.linear import FitError as NoCurveError
from calibration.fit.polynomial import Pair, PolynomialFit, fit, mend

# So many different gases make a curve; with two there is a line through both and nothing to judge it by.
GASES_MIN: Final = 3
# Own default: a gas that lies farther from the curve, in percent of full scale, needs a person.
RESIDUAL_PERCENT_MAX: Final = 1.0
# Standard uncertainty of a certificate that states none, in the unit of the series, where 0.1 % of the amount is less.
_FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """A response with the points it was made of; each point's residual is certified minus curve, in its unit."""

    fit: PolynomialFit
    points: tuple[ZeroPoint | SpanPoint, ...]
    unit: str

    @property
    def model(self) -> str:
        """As records name it."""
        return "linear" if len(self.fit.beta) == 2 else "quadratic"

    def fields(self, numbers: Mapping[str, str]) -> dict[str, Any]:
        """Members of its record; `numbers` are those of the cylinders by name."""
        points = [
            {
                "gas": one.cylinder,
                "number": numbers[one.cylinder],
                "assigned": one.assigned.value,
                "uncertainty": one.assigned.uncertainty,
                "reading": one.reading,
                "sd": one.window.sd,
                "n": one.window.n,
                "residual": residual,
            }
            for one, residual in zip(self.points, self.fit.residuals, strict=True)
        ]
        return {
            "model": self.model,
            "beta": list(self.fit.beta),
            "covariance": [list(row) for row in self.fit.covariance],
            "residual_sd": self.fit.residual_sd,
            "chi_square": self.fit.chi_square,
            "dof": self.fit.dof,
            "unit": self.unit,
            "points": points,
        }


def is_curve(points: Sequence[ZeroPoint | SpanPoint]) -> bool:
    """True where there are gases enough for more than a line through two."""
    return len({one.cylinder for one in points}) >= GASES_MIN


def curve(points: Sequence[ZeroPoint | SpanPoint], degree: int) -> Curve:
    """Fit certified amounts on readings. Raises FitError where they define no curve, one is unsteady or scales mix."""
    for one in points:
        if one.why_unusable:
            raise FitError(one.why_unusable)
    units = {one.assigned.unit for one in points}
    if len(units) > 1:
        raise FitError(f"gases in {' and '.join(sorted(units))}")
    # A gas free of what is measured is zero on every scale.
    scales = {one.assigned.scale for one in points if one.assigned.value != 0.0}
    if len(scales) > 1:
        raise FitError(f"gases on different scales: {', '.join(sorted(scales))}")
    assigned = [one.assigned.value for one in points]
    uncertain = mend([one.assigned.uncertainty for one in points], assigned, _FLOOR)
    pairs = [
        Pair(one.reading, value, (one.window.sd or 0.0) / math.sqrt(one.window.n), u)
        for one, value, u in zip(points, assigned, uncertain, strict=True)
    ]
    try:
        return Curve(fit(pairs, degree), tuple(points), units.pop())
    except NoCurveError as error:
        raise FitError(str(error)) from error


def doubts_of(found: Curve, full_scale: float, residual_max: float | None) -> list[str]:
    """Why a curve must not be adopted without a person; empty where it may (own defaults, as for two points).

    Its slope and offset are judged at the lowest and highest gas: beyond them it is not to be used. `residual_max` in
    the unit of the series; None is RESIDUAL_PERCENT_MAX of full scale.
    """
    doubts = []
    (low, high), x = SLOPE_RANGE, [one.reading for one in found.points]
    for end in (min(x), max(x)):
        slope = found.fit.slope(end)
        if not low <= slope <= high:
            doubts.append(f"slope {slope:.4g} at {end:.6g} is outside {low:g} to {high:g}")
    offset_percent = abs(found.fit.correct(min(x)) - min(x)) / full_scale * 100.0
    if not offset_percent <= OFFSET_PERCENT_MAX:
        doubts.append(
            f"offset at the lowest gas is {offset_percent:.2g} % of full scale, above {OFFSET_PERCENT_MAX:g} %"
        )
    limit = full_scale * RESIDUAL_PERCENT_MAX / 100.0 if residual_max is None else residual_max
    for one, residual in zip(found.points, found.fit.residuals, strict=True):
        if not abs(residual) <= limit:
            doubts.append(f"gas {one.cylinder} lies {residual:.4g} {found.unit} off the curve, allowed are {limit:.4g}")
    return doubts
