"""What became of uploads: taken, refused, or lost with the line. A frame refused again and again blocks nobody.

A platform that answers others and not this one refuses it: it is set aside, with an alarm, and retried slowly. Where
nothing else was answered meanwhile, but earlier on this connection, the next answer tells which it is; a second failure
before that means the line is dead.
"""

from collections import Counter

from agent.uplinks.hj212_acts import Acts
from agent.uplinks.hj212_entries import Entry
from agent.uplinks.hj212_history import History
from agent.uplinks.hj212_outbox import Asked, Fleeting, Outbox
from agent.uplinks.outage import Outage
from metrology.clock import Clock
from protocols.hj212.session import Delivered, Failed


class Receipts:
    """Of one uplink; `counts` are for people."""

    def __init__(self, acts: Acts, outage: Outage, history: History, clock: Clock) -> None:
        self._acts, self._outage, self._history, self._clock = acts, outage, history, clock
        self._answered = False
        self._doubted: list[tuple[Entry | None, str]] = []
        self._taken_slots: set[str] = set()
        self.counts: Counter[str] = Counter()

    def disconnected(self) -> None:
        """Frames in doubt are found again in the log."""
        self._answered = False
        self._doubted.clear()

    def delivered(self, outbox: Outbox, done: Delivered, *, well: bool) -> None:
        """An upload is done; `well` where that shows that the platform has it."""
        self.counts["delivered"] += 1
        self.counts["acknowledged" if done.confirmed else "sent_unconfirmed"] += 1
        if well:
            self._outage.well()
        if done.confirmed:
            self._answered = True
            self._resolve(outbox)
        match done.key:
            case Entry() as entry:
                self.counts["resent"] += entry.late
                outbox.delivered(entry)
            case Fleeting() as one:
                self._taken_slots.add(one.slot)
                outbox.landed(one, taken=True)
            case Asked() as asked:
                self._history.landed(asked, taken=True)

    def _resolve(self, outbox: Outbox) -> None:
        """The line lives: what failed before was refused."""
        doubted, self._doubted = self._doubted, []
        for entry, reason in doubted:
            if entry is not None:
                self._set_aside(outbox, entry, reason)

    def failed(self, outbox: Outbox, failed: Failed) -> bool:
        """An upload or a notice was given up. Gives whether the line counts as dead."""
        self.counts["failed"] += 1
        key = failed.key
        entry = key if isinstance(key, Entry) else None
        mute = False
        if isinstance(key, Fleeting):
            outbox.landed(key, taken=False)
            # Some platforms answer averages and never real-time data: no sign of a dead line.
            mute = key.slot not in self._taken_slots and self.counts["delivered"] > 0
        elif isinstance(key, Asked):
            self._history.landed(key, taken=False)
        if failed.others_answered or mute:
            self._outage.last_error = failed.reason
            if entry is not None:
                self._set_aside(outbox, entry, failed.reason)
            return False
        if not self._answered or self._doubted:
            return True
        self._outage.last_error = failed.reason
        self._doubted.append((entry, failed.reason))
        return False

    def _set_aside(self, outbox: Outbox, entry: Entry, reason: str) -> None:
        news, given_up = outbox.set_aside(entry, self._clock.wall_monotonic())
        if news:
            self._acts.of_entry("uplink-set-aside", entry, reason)
        if given_up is not None:
            self.gave_up(given_up)

    def gave_up(self, entry: Entry) -> None:
        """A frame will never be sent again."""
        self.counts["given_up"] += 1
        self._acts.of_entry("uplink-gave-up", entry, "refused again and again")
