"""Instruments that speak unasked: their bytes become scans, their silence a flagged scan."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agent.config import Instrument
from agent.wires.poller import Sink, missed
from drivers.base import StreamDriver, StreamFault
from metrology.clock import Clock
from metrology.periods import iso
from metrology.quality import Cause, Mark
from metrology.reading import Scan

# An instrument is silent after so many of its own intervals, and not before so many wall seconds.
SILENT_INTERVALS: Final = 3.0
SILENT_WALL_S_MIN: Final = 2.0
EXPECTED_PER_MINUTE: Final = 1.0


def _interval_s(config: Instrument) -> float:
    return 60.0 / (config.expected_per_minute or EXPECTED_PER_MINUTE)


class Listener:
    """The instruments of one stream bus. `feed` is what the bus calls; `run` watches for silence."""

    def __init__(self, instruments: Mapping[str, Instrument], driver: StreamDriver, sink: Sink, clock: Clock) -> None:
        self._driver = driver
        self._sink = sink
        self._clock = clock
        self._interval_s = {name: _interval_s(config) for name, config in instruments.items()}
        now = clock.now()
        self._heard = dict.fromkeys(instruments, clock.monotonic())
        self._since = dict.fromkeys(instruments, now)
        self.scans = dict.fromkeys(instruments, 0)
        self.missed = dict.fromkeys(instruments, 0)
        self.faults = 0
        self.lost_frames = 0
        self.last_fault: str | None = None

    def change(self, name: str, config: Instrument, driver: StreamDriver | None) -> None:
        """Expect readings of one instrument as often as `config` says; a driver given takes the place of the old one.

        What the old one held of a frame under way is lost: at most one frame, of this line alone.
        """
        self._interval_s[name] = _interval_s(config)
        self._driver = driver or self._driver

    @property
    def measurands(self) -> dict[str, str]:
        """What the line's driver may emit, with units."""
        return self._driver.measurands

    @property
    def driver(self) -> StreamDriver:
        """What makes scans of the bytes."""
        return self._driver

    async def feed(self, data: bytes, at: datetime) -> None:
        """Take bytes of the line in pieces of any size."""
        for found in self._driver.feed(data, at):
            if isinstance(found, StreamFault):
                self.faults += 1
                self.lost_frames += found.lost
                self.last_fault = f"{iso(found.at)} {found.what}"
            else:
                await self._take(found)

    async def _take(self, scan: Scan) -> None:
        self.scans[scan.instrument] += 1
        self._heard[scan.instrument] = self._clock.monotonic()
        self._since[scan.instrument] = self._clock.now()
        await self._sink(scan)

    async def run(self) -> None:
        """Once in the shortest interval, flag each instrument that owes a reading."""
        due = dict.fromkeys(self._interval_s, 0.0)
        while True:
            await self._clock.sleep(min(self._interval_s.values(), default=60.0))
            now = self._clock.monotonic()
            for name, interval_s in self._interval_s.items():
                patience_s = max(SILENT_INTERVALS * interval_s, SILENT_WALL_S_MIN * self._clock.rate)
                if now - self._heard[name] > patience_s and now >= due[name]:
                    due[name] = now + interval_s
                    self.missed[name] += 1
                    await self._sink(self._silent(name))

    def _silent(self, name: str) -> Scan:
        since = self._since[name]
        mark = Mark(Cause.COMMUNICATION, f"{name} says nothing", since)
        now = max(self._clock.now(), since + timedelta(milliseconds=1))
        return missed(name, self._driver.measurands, now, mark)

    def status(self) -> dict[str, Any]:
        """Counters for people."""
        return {
            "scans": dict(self.scans),
            "missed": dict(self.missed),
            "faults": self.faults,
            "lost_frames": self.lost_frames,
            "last_fault": self.last_fault,
        }
