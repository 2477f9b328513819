"""Where every scan enters: marks, range check, record, correction, averages, latest values, in this order."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from agent.store.log import Log, Record
from agent.values.averaging import Averager
from agent.values.live import Live
from calibration.correction import Coefficients, apply
from metrology.quality import Cause, Mark
from metrology.reading import Measurement, Reading, Scan
from protocols.record import scan_fields

if TYPE_CHECKING:
    from agent.clock.state import ClockState
    from agent.space.gate import Gate
    from agent.values.derived import Derived

SUBSCRIBER_SCANS_MAX: Final = 10_000
# What an instrument said before so long a jump of the clock is no measure of how far it has spoken.
JUMP: Final = timedelta(hours=1)

Range = tuple[float, float]
EVERYTHING: Final[Range] = (-math.inf, math.inf)
_NONE: Final[frozenset[Mark]] = frozenset()


class Intake:
    """One for a station. `ranges` maps series to the declared range in the unit of the reading.

    `stacks` gives scans that follow from the measurements of another: they are taken right behind it.
    """

    def __init__(
        self,
        log: Log,
        live: Live,
        averager: Averager,
        ranges: Mapping[str, Range],
        stacks: "Derived | None" = None,
    ) -> None:
        self._stacks = stacks
        self._log = log
        self._live = live
        self._averager = averager
        self.ranges = dict(ranges)
        self._marks: dict[str, set[Mark]] = defaultdict(set)
        self._subscribers: dict[str, set[asyncio.Queue[Scan]]] = defaultdict(set)
        self._watchers: dict[str, list[Callable[[Scan], None]]] = defaultdict(list)
        self.coefficients: dict[str, Coefficients] = {}
        self.watermarks: dict[str, datetime] = {}
        self.gate: Gate | None = None
        self.clock: ClockState | None = None
        self.scans = 0
        self.committed = 0

    def add_mark(self, target: str, mark: Mark) -> None:
        """Put a mark on every coming reading of an instrument, or of one series."""
        self._marks[target].add(mark)

    def remove_mark(self, target: str, mark: Mark) -> None:
        """Take it off again."""
        self._marks[target].discard(mark)

    def watch(self, instrument: str, see: Callable[[Scan], None]) -> None:
        """Have `see` called with every scan of an instrument before it is marked and stored."""
        self._watchers[instrument].append(see)

    async def take(self, scan: Scan) -> None:
        """Take one scan. Returns when it is queued in the log; averages and latest values follow the record.

        Where the gate says that its raw is not written, only averages and who follows the instrument see it.
        """
        written = self.gate is None or self.gate.takes(scan.instrument, scan.at)
        if written:
            await self._log.room()
        for see in self._watchers.get(scan.instrument, ()):
            see(scan)
        marked, measurements = self._put(scan, written=written)
        if self._stacks is not None:
            for derived in self._stacks.scans(measurements):
                self._put(derived, written=written)
        known = self.watermarks.get(scan.instrument)
        if known is None or known - scan.at > JUMP:
            known = scan.at
        self.watermarks[scan.instrument] = max(known, scan.at)
        self.scans += 1
        for queue in self._subscribers[scan.instrument]:
            queue.put_nowait(marked)

    def _put(self, scan: Scan, *, written: bool) -> tuple[Scan, list[Measurement]]:
        """Judge a scan, queue its record, feed its measurements."""
        marked = replace(scan, readings=tuple(self._judged(reading) for reading in scan.readings))
        future = self._log.post("scan", scan_fields(marked)) if written else None
        rows = marked.readings
        measurements = [apply(reading, self.coefficients.get(reading.series), rows) for reading in rows]
        if future is not None:
            future.add_done_callback(lambda done: self._is_committed(done, measurements))
        self._feed(measurements)
        return marked, measurements

    def _feed(self, measurements: list[Measurement]) -> None:
        """Give measurements to the averages; while nobody knows the time they wait in the log (`agent.clock.turns`)."""
        if self.clock is not None and not self.clock.believed:
            return
        mark = self.clock.mark if self.clock is not None else None
        for one in measurements:
            self._averager.feed(one if mark is None else replace(one, reading=_with(one.reading, mark)))

    def replay(self, scan: Scan) -> None:
        """Take a scan that already lies in the log, after a restart: averages only."""
        for reading in scan.readings:
            self._averager.feed(apply(reading, self.coefficients.get(reading.series), scan.readings))

    def _is_committed(self, done: "asyncio.Future[Record]", measurements: list[Measurement]) -> None:
        if done.cancelled():
            return
        self.committed += 1
        for measurement in measurements:
            if Cause.STALE not in measurement.reading.quality.causes:
                self._live.update(measurement)

    def _judged(self, reading: Reading) -> Reading:
        series = reading.series
        marks = self._marks.get(reading.instrument, _NONE) | self._marks.get(series, _NONE)
        return judged(reading, marks, self.ranges.get(series, EVERYTHING))

    @contextlib.asynccontextmanager
    async def subscribe(self, instrument: str) -> AsyncIterator[AsyncIterator[Scan]]:
        """Scans of an instrument as they come in; a subscriber that lags SUBSCRIBER_SCANS_MAX behind is our bug."""
        queue: asyncio.Queue[Scan] = asyncio.Queue(SUBSCRIBER_SCANS_MAX)
        self._subscribers[instrument].add(queue)
        try:
            yield _drain(queue)
        finally:
            self._subscribers[instrument].discard(queue)


def judged(reading: Reading, marks: frozenset[Mark] | set[Mark], limits: Range) -> Reading:
    """A reading with marks, and with those of a value that is no number or outside its range."""
    if reading.value is not None and not math.isfinite(reading.value):
        fault = Mark(Cause.FAULT, "not a number", reading.at)
        return replace(reading, value=None, quality=reading.quality.plus({*marks, fault}))
    low, high = limits
    if reading.value is not None and not low <= reading.value <= high:
        marks = marks | {Mark(Cause.OUT_OF_RANGE, f"range {low:g} to {high:g}", reading.at)}
    return replace(reading, quality=reading.quality.plus(marks)) if marks else reading


def _with(reading: Reading, mark: Mark) -> Reading:
    return replace(reading, quality=reading.quality.plus({mark}))


async def _drain(queue: "asyncio.Queue[Scan]") -> AsyncIterator[Scan]:
    while True:
        yield await queue.get()
