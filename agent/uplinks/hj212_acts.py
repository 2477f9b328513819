"""What an HJ 212 uplink puts on record: acts of the platform, frames set aside or given up."""

import asyncio
from typing import Any, Final

from agent.store.log import Log, Record
from agent.uplinks.hj212_entries import Entry
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.session import Commanded

REFUSAL_EVENT_S: Final = 60.0


class Acts:
    """Writes event records in the name of one uplink."""

    def __init__(self, name: str, log: Log, clock: Clock) -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._clock = clock
        self._last_refusal = float("-inf")
        self.refused = 0

    def post(self, what: str, **detail: Any) -> "asyncio.Future[Record]":
        """Put an event on record; the future ends with its commit."""
        return self._log.post("event", {"what": what, "origin": self._origin, **detail})

    def of_entry(self, what: str, entry: Entry, reason: str) -> None:
        """Put on record what became of a frame; the record it was made of is named."""
        record = {"epoch": entry.epoch, "seq": entry.seq}
        self.post(what, cn=entry.cn, start=iso(entry.start), record=record, reason=reason)

    def commanded(self, act: Commanded) -> None:
        """Record acts done; count refusals and record one a minute, so that no platform can fill the log."""
        if act.result == "done":
            self.post("platform-request", cn=act.cn, fields=act.fields, result=act.result)
            return
        self.refused += 1
        now = self._clock.wall_monotonic()
        if now - self._last_refusal >= REFUSAL_EVENT_S:
            self._last_refusal = now
            self.post("platform-request-refused", cn=act.cn, result=act.result, refused_so_far=self.refused)
