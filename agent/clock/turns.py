"""What becomes of averages where the clock jumped: back by more than an hour, or from a time nobody believed.

After a jump back the averages go on at the new time at once; a period that was written before gets the next revision.
Readings of a clock that was not believable lie in the log with the time since the machine's start (`mono`): when the
clock is right they are averaged by the time they were taken at.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.clock.state import DOUBT, ClockState, doubted, micros
from agent.store.index import Index
from agent.store.log import Log, Record
from agent.store.recovery import (
    LOOK_AHEAD,
    LOOK_BACK,
    last_written,
    newest_minute,
    next_written,
    open_periods,
    replay,
    written_ahead,
)
from agent.values.averaging import Averager
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.periods import DAY_S, EPOCH, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.quality import Cause, Mark
from metrology.reading import Average, Scan
from protocols.record import scan_of

# Where the averages stood, and what closed from there.
Periods = tuple[datetime, list[list[Average]]]
# Revisions of periods that were written before are looked up for so long at a time.
HORIZON: Final = timedelta(hours=1)
MARGIN: Final = timedelta(minutes=2)
SCANS_MAX: Final = 500
GRACE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Back:
    """A step back: its record, until when periods were closed, and what the clock showed before."""

    told: "asyncio.Future[Record]"
    closed: datetime
    old: datetime


@dataclass(slots=True)
class _Doubt:
    """A span without a believable clock: the event it began with, and that by which it ended."""

    began: "asyncio.Future[Record]"
    from_start: bool
    ended: "asyncio.Future[Record] | None" = None


class Turns:
    """Of one run. `due` while something has to be put right before any period may be closed."""

    def __init__(
        self,
        log: Log,
        index: Index,
        averager: Averager,
        intake: Intake,
        clock: Clock,
        state: ClockState,
        day_offset_s: int = 8 * HOUR_S,
    ) -> None:
        self._log, self._index, self._averager, self._intake = log, index, averager, intake
        self._clock, self._state, self._day_offset_s = clock, state, day_offset_s
        self._back: _Back | None = None
        self._doubt: _Doubt | None = None
        self._ahead: datetime | None = None
        self._horizon = EPOCH
        self._revisions: dict[tuple[int, str], int] = {}

    # -- told by who watches the clock

    def went_back(self, told: "asyncio.Future[Record]", closed: datetime, old: datetime) -> None:
        """The clock went back far from `old`, where periods were closed until `closed`; `told` is its record."""
        self._back, self._horizon = _Back(told, closed, old), EPOCH

    def lost(self, told: "asyncio.Future[Record]", *, from_start: bool = False) -> None:
        """The clock is not believable from this event on."""
        self._doubt = _Doubt(told, from_start)

    def found(self, told: "asyncio.Future[Record]") -> None:
        """The clock is believable again from this event on."""
        if self._doubt is not None:
            self._doubt.ended = told

    @property
    def due(self) -> bool:
        """Whether periods have to wait for `take`."""
        return self._back is not None or (self._doubt is not None and self._doubt.ended is not None)

    def ready(self, now: datetime) -> bool:
        """Whether it is known of all periods up to `now` which were written before."""
        return not self.due and (self._ahead is None or now <= self._horizon)

    # -- done by who writes periods

    async def begin(self) -> datetime | None:
        """At a start: see whether the log holds periods of a clock that was ahead. Gives the end of the last before."""
        now, left = self._clock.now(), await self._log.look_up(last_written, self._index)
        if left is not None and left > now + LOOK_AHEAD:
            await self._leave(left, left)
        await self._see_ahead()
        return await self._log.look_up(newest_minute, self._index, EPOCH, now)

    async def take(self) -> AsyncIterator[Periods]:
        """Put right what is due; gives periods to write. Then look up the revisions that come next."""
        if (back := self._back) is not None:
            await back.told
            await self._leave(back.closed, back.old)
            await self._go_on()
            if self._back is back:
                self._back = None
        if (doubt := self._doubt) is not None and doubt.ended is not None:
            self._doubt = None
            async for periods in self._map(doubt.from_start, await doubt.began, await doubt.ended):
                yield periods
            await self._see_ahead()
        await self._look_ahead(self._clock.now())

    async def _go_on(self) -> None:
        """Fill the open hour and day of the new time; what lies between its last period and now is a gap."""
        until = self._averager.closed_until
        newest = await self._log.look_up(newest_minute, self._index, EPOCH, until)
        members = await self._log.look_up(open_periods, self._index, until, self._day_offset_s)
        if self._averager.closed_until != until:
            return
        self._averager.restore(one for one in members if one.end <= until)
        if newest is not None and newest < until:
            self._log.post("gap", {"from": iso(newest), "to": iso(until), "reason": "clock stepped"})
        await self._see_ahead()

    async def _see_ahead(self) -> None:
        self._ahead = await self._log.look_up(written_ahead, self._index, self._averager.closed_until)

    async def _leave(self, closed: datetime, old: datetime) -> None:
        """Say that the periods from where a clock was left to the next that are written are not made."""
        following = await self._log.look_up(next_written, self._index, closed)
        until = max(old, following or closed + timedelta(seconds=MINUTE_S))
        self._log.post("gap", {"from": iso(closed), "to": iso(until), "reason": "clock stepped"})

    async def _look_ahead(self, now: datetime) -> None:
        closed = self._averager.closed_until
        if self._ahead is not None and closed >= self._ahead:
            self._ahead = None
            self._revisions = {}
        if self._ahead is None or now + MARGIN <= self._horizon:
            return
        horizon = now + HORIZON
        self._revisions = await self._log.look_up(_revisions, self._index, closed, horizon, self._day_offset_s)
        self._horizon = horizon

    def numbered(self, averages: list[Average]) -> list[Average]:
        """The averages of a period with the revision that is next."""
        former = self._revisions.get((averages[0].period_s, iso(averages[0].start)))
        return averages if former is None else [replace(one, revision=former + 1) for one in averages]

    # -- from the scale that never steps to the wall

    async def _map(self, from_start: bool, began: Record, ended: Record) -> AsyncIterator[Periods]:
        """Average what was measured between two events, by the offset of now."""
        wall, mono = self._clock.now(), micros(self._clock)

        def mapped(at_mono: int) -> datetime:
            return wall - timedelta(microseconds=mono - at_mono)

        first, last = mapped(began.fields["mono"]), mapped(ended.fields["mono"])
        if from_start:
            await self._begin_at(first, wall, began.seq)
        await self._see_ahead()
        self._horizon = EPOCH
        after, scans = began.seq, 0
        while rows := await self._log.read(after, kinds=frozenset({"scan"}), limit=SCANS_MAX, before=ended.seq):
            after = rows[-1].seq
            for fields in (row.fields for row in rows):
                if "mono" in fields:
                    lag = parse_iso(fields["t"]) - parse_iso(fields["at"])
                    scan = _moved(scan_of(fields), mapped(fields["mono"]) - lag)
                    self._intake.replay(doubted(scan, Mark(Cause.CLOCK_DOUBTFUL, DOUBT, scan.at)))
                    scans += 1
            until = min(scan.at - GRACE, wall)
            await self._look_ahead(until)
            closed = self._averager.closed_until
            yield closed, self._averager.close(until)
        told = {"records": [began.seq, ended.seq], "scans": scans, "from": iso(first), "to": iso(last)}
        self._log.post(
            "event", {"what": "clock-mapped", "origin": "clock", "boot": self._state.boot, "wall": iso(wall),
                      "mono": mono, **told},
        )  # fmt: skip

    async def _begin_at(self, first: datetime, now: datetime, before: int) -> None:
        """Take the averages up where they ended, as a start with a right clock does."""
        newest = await self._log.look_up(newest_minute, self._index, EPOCH, first)
        recent = newest is not None and first - newest < LOOK_BACK
        until = newest if newest is not None and recent else period_start(first, MINUTE_S)
        members = await self._log.look_up(open_periods, self._index, until, self._day_offset_s)
        self._averager.restart(until, now)
        self._averager.told_until = max(until, first)
        self._averager.restore(one for one in members if one.end <= until)
        # The last record of a run before may itself have been written without a believable clock.
        since = self._state.last if self._state.last is not None and self._state.last <= first else newest
        if since is not None and since < first:
            self._log.post("gap", {"from": iso(since), "to": iso(first), "reason": "not running"})
        await replay(self._log, self._intake, until, first, before)


def _moved(scan: Scan, at: datetime) -> Scan:
    return replace(scan, at=at, readings=tuple(replace(one, at=at) for one in scan.readings))


def _revisions(index: Index, since: datetime, until: datetime, day_offset_s: int) -> dict[tuple[int, str], int]:
    """The highest revision of each period written between these."""
    found: dict[tuple[int, str], int] = {}
    for period_s in (MINUTE_S, HOUR_S, DAY_S):
        start = period_start(since, period_s, day_offset_s)
        for fields in index.averages(period_s, iso(start), iso(until)):
            key = period_s, fields["start"]
            found[key] = max(found.get(key, 0), _highest(fields["rows"].values()))
    return found


def _highest(rows: Iterable[Mapping[str, Any]]) -> int:
    return max((int(row["rev"]) for row in rows), default=0)
