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


class SendWindow:
    """At most BATCHES_MAX batches are unacknowledged; backfill may hold half of them.

    A batch the centre keeps refusing while it answers others waits twice as long each time (up to 2**DOUBLINGS_MAX
    times) and never holds up the rest. A connection begins with UNHEARD_BATCHES, given up after PROBE_S: the centre may
    come back later than the broker. Once they were, it gets one batch at a time, less and less often, until it answers.
    """

    def __init__(self, coverage: Coverage, end: int) -> None:
        self.coverage = coverage
        self.end = end
        self.quiet = False
        self._heard = -math.inf
        self._probes: int | None = 0
        self._sent: dict[int, _Sent] = {}
        self._refused: dict[int, int] = {}
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

    def restart(self) -> None:
        """A new connection: what was under way may be lost."""
        self._sent.clear()
        self.quiet, self._probes = False, 0
        self._claimed = self.coverage

    def room(self, *, backfill: bool) -> bool:
        """Whether another batch may be sent."""
        limit = 1 if self.quiet else BATCHES_MAX if self._probes is None else UNHEARD_BATCHES
        return len(self._sent) < (max(limit // 2, 1) if backfill else limit)

    def gaps(self) -> Iterator[Span]:
        """Spans (prev, last] neither acknowledged nor under way, oldest first."""
        for first, last in self._claimed.holes(self.end):
            yield first - 1, last

    def sent(self, batch: Batch, now: float) -> None:
        """A batch went out."""
        self._sent[batch.prev] = _Sent(batch, now, self._refused.get(batch.prev, 0))
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
        for first, last in ack.stored():
            self.coverage = self.coverage.add(first - 1, min(last, known))
        for prev, sent in list(self._sent.items()):
            if self.coverage.covers(prev, sent.batch.last):
                del self._sent[prev]
            elif sent.batch.last <= ack.highest:
                self._sent[prev] = replace(sent, missing=True)
        self._refused = {prev: n for prev, n in self._refused.items() if not self.coverage.covers(prev, prev + 1)}
        self._reclaim()

    def expire(self, now: float) -> bool:
        """Give up batches that are unacknowledged for too long; True where there were any."""
        patience_s = RESEND_S if self._probes is None else min(PROBE_S * (1 << self._probes), RESEND_S)
        late = [sent for sent in self._sent.values() if sent.overdue(now, patience_s)]
        if any(sent.at >= self._heard for sent in late):
            self.quiet = True
            self._probes = 0 if self._probes is None else min(self._probes + 1, DOUBLINGS_MAX)
        for sent in late:
            self._give_up(sent)
        self._reclaim()
        return bool(late)

    def _give_up(self, sent: _Sent) -> None:
        del self._sent[sent.batch.prev]
        # Silence is nobody's fault; a centre that answered after this batch went out has left it out.
        if self._heard > sent.at:
            self._refused[sent.batch.prev] = min(sent.doublings + 1, DOUBLINGS_MAX)

    def _reclaim(self) -> None:
        under_way = ((sent.batch.prev + 1, sent.batch.last) for sent in self._sent.values())
        self._claimed = Coverage.of([*self.coverage.spans, *under_way])
