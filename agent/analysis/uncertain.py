"""The uncertainty budget of an average, from what is on record: and what is not on record is named, never made up.

A line through two gases: y = a0 + (x - r0) (a1 - a0) / (r1 - r0), each quantity with its own sensitivity (JCGM 100,
5.1.3). A curve: the parts of its covariance, fitted again of the points in its record (`calibration.fit`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, Final

from agent.firmware.tables import HUMIDITY
from calibration.colocation import CENTRES, colocation_of
from calibration.fit.linear import FitError, quadratic_form
from calibration.fit.polynomial import Pair, fit, mend, powers
from metrology.budget import Budget, Term
from metrology.periods import DAY_S, parse_iso

Fields = Mapping[str, Any]
Parts = Callable[[float], tuple[float, float]]
FLOOR: Final = 1e-9
# As-found checks that a rate of drift is taken from, and days below which an interval says nothing of a rate.
CHECKS_MAX: Final = 10
DAYS_MIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class Found:
    """A budget and the names of what is not known."""

    budget: Budget
    missing: tuple[str, ...] = ()

    def plus(self, other: "Found") -> "Found":
        """Both together."""
        return Found(self.budget.plus(*other.budget.terms), self.missing + other.missing)

    def scaled_by(self, factor: float) -> "Found":
        """Of `factor` times the value."""
        return Found(self.budget.scaled(factor), self.missing)


def of_scans(values: Sequence[float]) -> Found:
    """What the readings of a period scatter, as the mean has it, and the step they come in; in their unit.

    The number that counts is n (1 - r) / (1 + r) with r the autocorrelation of neighbours, where that is above 0. Air
    that varied within the period is part of the scatter.
    """
    if len(values) < 2:
        return Found(Budget(), ("noise",))
    sd, n = stdev(values), len(values)
    r = max(0.0, min(autocorrelation(values), 0.99))
    effective = max(1.0, n * (1.0 - r) / (1.0 + r))
    source = f"{n} readings, r = {r:.2f}, n' = {effective:.3g}"
    terms = [Term("noise", sd / math.sqrt(effective), "independent", source)]
    steps = [abs(b - a) for a, b in pairwise(sorted(values)) if b != a]
    if steps:
        step = min(steps)
        # A step far below the scatter is the float's own, or lost in it.
        if step > sd / 10.0:
            terms.append(Term("resolution", step / math.sqrt(12.0), "common", f"readings come in steps of {step:.3g}"))
    return Found(Budget(tuple(terms)))


def autocorrelation(values: Sequence[float]) -> float:
    """Of neighbours; 0 where nothing varies."""
    mean = fmean(values)
    away = [value - mean for value in values]
    total = math.fsum(one * one for one in away)
    return math.fsum(a * b for a, b in pairwise(away)) / total if total else 0.0


def of_coefficients(
    coefficients: Fields, points: Sequence[Fields], x: float, around: Mapping[str, float] | None = None
) -> Found:
    """What the correction brings at an indication `x`, in the unit of the series.

    `around` are measurands of the same instrument, for terms of a board's table; what is absent counts as its centre.
    """
    if "chip" in coefficients:
        return _of_table(coefficients, x, around or {})
    if coefficients.get("beta") and coefficients.get("points"):
        return _of_curve(coefficients, x)
    counted = [row for row in points if row["stable"] and row["mean"] is not None and row.get("counted", True)]
    ends = {row["role"]: row for row in counted}
    if {"zero", "span"} - set(ends):
        return Found(Budget(), ("calibration points",))
    return _of_line(ends["zero"], ends["span"], x)


def _of_table(coefficients: Fields, x: float, around: Mapping[str, float]) -> Found:
    """Of a board: what its co-location found, where its row came of one."""
    if "colocation" not in coefficients:
        return Found(Budget(), ("co-location",))
    found = colocation_of(coefficients["colocation"])
    temperature = around.get(coefficients["temperature"], CENTRES["temperature"])
    budget = found.budget(x, temperature, around.get(HUMIDITY, CENTRES["humidity"]))
    missing = () if found.u_reference else ("reference instrument",)
    return Found(Budget(tuple(term for term in budget.terms if term.u)), missing)


def _of_curve(coefficients: Fields, x: float) -> Found:
    try:
        parts = _curve(coefficients)
    except FitError as error:
        return Found(Budget(), (f"covariance ({error})",))
    readings, cylinders = parts(x)
    numbers = ", ".join(f"{row['gas']} ({row['number']})" for row in coefficients["points"])
    terms = (
        Term("cylinders", cylinders, "common", f"certificates of {numbers}"),
        Term("calibration readings", readings, "slow", f"covariance of {len(coefficients['beta'])} coefficients"),
    )
    return Found(Budget(terms))


def _curve(coefficients: Fields) -> Parts:
    """Slow and common part at an indication. Raises FitError."""
    rows, size = coefficients["points"], len(coefficients["beta"])
    u = mend([row["uncertainty"] for row in rows], [row["assigned"] for row in rows], FLOOR)
    pairs = [
        Pair(row["reading"], row["assigned"], (row["sd"] or 0.0) / math.sqrt(row["n"]), one)
        for row, one in zip(rows, u, strict=True)
    ]
    again = fit(pairs, size - 1)

    def parts(x: float) -> tuple[float, float]:
        at = powers(x, size)
        return math.sqrt(quadratic_form(again.from_x, at)), math.sqrt(quadratic_form(again.from_y, at))

    return parts


def parts_of(coefficients: Fields, points: Sequence[Fields]) -> Parts | None:
    """Slow and common part of a correction at an indication; None where it is not known."""
    if coefficients.get("beta") and coefficients.get("points"):
        try:
            return _curve(coefficients)
        except FitError:
            return None
    if of_coefficients(coefficients, points, 0.0).missing:
        return None

    def parts(x: float) -> tuple[float, float]:
        found = of_coefficients(coefficients, points, x).budget.uncertainty
        # What scatters from hour to hour is still more than the readings of one hour show.
        return math.hypot(found.independent, found.slow), found.common

    return parts


def _of_line(zero: Fields, span: Fields, x: float) -> Found:
    part = (x - zero["mean"]) / (span["mean"] - zero["mean"])
    slope = abs((span["assigned"] - zero["assigned"]) / (span["mean"] - zero["mean"]))
    terms, missing = [], []
    for row, share in ((zero, abs(1.0 - part)), (span, abs(part))):
        gas = f"{row['role']} gas {row['gas']}"
        if row.get("uncertainty"):
            source = f"certified {row['assigned']:g} with {row['uncertainty']:g} ({row['scale']})"
            terms.append(Term(f"certificate of {gas}", share * row["uncertainty"], "common", source))
        elif row["assigned"]:
            missing.append(f"certificate of {gas}")
        if row["sd"] is None:
            missing.append(f"reading of {gas}")
        else:
            u = share * slope * row["sd"] / math.sqrt(row["n"])
            terms.append(Term(f"reading of {gas}", u, "slow", f"sd {row['sd']:.3g} of {row['n']} readings"))
    return Found(Budget(tuple(terms)), tuple(missing))


def of_drift(checks: Sequence[Fields], since: str, at: str) -> Found:
    """What the instrument may have drifted since its calibration, by as-found checks (`drift` records, oldest first).

    The root mean square of the deviations per day between calibrations, times the days since the last.
    """
    rates = []
    for role in ("zero", "span"):
        own = [row for row in checks if row["role"] == role and row["stable"] and "corrected" in row]
        for before, row in pairwise(own[-CHECKS_MAX - 1 :]):
            days = (parse_iso(row["t"]) - parse_iso(before["t"])).total_seconds() / DAY_S
            if days >= DAYS_MIN:
                rates.append((row["corrected"] - row["assigned"]) / days)
    if not rates:
        return Found(Budget(), ("drift",))
    rate = math.sqrt(fmean([one * one for one in rates]))
    days = max(0.0, (parse_iso(at) - parse_iso(since)).total_seconds() / DAY_S)
    source = f"{rate:.3g} a day by {len(rates)} as-found checks, {days:.1f} days since the calibration"
    return Found(Budget((Term("drift", rate * days, "slow", source),)))


def of_checks(checks: Sequence[Fields], points: Sequence[Fields], value: float) -> Found:
    """What an uncorrected series is off by: the checks with gas before it, and the certificate of the span gas.

    `checks` are `drift` and `standard-check` records, `points` those of the same runs, oldest first.
    """
    own = [row for row in checks if row.get("stable", True)][-CHECKS_MAX:]
    missing = []
    terms = []
    if own:
        off = [row["reading"] - row["assigned"] for row in own]
        u = math.sqrt(fmean([one * one for one in off]))
        terms.append(Term("checks with gas", u, "slow", f"root mean square of {len(off)} deviations"))
    else:
        missing.append("checks with gas")
    spans = [row for row in points if row["role"] == "span" and row.get("uncertainty") and row["assigned"]]
    if spans:
        last = spans[-1]
        source = f"gas {last['gas']}: {last['assigned']:g} with {last['uncertainty']:g} ({last['scale']})"
        u = abs(value / last["assigned"]) * last["uncertainty"]
        terms.append(Term("certificate of span gas", u, "common", source))
    else:
        missing.append("certificate of span gas")
    return Found(Budget(tuple(terms)), tuple(missing))


def told(found: Found, value: float | None, unit: str) -> dict[str, Any]:
    """The budget as it is printed: k = 1 and 2, by behaviour over time, and its terms by weight."""
    budget = found.budget
    parts = budget.uncertainty
    known = bool(budget.terms)
    return {
        "value": value,
        "unit": unit,
        "u": budget.total if known else None,
        "U": 2.0 * budget.total if known else None,
        "independent": parts.independent if known else None,
        "slow": parts.slow if known else None,
        "common": parts.common if known else None,
        "terms": [
            {"name": term.name, "u": term.u, "share": share, "over_time": term.over_time, "source": term.source,
             "verified": term.verified}
            for term, share in budget.by_weight()
        ],
        "missing": list(found.missing),
    }  # fmt: skip
