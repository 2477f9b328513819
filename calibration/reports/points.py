"""Every gas of every run: what was read, how steadily, how long the line was flushed."""

from calibration.reports.document import Cell, Column, Row, Section, Verdict
from calibration.reports.frame import Frame
from calibration.reports.look import Fields, Looked
from metrology.periods import parse_iso


def points(frame: Frame, looked: Looked) -> Section:
    """One row for each point of the period."""
    words = frame.words
    columns = (
        Column(words("head.time"), "time"),
        Column(words("head.series")),
        Column(words("head.role")),
        Column(words("head.gas")),
        Column(words("head.n"), "number", decimals=0),
        Column(words("head.assigned"), "number"),
        Column(words("head.indicated"), "number"),
        Column(words("head.sd"), "number"),
        Column(words("head.per-minute"), "number"),
        Column(words("head.unit")),
        Column(words("head.flushed"), "number", "s", 0),
        Column(words("head.steady"), "verdict"),
    )
    found = [one for run in looked.runs.values() for one in run.points if frame.wants(one["series"])]
    rows = [_point(frame, one) for one in sorted(found, key=lambda one: (one["t"], one["epoch"], one["seq"]))]
    if not rows:
        return Section(words("section.points"))
    return Section(words("section.points"), (), (frame.table("table.points", columns, rows),))


def _point(frame: Frame, one: Fields) -> Row:
    words = frame.words
    warned = one.get("warnings") or []
    word = "unsteady" if not one["stable"] else "doubtful" if warned else "steady"
    level = {"unsteady": "bad", "doubtful": "warn", "steady": "good"}[word]
    told = ", ".join([words(f"steady.{word}"), *(words.or_itself("doubt", str(each)) for each in warned)])
    cells: tuple[Cell, ...] = (
        parse_iso(one["t"]), one["series"], words.or_itself("role", one["role"]), one["gas"], one["n"], one["assigned"],
        one["mean"], one["sd"], one["slope_per_min"], words.unit(one["unit"]), one.get("flush_s"),
        Verdict(word, told, level),  # type: ignore[arg-type]
    )  # fmt: skip
    return Row(cells, ((one["epoch"], one["seq"]),))
