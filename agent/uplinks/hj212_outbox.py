"""What an HJ 212 uplink sends next, and what of it is done: order, rates and places, without I/O.

Order: the real-time value, the newest periods, then frames set aside whose time has come, then old periods, oldest
first, at most BACKFILL_PER_S of them each second and never in more than half of the window.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.store.log import Place
from agent.uplinks.hj212_entries import Entry, Progress
from protocols.hj212.message import Item

WINDOW: Final = 4
BACKFILL_WINDOW: Final = WINDOW // 2
BACKFILL_PER_S: Final = 10.0
QUEUE_MAX: Final = 16
ASIDE_MAX: Final = 1_000
ASIDE_RETRY_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Realtime:
    """A 2011 to send: the latest replaces one not yet sent; never sent later."""

    at: datetime
    items: tuple[Item, ...]


class Outbox:
    """Queues of one uplink. Times are wall seconds of one monotonic clock."""

    def __init__(self, place: Place) -> None:
        self._progress = {place.epoch: Progress(place)}
        self._aside: dict[tuple[int, int], tuple[Entry, float]] = {}
        self._old: deque[Entry] = deque()
        self._fresh: deque[Entry] = deque()
        self._old_flying: set[Entry] = set()
        self._next_old = float("-inf")
        self.realtime: Realtime | None = None
        self.realtime_flying = False

    @property
    def epoch(self) -> int:
        """The epoch whose records are not all done."""
        return min(self._progress)

    def open_epochs(self, known: Iterable[int]) -> list[int]:
        """Epochs that are not done, ascending: those of the log from the place on, and any that the log has lost."""
        for epoch in known:
            if epoch > self.epoch:
                self.progress(epoch)
        return sorted(self._progress)

    @property
    def aside(self) -> int:
        """How many frames are set aside."""
        return len(self._aside)

    def progress(self, epoch: int) -> Progress:
        """What is done in an epoch."""
        return self._progress.setdefault(epoch, Progress(Place(epoch, -1)))

    def place(self) -> Place:
        """What to keep: where the oldest unfinished epoch is."""
        return self._progress[self.epoch].place(self.epoch)

    def disconnected(self) -> None:
        """Forget what was queued and under way: it is found again in the log."""
        self._old.clear()
        self._fresh.clear()
        self._old_flying.clear()
        self.realtime, self.realtime_flying = None, False

    def wanted(self, epoch: int, seq: int) -> bool:
        """True where a record is neither done nor set aside."""
        return not self.progress(epoch).covers(seq) and (epoch, seq) not in self._aside

    @property
    def room_old(self) -> bool:
        """True where another old entry may be queued."""
        return len(self._old) < QUEUE_MAX

    @property
    def room_fresh(self) -> bool:
        """True where another fresh entry may be queued."""
        return len(self._fresh) < QUEUE_MAX

    @property
    def quiet(self) -> bool:
        """True where no old entry is queued or under way."""
        return not self._old and not self._old_flying

    def put_old(self, entry: Entry) -> None:
        """Queue a record from before the connection."""
        self._old.append(entry)

    def put_fresh(self, entry: Entry) -> None:
        """Queue a record of now; of several the newest goes first."""
        self._fresh.append(entry)

    def take(self, now: float) -> Realtime | Entry | None:
        """What to send now."""
        if self.realtime is not None and not self.realtime_flying:
            # One at a time: a platform that leaves them unanswered shall not fill the window with them.
            realtime, self.realtime, self.realtime_flying = self.realtime, None, True
            return realtime
        if self._fresh:
            return self._fresh.pop()
        due = next((key for key, (_, at) in self._aside.items() if at <= now), None)
        if due is not None:
            entry, _ = self._aside[due]
            self._aside[due] = (entry, now + ASIDE_RETRY_S)
            return entry
        if self._old and len(self._old_flying) < BACKFILL_WINDOW and self._next_old <= now:
            self._next_old = now + 1.0 / BACKFILL_PER_S
            entry = self._old.popleft()
            self._old_flying.add(entry)
            return entry
        return None

    def wake_at(self, now: float) -> float | None:
        """When `take` may give something that it does not give now, None where only new data can change that."""
        times = [at for _, at in self._aside.values()]
        if self._old and len(self._old_flying) < BACKFILL_WINDOW:
            times.append(self._next_old)
        return max(now, min(times)) if times else None

    def delivered(self, entry: Entry) -> None:
        """The platform has it."""
        self._old_flying.discard(entry)
        self._aside.pop((entry.epoch, entry.seq), None)
        self.progress(entry.epoch).add(entry.low, entry.seq)

    def set_aside(self, entry: Entry, now: float) -> tuple[bool, Entry | None]:
        """The platform refuses it while it takes others.

        Gives whether that is news, and the oldest message that had to be given up because ASIDE_MAX are aside already.
        """
        self._old_flying.discard(entry)
        key = (entry.epoch, entry.seq)
        news = key not in self._aside
        self._aside[key] = (entry, now + ASIDE_RETRY_S)
        if len(self._aside) <= ASIDE_MAX:
            return news, None
        given_up, _ = self._aside[min(self._aside)]
        self.delivered(given_up)
        return news, given_up

    def finish_epoch(self, epoch: int) -> list[Entry]:
        """An older epoch was read to its end and is done but for the frames set aside, which are given up here."""
        given_up = [entry for entry, _ in self._aside.values() if entry.epoch == epoch]
        for entry in given_up:
            del self._aside[entry.epoch, entry.seq]
        del self._progress[epoch]
        return given_up

    def done(self, epoch: int, low: int, high: int) -> None:
        """Nothing is to be sent of these records."""
        self.progress(epoch).add(low, high)

    def drained(self, epoch: int, head: int) -> bool:
        """True where everything up to `head` is done or set aside."""
        if self.epoch != epoch:
            return False
        probe = Progress(self.place())
        for entry in self._entries_aside():
            probe.add(entry.low, entry.seq)
        return probe.through >= head

    def _entries_aside(self) -> Iterable[Entry]:
        return (entry for entry, _ in self._aside.values() if entry.epoch == self.epoch)
