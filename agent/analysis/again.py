"""Averages made again from the log by the code that made them first, fed in the order of the log.

What decided the first time decides again: a scan that came after its minute was closed is late, a clock that stepped
marks the minutes that were open, a new configuration changes how many readings a minute should hold, and a restart
takes the scans of the open minute once more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from agent.analysis.corrections import Corrections
from agent.analysis.station import spec_in
from agent.clock.state import DOUBT, doubted
from agent.values.averaging import Averager, SeriesSpec
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.quality import Cause, Mark
from metrology.reading import Average, Reading, Scan
from protocols.record import scan_of

# Kinds of records that have a part in it.
KINDS: Final = frozenset({"scan", "average", "calibration", "event", "config"})


class Again:
    """Series of one instrument from an instant on (the start of a minute, or of an hour or day to be made too)."""

    def __init__(
        self, specs: Sequence[SeriesSpec], start: datetime, day_offset_s: int, corrections: Corrections
    ) -> None:
        self._specs = {spec.series: spec for spec in specs}
        self.instrument = specs[0].series.partition(".")[0]
        self._start, self._from = start, iso(start)
        self._day_offset_s = day_offset_s
        self._corrections = corrections
        self._averager = Averager(specs, start, day_offset_s)
        self._open: list[Scan] = []
        self._made: list[Average] = []

    @property
    def instruments(self) -> frozenset[str]:
        """Whose scans it takes."""
        return frozenset({self.instrument})

    @property
    def closed_until(self) -> datetime:
        """End of the last closed minute."""
        return self._averager.closed_until

    def take(self, fields: Mapping[str, Any]) -> list[Average]:
        """Take the next record of the log; gives the averages that were closed by it."""
        kind = fields["kind"]
        if kind == "scan":
            if fields["instrument"] == self.instrument and fields["at"] >= self._from:
                scan = scan_of(fields)
                if fields.get("clk") == "U":
                    scan = doubted(scan, Mark(Cause.CLOCK_DOUBTFUL, DOUBT, scan.at))
                self.scan(scan)
            return []
        if kind == "average":
            return self._close(parse_iso(fields["end"])) if closes_minute(fields) else []
        if kind == "config":
            self._config(fields)
        elif kind == "event" and fields.get("what") == "clock-step":
            origin = f"clock stepped {fields['step_s']:+.3f} s"
            self._averager.mark_open(Mark(Cause.CLOCK_DOUBTFUL, origin, parse_iso(fields["at"])))
        else:
            self._corrections.take(fields)
        return []

    def scan(self, scan: Scan) -> None:
        """Take a scan of its instrument, from the start on."""
        self._open.append(scan)
        self._feed(scan)

    def _feed(self, scan: Scan) -> None:
        for reading in scan.readings:
            if reading.series in self._specs:
                self._averager.feed(self._corrections.measure(reading, scan))

    def _close(self, end: datetime) -> list[Average]:
        closed = [average for several in self._averager.close(end) for average in several]
        self._made = [one for one in [*self._made, *closed] if self._is_open(one, end)]
        self._open = [scan for scan in self._open if scan.at >= end]
        return closed

    def _is_open(self, made: Average, end: datetime) -> bool:
        """Whether an average is still needed for an hour or day that has not ended."""
        upper = {MINUTE_S: HOUR_S, HOUR_S: DAY_S}.get(made.period_s)
        return upper is not None and made.start >= period_start(end, upper, self._day_offset_s)

    def _config(self, fields: Mapping[str, Any]) -> None:
        specs = {name: spec_in(fields, name) or known for name, known in self._specs.items()}
        if fields.get("origin") == "SIGHUP":
            for name, spec in specs.items():
                if spec.expected != self._specs[name].expected:
                    self._averager.expect(name, spec.expected, parse_iso(fields["t"]))
            self._specs = specs
            return
        self._specs = specs
        self._averager = Averager(list(specs.values()), self._averager.closed_until, self._day_offset_s)
        self._averager.restore(self._made)
        for scan in self._open:
            self._feed(scan)


def closes_minute(fields: Mapping[str, Any]) -> bool:
    """Whether an average record is the first value of a minute, and so the end of its being open."""
    return fields["period_s"] == MINUTE_S and "recompute" not in fields


def is_member(reading: Reading | None) -> bool:
    """Whether the value of a reading counts in the mean of its minute."""
    return reading is not None and reading.value is not None and reading.quality.valid
