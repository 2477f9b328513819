"""What an HJ 212 uplink sends next, and what of it is done: order, rates and places, without I/O.

Order: what is true now, the newest periods, then frames set aside whose time has come, then what a platform asked for
(one at a time), then old periods, oldest first, at a bounded rate and never in more than half of the window.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from agent.store.log import Place
from agent.uplinks.hj212_entries import Entry, Key, Progress
from protocols.hj212.message import Item

WINDOW: Final = 4
BACKFILL_WINDOW: Final = WINDOW // 2
# Of what is true now so many at once: a platform that leaves them unanswered shall not fill the window with them.
FLEETING_WINDOW: Final = 2
QUEUE_MAX: Final = 16
ASIDE_MAX: Final = 1_000
ASIDE_RETRY_S: Final = 600.0
HELD_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Fleeting:
    """Something that is true now: the latest of its slot replaces one not yet sent.

    It is never sent later, but for one that must be told once (`until_taken`): that one is offered again with the next
    connection.
    """

    slot: str
    cn: str
    at: datetime
    items: tuple[Item, ...]
    until_taken: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One record of a history request."""

    number: int
    cn: str
    at: datetime
    items: tuple[Item, ...]


Upload = Fleeting | Entry | Asked


class Outbox:
    """Queues of one uplink. Times are wall seconds of one monotonic clock."""

    def __init__(self, place: Place, backfill_per_s: float = 10.0, held: Callable[[], bool] = lambda: False) -> None:
        """While it is `held` it gives nothing, and what was true meanwhile is not kept."""
        self._held = held
        self._progress = {place.epoch: Progress(place)}
        self._backfill_per_s = backfill_per_s
        self._aside: dict[Key, tuple[Entry, float]] = {}
        self._parts_done: dict[tuple[int, int], set[int]] = {}
        self._old: deque[Entry] = deque()
        self._fresh: deque[Entry] = deque()
        self._old_flying: set[Key] = set()
        self._next_old = float("-inf")
        self._fleeting: dict[str, Fleeting] = {}
        self._fleeting_flying: set[str] = set()
        self._untaken: dict[str, Fleeting] = {}
        self.asked: Asked | None = None

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
        self._fleeting = dict(self._untaken)
        self._fleeting_flying.clear()
        self.asked = None

    def wanted(self, epoch: int, seq: int) -> bool:
        """True where a record is not done."""
        return not self.progress(epoch).covers(seq)

    def open(self, entry: Entry) -> bool:
        """True where a part of a record that is not done is neither delivered nor set aside."""
        done = self._parts_done.get((entry.epoch, entry.seq), set())
        return entry.part not in done and entry.key not in self._aside

    @property
    def room_old(self) -> bool:
        """True where another old record may be queued."""
        return len(self._old) < QUEUE_MAX

    @property
    def room_fresh(self) -> bool:
        """True where another fresh record may be queued."""
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

    def put_fleeting(self, one: Fleeting) -> None:
        """Offer what is true now."""
        self._fleeting[one.slot] = one
        if one.until_taken:
            self._untaken[one.slot] = one

    def take(self, now: float) -> Upload | None:
        """What to send now."""
        if self._held():
            self._fleeting = dict(self._untaken)
            return None
        if (one := self._next_fleeting()) is not None:
            return one
        if self._fresh:
            return self._fresh.pop()
        due = next((key for key, (_, at) in self._aside.items() if at <= now), None)
        if due is not None:
            entry, _ = self._aside[due]
            self._aside[due] = (entry, now + ASIDE_RETRY_S)
            return replace(entry, late=True)
        if self.asked is not None:
            asked, self.asked = self.asked, None
            return asked
        if self._old and len(self._old_flying) < BACKFILL_WINDOW and self._next_old <= now:
            self._next_old = now + 1.0 / self._backfill_per_s
            entry = self._old.popleft()
            self._old_flying.add(entry.key)
            return entry
        return None

    def _next_fleeting(self) -> Fleeting | None:
        if len(self._fleeting_flying) >= FLEETING_WINDOW:
            return None
        slot = next((slot for slot in self._fleeting if slot not in self._fleeting_flying), None)
        if slot is None:
            return None
        self._fleeting_flying.add(slot)
        return self._fleeting.pop(slot)

    def wake_at(self, now: float) -> float | None:
        """When `take` may give something that it does not give now, None where only new data can change that."""
        if self._held():
            return now + HELD_LOOK_S
        times = [at for _, at in self._aside.values()]
        if self._old and len(self._old_flying) < BACKFILL_WINDOW:
            times.append(self._next_old)
        return max(now, min(times)) if times else None

    def landed(self, one: Fleeting, *, taken: bool) -> None:
        """A fleeting one was taken, or given up."""
        self._fleeting_flying.discard(one.slot)
        if taken and self._untaken.get(one.slot) == one:
            del self._untaken[one.slot]

    def delivered(self, entry: Entry) -> None:
        """The platform has it; its record is done when all parts of it are."""
        self._old_flying.discard(entry.key)
        self._aside.pop(entry.key, None)
        record = (entry.epoch, entry.seq)
        done = self._parts_done.setdefault(record, set())
        done.add(entry.part)
        if len(done) >= entry.parts:
            del self._parts_done[record]
            self.done(entry.epoch, entry.low, entry.seq)

    def set_aside(self, entry: Entry, now: float) -> tuple[bool, Entry | None]:
        """The platform refuses it while it takes others.

        Gives whether that is news, and the oldest message that had to be given up because ASIDE_MAX are aside already.
        """
        self._old_flying.discard(entry.key)
        news = entry.key not in self._aside
        self._aside[entry.key] = (entry, now + ASIDE_RETRY_S)
        if len(self._aside) <= ASIDE_MAX:
            return news, None
        given_up, _ = self._aside[min(self._aside)]
        self.delivered(given_up)
        return news, given_up

    def finish_epoch(self, epoch: int) -> list[Entry]:
        """An older epoch was read to its end and is done but for the frames set aside, which are given up here."""
        given_up = [entry for entry, _ in self._aside.values() if entry.epoch == epoch]
        for entry in given_up:
            del self._aside[entry.key]
        self._parts_done = {record: done for record, done in self._parts_done.items() if record[0] != epoch}
        del self._progress[epoch]
        return given_up

    def done(self, epoch: int, low: int, high: int) -> None:
        """Nothing more is to be sent of these records."""
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
