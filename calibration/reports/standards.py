"""What standards said of an instrument: each gas and how it was read, and the history of the response."""

import statistics
from collections.abc import Iterable
from typing import Any

from calibration.reports.document import Cell, Chart, Column, Line, Row, Section, Table
from calibration.reports.frame import Frame, named
from calibration.reports.look import Fields, Looked
from calibration.reports.thin import thinned
from metrology.periods import parse_iso


def standards(frame: Frame, looked: Looked) -> list[Section]:
    """Gases as they were read, then the response of each series that has one."""
    points = [one for run in looked.runs.values() for one in run.points if frame.wants(one["series"])]
    sections = []
    if points:
        sections.append(Section(frame.words("section.standards"), (), (_gases(frame, points),)))
    for series in dict.fromkeys(one["series"] for one in looked.coefficients):
        sections.append(_response(frame, looked, series))
    if looked.adjustments:
        sections.append(Section(frame.words("section.adjustments"), (), (_adjustments(frame, looked.adjustments),)))
    return sections


def _gases(frame: Frame, points: list[Fields]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.series")),
        Column(words("head.gas")),
        Column(words("head.role")),
        Column(words("head.n"), "number", decimals=0),
        Column(words("head.assigned"), "number"),
        Column(words("head.u"), "number"),
        Column(words("head.scale")),
        Column(words("head.indicated"), "number"),
        Column(words("head.between"), "number"),
        Column(words("head.within-sd"), "number"),
        Column(words("head.unit")),
        Column(words("head.unsteady"), "number", decimals=0),
        Column(words("head.flush"), "number", "s", 0),
    )
    found: dict[tuple[str, str, str], list[Fields]] = {}
    for one in points:
        if one["n"] and one["mean"] is not None:
            found.setdefault((one["series"], one["gas"], one["role"]), []).append(one)
    return frame.table(
        "table.gases", columns, [_gas(frame, key, own) for key, own in sorted(found.items())], [words("note.gases")]
    )


def _gas(frame: Frame, key: tuple[str, str, str], own: list[Fields]) -> Row:
    series, gas, role = key
    means = [one["mean"] for one in own]
    inner = [one["sd"] for one in own if one["sd"] is not None]
    flushes = [one["flush_s"] for one in own if one.get("flush_s") is not None]
    last = own[-1]
    cells: tuple[Cell, ...] = (
        series, gas, frame.words.or_itself("role", role), len(own), last["assigned"], last["uncertainty"],
        last["scale"],
        statistics.fmean(means), statistics.stdev(means) if len(means) > 1 else None,
        statistics.fmean(inner) if inner else None, frame.words.unit(last["unit"]),
        sum(not one["stable"] for one in own), max(flushes) if flushes else None,
    )  # fmt: skip
    return Row(cells, named(looked_at(own)))


def looked_at(records: Iterable[Fields]) -> list[tuple[int, int]]:
    """Numbers of records, the newest first."""
    return [(one["epoch"], one["seq"]) for one in records][::-1]


def _response(frame: Frame, looked: Looked, series: str) -> Section:
    words = frame.words
    own = [one for one in looked.coefficients if one["series"] == series]
    before = looked.before.get(series)
    plotted = [*([before] if before else []), *own]
    x = tuple(max(parse_iso(one["from"]), frame.since).timestamp() for one in plotted)
    records = tuple((one["epoch"], one["seq"]) for one in plotted)
    end = frame.until.timestamp()
    charts = []
    for member in ("slope", "zero"):
        ys = [one.get(member) for one in plotted]
        if any(one is not None for one in ys):
            line = Line(words(f"line.{member}"), (*x, end), (*ys, ys[-1]), "steps", (*records, records[-1]))
            charts.append(Chart(words(f"chart.{member}", series=words.series(series)), "", (thinned(line),)))
    columns = (
        Column(words("head.from"), "time"),
        Column(words("head.id")),
        Column(words("head.zero"), "number"),
        Column(words("head.slope"), "number", decimals=6),
        Column(words("head.zero-before"), "number"),
        Column(words("head.slope-before"), "number", decimals=6),
        Column(words("head.model")),
        Column(words("head.residual"), "number"),
        Column(words("head.who")),
    )
    rows = []
    for one in own:
        rows.append(Row(_coefficients(one, before), ((one["epoch"], one["seq"]),)))
        before = one
    table = frame.table("table.coefficients", columns, rows)
    return Section(words("section.response", series=words.series(series)), (), (table,), tuple(charts))


def _coefficients(one: Fields, before: Fields | None) -> tuple[Cell, ...]:
    old: Fields = before or {}
    who: Any = one.get("who") or one.get("run")
    return (
        parse_iso(one["from"]), one["id"], one.get("zero"), one.get("slope"), old.get("zero"), old.get("slope"),
        one.get("model", "zero, slope"), one.get("residual_sd"), who,
    )  # fmt: skip


def _adjustments(frame: Frame, records: list[Fields]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.time"), "time"), Column(words("head.series")), Column(words("head.who")),
        Column(words("head.reason")),
    )  # fmt: skip
    rows = [
        Row(
            (parse_iso(one["t"]), words.series(one["series"]), one["who"], one["reason"]), ((one["epoch"], one["seq"]),)
        )
        for one in records
    ]
    return frame.table("table.adjustments", columns, rows)
