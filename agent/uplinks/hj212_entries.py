"""What of the log an HJ 212 uplink sends, and which of it is done."""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.config_hj212 import Hj212Uplink
from agent.store.log import Place, Record
from metrology.reading import Measurement
from metrology.units import UnitError
from protocols.hj212.factors import Factor, factor
from protocols.hj212.message import Item
from protocols.hj212.uploads import CN_OF_PERIOD, average_items, realtime_item
from protocols.record import averages_of

PERIODS: Final = {"minute": 60, "hour": 3600, "day": 86400}
# A value older than this (or than two intervals) is not called real-time: letter B, no number.
SILENT_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One record to send. `low` is the first sequence number after the last record selected before it."""

    epoch: int
    low: int
    seq: int
    cn: str
    start: datetime
    items: tuple[Item, ...]


class Progress:
    """Which sequence numbers of one epoch are done, as ranges (both ends included)."""

    def __init__(self, place: Place) -> None:
        self._ranges: list[tuple[int, int]] = [(-1, place.through), *place.above]

    @property
    def through(self) -> int:
        """Everything selected up to here is done."""
        return self._ranges[0][1]

    def add(self, low: int, high: int) -> None:
        """Mark a range as done; it may touch or overlap others."""
        if low > high:
            return
        touching = [r for r in self._ranges if r[0] <= high + 1 and low <= r[1] + 1]
        for known in touching:
            self._ranges.remove(known)
        bisect.insort(self._ranges, (min([low, *(r[0] for r in touching)]), max([high, *(r[1] for r in touching)])))

    def covers(self, seq: int) -> bool:
        """True where that number is done."""
        return any(low <= seq <= high for low, high in self._ranges)

    def open_below(self, end: int) -> int:
        """How many numbers below `end` are not done."""
        return end - sum(min(high, end - 1) - low + 1 for low, high in self._ranges if low < end) + 1

    def place(self, epoch: int) -> Place:
        """What is kept in the log."""
        return Place(epoch, self.through, tuple(self._ranges[1:]))


class Selection:
    """Turns records and latest values into data areas by a platform's profile.

    Raises KeyError or UnitError at once for a factor that cannot be had from its series.
    """

    def __init__(self, config: Hj212Uplink, *, simulated_allowed: bool) -> None:
        self._factors: Sequence[Factor] = [
            factor(code, f.series, unit=f.unit, decimals=f.decimals, state=f.state)
            for code, f in config.factors.items()
        ]
        self._periods = {PERIODS[name] for name in config.periods}
        self._simulated_allowed = simulated_allowed
        self.problems: dict[str, int] = {}

    def entry(self, record: Record, low: int) -> Entry | None:
        """What to send of an average record, None where it holds nothing for this platform.

        Revisions and provisional values stay at home (design, section 13.1), and so do simulated records.
        """
        fields = record.fields
        if fields["period_s"] not in self._periods or (fields.get("sim") and not self._simulated_allowed):
            return None
        sent = {a.series: a for a in averages_of(fields) if a.revision == 0 and a.final}
        items, problems = average_items(self._factors, sent)
        self._count(problems)
        if not items:
            return None
        start = next(iter(sent.values())).start
        return Entry(record.epoch, low, record.seq, CN_OF_PERIOD[fields["period_s"]], start, items)

    def realtime(
        self, latest: Mapping[str, Measurement], now: datetime, interval_s: float
    ) -> tuple[datetime, list[Item]] | None:
        """Sampling instant and items of a 2011, None where no configured series was ever measured."""
        found = [(f, latest[f.series]) for f in self._factors if f.series in latest]
        if not found:
            return None
        oldest = now - timedelta(seconds=max(SILENT_S, 2 * interval_s))
        items = []
        for wanted, measurement in found:
            try:
                items.append(realtime_item(wanted, measurement, silent=measurement.reading.at < oldest))
            except UnitError as error:
                self._count([f"factor {wanted.code} ({wanted.series}): {error}"])
        newest = max(measurement.reading.at for _, measurement in found)
        return (newest if newest >= oldest else now), items

    def _count(self, problems: list[str]) -> None:
        for problem in problems:
            self.problems[problem] = self.problems.get(problem, 0) + 1
