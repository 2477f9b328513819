"""Figures from a reference beside the instrument: relative accuracy (RATA), bias test, comparison over time."""

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.fit.linear import FitError
from calibration.fit.polynomial import Pair
from calibration.fit.student import t_quantile
from calibration.fit.york import york

RUNS_MIN: Final = 3
CONFIDENCE: Final = 0.975


@dataclass(frozen=True, slots=True)
class Rata:
    """Relative accuracy of paired means; differences are reference minus instrument.

    RA = (|mean d| + |cc|) / mean reference * 100 %, cc = t(0.975, n - 1) * s_d / sqrt(n) (40 CFR 60 App. B PS-2, 40 CFR
    75 App. A 7.3 to 7.5, same shape in HJ 75; clauses not seen).
    """

    n: int
    reference: float
    instrument: float
    difference: float
    sd: float
    confidence: float

    @property
    def percent(self) -> float | None:
        """Relative accuracy; None where the mean of the reference is 0."""
        return (abs(self.difference) + abs(self.confidence)) / abs(self.reference) * 100.0 if self.reference else None

    @property
    def relative_error(self) -> float | None:
        """Mean difference in percent of the mean reference."""
        return self.difference / abs(self.reference) * 100.0 if self.reference else None

    @property
    def biased_low(self) -> bool:
        """The bias test of 40 CFR 75 App. A 7.6: the mean difference exceeds the confidence coefficient."""
        return self.difference > abs(self.confidence)

    @property
    def adjustment_factor(self) -> float:
        """BAF = 1 + |mean d| / mean instrument where biased low, else 1 (40 CFR 75 App. A 7.6.5; not seen)."""
        return 1.0 + abs(self.difference) / self.instrument if self.biased_low and self.instrument else 1.0


def rata(pairs: Sequence[tuple[float, float]]) -> Rata | None:
    """Of (reference, instrument) means of runs, three at least (nine by the rules), else None."""
    if len(pairs) < RUNS_MIN:
        return None
    differences = [reference - instrument for reference, instrument in pairs]
    n, sd = len(pairs), statistics.stdev(differences)
    confidence = t_quantile(CONFIDENCE, n - 1) * sd / math.sqrt(n)
    reference, instrument = (statistics.fmean(column) for column in zip(*pairs, strict=True))
    return Rata(n, reference, instrument, statistics.fmean(differences), sd, confidence)


def paired(
    times: Sequence[float],
    values: Sequence[float],
    reference_times: Sequence[float],
    reference: Sequence[float],
    tolerance_s: float,
) -> Iterator[tuple[float, float]]:
    """(reference at the instrument's stamp, instrument): the reference interpolated between its two neighbours.

    Both neighbours must lie within `tolerance_s` of the stamp; a stamp they share needs no neighbour. Times ascend.
    """
    for at, value in zip(times, values, strict=True):
        place = bisect_left(reference_times, at)
        if place < len(reference_times) and reference_times[place] == at:
            yield reference[place], value
        elif 0 < place < len(reference_times):
            before, after = reference_times[place - 1], reference_times[place]
            if max(at - before, after - at) <= tolerance_s:
                share = (at - before) / (after - before)
                yield reference[place - 1] + share * (reference[place] - reference[place - 1]), value


@dataclass(frozen=True, slots=True)
class Comparison:
    """Instrument against reference: bias, root mean square and standard deviation of instrument minus reference.

    `slope` and `intercept` are those of instrument on reference: York's where both uncertainties are known (`errors`
    are then the standard uncertainties of slope and intercept), else least squares. None where there is no line.
    """

    n: int
    reference: float
    bias: float
    rmse: float
    sd: float
    r2: float | None
    slope: float | None
    intercept: float | None
    errors: tuple[float, float] | None

    @property
    def percent(self) -> float | None:
        """Bias in percent of the mean reference."""
        return self.bias / abs(self.reference) * 100.0 if self.reference else None


def comparison(
    pairs: Sequence[tuple[float, float]], u_reference: float | None = None, u_instrument: float | None = None
) -> Comparison | None:
    """Of (reference, instrument), three at least, else None; uncertainties are standard, in the unit of the series."""
    if len(pairs) < RUNS_MIN:
        return None
    x, y = ([float(one) for one in column] for column in zip(*pairs, strict=True))
    differences = [b - a for a, b in pairs]
    rmse = math.sqrt(math.fsum(d * d for d in differences) / len(pairs))
    slope, intercept, errors = _line(x, y, u_reference, u_instrument)
    bias, sd = statistics.fmean(differences), statistics.stdev(differences)
    return Comparison(len(pairs), statistics.fmean(x), bias, rmse, sd, _r2(x, y), slope, intercept, errors)


def _line(
    x: Sequence[float], y: Sequence[float], u_x: float | None, u_y: float | None
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    try:
        if u_x and u_y:
            found = york([Pair(a, b, u_x, u_y) for a, b in zip(x, y, strict=True)])
            return found.slope, found.intercept, (found.u_slope, found.u_intercept)
        return (*statistics.linear_regression(x, y), None)
    except (FitError, statistics.StatisticsError):
        return None, None, None  # a reference that does not vary gives no line


def _r2(x: Sequence[float], y: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(x, y) ** 2
    except statistics.StatisticsError:
        return None
