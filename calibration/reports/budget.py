"""What uncertainty the standards and their readings leave, by series: the largest term first."""

import math
import statistics

from calibration.reports.document import Cell, Column, Row, Section
from calibration.reports.frame import Frame, named
from calibration.reports.look import Fields, Looked
from calibration.reports.standards import looked_at
from metrology.budget import Budget, Term


def uncertainty(frame: Frame, looked: Looked) -> Section:
    """A budget for each series that was read on span gas: of the standard, of its reading, of the drift in between."""
    words = frame.words
    columns = (
        Column(words("head.series")),
        Column(words("head.term")),
        Column(words("head.u"), "number"),
        Column(words("head.unit")),
        Column(words("head.share"), "number", "%", 1),
        Column(words("head.over-time")),
    )
    rows: list[Row] = []
    for series in looked.series:
        points = [
            one for run in looked.runs.values() for one in run.points if one["series"] == series and one["stable"]
        ]
        rows += _rows(frame, looked, series, [one for one in points if one["role"] == "span"])
    if not rows:
        return Section(words("section.uncertainty"))
    table = frame.table("table.uncertainty", columns, rows, [words("note.uncertainty")])
    return Section(words("section.uncertainty"), (), (table,))


def _rows(frame: Frame, looked: Looked, series: str, points: list[Fields]) -> list[Row]:
    words = frame.words
    checks = [one.check for one in looked.of(series, "span") if one.check.stable]
    if not points or not checks:
        return []
    last = points[-1]
    terms = [Term("standard", max(one["uncertainty"] for one in points), "common", "")]
    readings = [one["sd"] / math.sqrt(one["n"]) for one in points if one["sd"] is not None and one["n"]]
    if readings:
        terms.append(Term("reading", math.hypot(*readings) / math.sqrt(len(readings)), "independent", ""))
    if len(checks) > 1:
        # As found: how far it is off by the time anybody looks.
        deviations = [one.deviation for one in checks]
        terms.append(Term("drift", math.sqrt(statistics.fmean(one * one for one in deviations)), "slow", ""))
    budget = Budget(tuple(terms))
    records = named(looked_at(points))
    found = []
    for term, share in budget.by_weight():
        cells: tuple[Cell, ...] = (
            words.series(series), words(f"term.{term.name}"), term.u, words.unit(last["unit"]), 100.0 * share,
            words(f"over-time.{term.over_time}"),
        )  # fmt: skip
        found.append(Row(cells, records))
    whole: tuple[Cell, ...] = (
        words.series(series), words("term.total"), budget.total, words.unit(last["unit"]), 100.0, words("word.k1"),
    )  # fmt: skip
    return [*found, Row(whole, records)]
