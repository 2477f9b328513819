"""Limits of performance tests: rows with their source (`limits.csv`), those of a site first, the first match wins."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, cast

from metrology.measurand import catalogue
from metrology.units import STACK_DRY, UnitError, convert

Standard = Literal["hj76", "40cfr60", "40cfr75"]
Test = Literal[
    "repeatability", "indication-error", "zero-error", "linearity", "detection-limit", "response", "drift-24h",
    "drift-7d", "audit", "accuracy", "bias", "comparison",
]  # fmt: skip
TESTS: Final[tuple[Test, ...]] = (
    "repeatability", "zero-error", "indication-error", "linearity", "detection-limit", "response", "drift-24h",
    "drift-7d", "audit", "accuracy", "bias", "comparison",
)  # fmt: skip
# What a limit is compared with: absolute in the unit of the row, seconds, or percent of something.
Basis = Literal[
    "absolute", "seconds", "percent_scale", "percent_gas", "percent_mean", "percent_rata", "percent_error", "r2"
]
Verdict = Literal["pass", "fail", "no-limit", "not-tested"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: |figure| at most `limit` passes (r2: at least). It holds where `when` lies in [from, to) of `unit`."""

    test: str
    basis: Basis
    limit: float
    source: str
    verified: bool
    standard: str = "site"
    measurands: tuple[str, ...] = ()
    when: Literal["full_scale", "mean"] | None = None
    low: float | None = None
    high: float | None = None
    unit: str | None = None


@cache
def table() -> tuple[Limit, ...]:
    """All rows of `limits.csv`."""
    text = resources.files("calibration.qa.performance").joinpath("limits.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


def _row(cells: Mapping[str, str]) -> Limit:
    def number(name: str) -> float | None:
        return float(cells[name]) if cells[name] else None

    return Limit(
        cells["test"],
        cast(Basis, cells["basis"]),
        float(cells["limit"]),
        cells["source"],
        cells["verified"] == "yes",
        cells["standard"],
        () if cells["measurands"] == "*" else tuple(cells["measurands"].split()),
        cast(Any, cells["when"] or None),
        number("from"),
        number("to"),
        cells["unit"] or None,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test of one series: figures by basis (absolute ones in `unit`), and what else is worth printing.

    `about` says on what: a gas, a step, a reference. `figures` is empty where the data do not allow the test, and
    `why` says so. `mean` and `full_scale` choose the row of limits, in `unit`.
    """

    test: Test
    series: str
    measurand: str
    about: str
    unit: str
    n: int
    figures: Mapping[Basis, float] = field(default_factory=dict)
    detail: Mapping[str, float | None] = field(default_factory=dict)
    mean: float | None = None
    full_scale: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome with the row it was judged by; `figure` and `bound` in the basis of that row, None without one."""

    outcome: Outcome
    limit: Limit | None
    figure: float | None
    bound: float | None

    @property
    def verdict(self) -> Verdict:
        """A figure as large as its limit passes."""
        if not self.outcome.figures:
            return "not-tested"
        if self.figure is None or self.bound is None or self.limit is None:
            return "no-limit"
        kept = self.figure >= self.bound if self.limit.basis == "r2" else abs(self.figure) <= self.bound
        return "pass" if kept else "fail"


def judge(outcome: Outcome, standard: str | None, own: Sequence[Limit] = ()) -> Judged:
    """Judge by the first row that fits: the site's own, then those of a standard."""
    for row in (*own, *(one for one in table() if one.standard == standard)):
        if row.test != outcome.test or (row.measurands and outcome.measurand not in row.measurands):
            continue
        if row.basis not in outcome.figures:
            continue
        try:
            if _holds(row, outcome):
                bound = row.limit if row.basis != "absolute" else _in_unit(row.limit, row.unit, outcome)
                return Judged(outcome, row, outcome.figures[row.basis], bound)
        except UnitError:
            continue  # the row is written for another kind of amount
    return Judged(outcome, None, None, None)


def _holds(row: Limit, outcome: Outcome) -> bool:
    if row.when is None:
        return True
    value = outcome.full_scale if row.when == "full_scale" else outcome.mean
    if value is None:
        return False
    low = None if row.low is None else _in_unit(row.low, row.unit, outcome)
    high = None if row.high is None else _in_unit(row.high, row.unit, outcome)
    return (low is None or value >= low) and (high is None or value < high)


def _in_unit(value: float, unit: str | None, outcome: Outcome) -> float:
    """An amount of a row in the unit of the outcome; between amount and mass by the state of stack gas (22.4)."""
    if unit is None or unit == outcome.unit:
        return value
    known = catalogue().get(outcome.measurand)
    molar_mass = known.molar_mass if known else None
    return convert(value, unit, outcome.unit, state=STACK_DRY, molar_mass=molar_mass)
