"""An emission by day, month, quarter and in all: the statement of its hours as tables."""

import math
from collections.abc import Sequence
from datetime import timedelta

from calibration.reports.document import Cell, Column, Row, Table, Verdict
from calibration.reports.frame import Frame
from metrology.stack.calendar import CalendarPeriod, period_key
from metrology.stack.hours import Hour
from metrology.stack.statement import StatementOptions, StatementRow, statement
from metrology.stack.substitution import Substituted
from metrology.stack.validity import rule

KG_PER_T = 1000.0
# Days are told one by one in periods up to so many; then months are.
DAYS_SHOWN_MAX = 62


class Stated:
    """The statement of one rate; what was filled in is counted beside it, by the same keys."""

    def __init__(self, frame: Frame, hours: Sequence[Hour], filled: Sequence[Substituted]) -> None:
        self._frame = frame
        self._offset = timedelta(hours=frame.header.offset_h)
        self._filled = filled
        options = StatementOptions(("day", "month", "quarter", "total"), None, None, self._offset)
        self.rows = statement(hours, options).rows

    def of(self, period: CalendarPeriod) -> list[StatementRow]:
        """Rows of one sort of period."""
        return [row for row in self.rows if row.period == period]

    def filled(self, row: StatementRow) -> tuple[float, int, int]:
        """Of a period: amount filled in, kg, over how many hours, and hours left to a person."""
        own = [one for one in self._filled if period_key(one.start, row.period, self._offset) == row.key]
        amounts = [one.amount for one in own if one.amount is not None]
        return math.fsum(amounts), len(amounts), len(own) - len(amounts)

    def verdict(self, row: StatementRow) -> Verdict:
        """Whether the period is valid, by its rule."""
        if row.verdict is None:
            return self._frame.words.verdict("unjudged")
        return self._frame.words.verdict("pass" if row.verdict.valid else "fail", row.verdict.rule.verified)

    def tables(self) -> list[Table]:
        """By quarter, by month, and by day in a short period. Amounts add up to those of the report."""
        periods: list[CalendarPeriod] = ["quarter", "month"]
        if len(self.of("day")) <= DAYS_SHOWN_MAX:
            periods.append("day")
        return [self._table(period) for period in periods if len(self.of(period)) > 1 or period == "day"]

    def _table(self, period: CalendarPeriod) -> Table:
        words = self._frame.words
        columns = (
            Column(words(f"head.{'day-of' if period == 'day' else period}"), "time"),
            Column(words("head.measured"), "number", "t", total=True),
            Column(words("head.u"), "number", "t"),
            Column(words("state.valid"), "number", "h", 0, total=True),
            Column(words("head.missing"), "number", "h", 0, total=True),
            Column(words("head.out"), "number", "h", 0, total=True),
            Column(words("state.stopped"), "number", "h", 0, total=True),
            Column(words("head.suspect"), "number", "h", 0, total=True),
            Column(words("head.substituted"), "number", "t", total=True),
            Column(words("head.capture"), "number", "%", 1),
            Column(words("head.verdict"), "verdict"),
        )
        known = rule("day" if period == "day" else "month" if period == "month" else "quarter")
        note = words(f"note.valid-{period}", needed=f"{known.needed:g}", source=words.source(known.source))
        rows = [Row(self._cells(row)) for row in self.of(period)]
        return self._frame.table(f"table.{period}-emitted", columns, rows, [note])

    def _cells(self, row: StatementRow) -> tuple[Cell, ...]:
        counts, u = row.hours, row.measured_u_kg
        return (
            row.key, row.measured_kg / KG_PER_T, None if u is None else u / KG_PER_T, counts.counted, counts.missing,
            counts.out_of_control, counts.stopped, counts.suspect, self.filled(row)[0] / KG_PER_T, row.capture_percent,
            self.verdict(row),
        )  # fmt: skip
