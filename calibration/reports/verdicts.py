"""What checks with gas came to: a verdict for each series and role, and the spans in which nothing can be relied on."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from calibration.qa.control import Interval
from calibration.qa.rules import Judgement
from calibration.reports.document import Cell, Column, Row, Section, Table, Verdict
from calibration.reports.frame import Frame, named, worst
from calibration.reports.hours import State
from calibration.reports.look import Judged, Looked

_ORDER = ("pass", "warning", "unjudged", "adjust", "out-of-control")
HOUR_S = 3600.0


def worst_of(judged: list[Judged]) -> Judged:
    """The check that counts: the worst by its verdict, of those the one farthest off."""
    return max(judged, key=lambda one: (_ORDER.index(one.finding.verdict), abs(one.check.deviation)))


def verdict_of(frame: Frame, judged: list[Judged]) -> Verdict:
    """The verdict of several checks of one role."""
    one = worst_of(judged)
    rules = one.check.rules
    return frame.words.verdict(one.finding.verdict, rules is not None and rules.verified)


def verdicts(frame: Frame, looked: Looked, hours: Mapping[str, Counter[State]]) -> tuple[Section, Verdict]:
    """The section, and the worst of all verdicts."""
    rows: list[Row] = []
    found: list[Verdict] = []
    for series in looked.series:
        for role in ("zero", "span", "target"):
            if judged := looked.of(series, role):
                found.append(verdict_of(frame, judged))
                rows.append(_row(frame, series, role, judged, found[-1]))
    # Control lost before the period and not found again in it, with no check in between.
    found += [frame.words.verdict("out-of-control", one.verified) for one in looked.intervals]
    notes = () if rows else (frame.words("note.no-checks"),)
    tables = (*((_table(frame, rows),) if rows else ()), *((intervals(frame, looked, hours),) if found else ()))
    section = Section(frame.words("section.verdicts"), notes, tables)
    return section, worst(found, frame.words)


def _table(frame: Frame, rows: list[Row]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.series")),
        Column(words("head.role")),
        Column(words("head.n"), "number", decimals=0),
        Column(words("head.worst"), "number"),
        Column(words("head.unit")),
        Column(words("head.worst"), "number", "% FS", 2),
        Column(words("head.limit"), "number"),
        Column(words("head.out-limit"), "number"),
        Column(words("head.verdict"), "verdict"),
        Column(words("head.source")),
    )
    return frame.table("table.verdicts", columns, rows, [words("note.worst")])


def _row(frame: Frame, series: str, role: str, judged: list[Judged], verdict: Verdict) -> Row:
    one = worst_of(judged)
    rules: Judgement | None = one.check.rules
    cells: tuple[Cell, ...] = (
        frame.words.series(series), frame.words.or_itself("role", role), len(judged), one.check.deviation,
        frame.words.unit(one.check.unit), one.check.percent, rules.passes if rules else None,
        rules.out if rules else None, verdict, frame.words.source(rules.source) if rules else None,
    )  # fmt: skip
    return Row(cells, (one.check.record,))


def intervals(frame: Frame, looked: Looked, hours: Mapping[str, Counter[State]]) -> Table:
    """When series were out of control, and from when on what they said is suspect."""
    words = frame.words
    columns = (
        Column(words("head.series")),
        Column(words("head.suspect-from"), "time"),
        Column(words("head.from"), "time"),
        Column(words("head.to"), "time"),
        Column(words("head.out"), "number", "h", 1),
        Column(words("head.suspect"), "number", "h", 1),
        Column(words("head.why")),
        Column(words("head.verdict"), "verdict"),
    )
    rows = [_interval(frame, one) for one in looked.intervals]
    notes = [
        words("note.hours", series=series, out=counts[State.OUT], suspect=counts[State.SUSPECT])
        for series, counts in hours.items()
        if counts[State.OUT] or counts[State.SUSPECT]
    ]
    return frame.table("table.intervals", columns, rows, notes)


def _interval(frame: Frame, one: Interval) -> Row:
    words, first = frame.words, one.why[0]
    end = one.end or frame.until
    suspect = (one.start - one.suspect_from).total_seconds() / HOUR_S if one.suspect_from else None
    why = words(
        "word.why", role=words.or_itself("role", first.check.role), deviation=f"{first.check.deviation:+.4g}",
        unit=words.unit(first.check.unit), reason=words(f"reason.{first.reason or 'limit'}"),
    )  # fmt: skip
    still: datetime | str = one.end or words("word.still")
    cells: tuple[Cell, ...] = (
        words.series(one.series), one.suspect_from, one.start, still,
        (end - one.start).total_seconds() / HOUR_S, suspect, why, words.verdict("out-of-control", one.verified),
    )  # fmt: skip
    records = [finding.check.record for finding in one.why]
    return Row(cells, named([*records[:4], *([one.restored] if one.restored else [])]))
