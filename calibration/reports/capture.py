"""The capture report: of each series, how many hours were valid, why the others were not, by day, month and quarter."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from calibration.reports.coverage import Coverage
from calibration.reports.document import Cell, Column, Report, Row, Section, Table, Verdict
from calibration.reports.frame import Frame, worst
from calibration.reports.hours import Capture, Standings, State, hours
from calibration.reports.look import Fields, Looked
from calibration.reports.verdicts import intervals
from metrology.periods import parse_iso
from metrology.stack.substitution import quarter_of
from metrology.stack.validity import judge

HOUR_S = 3600.0


def capture(frame: Frame, records: Iterable[Fields], averages: Iterable[Fields], gaps: Iterable[Fields]) -> Report:
    """From calibration records since the station began, hourly averages and gap records of the period."""
    words = frame.words
    looked = Looked(frame, records)
    covered = Coverage(frame)
    standings = Standings(looked.intervals)
    for hour in hours(averages, frame.since, frame.until, standings, frame.wants, frame.regulated):
        covered.take(hour)
    quarters, verdict = _quarters(frame, covered)
    sections = [
        covered.section(looked),
        Section(words("section.quarters"), (), (quarters,)),
        Section(words("section.months"), (), (_months(frame, covered),)),
        Section(words("section.control"), (), (intervals(frame, looked, covered.counts),)),
        Section(words("section.gaps"), (), (_gaps(frame, gaps),)),
    ]
    return frame.report("capture", verdict, sections)


def _quarters(frame: Frame, covered: Coverage) -> tuple[Table, Verdict]:
    """Capture of each calendar quarter, as far as it lies in the period, beside what is wanted."""
    words = frame.words
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    for series, days in sorted(covered.days.items()):
        by_quarter: dict[tuple[int, int], Capture] = {}
        for day, one in days.items():
            by_quarter.setdefault(quarter_of(day + timedelta(hours=12)), Capture()).counts.update(one.counts)
        for (year, quarter), one in by_quarter.items():
            found = one.percent
            verdict = words.verdict("unjudged")
            if found is not None:
                judged = judge("quarter", found)
                verdict = words.verdict("pass" if judged.valid else "fail", judged.rule.verified)
                verdicts.append(verdict)
            name = f"{year} Q{quarter + 1}"
            rows.append(
                Row((words.series(series), name, one.ran, one.valid, found, judge("quarter", 0).rule.needed, verdict))
            )
    columns = (
        Column(words("head.series")), Column(words("head.quarter")), Column(words("head.ran"), "number", "h", 0),
        Column(words("state.valid"), "number", "h", 0), Column(words("head.capture"), "number", "%", 1),
        Column(words("head.needed"), "number", "%", 0), Column(words("head.verdict"), "verdict"),
    )  # fmt: skip
    source = words.source(judge("quarter", 0).rule.source)
    return frame.table("table.quarters", columns, rows, [words("note.quarters", source=source)]), worst(verdicts, words)


def _months(frame: Frame, covered: Coverage) -> Table:
    words = frame.words
    zone = timezone(timedelta(hours=frame.header.offset_h))
    shown = [state for state in covered.shown if state is not State.VALID]
    columns = (
        Column(words("head.series")), Column(words("head.month"), "time"),
        Column(words("state.valid"), "number", "h", 0),
        *(Column(words(f"state.{state}"), "number", "h", 0) for state in shown),
        Column(words("head.capture"), "number", "%", 1),
    )  # fmt: skip
    rows = []
    for series, days in sorted(covered.days.items()):
        by_month: dict[str, Capture] = {}
        for day, one in days.items():
            by_month.setdefault(day.astimezone(zone).strftime("%Y-%m"), Capture()).counts.update(one.counts)
        for month, one in by_month.items():
            cells: tuple[Cell, ...] = (
                words.series(series), month, one.counts[State.VALID], *(one.counts[state] for state in shown),
                one.percent,
            )  # fmt: skip
            rows.append(Row(cells))
    return frame.table("table.months", columns, rows)


def _gaps(frame: Frame, gaps: Iterable[Fields]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.from"), "time"), Column(words("head.to"), "time"),
        Column(words("head.length"), "number", "h", 2, total=True), Column(words("head.why")),
    )  # fmt: skip
    rows = []
    for one in gaps:
        start, end = parse_iso(one["from"]), parse_iso(one["to"])
        length = (min(end, frame.until) - max(start, frame.since)).total_seconds() / HOUR_S
        cells: tuple[Cell | datetime, ...] = (start, end, length, words.or_itself("gap", one["reason"]))
        rows.append(Row(cells, ((one["epoch"], one["seq"]),)))
    return frame.table("table.gaps", columns, rows)
