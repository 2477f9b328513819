"""Legal holds: spans of time of which nothing is deleted, set and lifted by named persons, each a record."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from host.control import RequestError
from metrology.periods import iso, parse_iso

HOLDS_MAX: Final = 10_000
SET: Final = "hold-set"
LIFTED: Final = "hold-lifted"


@dataclass(frozen=True, slots=True)
class Hold:
    """`id` is the place of its record, epoch and number; times are ISO text, `until` exclusive."""

    id: str
    since: str
    until: str
    who: str
    reason: str
    made: str

    def fields(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)

    def covers(self, since: datetime, until: datetime) -> bool:
        """Whether the hold touches a span."""
        return parse_iso(self.since) <= until and since < parse_iso(self.until)


def in_force(events: Iterable[Mapping[str, Any]]) -> list[Hold]:
    """Holds that were set and not lifted, oldest first, from records of both kinds in any order."""
    rows = list(events)
    lifted = {row["hold"] for row in rows if row["what"] == LIFTED}
    found = [
        Hold(f"{row['epoch']}.{row['seq']}", row["from"], row["to"], row["who"], row["reason"], row["t"])
        for row in rows
        if row["what"] == SET
    ]
    return sorted((one for one in found if one.id not in lifted), key=lambda one: one.made)


class Holds:
    """Of a running station."""

    def __init__(self, log: Log, index: Index) -> None:
        self._log = log
        self._index = index

    async def now(self) -> list[Hold]:
        """Those in force."""
        return await self._log.look_up(self._read)

    def _read(self) -> list[Hold]:
        return in_force(row for what in (SET, LIFTED) for row in self._index.newest("event", what, HOLDS_MAX))

    async def set(self, since: str, until: str, who: str, reason: str) -> Hold:
        """Hold what was written between two times. Raises RequestError."""
        try:
            begin, end = parse_iso(since), parse_iso(until)
        except ValueError as error:
            raise RequestError(f"no time: {error}") from error
        if end <= begin:
            raise RequestError("a hold ends after it begins")
        if len(await self.now()) >= HOLDS_MAX // 2:
            raise RequestError(f"{HOLDS_MAX // 2} holds are in force: lift one first")
        span = {"from": iso(begin), "to": iso(end), "who": who, "reason": reason, "origin": "hold"}
        row = await self._log.append("event", {"what": "hold-set", **span})
        return in_force([row.fields])[0]

    async def lift(self, name: str, who: str, reason: str) -> Hold:
        """End one. Raises RequestError where it is not in force."""
        found = next((one for one in await self.now() if one.id == name), None)
        if found is None:
            raise RequestError(f"no hold {name} is in force")
        detail = {"hold": name, "who": who, "reason": reason, "origin": "hold"}
        await self._log.append("event", {"what": "hold-lifted", **detail})
        return found
