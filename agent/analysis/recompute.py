"""An interval made again from the raw scans: a pure state, fed with the log, giving later revisions of averages.

Minutes within the interval are made of scans; hours and days that hold one of them are joined of the newest revisions
of their parts. A regulated series is never revised: its result is a layer of its own, a series whose instrument bears
`~analysis` (design, section 13.1). A row that comes out as its newest revision is no new revision: what was written
before a crash is not written again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.analysis.again import Again
from agent.analysis.corrections import Corrections
from agent.analysis.job import Job, Tally
from agent.analysis.plan import AND, Plan
from agent.analysis.section import Section, StackAgain
from agent.analysis.weights import Around, Weights
from agent.values.averaging import SeriesSpec, upper
from calibration.correction import Coefficients
from metrology.layers import is_layer, layer_of
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, period_start
from metrology.reading import Average
from protocols.record import average_row, averages_of

Fields = Mapping[str, Any]
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
# Rows of one record, as many as the station writes.
ROWS_MAX: Final = 100


class Recomputation:
    """Takes records in the order of the log; `ready` hours are then finished one after the other by `finish`."""

    def __init__(
        self,
        job: Job,
        specs: Mapping[str, SeriesSpec],
        day_offset_s: int,
        corrections: Mapping[str, Corrections],
        sections: Mapping[str, Section] | None = None,
        weights: Weights | None = None,
    ) -> None:
        """`corrections` by instrument or stack: each sees the log by itself. `sections` of the stacks among them."""
        self.job = job
        self.tally = Tally()
        self._specs = {name: specs[name] for name in job.series}
        self.day_offset_s = day_offset_s
        self.weights = weights or Weights(Plan(), {})
        self._corrections = corrections
        own: dict[str, list[SeriesSpec]] = {}
        for spec in self._specs.values():
            own.setdefault(spec.series.partition(".")[0], []).append(spec)
        self._again: dict[str, Again | StackAgain] = {}
        for name, several in own.items():
            given = (several, job.start, day_offset_s, corrections[name])
            stack = (sections or {}).get(name)
            self._again[name] = StackAgain(*given, stack) if stack else Again(*given)
        self._minutes: dict[tuple[str, datetime], Average] = {}
        self._hours: dict[tuple[str, datetime], Average] = {}
        self._next = period_start(job.start, HOUR_S)

    def take(self, fields: Fields) -> None:
        """Take the next record."""
        for again in self._again.values():
            for one in again.take(fields):
                if one.period_s == MINUTE_S and self.job.start <= one.start < self.job.end:
                    self._minutes[one.series, one.start] = one

    @property
    def closed_until(self) -> datetime:
        """How far all minutes are closed."""
        return min(again.closed_until for again in self._again.values())

    @property
    def instruments(self) -> frozenset[str]:
        """Whose scans it takes."""
        return frozenset().union(*(again.instruments for again in self._again.values()))

    @property
    def kv(self) -> list[str]:
        """The velocity-field coefficients that derived series were made with."""
        return sorted({one for again in self._again.values() if isinstance(again, StackAgain) for one in again.kv})

    def unknown(self, recorded: Iterable[Fields]) -> list[tuple[tuple[str, str], Coefficients | None]]:
        """Coefficients to tell the weights of (`learn`) before `finish`; those of the kept records are among them."""
        used = list(self._minutes.values())
        for fields in recorded:
            rows = {name: row for name, row in fields["rows"].items() if name in self._specs}
            used += averages_of({**fields, "rows": rows})
        names = self.weights.unknown(used)
        return [(one, self._corrections[one[0].partition(".")[0]].by_id(*one)) for one in names]

    def ready(self) -> list[datetime]:
        """Hours (their starts) that hold all they will hold and are not finished."""
        found, at = [], self._next
        while at < self.job.end and min(at + HOUR, self.job.end) <= self.closed_until:
            found.append(at)
            at += HOUR
        return found

    def left(self) -> list[datetime]:
        """Hours begun but not closed: at the end of the log they hold what there is."""
        starts = {period_start(start, HOUR_S) for _, start in self._minutes}
        return sorted(one for one in starts if one >= self._next)

    def finish(self, hour: datetime, recorded: Iterable[Fields]) -> list[dict[str, Any]]:
        """Average records of an hour's minutes, of itself, and of its day where that can hold no more of the interval.

        `recorded` are the kept average records of the hour's minutes, of the hours of its day, and of the day.
        """
        kept = _Kept(recorded)
        minutes = [self._revised(kept, MINUTE_S, hour + n * MINUTE, self._minutes) for n in range(60)]
        hours = [self._upper(kept, HOUR_S, hour, MINUTE_S, 60)]
        for key in [key for key in self._minutes if key[1] < hour + HOUR]:
            del self._minutes[key]
        self._next = hour + HOUR
        day = period_start(hour, DAY_S, self.day_offset_s)
        days = []
        if min(day + DAY, self.job.end) <= self._next:
            days.append(self._upper(kept, DAY_S, day, HOUR_S, 24))
            self._hours.clear()
        return [one for several in (minutes, hours, days) for records in several for one in records]

    def day(self, start: datetime, recorded: Iterable[Fields]) -> list[dict[str, Any]]:
        """Average records of a day that was still open when its hours were made again.

        `recorded` are the kept average records of its hours and of itself.
        """
        kept = _Kept(recorded)
        made = {}
        for series, spec in self._specs.items():
            starts, names = [start + n * HOUR for n in range(24)], (self.job.out(series), series)
            found = [kept.newest(HOUR_S, at, names) for at in starts]
            if any(one and one.revision for one in found):
                parts = [replace(one, series=series) for one in found if one is not None]
                made[series, start] = upper(spec, start, DAY_S, parts)
        return self._revised(kept, DAY_S, start, made)

    def _upper(self, kept: "_Kept", period_s: int, start: datetime, lower_s: int, count: int) -> list[dict[str, Any]]:
        """The longer period of the newest values of its parts, those just made before those on record."""
        made: dict[tuple[str, datetime], Average] = {}
        lower = self._minutes if lower_s == MINUTE_S else self._hours
        for series, spec in self._specs.items():
            starts = [start + timedelta(seconds=n * lower_s) for n in range(count)]
            names = (self.job.out(series), series)
            found = [lower.get((series, at)) or kept.newest(lower_s, at, names) for at in starts]
            parts = [replace(one, series=series) for one in found if one is not None]
            if parts and any((series, at) in lower for at in starts):
                made[series, start] = upper(spec, start, period_s, parts)
        if period_s == HOUR_S:
            self._hours |= made
        return self._revised(kept, period_s, start, made)

    def _revised(
        self, kept: "_Kept", period_s: int, start: datetime, made: Mapping[tuple[str, datetime], Average]
    ) -> list[dict[str, Any]]:
        """Records with the rows of a period that came out otherwise than their newest revision."""
        rows: dict[str, dict[str, Any]] = {}
        for series in self._specs:
            one = made.get((series, start))
            # What the station never reported has nothing to be revised.
            if one is None or kept.row(period_s, start, series) is None:
                continue
            one = self.weights.weighed(one, self._around(kept, period_s, start, made))
            if (row := self._row(kept, one, self.job.out(series))) is not None:
                rows[self.job.out(series)] = row
        # A layer has records of its own.
        kinds = [[name for name in rows if is_layer(name) is layered] for layered in (False, True)]
        return [
            self._record(period_s, start, {name: rows[name] for name in names[first : first + ROWS_MAX]})
            for names in kinds
            for first in range(0, len(names), ROWS_MAX)
        ]

    def _around(
        self, kept: "_Kept", period_s: int, start: datetime, made: Mapping[tuple[str, datetime], Average]
    ) -> Around:
        """Averages of a period by series: what was just made, else the newest on record."""

        def found(series: str) -> Average | None:
            one = made.get((series, start)) or kept.newest(period_s, start, (layer_of(series), series))
            return one and replace(one, series=series)

        return found

    def _row(self, kept: "_Kept", one: Average, out: str) -> dict[str, Any] | None:
        before = kept.row(one.period_s, one.start, out)
        ids = sorted({name for joined in one.calibrations for name in joined.split(AND)})
        revision = before["rev"] + 1 if before else 1
        row = average_row(replace(one, series=out, calibrations=tuple(ids), revision=revision))
        compared = before or kept.row(one.period_s, one.start, one.series)
        if before is not None and _same(before, row):
            return None
        self._count(one.period_s, out, row, compared or row)
        return row

    def _count(self, period_s: int, out: str, row: Fields, before: Fields) -> None:
        self.tally.rows[out] = self.tally.rows.get(out, 0) + 1
        if row["mean"] is not None and before["mean"] is not None:
            change = row["mean"] - before["mean"]
            if abs(change) >= abs(self.tally.largest.get(out, 0.0)):
                self.tally.largest[out] = change

    def _record(self, period_s: int, start: datetime, rows: Mapping[str, Any]) -> dict[str, Any]:
        self.tally.records[period_s] = self.tally.records.get(period_s, 0) + 1
        end = iso(start + timedelta(seconds=period_s))
        layer = {"layer": "analysis"} if any(is_layer(name) for name in rows) else {}
        head = {"start": iso(start), "end": end, "period_s": period_s, "recompute": self.job.name}
        return {**head, **layer, "rows": dict(rows)}


def _same(before: Fields, row: Fields) -> bool:
    """Whether two rows say the same; revision and uncertainty are no measured value."""
    names = {*before, *row} - {"rev", "unc"}
    return all(before.get(name) == row.get(name) for name in names)


class _Kept:
    """Averages on record, the newest revision of each."""

    def __init__(self, records: Iterable[Fields]) -> None:
        self._rows: dict[tuple[int, str, str], tuple[Fields, Fields]] = {}
        for fields in records:
            for series, row in fields["rows"].items():
                key = (fields["period_s"], fields["start"], series)
                known = self._rows.get(key)
                if known is None or row["rev"] >= known[1]["rev"]:
                    self._rows[key] = (fields, row)

    def row(self, period_s: int, start: datetime, series: str) -> Fields | None:
        """The newest row of a period."""
        found = self._rows.get((period_s, iso(start), series))
        return found[1] if found else None

    def newest(self, period_s: int, start: datetime, names: Sequence[str]) -> Average | None:
        """The average of the first of these names that has one."""
        for name in names:
            if found := self._rows.get((period_s, iso(start), name)):
                return averages_of({**found[0], "rows": {name: found[1]}})[0]
        return None


def aligned(at: datetime) -> bool:
    """Whether an instant is the start of a minute, as the ends of an interval must be."""
    return period_start(at, MINUTE_S) == at
