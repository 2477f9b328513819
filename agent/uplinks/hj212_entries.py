"""What an HJ 212 uplink sends of its log, and which records are done."""

import bisect
from dataclasses import dataclass
from datetime import datetime

from agent.store.log import Place
from protocols.hj212.message import Item

Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload made of a record, which may give several (`parts`).

    `low` is the first sequence number after the last record read before it. `late` where it was not sent at its time.
    """

    epoch: int
    low: int
    seq: int
    cn: str
    at: datetime
    items: tuple[Item, ...]
    part: int = 0
    parts: int = 1
    late: bool = False

    @property
    def key(self) -> Key:
        """Which record, which part of it."""
        return self.epoch, self.seq, self.part


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
