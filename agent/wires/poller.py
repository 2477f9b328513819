"""Polls of one instrument, aligned to whole periods; every poll ends as scans, a missed one as a flagged scan."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from agent.config import Instrument
from agent.wires.bus import AskedBus, BusSilentError
from agent.wires.bus_turns import Priority
from drivers.base import BadAnswer, PolledDriver
from metrology.clock import Clock
from metrology.periods import iso
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading, Scan

Sink = Callable[[Scan], Awaitable[None]]
# Polls whose lateness is kept for people, and from which period on a poll lets quicker ones go first.
LATENESS_KEPT: Final = 60
SLOW_POLL_S: Final = 30.0
# The origin of a mark says what happened; a system's whole story stays in the status and in the event.
ORIGIN_CHARS_MAX: Final = 160


def missed(instrument: str, measurands: dict[str, str], at: datetime, mark: Mark) -> Scan:
    """The scan that stands for an answer that did not come: every measurand without a value, flagged."""
    quality = Quality.of(mark)
    readings = tuple(Reading(instrument, name, None, unit, at, quality) for name, unit in measurands.items())
    return Scan(instrument, at, readings)


class Poller:
    """One per polled instrument. `sink` takes the scans (to the log); `bus` and `driver` belong to the instrument.

    A poll begins `offset_s` after each whole multiple of `poll_s` of world time, reckoned once at the start and kept on
    the monotonic clock from then on: instruments of one period are asked one after the other, not all at once. A poll
    that lasts longer than its period costs the slots it covers; they are counted, never made up for. Who holds `busy`
    finds no poll under way: then it may be cancelled without losing an answer.
    """

    def __init__(
        self,
        instrument: str,
        config: Instrument,
        driver: PolledDriver,
        bus: AskedBus,
        sink: Sink,
        clock: Clock,
        offset_s: float = 0.0,
    ) -> None:
        """Raises ValueError for an instrument without `poll_s`."""
        if config.poll_s is None:
            raise ValueError(f"{instrument} has no poll_s: an instrument that is asked needs one")
        self.instrument = instrument
        self._poll_s = config.poll_s
        self.offset_s = offset_s
        self._priority = Priority.SLOW if config.poll_s >= SLOW_POLL_S else Priority.POLL
        self._late_s: deque[float] = deque(maxlen=LATENESS_KEPT)
        self._unit = config.unit
        self._driver = driver
        self._bus = bus
        self._sink = sink
        self._clock = clock
        self.busy = asyncio.Lock()
        self.polls = 0
        self.missed = 0
        self.skipped_slots = 0
        self.last_scan_at: datetime | None = None
        self.last_error: str | None = None
        self._faulty_since: datetime | None = None

    @property
    def measurands(self) -> dict[str, str]:
        """What its driver may emit, with units."""
        return self._driver.measurands

    async def run(self) -> None:
        """Poll for ever."""
        origin = self._clock.monotonic() - (self._clock.now().timestamp() - self.offset_s) % self._poll_s
        slot = 0
        while True:
            passed = int((self._clock.monotonic() - origin) // self._poll_s)
            if slot:
                self.skipped_slots += max(0, passed - slot)
            slot = max(slot, passed) + 1
            due = origin + slot * self._poll_s
            await self._clock.sleep(due - self._clock.monotonic())
            await self.poll()
            if (asked_at := self._bus.asked_at(self._unit)) is not None:
                self._late_s.append(asked_at - due)

    async def poll(self) -> None:
        """One poll. Returns when its scans were taken."""
        async with self.busy:
            for scan in await self._scans():
                await self._sink(scan)
                self.last_scan_at = scan.at
            self.polls += 1

    async def _scans(self) -> list[Scan]:
        try:
            scans = await self._bus.run_poll(self._unit, self._driver.poll(), self._priority)
        except BusSilentError as error:
            return [self._missed(Cause.COMMUNICATION, str(error), error.since)]
        except BadAnswer as error:
            self._faulty_since = self._faulty_since or self._clock.now()
            return [self._missed(Cause.FAULT, str(error), self._faulty_since)]
        self._faulty_since = None
        return scans

    def _missed(self, cause: Cause, error: str, since: datetime) -> Scan:
        self.missed += 1
        self.last_error = error
        mark = Mark(cause, error[:ORIGIN_CHARS_MAX], since)
        return missed(self.instrument, self._driver.measurands, self._clock.now(), mark)

    def _lateness(self) -> dict[str, float] | None:
        """How long after their instants the last polls began to ask: median, 95th percentile, greatest."""
        late = sorted(self._late_s)
        if not late:
            return None
        at = {"p50": 0.5, "p95": 0.95, "max": 1.0}
        return {name: round(late[min(len(late) - 1, int(part * len(late)))] * 1000, 1) for name, part in at.items()}

    def status(self) -> dict[str, Any]:
        """Counters for people; `polls` also tells a watchdog that this instrument's work goes on."""
        return {
            "polls": self.polls,
            "missed": self.missed,
            "skipped_slots": self.skipped_slots,
            "offset_s": round(self.offset_s, 4),
            "late_ms": self._lateness(),
            "last_scan_at": iso(self.last_scan_at) if self.last_scan_at else None,
            "last_error": self.last_error,
        }
