"""By what an interval is corrected when its averages are made again: dated rules, the first that speaks holds.

`previous`: the calibration before a scan, none before the first. `nearest`: the closer of both neighbours. `linear`:
between both, in time; before the first and after the last calibration that one (`calibration.models.response`).
`as-measured`: what the station used. A rule may give a line or a polynomial of its own instead. The time of a
calibration is the one its coefficients are valid from.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from agent.analysis.corrections import AsMeasured
from agent.analysis.dated import Dated, Filed
from calibration.correction import Coefficients, apply, brought, coefficients_of, doubted, lacking, of_curve
from calibration.density import AtDensity
from calibration.fit.linear import FitError
from calibration.fit.polynomial import Pair, fit
from calibration.models.response import Response, Responses
from calibration.models.rules import matches
from host.hjson import Strict
from metrology.periods import iso
from metrology.reading import Measurement, Reading, Scan

Fields = Mapping[str, Any]
Use = Literal["previous", "nearest", "linear", "as-measured"]
# Between the ids of several calibrations that one value uses; no id holds it.
AND: Final = "\n"
RULES_MAX: Final = 1000


class Rule(Dated):
    """One row; `series` may hold `*`, `a|b`, `!a`."""

    series: str = "*"
    use: Use | None = None
    zero: float | None = None
    slope: float | None = None
    beta: list[float] | None = Field(default=None, min_length=2, max_length=4)
    source: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Rule":
        ways = [self.use is not None, self.zero is not None or self.slope is not None, self.beta is not None]
        if sum(ways) != 1 or (self.zero is None) != (self.slope is None):
            raise ValueError("a rule has one of: use, zero with slope, beta")
        return self


class Assigned(Strict):
    """A corrected value of a cylinder: calibrations with it are fitted again."""

    number: str
    measurand: str
    value: float
    source: str


class Plan(Strict):
    """What a file of `--coefficients` holds."""

    rules: list[Rule] = Field(default=[], max_length=RULES_MAX)
    assigned: list[Assigned] = Field(default=[], max_length=RULES_MAX)
    filed: list[Filed] = Field(default=[], max_length=RULES_MAX)

    def fields(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """As JSON; without filed parameters where it has none."""
        told = self.model_dump(mode="json", exclude_none=exclude_none)
        return {name: rows for name, rows in told.items() if rows or name != "filed"}


def by_interpolation(use: Use, assigned: Sequence[Assigned] = ()) -> Plan:
    """One rule for all series."""
    return Plan(rules=[Rule(use=use)], assigned=list(assigned))


def fingerprint(
    series: Iterable[str], start: datetime, end: datetime, plan: Plan, known: Iterable[Fields], stacks: Fields
) -> str:
    """Id of a recomputation: the same interval, rules, calibrations and filed parameters of stacks have the same."""
    used = sorted((row["id"], row["epoch"], row["seq"]) for row in known)
    asked = [sorted(series), iso(start), iso(end), plan.fields(), used, *([stacks] if stacks else [])]
    return "recompute-" + hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Known:
    """What was known when it was asked for: coefficients records, and points and starts of runs."""

    coefficients: Sequence[Fields]
    runs: Sequence[Fields] = ()

    def before(self, fields: Fields) -> "Known":
        """The part that was written before a record."""
        place = (fields["epoch"], fields["seq"])
        return Known(
            [row for row in self.coefficients if (row["epoch"], row["seq"]) < place],
            [row for row in self.runs if (row["epoch"], row["seq"]) < place],
        )

    def points(self) -> list[Fields]:
        """Points with the number of their cylinder."""
        numbers = {
            (row["run"], gas["gas"]): gas.get("number")
            for row in self.runs
            if row["what"] == "run-started"
            for gas in row.get("gases", ())
        }
        return [{**row, "number": numbers.get((row["run"], row["gas"]))} for row in self.runs if row["what"] == "point"]


class ByPlan:
    """Corrections by a plan, from what was `known`. `before` are records on corrections from before the first scan."""

    def __init__(self, name: str, plan: Plan, known: Known, before: Iterable[Fields]) -> None:
        """Raises FitError where a corrected cylinder leaves a calibration without a line."""
        self._name, self._plan = name, plan
        self._measured = AsMeasured(before)
        self._rows: dict[str, list[Coefficients]] = {}
        again = _Again(name, plan.assigned, known.points() if plan.assigned else ())
        rows = [row for row in known.coefficients if "chip" not in row]
        for fields in sorted(rows, key=lambda row: (row["from"], row["epoch"], row["seq"])):
            self._rows.setdefault(fields["series"], []).append(again.fitted(fields))
        self._lines: dict[str, Responses] = {}
        self._spans = [(*rule.span, number, rule) for number, rule in enumerate(plan.rules)]
        self._speaking: dict[str, list[tuple[str, str, int, Rule]]] = {}

    def take(self, fields: Fields) -> None:
        """The tables of boards, and what the station used, go by the order of the log."""
        self._measured.take(fields)

    def measure(self, reading: Reading, scan: Scan) -> Measurement:
        """See `Corrections.measure`."""
        series, at = reading.series, iso(reading.at)
        if series not in self._speaking:
            self._speaking[series] = [one for one in self._spans if matches(one[-1].series, series)]
        found = next((one for one in self._speaking[series] if one[0] <= at < one[1]), None)
        # The table of a board goes by its chip, in the order in which it was set.
        if found is None or found[-1].use == "as-measured" or (found[-1].use and series not in self._rows):
            return self._measured.measure(reading, scan)
        *_, number, rule = found
        if rule.use == "linear":
            return self._between(reading, scan)
        return apply(reading, self._one(rule, number, reading), scan.readings)

    def by_id(self, series: str, name: str) -> Coefficients | None:
        """The coefficients behind an id in a measurement, those fitted again too; None of a line given by a rule."""
        own = next((one for one in self._rows.get(series, ()) if one.id == name), None)
        return own or self._measured.by_id(series, name)

    def _one(self, rule: Rule, number: int, reading: Reading) -> Coefficients | None:
        name = f"{self._name}/{number}"
        if rule.beta is not None:
            start = datetime.min.replace(tzinfo=reading.at.tzinfo)
            return replace(of_curve(name, reading.series, tuple(rule.beta), start), density=self._density(reading))
        if rule.zero is not None and rule.slope is not None:
            start = datetime.min.replace(tzinfo=reading.at.tzinfo)
            density = self._density(reading)
            return Coefficients(name, reading.series, rule.zero, rule.slope, start, density=density)
        rows = self._rows[reading.series]
        before = [one for one in rows if one.valid_from <= reading.at]
        if rule.use == "previous":
            return before[-1] if before else None
        nearest = min(rows, key=lambda one: abs((one.valid_from - reading.at).total_seconds()))
        # It holds wherever it is nearest, before its own time too.
        return Coefficients(
            nearest.id, nearest.series, nearest.zero, nearest.slope, min(nearest.valid_from, reading.at),
            beta=nearest.beta, density=nearest.density, expired=nearest.expired,
        )  # fmt: skip

    def _density(self, reading: Reading) -> AtDensity | None:
        """Of the calibration before a reading, else of the first one."""
        rows = self._rows.get(reading.series, [])
        before = [one for one in rows if one.valid_from <= reading.at]
        return (before[-1] if before else rows[0]).density if rows else None

    def _between(self, reading: Reading, scan: Scan) -> Measurement:
        responses = self._lines.get(reading.series)
        if responses is None:
            responses = self._lines[reading.series] = _responses(self._rows[reading.series])
        curve = responses.at(reading.at.timestamp())
        if curve is None:
            return Measurement(reading, reading.value)
        name = AND.join(curve.ids)
        if reading.value is None:
            return Measurement(reading, None, name)
        indication = brought(reading, self._density(reading), scan.readings)
        if indication is None:
            return lacking(reading, "cell pressure and temperature", name)
        expired = {one for row in self._rows[reading.series] if row.id in curve.ids for one in row.expired}
        return Measurement(doubted(reading, sorted(expired)), curve.correct(indication), name)


def _responses(rows: Sequence[Coefficients]) -> Responses:
    size = max((len(one.beta) for one in rows), default=2)
    size = max(size, 2)
    nothing = tuple((0.0,) * size for _ in range(size))
    made = [
        Response(one.id, one.valid_from.timestamp(), _beta(one, size), nothing, nothing, 0.0, 0.0, 0, ())
        for one in rows
    ]
    return Responses(made, "linear", math.inf)


def _beta(one: Coefficients, size: int) -> tuple[float, ...]:
    beta = one.beta or (-one.zero * one.slope, one.slope)
    return (*beta, *(0.0,) * (size - len(beta)))


class _Again:
    """Calibrations fitted again with corrected values of cylinders."""

    def __init__(self, name: str, assigned: Sequence[Assigned], points: Sequence[Fields]) -> None:
        self._name = name
        self._assigned = {(one.number, one.measurand): one.value for one in assigned}
        self._points = points

    def fitted(self, fields: Fields) -> Coefficients:
        """The coefficients of a record; of one whose cylinders were corrected, made again of its points."""
        known = coefficients_of(fields)
        return replace(self._fitted(known, fields), density=known.density, expired=known.expired)

    def _fitted(self, known: Coefficients, fields: Fields) -> Coefficients:
        measurand = fields["series"].partition(".")[2]
        own = [
            row for row in self._points if row["run"] == fields.get("run") and row["series"] == fields["series"]
            and row["role"] in ("zero", "span") and row.get("counted", True) and row["stable"]
            and row["mean"] is not None
        ]  # fmt: skip
        values: list[float] = [self._assigned.get((row["number"], measurand), float(row["assigned"])) for row in own]
        if all(value == row["assigned"] for value, row in zip(values, own, strict=True)):
            return known
        name = f"{self._name}/{known.id}"
        if known.beta:
            sizes = [(row["sd"] or 0.0) / math.sqrt(row["n"]) for row in own]
            pairs = [
                Pair(row["mean"], value, u, row["uncertainty"] or 1e-9)
                for row, value, u in zip(own, values, sizes, strict=True)
            ]
            return of_curve(name, known.series, fit(pairs, len(known.beta) - 1).beta, known.valid_from)
        ends: dict[str, tuple[float, float]] = {
            row["role"]: (row["mean"], value) for row, value in zip(own, values, strict=True)
        }
        if {"zero", "span"} - set(ends):
            raise FitError(f"{known.id}: its run holds no zero and span point to be fitted again")
        (r0, a0), (r1, a1) = ends["zero"], ends["span"]
        slope = (a1 - a0) / (r1 - r0)
        return Coefficients(name, known.series, r0 - a0 / slope, slope, known.valid_from)
