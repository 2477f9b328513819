"""The log of sequences: what was started, by whom, how it ended, how long gas took to become steady."""

from collections.abc import Iterable
from datetime import datetime

from calibration.qa.checks import record_id
from calibration.reports.document import Cell, Column, Row, Section, Verdict
from calibration.reports.frame import Frame, named
from calibration.reports.look import Fields, Looked, Run
from metrology.periods import parse_iso

MINUTE_S = 60.0


def runs(frame: Frame, looked: Looked, refused: Iterable[Fields] = ()) -> Section:
    """One row for each run of the period, and for each that might not start."""
    words = frame.words
    columns = (
        Column(words("head.time"), "time"),
        Column(words("head.sequence")),
        Column(words("head.instrument")),
        Column(words("head.purpose")),
        Column(words("head.who")),
        Column(words("head.duration"), "number", "min", 1),
        Column(words("head.planned"), "number", "min", 1),
        Column(words("head.points"), "number", decimals=0),
        Column(words("head.unsteady"), "number", decimals=0),
        Column(words("head.ended"), "verdict"),
        Column(words("head.reason")),
    )
    rows = [_run(frame, start, end, run) for start, end, run in looked.stretches()]
    rows += [_refused(frame, one) for one in refused]
    rows.sort(key=lambda row: str(row.cells[0]))
    aborted = sum(run.ended is not None and run.ended["what"] == "run-aborted" for run in looked.runs.values())
    notes = [words("note.runs", count=len(looked.runs), aborted=aborted)]
    return Section(words("section.runs"), (), (frame.table("table.runs", columns, rows, notes),))


def _run(frame: Frame, start: datetime, end: datetime, run: Run) -> Row:
    words, first = frame.words, run.started or run.ended or {}
    ended = run.ended["what"] if run.ended else "going"
    levels = {"run-finished": "good", "run-aborted": "bad", "going": "none"}
    reason = (run.ended or {}).get("reason", "")
    refused = (run.ended or {}).get("refused") or {}
    unusable = (run.ended or {}).get("unusable") or {}
    told = [reason, *(f"{series}: {why}" for series, why in {**refused, **unusable}.items())]
    planned = (run.started or {}).get("planned_s")
    cells: tuple[Cell, ...] = (
        start, first.get("sequence", ""), first.get("instrument", ""),
        words.or_itself("purpose", (run.started or {}).get("purpose", "")), (run.started or {}).get("who", ""),
        (end - start).total_seconds() / MINUTE_S, planned / MINUTE_S if planned is not None else None,
        len(run.points), sum(not one["stable"] for one in run.points),
        Verdict(ended, words(f"ended.{ended}"), levels[ended]),  # type: ignore[arg-type]
        "; ".join(one for one in told if one),
    )  # fmt: skip
    return Row(cells, named(record_id(one) for one in (run.started, run.ended) if one is not None))


def _refused(frame: Frame, one: Fields) -> Row:
    words = frame.words
    cells: tuple[Cell, ...] = (
        parse_iso(one["t"]), one.get("sequence", ""), "", "", one.get("origin", ""), None, None, None, None,
        Verdict("refused", words("ended.refused"), "warn"), str(one.get("reason", "")),
    )  # fmt: skip
    return Row(cells, (record_id(one),))
