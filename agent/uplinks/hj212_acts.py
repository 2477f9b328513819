"""What an HJ 212 uplink puts on record: acts of the platform and their refusals, frames set aside or given up."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from agent.allowance import Allowance
from agent.store.log import Log, Record
from agent.uplinks.hj212_entries import Entry
from agent.uplinks.hj212_requests import Answer, told
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Message
from protocols.hj212.session import Commanded

# So many refusals of a platform in a row are recorded one by one.
REFUSALS_MAX: Final = 20
_REFUSED: Final = frozenset({ExeRtn.CONDITION, ExeRtn.BUSY})


class Acts:
    """Writes event records in the name of one uplink. `platform` is its address, for people."""

    def __init__(self, name: str, log: Log, clock: Clock, platform: str = "") -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._clock = clock
        self._platform = platform
        self._of_platform = Allowance(REFUSALS_MAX)
        self._of_anybody = Allowance(1)
        self.refused = 0

    def post(self, what: str, **detail: Any) -> "asyncio.Future[Record]":
        """Put an event on record; the future ends with its commit."""
        return self._log.post("event", {"what": what, "origin": self._origin, **detail})

    def of_entry(self, what: str, entry: Entry, reason: str) -> None:
        """Put on record what became of a frame; the record it was made of is named."""
        record = {"epoch": entry.epoch, "seq": entry.seq}
        self.post(what, cn=entry.cn, start=iso(entry.at), record=record, reason=reason)

    def concluded(self, message: Message, answer: Answer) -> None:
        """Record a request of the platform with how it ended: each that was carried out, refusals within bounds."""
        result = "done" if answer.code == ExeRtn.DONE else f"ExeRtn {answer.code}"
        about = {"qn": message.qn, "mn": message.mn, "fields": told(message), **answer.detail}
        if answer.code in _REFUSED:
            self._refuse(self._of_platform, message.cn, result, about)
        else:
            self.post("platform-request", platform=self._platform, cn=message.cn, result=result, **about)

    def commanded(self, act: Commanded) -> None:
        """Record what the session itself did, or refused.

        What is refused for its PW, MN or form may be anybody's: one record a minute, the rest is counted.
        """
        about = {"qn": act.qn, "fields": act.fields}
        if act.result == "done":
            self.post("platform-request", platform=self._platform, cn=act.cn, result=act.result, **about)
            return
        known = act.result == "QnRtn 2" or not act.result.startswith("QnRtn")
        self._refuse(self._of_platform if known else self._of_anybody, act.cn, act.result, about)

    def _refuse(self, allowance: Allowance, cn: str, result: str, about: Mapping[str, Any]) -> None:
        self.refused += 1
        if allowance.take(self._clock.wall_monotonic()):
            so_far = {"refused_so_far": self.refused}
            self.post("platform-request-refused", platform=self._platform, cn=cn, result=result, **about, **so_far)
