"""Hours of every series, one pass over the average records: what each hour was, and why it was not valid."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from calibration.qa.control import Interval, Standing, standing
from calibration.reports.document import RecordId
from metrology.periods import HOUR_S, parse_iso
from metrology.quality import VALID_CAUSES, Cause

Fields = Mapping[str, Any]
HOUR: Final = timedelta(seconds=HOUR_S)


class State(StrEnum):
    """What an hour of a series was. `suspect` is valid, and counted apart."""

    VALID = "valid"
    SUSPECT = "suspect"
    OUT = "out-of-control"
    CALIBRATION = "calibration"
    MAINTENANCE = "maintenance"
    FAULT = "fault"
    COMMUNICATION = "communication"
    RANGE = "out-of-range"
    OTHER = "incomplete"
    ABSENT = "absent"
    STOPPED = "stopped"


# Of several causes of an hour that is not valid the first in this order says what it was.
_ORDER: Final[tuple[tuple[State, frozenset[Cause]], ...]] = (
    (State.STOPPED, frozenset({Cause.STOPPED})),
    (State.OUT, frozenset({Cause.OUT_OF_CONTROL})),
    (State.MAINTENANCE, frozenset({Cause.MAINTENANCE, Cause.WARM_UP, Cause.BLOWBACK})),
    (State.FAULT, frozenset({Cause.FAULT})),
    (State.COMMUNICATION, frozenset({Cause.COMMUNICATION})),
    (State.CALIBRATION, frozenset({Cause.CALIBRATION, Cause.RECOVERY, Cause.FLUSH})),
    (State.RANGE, frozenset({Cause.OUT_OF_RANGE})),
)


class HourRow(NamedTuple):
    """One hour of one series: its row as recorded (None where there is none), its record, and what it was."""

    start: datetime
    series: str
    row: Fields | None
    record: RecordId | None
    state: State


def causes(row: Fields) -> frozenset[str]:
    """Causes of a row of an average record, those of a later version too."""
    return frozenset(str(mark[0]) for mark in row.get("q", ()))


def state_of(row: Fields | None, stands: Standing = "good") -> State:
    """What an hour was by its row, and by what checks with gas say of it."""
    if row is None:
        return State.ABSENT
    found = causes(row)
    invalid = found - VALID_CAUSES
    if Cause.STOPPED in found:
        return State.STOPPED
    if stands == "out":
        return State.OUT
    if row["mean"] is not None and not invalid:
        return State.SUSPECT if stands == "suspect" else State.VALID
    return next((state for state, members in _ORDER if invalid & members), State.OTHER)


def newest_revisions(
    records: Iterable[Fields], regulated: Collection[str] = ()
) -> Iterator[tuple[datetime, dict[str, tuple[Fields, RecordId]]]]:
    """Rows of each hour by series, those of a later revision over earlier ones; records come by their start.

    Of instruments and stacks that are `regulated` what was reported first counts, whatever came after it.
    """
    at, rows = "", dict[str, tuple[Fields, RecordId]]()
    for fields in records:
        if fields["start"] != at and rows:
            yield parse_iso(at), rows
            rows = {}
        at = fields["start"]
        for series, row in fields["rows"].items():
            if row.get("rev", 0) and series.partition(".")[0] in regulated:
                continue
            rows[series] = row, (fields["epoch"], fields["seq"])
    if rows:
        yield parse_iso(at), rows


class Standings:
    """What spans of a series are by the intervals of their checks; of a derived series by those of its inputs."""

    def __init__(self, intervals: Iterable[Interval], inputs: Mapping[str, Iterable[str]] | None = None) -> None:
        self._intervals: dict[str, list[Interval]] = {}
        for one in intervals:
            self._intervals.setdefault(one.series, []).append(one)
        self._inputs = inputs or {}

    def of(self, series: str, start: datetime, end: datetime) -> Standing:
        """The worst of the series and its inputs."""
        worst: Standing = "good"
        for name in (series, *self._inputs.get(series, ())):
            if (known := self._intervals.get(name)) is not None:
                found = standing(known, name, start, end)
                if found == "out":
                    return found
                worst = found if found == "suspect" else worst
        return worst

    def last_good(self, series: str, start: datetime) -> datetime | None:
        """For an hour out of control: when a check was passed last before."""
        for name in (series, *self._inputs.get(series, ())):
            for one in self._intervals.get(name, ()):
                if one.start < start + HOUR and (one.end is None or one.end > start):
                    return one.suspect_from or one.start
        return None


def hours(
    records: Iterable[Fields], since: datetime, until: datetime, standings: Standings, wanted: Callable[[str], bool],
    regulated: Collection[str] = (),
) -> Iterator[HourRow]:  # fmt: skip
    """Every hour of every series of the station, in order of time; the hours without a record too.

    Where no record is, the series of the record before count, at the start those of the first; a series that the
    station no longer has ends with its last row. Hours before `since` begin with their first record. `wanted` says of a
    series whether it is asked for.
    """
    known: list[str] = []
    next_start = since
    for start, rows in newest_revisions(records, regulated):
        next_start = min(next_start, start)
        present = [series for series in rows if wanted(series)]
        while next_start < start:
            yield from (HourRow(next_start, series, None, None, State.ABSENT) for series in known or present)
            next_start += HOUR
        known = present
        for series in known:
            row, record = rows[series]
            yield HourRow(start, series, row, record, state_of(row, standings.of(series, start, start + HOUR)))
        next_start = start + HOUR
    while next_start + HOUR <= until:
        yield from (HourRow(next_start, series, None, None, State.ABSENT) for series in known)
        next_start += HOUR


class Capture:
    """Counts of hours by state of one series."""

    def __init__(self) -> None:
        self.counts: Counter[State] = Counter()

    @property
    def valid(self) -> int:
        """Valid hours, suspect ones too: those are valid and counted apart."""
        return self.counts[State.VALID] + self.counts[State.SUSPECT]

    @property
    def ran(self) -> int:
        """Hours the source ran, or is not known to have stood still."""
        return sum(self.counts.values()) - self.counts[State.STOPPED]

    @property
    def percent(self) -> float | None:
        """Valid hours over hours run; None where it never ran."""
        return 100.0 * self.valid / self.ran if self.ran else None
