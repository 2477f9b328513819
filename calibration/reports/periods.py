"""Totals of an emission by day, or by month where the period is long."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from calibration.reports.document import Cell, Column, Row, Table
from calibration.reports.frame import Frame
from metrology.stack.hours import Total
from metrology.stack.validity import judge, judge_month

KG_PER_T = 1000.0
# Longer periods are told by month.
DAYS_SHOWN_MAX = 62
Daily = Mapping[datetime, tuple[Total, float]]


def periods_table(frame: Frame, daily: Daily) -> Table:
    """One row for each day, or each month; days are those of the station. Amounts add up to those of the report."""
    words = frame.words
    by_month = len(daily) > DAYS_SHOWN_MAX
    columns = (
        Column(words("head.month" if by_month else "head.day-of"), "time"),
        Column(words("head.measured"), "number", "t", total=True),
        Column(words("state.valid"), "number", "h", 0, total=True),
        Column(words("head.missing"), "number", "h", 0, total=True),
        Column(words("head.out"), "number", "h", 0, total=True),
        Column(words("state.stopped"), "number", "h", 0, total=True),
        Column(words("head.suspect"), "number", "h", 0, total=True),
        Column(words("head.substituted"), "number", "t", total=True),
        Column(
            words("head.valid-days" if by_month else "head.verdict"),
            *(("number", "d", 0) if by_month else ("verdict",)),
        ),
        *((Column(words("head.verdict"), "verdict"),) if by_month else ()),
    )
    rows = _months(frame, daily) if by_month else _days(frame, daily)
    rule = judge("month" if by_month else "day", 0).rule
    what = words(f"what.{'days' if by_month else 'hours'}")
    note = words("note.validity", needed=f"{rule.needed:g}", what=what, source=rule.source)
    return frame.table("table.months-emitted" if by_month else "table.days-emitted", columns, rows, [note])


def _zone(frame: Frame) -> timezone:
    return timezone(timedelta(hours=frame.header.offset_h))


def _cells(one: Total, added: float) -> tuple[Cell, ...]:
    return (
        one.amount / KG_PER_T, one.counted, one.missing, one.out_of_control, one.stopped, one.suspect, added / KG_PER_T
    )  # fmt: skip


def _days(frame: Frame, daily: Daily) -> list[Row]:
    rows = []
    for day, (one, added) in daily.items():
        judged = judge("day", one.counted)
        # A day on which the source stood still for hours cannot have twenty valid ones.
        word = "unjudged" if not one.ran else "pass" if judged.valid else "fail"
        verdict = frame.words.verdict(word, judged.rule.verified)
        rows.append(Row((day.astimezone(_zone(frame)).strftime("%Y-%m-%d"), *_cells(one, added), verdict)))
    return rows


def _months(frame: Frame, daily: Daily) -> list[Row]:
    months: dict[str, list[tuple[Total, float]]] = {}
    for day, one in daily.items():
        months.setdefault(day.astimezone(_zone(frame)).strftime("%Y-%m"), []).append(one)
    rows = []
    for month, own in months.items():
        whole = Total(*(sum(getattr(one, name) for one, _ in own) for name in _COUNTS))
        valid = sum(judge("day", one.counted).valid for one, _ in own)
        judged = judge_month(valid, int(month[5:]))
        verdict = frame.words.verdict("pass" if judged.valid else "fail", judged.rule.verified)
        rows.append(Row((month, *_cells(whole, sum(added for _, added in own)), valid, verdict)))
    return rows


_COUNTS = ("amount", "counted", "missing", "out_of_control", "stopped", "suspect")
