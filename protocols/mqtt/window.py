"""What a station has sent of one epoch, what is acknowledged, and what is to be sent again. Time is given (wall s).

Live records move `end` on; holes below it are the backlog. Nothing is done before the centre's `down/ack` covers it.
An earlier epoch has no live records; its `end` is OPEN until the log has shown where it ends.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from protocols.mqtt.coverage import Coverage, Span
from protocols.mqtt.messages import Ack

RESEND_S: Final = 10.0
PROBE_S: Final = 1.0
UNHEARD_BATCHES: Final = 20
MISSING_GRACE_S: Final = 1.0
DOUBLINGS_MAX: Final = 5
BATCHES_MAX: Final = 1000
# A record the centre never takes although it takes others is set aside and offered again so seldom.
ASIDE_MAX: Final = 1000
ASIDE_S: Final = 600.0
DENIED_S: Final = 60.0
# Left out of acknowledgements so often: a batch is halved; a single record is set aside.
HALVED_AT: Final = 2
ASIDE_AT: Final = 5
LEFT_OUT: Final = "left out of every acknowledgement"
OPEN: Final = 2**53


@dataclass(frozen=True, slots=True)
class Batch:
    """A payload that was sent: it accounts for (prev, last]."""

    prev: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class _Sent:
    batch: Batch
    at: float
    doublings: int
    missing: bool = False

    def overdue(self, now: float, patience_s: float) -> bool:
        patience_s = min(patience_s, MISSING_GRACE_S) if self.missing else patience_s
        return now - self.at >= patience_s * (1 << self.doublings)


@dataclass(frozen=True, slots=True)
class Aside:
    """What is not sent until a time: a record the centre refuses, or a batch the broker denies (`reason` is None)."""

    batch: Batch
    until: float
    reason: str | None


class SendWindow:
    """At most BATCHES_MAX batches are unacknowledged; backfill may hold half of them.

    A batch the centre keeps refusing waits twice as long each time (up to 2**DOUBLINGS_MAX times) and is halved until
    the record that is to blame stands alone. Where the centre takes others, that one is set aside (`news`): no longer
    under way, and offered again every ASIDE_S. Above ASIDE_MAX the next wait among those under way.

    A connection begins with UNHEARD_BATCHES, given up after PROBE_S: the centre may come back later than the broker.
    Once they were, it gets one batch at a time, less and less often, until it answers.
    """

    def __init__(self, coverage: Coverage, end: int) -> None:
        self.coverage = coverage
        self.end = end
        self.quiet = False
        # Since when something waits for an answer; None while nothing does.
        self.asked: float | None = None
        self._heard = -math.inf
        self._probes: int | None = 0
        self._sent: dict[int, _Sent] = {}
        self._refused: dict[int, int] = {}
        self._aside: dict[int, Aside] = {}
        self._halved: dict[int, Batch] = {}
        self._grew = -math.inf
        self.news: list[Aside] = []
        self._claimed = coverage

    @property
    def done(self) -> bool:
        """Whether all up to `end` is acknowledged."""
        return self.coverage.through >= self.end

    @property
    def unacknowledged(self) -> int:
        """Records sent and not acknowledged."""
        return sum(sent.batch.count for sent in self._sent.values())

    @property
    def refused(self) -> int:
        """Batches that the centre left out although it answered."""
        return len(self._refused)

    @property
    def aside(self) -> int:
        """Records set aside because the centre refuses them."""
        return sum(one.reason is not None for one in self._aside.values())

    def settled(self, last: int) -> bool:
        """Whether all up to `last` is acknowledged or set aside."""
        return Coverage.of([*self.coverage.spans, *self._spans_aside()]).through >= last

    def restart(self) -> None:
        """A new connection: what was under way may be lost, and the broker may allow what it denied."""
        self._sent.clear()
        self._aside = {prev: one for prev, one in self._aside.items() if one.reason is not None}
        self.quiet, self._probes, self.asked = False, 0, None
        self._reclaim()

    def room(self, *, backfill: bool) -> bool:
        """Whether another batch may be sent."""
        limit = 1 if self.quiet else BATCHES_MAX if self._probes is None else UNHEARD_BATCHES
        return len(self._sent) < (max(limit // 2, 1) if backfill else limit)

    def gaps(self) -> Iterator[Span]:
        """Spans (prev, last] neither acknowledged nor under way, oldest first."""
        for first, last in self._claimed.holes(self.end):
            yield first - 1, last

    def count_max(self, prev: int) -> int | None:
        """How many records the next batch after `prev` may have, where a larger one was refused."""
        return min((one.count for one in self._halved.values() if one.prev <= prev < one.last), default=None)

    def sent(self, batch: Batch, now: float) -> None:
        """A batch went out."""
        self.asked = now if self.asked is None else self.asked
        doublings = min(self._refused.get(batch.prev, 0), DOUBLINGS_MAX)
        self._sent[batch.prev] = _Sent(batch, now, doublings)
        self._claimed = Coverage.of([*self._claimed.spans, (batch.prev + 1, batch.last)])
        self.end = max(self.end, batch.last)

    def skip(self, prev: int, last: int) -> None:
        """Nothing in (prev, last] is meant for the peer."""
        self.coverage = self.coverage.add(prev, last)
        self._claimed = self._claimed.add(prev, last)

    def acknowledge(self, ack: Ack, now: float) -> None:
        """Take an acknowledgement of this epoch. What it names as missing is soon given up (`expire`).

        Of an epoch whose end is not known yet only what was sent is believed: a place may lag, it never leads.
        """
        self._heard, self.quiet, self._probes = now, False, None
        known = self._claimed.highest if self.end == OPEN else self.end
        before = self.coverage
        for first, last in ack.stored():
            self.coverage = self.coverage.add(first - 1, min(last, known))
        if self.coverage != before:
            self._grew = now
        for prev, sent in list(self._sent.items()):
            if self.coverage.covers(prev, sent.batch.last):
                del self._sent[prev]
            elif sent.batch.last <= ack.highest:
                self._sent[prev] = replace(sent, missing=True)
        for prev, reason in ack.refused:
            if prev in self._sent:
                self._refuse(self._sent[prev], reason, now)
        self.asked = now if self._sent else None
        self._forget_done()
        self._reclaim()

    def fall_back(self, held: Coverage) -> bool:
        """The centre has no more than `held`, an older copy of its store: what it lacks goes again. True for any."""
        if found := self.lacks(held):
            self.coverage = self.coverage.common(held)
            self._reclaim()
        return found

    def lacks(self, held: Coverage) -> bool:
        """Whether something is acknowledged that is not in `held`."""
        return self.coverage.common(held) != self.coverage

    def _forget_done(self) -> None:
        """What is acknowledged was taken after all."""
        done = self.coverage
        self._refused = {prev: n for prev, n in self._refused.items() if not done.covers(prev, prev + 1)}
        self._aside = {prev: one for prev, one in self._aside.items() if not done.covers(prev, one.batch.last)}
        self._halved = {prev: one for prev, one in self._halved.items() if not done.covers(prev, one.last)}

    def denied(self, prev: int, now: float) -> None:
        """The broker does not take the batch after `prev`: the centre is not to blame, nor is the batch."""
        if prev in self._sent and len(self._aside) < ASIDE_MAX:
            self._aside[prev] = Aside(self._sent.pop(prev).batch, now + DENIED_S, None)
        # Where nothing else was acknowledged either, all may be denied: no use in trying the whole backlog.
        self.quiet = self.quiet or self._probes is not None

    def expire(self, now: float) -> bool:
        """Give up batches that are unacknowledged for too long; True where there were any."""
        patience_s = RESEND_S if self._probes is None else min(PROBE_S * (1 << self._probes), RESEND_S)
        late = [sent for sent in self._sent.values() if sent.overdue(now, patience_s)]
        if any(sent.at >= self._heard for sent in late):
            self.quiet = True
            self._probes = 0 if self._probes is None else min(self._probes + 1, DOUBLINGS_MAX)
        for sent in late:
            self._give_up(sent, now)
        due = [prev for prev, one in self._aside.items() if one.until <= now]
        for prev in due:
            del self._aside[prev]
        self._reclaim()
        return bool(late or due)

    def _give_up(self, sent: _Sent, now: float) -> None:
        # Silence is nobody's fault; a centre that answered after this batch went out has left it out.
        if self._heard > sent.at:
            self._refuse(sent, LEFT_OUT, now)
        else:
            del self._sent[sent.batch.prev]

    def _refuse(self, sent: _Sent, reason: str, now: float) -> None:
        batch, told = sent.batch, reason is not LEFT_OUT
        times = self._refused[batch.prev] = self._refused.get(batch.prev, 0) + 1
        # A centre that takes nothing refuses no record, but us.
        takes = self._grew >= sent.at
        if batch.count > 1 and (told or (takes and times >= HALVED_AT)):
            self._halve(batch)
        elif batch.count == 1 and takes and (told or times >= ASIDE_AT) and len(self._aside) < ASIDE_MAX:
            self._set_aside(batch, reason, now)
        elif told:
            return  # it goes again when its time is over
        del self._sent[batch.prev]

    def _set_aside(self, batch: Batch, reason: str, now: float) -> None:
        self._halved.pop(batch.prev, None)
        found = self._aside[batch.prev] = Aside(batch, now + ASIDE_S, reason)
        if self._refused[batch.prev] <= ASIDE_AT:
            self.news.append(found)
        self._refused[batch.prev] = ASIDE_AT + 1

    def _halve(self, batch: Batch) -> None:
        """From now on the records of this batch go in batches of half its size."""
        if len(self._halved) < BATCHES_MAX:
            self._halved[batch.prev] = replace(batch, count=(batch.count + 1) // 2)

    def _spans_aside(self) -> Iterator[Span]:
        for one in self._aside.values():
            yield one.batch.prev + 1, one.batch.last

    def _reclaim(self) -> None:
        under_way = ((sent.batch.prev + 1, sent.batch.last) for sent in self._sent.values())
        self._claimed = Coverage.of([*self.coverage.spans, *under_way, *self._spans_aside()])
