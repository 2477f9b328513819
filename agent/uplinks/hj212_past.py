"""What the log holds of the past, by time: read page by page in the log's thread, so that years fit no memory."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from agent.values.averaging import several_minutes
from metrology.periods import HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.quality import VALID_CAUSES
from metrology.reading import Average
from protocols.record import averages_of

PAGE_PERIODS: Final = 20
PAGE_RECORDS: Final = 50

Averages = Mapping[str, Average]
Pick = Callable[[Iterable[Mapping[str, Any]]], Averages]


@dataclass(frozen=True, slots=True)
class Period:
    """The averages of one period by series: of each the newest final revision, for a request of the platform."""

    start: datetime
    averages: Averages


class Past:
    """Reads for one uplink, averages of the `wanted` series; simulated records only where `simulated_allowed`."""

    def __init__(self, index: Index, log: Log, wanted: frozenset[str], *, simulated_allowed: bool) -> None:
        self._index = index
        self._log = log
        self._wanted = wanted
        self._simulated_allowed = simulated_allowed

    async def page(self, period_s: int, after: datetime, until: datetime) -> list[Period]:
        """The next periods with after < start <= until, oldest first, at most PAGE_PERIODS; empty at the end."""
        return await self._log.look_up(self._page, period_s, after, until)

    def _page(self, period_s: int, after: datetime, until: datetime) -> list[Period]:
        if MINUTE_S < period_s < HOUR_S:
            return self._page_of_minutes(period_s, after, until)
        starts = self._index.starts(period_s, iso(after), iso(until), PAGE_PERIODS)
        if not starts:
            return []
        rows = self._kept(period_s, parse_iso(starts[0]), parse_iso(starts[-1]) + timedelta(seconds=1))
        return [Period(start, self.newest(group)) for start, group in _grouped(rows, period_s)]

    def _page_of_minutes(self, period_s: int, after: datetime, until: datetime) -> list[Period]:
        """Periods of several minutes, made of the minutes that exist."""
        length = timedelta(seconds=period_s)
        # The first minute that can belong to a period which starts after `after`.
        reached = period_start(after, period_s) + length - timedelta(milliseconds=1)
        starts = self._index.starts(MINUTE_S, iso(reached), iso(until + length - timedelta(seconds=1)), 1)
        if not starts:
            return []
        first = period_start(parse_iso(starts[0]), period_s)
        count = max(1, PAGE_PERIODS * MINUTE_S // period_s)
        rows = self._kept(MINUTE_S, first, min(first + count * length, until + timedelta(seconds=1) + length))
        found = ((start, list(group)) for start, group in _grouped(rows, period_s))
        return [
            Period(start, self._joined(group, start, period_s, self.newest))
            for start, group in found
            if after < start <= until
        ]

    def _kept(self, period_s: int, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        rows = self._index.averages(period_s, iso(since), iso(until))
        return (row for row in rows if self._simulated_allowed or not row.get("sim"))

    async def minutes(self, start: datetime, period_s: int) -> Averages:
        """The averages over several minutes from `start` on, of what was first reported.

        This is what goes out unasked: nothing revised does (design, section 13.1).
        """
        return await self._log.look_up(self._minutes, start, period_s)

    def _minutes(self, start: datetime, period_s: int) -> Averages:
        rows = self._kept(MINUTE_S, start, start + timedelta(seconds=period_s))
        return self._joined(rows, start, period_s, self._first)

    def newest(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, Average]:
        """Of each wanted series the final average of the highest revision in these records: a platform asked."""
        found: dict[str, Average] = {}
        for average in self._final(rows):
            known = found.get(average.series)
            if known is None or average.revision >= known.revision:
                found[average.series] = average
        return found

    def _first(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, Average]:
        """Of each wanted series the final average that was first reported."""
        return {average.series: average for average in self._final(rows) if average.revision == 0}

    def _final(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Average]:
        for row in rows:
            wanted = {series: one for series, one in row["rows"].items() if series in self._wanted}
            yield from (average for average in averages_of({**row, "rows": wanted}) if average.final)

    def _joined(
        self, rows: Iterable[Mapping[str, Any]], start: datetime, period_s: int, pick: Pick
    ) -> dict[str, Average]:
        """Averages over several minutes from the records of single ones, of each what `pick` takes."""
        members: dict[str, list[Average]] = {}
        for _, group in _grouped(rows, MINUTE_S):
            for series, average in pick(group).items():
                members.setdefault(series, []).append(average)
        return {series: several_minutes(found, start, period_s // MINUTE_S) for series, found in members.items()}

    async def minute_before(self, start: datetime, reach: timedelta) -> datetime | None:
        """Start of the last minute before `start` that is on record, at most so far back."""
        row = await self._log.look_up(self._index.last_average, MINUTE_S, iso(start - reach), iso(start))
        return parse_iso(row["start"]) if row else None

    async def hours_above(
        self, bounds: Mapping[str, tuple[str, float | None]], start: datetime, end: datetime
    ) -> dict[str, float]:
        """Hours between two times in which series lay above a bound (None: were valid), by the names in `bounds`.

        Only names whose series has any minute on record. The minutes are read hour by hour.
        """
        found: dict[str, int] = {}
        while start < end:
            part = await self._log.look_up(self._minutes_above, bounds, start, min(start + timedelta(hours=1), end))
            for name, minutes in part.items():
                found[name] = found.get(name, 0) + minutes
            start += timedelta(hours=1)
        return {name: minutes / 60 for name, minutes in found.items()}

    def _minutes_above(
        self, bounds: Mapping[str, tuple[str, float | None]], start: datetime, end: datetime
    ) -> dict[str, int]:
        found: dict[str, int] = {}
        seen: set[tuple[str, str]] = set()
        for row in self._kept(MINUTE_S, start, end):
            for name, (series, bound) in bounds.items():
                average = row["rows"].get(series)
                if average is None or (name, row["start"]) in seen:
                    continue
                seen.add((name, row["start"]))
                found[name] = found.get(name, 0) + _above(average, bound)
        return found

    async def told(self, kind: str, whats: Iterable[str], after: datetime, until: datetime) -> list[dict[str, Any]]:
        """The next records of a kind and of these `what` with after < t <= until, oldest first; empty at the end."""
        rows = await self._log.look_up(self._index.told, kind, tuple(whats), iso(after), iso(until), PAGE_RECORDS)
        return rows


def _above(row: Mapping[str, Any], bound: float | None) -> bool:
    mean = row["mean"]
    if bound is None:
        return mean is not None and not any(cause not in VALID_CAUSES for cause, *_ in row.get("q", ()))
    return mean is not None and mean > bound


def _grouped(
    rows: Iterable[Mapping[str, Any]], period_s: int
) -> Iterator[tuple[datetime, Iterator[Mapping[str, Any]]]]:
    """Records by the period that holds them; those of an hour or longer by their own start, which the station cuts."""
    if period_s >= HOUR_S:
        return itertools.groupby(rows, lambda row: parse_iso(row["start"]))
    return itertools.groupby(rows, lambda row: period_start(parse_iso(row["start"]), period_s))
