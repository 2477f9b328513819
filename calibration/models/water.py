"""Water correction of cavity ring-down analyzers with the uncertainty of its coefficients, and their own fit.

dry = wet / (1 + a H + b H^2), H the analyzer's `h2o_reported` in percent. Rella et al. 2013, Atmos. Meas. Tech. 6,
837-860, equation 8 and its coefficients for the G2300 and G2400 families (`calibration.water`). The coefficients of a
single analyzer come from an experiment: one gas, dry and then wetted by a droplet, the ratio of wet to dry against H.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from calibration import water
from calibration.fit.polynomial import FitError, least_squares


@dataclass(frozen=True, slots=True)
class WaterCorrection:
    """Coefficients a (1/%), b (1/%^2) and their covariance (aa, ab, bb); `source` says where they are from.

    `over_time` of its uncertainty is common: one set of coefficients serves all values.
    """

    a: float
    b: float
    covariance: tuple[float, float, float] = (0.0, 0.0, 0.0)
    source: str = "declared"
    verified: bool = True

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "WaterCorrection":
        """From `{a, b, covariance: [aa, ab, bb], source, verified}`. Raises KeyError, TypeError, ValueError."""
        unknown = set(found) - {"a", "b", "covariance", "source", "verified"}
        if unknown:
            raise ValueError(f"unknown {', '.join(sorted(unknown))}")
        aa, ab, bb = (float(one) for one in found.get("covariance", (0.0, 0.0, 0.0)))
        source, verified = str(found.get("source", "declared")), bool(found.get("verified", True))
        return cls(float(found["a"]), float(found["b"]), (aa, ab, bb), source, verified)

    def dry(self, wet: float, h: float) -> float:
        """Dry amount in the unit of `wet`."""
        return wet / (1.0 + self.a * h + self.b * h * h)

    def uncertainty(self, dry: float, h: float) -> float:
        """Standard uncertainty of a dry amount from that of the coefficients, in the unit of `dry`."""
        aa, ab, bb = self.covariance
        variance = h * h * (aa + 2.0 * ab * h + bb * h * h)
        return abs(dry) / (1.0 + self.a * h + self.b * h * h) * math.sqrt(max(0.0, variance))


# How far single analyzers lie from the published coefficients was not seen in the paper; what stands here, 1.5 % of the
# linear and 10 % of the quadratic coefficient, is a default of ours.
_SOURCE: Final = "Rella et al. 2013; spread between analyzers is a default"


def _published(pair: tuple[float, float]) -> WaterCorrection:
    a, b = pair
    return WaterCorrection(a, b, ((0.015 * a) ** 2, 0.0, (0.1 * b) ** 2), _SOURCE, verified=False)


WATER_MODELS: Final[Mapping[str, WaterCorrection]] = {
    "rella-co2": _published(water.CO2),
    "rella-ch4": _published(water.CH4),
}


@dataclass(frozen=True, slots=True)
class Droplet:
    """One reading of an experiment with one gas: wet indication, `h2o_reported` in percent, standard uncertainty."""

    wet: float
    h: float
    u: float


def fit_water(readings: Iterable[Droplet], dry: float, u_dry: float, source: str = "own experiment") -> WaterCorrection:
    """The analyzer's own coefficients: weighted least squares of wet/dry - 1 on H and H^2, through zero at H = 0.

    `dry` is the same gas read dry, with its standard uncertainty. Its error would move all ratios together, so a factor
    on the dry reading is fitted too. Raises FitError where the readings do not span enough humidity.
    """
    rows = list(readings)
    spread = max((one.h for one in rows), default=0.0) - min((one.h for one in rows), default=0.0)
    if len(rows) < 3 or spread < 0.3:
        raise FitError(f"{len(rows)} readings over {spread:.2g} % of water: at least 3 over 0.3 % are needed")
    design: list[Sequence[float]] = [*((1.0, one.h, one.h * one.h) for one in rows), (1.0, 0.0, 0.0)]
    values = [one.wet / dry for one in rows] + [1.0]
    sigmas = [one.u / dry for one in rows] + [u_dry / dry]
    found = least_squares(design, values, sigmas)
    c0, a, b = found.beta
    cov = found.covariance
    return WaterCorrection(a / c0, b / c0, (cov[1][1], cov[1][2], cov[2][2]), source)
