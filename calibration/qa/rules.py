"""Rule sets: what a deviation from a certified value means. Tables with their sources (`rules.csv`), first match wins.

A row holds for measurands, a role and, where it says so, full scales or certified values up to a bound. Its limits are
percent of full scale, amounts in its unit, or both; of both the wider one counts: a deviation within either passes, and
is out of control only beyond both.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, cast

from calibration.sequence import Role
from metrology.units import UnitError, convert

RuleSet = Literal["hj75", "40cfr60", "40cfr75", "en14181", "wmo", "wmo-south"]
RULE_SETS: Final[tuple[RuleSet, ...]] = ("hj75", "40cfr60", "40cfr75", "en14181", "wmo", "wmo-south")
# The word `adjust` is a failure: beyond what passes, not yet out of control. `unjudged`: no row speaks of it.
Verdict = Literal["pass", "warning", "adjust", "out-of-control", "unjudged"]
Chart = Literal["limits", "cusum", "shewhart", "ewma"]
# Shewhart's lines, in standard deviations, which a row with a chart shows whichever chart decides.
WARN_SD: Final = 2.0
ACT_SD: Final = 3.0
CONFIGURED: Final = "configuration"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Limits that are None do not exist; `unit` is that of `scale_to` and of the absolute limits."""

    rule_set: str
    measurands: tuple[str, ...]
    role: Role
    source: str
    verified: bool
    scale_to: float | None = None
    assigned_to_percent: float | None = None
    unit: str | None = None
    warn_percent: float | None = None
    pass_percent: float | None = None
    out_percent: float | None = None
    warn_absolute: float | None = None
    pass_absolute: float | None = None
    out_absolute: float | None = None
    repeat_count: int | None = None
    back_dates: bool = False
    chart: Chart = "limits"


def _number(text: str) -> float | None:
    return float(text) if text else None


def _row(cells: Mapping[str, str]) -> Row:
    numbers = ("scale_to", "assigned_to_percent", "warn_percent", "pass_percent", "out_percent", "warn_absolute",
               "pass_absolute", "out_absolute")  # fmt: skip
    found: dict[str, Any] = {name: _number(cells[name]) for name in numbers}
    return Row(
        rule_set=cells["rule_set"],
        measurands=() if cells["measurands"] == "*" else tuple(cells["measurands"].split()),
        role=cast(Role, cells["role"]),
        source=cells["source"],
        verified=cells["verified"] == "yes",
        unit=cells["unit"] or None,
        repeat_count=int(cells["repeat_count"]) if cells["repeat_count"] else None,
        back_dates=cells["back_dates"] == "yes",
        chart=cast(Chart, cells["chart"]),
        **found,
    )


@cache
def table() -> tuple[Row, ...]:
    """All rows of `rules.csv`, in their order."""
    text = resources.files("calibration.qa").joinpath("rules.csv").read_text(encoding="utf-8")
    return tuple(_row(cells) for cells in csv.DictReader(text.splitlines()))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The limits of one check in the unit of its reading, as its record carries them (`rules`).

    `count` checks in a row beyond `passes` lose control too (40 CFR 60); `back_dates` says that the time back to the
    last good check is invalid and not merely suspect; `sd` is the standard deviation a chart needs.
    """

    rule_set: str
    source: str
    verified: bool
    warn: float | None = None
    passes: float | None = None
    out: float | None = None
    count: int | None = None
    back_dates: bool = False
    chart: Chart = "limits"
    sd: float | None = None

    def verdict(self, deviation: float) -> Verdict:
        """What a deviation means by itself (unit of the reading); repetition and charts are `calibration.qa.control`'s.

        Beyond a limit means above it: a deviation as large as the limit passes.
        """
        size = abs(deviation)
        if self.out is not None and size > self.out:
            return "out-of-control"
        if self.passes is None:
            return "unjudged"
        if size > self.passes:
            return "adjust"
        return "warning" if self.warn is not None and size > self.warn else "pass"

    def fields(self) -> dict[str, Any]:
        """As a record holds it: what is None is left out."""
        found = {
            "set": self.rule_set, "source": self.source, "verified": self.verified, "warn": self.warn,
            "pass": self.passes, "out": self.out, "count": self.count,
            "back_dates": self.back_dates or None, "chart": self.chart, "sd": self.sd,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Judgement":
        """From a record's `rules`."""
        return cls(
            fields["set"], fields["source"], fields["verified"], fields.get("warn"), fields.get("pass"),
            fields.get("out"), fields.get("count"), fields.get("back_dates", False),
            fields.get("chart", "limits"), fields.get("sd"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one instrument: a rule set, rows of the station that come before its rows, `sd` for charts.

    `sd` maps (measurand, role) to the standard deviation of the analyzer in the unit of the series, from its type
    approval or from at least 20 checks in control. `chart` takes the place of the one that rows with a chart name.
    """

    rule_set: str
    own: tuple[Row, ...] = ()
    sd: Mapping[tuple[str, Role], float] = field(default_factory=dict)
    chart: Chart | None = None

    def judgement(self, measurand: str, role: Role, full_scale: float, assigned: float, unit: str) -> Judgement | None:
        """The limits of a check in `unit`; None where no row speaks of it."""
        rows = (*self.own, *(row for row in table() if row.rule_set == self.rule_set))
        for row in rows:
            if row.role == role and (not row.measurands or measurand in row.measurands):
                try:
                    if _holds(row, full_scale, assigned, unit):
                        chart = row.chart if row.chart == "limits" else self.chart or row.chart
                        return _judgement(row, full_scale, unit, self.sd.get((measurand, role)), chart)
                except UnitError:
                    continue  # a row in mole fractions says nothing of a mass concentration
        return None


def _holds(row: Row, full_scale: float, assigned: float, unit: str) -> bool:
    scale = row.scale_to is None or full_scale <= convert(row.scale_to, row.unit or unit, unit)
    return scale and (row.assigned_to_percent is None or assigned <= row.assigned_to_percent / 100.0 * full_scale)


def _judgement(row: Row, full_scale: float, unit: str, sd: float | None, chart: Chart) -> Judgement:
    def limit(percent: float | None, absolute: float | None) -> float | None:
        found = [] if percent is None else [percent / 100.0 * full_scale]
        found += [] if absolute is None else [convert(absolute, row.unit or unit, unit)]
        return max(found, default=None)

    warn, passes = limit(row.warn_percent, row.warn_absolute), limit(row.pass_percent, row.pass_absolute)
    if chart != "limits" and sd is not None:
        warn, passes = WARN_SD * sd, ACT_SD * sd
    return Judgement(
        row.rule_set,
        row.source,
        row.verified,
        warn,
        passes,
        limit(row.out_percent, row.out_absolute),
        row.repeat_count,
        row.back_dates,
        chart,
        sd,
    )


DEFAULT: Final[Mapping[str, Policy]] = {"regulated": Policy("hj75"), "research": Policy("wmo")}
