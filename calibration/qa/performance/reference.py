"""Figures from a reference beside the instrument: relative accuracy (RATA), bias test, comparison over time."""

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.fit.student import t_quantile

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
    reference: Sequence[float],
    instrument: Sequence[float],
    u_reference: float | None = None,
    u_instrument: float | None = None,
) -> Comparison | None:
    """Of pairs, three at least, else None; uncertainties are standard, in the unit of the series."""
    n = len(reference)
    if n < RUNS_MIN:
        return None
    x_mean, y_mean = math.fsum(reference) / n, math.fsum(instrument) / n
    bias = y_mean - x_mean
    square = math.fsum((y - x) ** 2 for x, y in zip(reference, instrument, strict=True)) / n
    sd = math.sqrt(math.fsum((y - x - bias) ** 2 for x, y in zip(reference, instrument, strict=True)) / (n - 1))
    sums = _Sums(
        n,
        x_mean,
        y_mean,
        math.fsum((x - x_mean) ** 2 for x in reference),
        math.fsum((y - y_mean) ** 2 for y in instrument),
        math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(reference, instrument, strict=True)),
    )
    slope, intercept, errors = _line(sums, u_reference, u_instrument)
    product = sums.xx * sums.yy
    r2 = sums.xy**2 / product if product else None
    return Comparison(n, x_mean, bias, math.sqrt(square), sd, r2, slope, intercept, errors)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Means, and sums of squares and products about them."""

    n: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


def _line(
    sums: _Sums, u_x: float | None, u_y: float | None
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    """York's line for uncertainties that are the same at all points, where his equation has a solution in closed form.

    The slope is Deming's (1943), the errors are York's (2004, equations 13c and 13d) for weights that are all one: with
    millions of pairs his iteration would take hours. Without uncertainties least squares.
    """
    if not sums.xx or not math.isfinite(sums.xy / sums.xx):
        return None, None, None
    if not (u_x and u_y and sums.xy):
        slope = sums.xy / sums.xx
        return slope, sums.y - slope * sums.x, None
    ratio = (u_y / u_x) ** 2
    half = (sums.yy - ratio * sums.xx) / 2.0
    slope = (half + math.sqrt(half * half + ratio * sums.xy**2)) / sums.xy
    # The points moved onto the line: x + beta, beta = W (U u_y^2 + b V u_x^2), W = 1 / (u_y^2 + b^2 u_x^2).
    weight = 1.0 / (u_y**2 + slope**2 * u_x**2)
    moved = weight**2 * (u_y**4 * sums.xx + 2 * slope * u_x**2 * u_y**2 * sums.xy + (slope * u_x**2) ** 2 * sums.yy)
    u_slope = 1.0 / math.sqrt(weight * moved)
    u_intercept = math.sqrt(1.0 / (sums.n * weight) + (sums.x * u_slope) ** 2)
    return slope, sums.y - slope * sums.x, (u_slope, u_intercept)
