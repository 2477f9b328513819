"""Hours by what they were: valid, suspect, out of control, and every reason of those that have no valid mean."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from calibration.reports.document import Cell, Chart, Column, Limit, Line, RecordId, Row, Section, Table
from calibration.reports.frame import Frame, named
from calibration.reports.hours import Capture, HourRow, State
from calibration.reports.look import Looked
from calibration.reports.thin import thinned
from metrology.periods import DAY_S, HOUR_S, period_start
from metrology.stack.validity import rule

# States in the order of the tables; `stopped` is no time that could have been measured.
SHOWN = (
    State.VALID, State.SUSPECT, State.OUT, State.CALIBRATION, State.MAINTENANCE, State.FAULT, State.COMMUNICATION,
    State.RANGE, State.OTHER, State.ABSENT, State.STOPPED,
)  # fmt: skip
# Charts of single series up to so many; a station of hundreds of boards has a table only.
CHARTED_MAX = 12


class Coverage:
    """Counts of hours, taken one by one: by series, and by series and day of the station."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._offset_s = int(frame.header.offset_h * HOUR_S)
        self.captures: dict[str, Capture] = {}
        self.days: dict[str, dict[datetime, Capture]] = {}
        # Of each series the first hours that were not valid, by state: where one may look.
        self._examples: dict[str, dict[State, tuple[RecordId, datetime]]] = {}
        self._hour = (frame.since, frame.since)

    @property
    def counts(self) -> dict[str, Counter[State]]:
        """Hours by state, by series."""
        return {series: one.counts for series, one in self.captures.items()}

    @property
    def shown(self) -> list[State]:
        """States that any hour was in, and valid."""
        present = {state for one in self.captures.values() for state in one.counts}
        return [state for state in SHOWN if state in present or state is State.VALID]

    def take(self, hour: HourRow) -> None:
        """Count one hour of one series."""
        if hour.start != self._hour[0]:
            self._hour = hour.start, period_start(hour.start, DAY_S, self._offset_s)
        self.captures.setdefault(hour.series, Capture()).counts[hour.state] += 1
        self.days.setdefault(hour.series, {}).setdefault(self._hour[1], Capture()).counts[hour.state] += 1
        if hour.record is not None and hour.state not in (State.VALID, State.STOPPED):
            self._examples.setdefault(hour.series, {}).setdefault(hour.state, (hour.record, hour.start))

    def section(self, looked: Looked | None) -> Section:
        """The part of a report about coverage; with what runs took where they are known."""
        words = self._frame.words
        tables = [self.table()]
        if looked is not None and looked.runs:
            tables.append(self._lost(looked))
        return Section(words("section.coverage"), (words("note.coverage"),), tuple(tables), tuple(self.charts()))

    def table(self) -> Table:
        """Hours by state, one row for each series."""
        words = self._frame.words
        columns = (
            Column(words("head.series")),
            *(Column(words(f"state.{state}"), "number", "h", 0, total=True) for state in self.shown),
            Column(words("head.capture"), "number", "%", 1),
        )
        rows = []
        for series, one in sorted(self.captures.items()):
            found = self._examples.get(series, {})
            last = next(iter(found.values()), None)
            cells: tuple[Cell, ...] = (words.series(series), *(one.counts[state] for state in self.shown), one.percent)
            rows.append(Row(cells, named(record for record, _ in found.values()), (series, last[1]) if last else None))
        return self._frame.table("table.coverage", columns, rows)

    def _lost(self, looked: Looked) -> Table:
        """What sequences took of each instrument's time, overlapping runs counted once."""
        words, frame = self._frame.words, self._frame
        spans: dict[str, list[tuple[datetime, datetime]]] = {}
        for start, end, run in looked.stretches():
            instrument = (run.started or run.ended or {}).get("instrument", "")
            spans.setdefault(instrument, []).append((max(start, frame.since), min(end, frame.until)))
        columns = (
            Column(words("head.instrument")),
            Column(words("head.runs"), "number", decimals=0),
            Column(words("head.lost"), "number", "min", 1),
            Column(words("head.lost"), "number", "%", 2),
        )
        whole = (frame.until - frame.since) / timedelta(minutes=1)
        rows = []
        for instrument, own in sorted(spans.items()):
            minutes = _union(own) / timedelta(minutes=1)
            rows.append(Row((instrument, len(own), minutes, 100.0 * minutes / whole)))
        return frame.table("table.lost", columns, rows, [words("note.lost")])

    def charts(self) -> list[Chart]:
        """Daily capture of all series in one chart, up to a number that can be told apart."""
        words, found = self._frame.words, []
        for series in sorted(self.days)[:CHARTED_MAX]:
            days = self.days[series]
            x = tuple(day.timestamp() for day in days)
            found.append(thinned(Line(series, x, tuple(one.percent for one in days.values()), "steps")))
        if not found or all(len(one.x) < 2 for one in found):
            return []
        quarter = rule("quarter")
        limit = Limit(words("limit.capture"), quarter.needed, "bad", quarter.verified)
        return [Chart(words("chart.capture"), "%", tuple(found), (limit,))]


def _union(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """Time covered by any of several spans."""
    covered, reached = timedelta(), None
    for start, end in sorted(spans):
        begin = start if reached is None else max(start, reached)
        if end > begin:
            covered += end - begin
            reached = end
    return covered
