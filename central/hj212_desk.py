"""The centre's desk for HJ 212: who is there, what was said, and commands to stations, by a person or by itself.

Page and command line have nothing else. Every command is an audit event: who, what, how it ended.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from central import hj212_missing, queries
from central.events import put_event
from central.hj212_dialogue import Dialogues, Line, masked
from central.hj212_routes import Route
from central.hj212_rows import add_answer
from central.store import Store
from central.writer import Writer
from host.hj212_server import PlatformServer
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.commands import Command, commands
from protocols.hj212.message import Area
from protocols.hj212.profile import Edition

# They change who a station is on this link: the configuration, and for keys the rotation, is the place for that.
NOT_BY_HAND: Final = frozenset({"1002", "1014", "1072"})
AREA_CHARACTERS_MAX: Final = 900

Outcome = dict[str, Any]
Spawn = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]


class RefusedError(Exception):
    """A command that cannot be sent; its text is for who asked."""


@dataclass(slots=True)
class Seen:
    """What was seen of one MN since the centre started. `old_wall` is when data older than a few periods last came."""

    connected_wall: float = 0.0
    last_wall: float = 0.0
    old_wall: float = 0.0
    uploads: int = 0
    deviations: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Desk:
    """Commands to stations, and what there is to see of them."""

    def __init__(
        self, routes: Mapping[str, Route], server: PlatformServer, store: Store, writer: Writer, clock: Clock
    ) -> None:
        self.routes = routes
        self.seen = {mn: Seen() for mn in routes}
        self.dialogues = Dialogues(routes, store.wall)
        self.spawn: Spawn | None = None
        self._server = server
        self._store = store
        self._path = store.db.db_filename("main")
        self._writer = writer
        self._clock = clock
        self._asked = 0

    # -- what there is to see

    @property
    def connected(self) -> list[str]:
        """MNs that are connected now."""
        return list(self._server.connections)

    async def outlets(self, station_id: str | None = None) -> list[dict[str, Any]]:
        """State of each outlet, of one station or of all."""
        found = {mn: route for mn, route in self.routes.items() if station_id in (None, route.station_id)}
        missing = await asyncio.to_thread(self._read, hj212_missing.counts, list(found))
        return [self._outlet(mn, route, missing[mn]) for mn, route in found.items()]

    async def dialogue(self, mn: str) -> list[Line]:
        """The last frames of an MN, oldest first. Raises RefusedError for one that is not enrolled."""
        self._route(mn)
        found: list[Line] = await asyncio.to_thread(self._read, lambda db: self.dialogues.lines(mn, db))
        return found

    async def items(self, station_id: str) -> list[dict[str, Any]]:
        """The newest named items of a station's outlets."""
        mns = [mn for mn, route in self.routes.items() if route.station_id == station_id]
        found: list[dict[str, Any]] = await asyncio.to_thread(self._read, queries.hj212_items, mns)
        return found

    def commands(self, mn: str) -> list[dict[str, Any]]:
        """What a person may send to an outlet, by its edition, with the layouts of the data area."""
        return [
            {
                "cn": command.cn,
                "name_en": command.name_en,
                "name_zh": command.name_zh,
                "effect": command.effect,
                "areas": [form.area for form in command.forms],
            }
            for command in self._sendable(self._route(mn)).values()
        ]

    def _outlet(self, mn: str, route: Route, missing: Mapping[str, int]) -> dict[str, Any]:
        seen, outlet = self.seen[mn], route.outlet
        return {
            "mn": mn,
            "station": route.station_id,
            "outlet": route.name,
            "edition": outlet.edition,
            "encrypted": outlet.sm4_key is not None,
            "connected": mn in self._server.connections,
            "last_wall": seen.last_wall or None,
            "uploads": seen.uploads,
            "deviations": dict(seen.deviations),
            "refused": dict(seen.refused),
            "missing": dict(missing),
        }

    def _read(self, view: Callable[..., Any], *values: Any) -> Any:
        db = queries.open_reader(self._path)
        try:
            return view(db, *values)
        finally:
            db.close()

    # -- commands

    def send(self, mn: str, cn: str, texts: Sequence[str], who: str) -> "asyncio.Task[Outcome]":
        """Send a person's command: `texts` are items `NAME=VALUE` or `NAME=VALUE,NAME=VALUE`.

        Gives the task that ends with the outcome. Raises RefusedError.
        """
        command = self._sendable(self._route(mn)).get(cn)
        if command is None:
            raise RefusedError(f"{cn} is no command for a person to send in the edition of {mn}")
        area = area_of(texts)
        if mn not in self._server.connections:
            raise RefusedError(f"{mn} is not connected")
        assert self.spawn is not None, "the ingest runs"
        return self.spawn(self.order(mn, cn, area, who))

    async def order(self, mn: str, cn: str, area: Area, who: str) -> Outcome:
        """Send one command and wait for its end; an audit event, and what was answered, are kept."""
        try:
            ended = await self._server.request(mn, cn, area)
        except (ConnectionError, ValueError, RuntimeError) as error:
            outcome: Outcome = {"outcome": "not sent" if isinstance(error, ValueError) else "lost", "code": None}
            outcome |= {"error": str(error), "data": []}
        else:
            outcome = {"outcome": ended.outcome, "code": ended.code, "data": [text_of(one) for one in ended.data]}
            if ended.data:
                await self._writer.run(add_answer, self._store, mn, cn, ended.data, self._clock.now())
        await self._audit(mn, cn, area, who, outcome)
        return outcome

    async def _audit(self, mn: str, cn: str, area: Area, who: str, outcome: Outcome) -> None:
        self._asked += 1
        detail = {"mn": mn, "cn": cn, "fields": masked(text_of(area)), "who": who}
        detail |= {name: outcome[name] for name in ("outcome", "code", "error") if outcome.get(name) is not None}
        at = iso(self._clock.now())
        key = f"hj212/{mn}/{cn}/{at}/{self._asked}"
        await self.record("hj212-command", self.routes[mn].station_id, key, at, detail)

    async def record(self, what: str, station_id: str, key: str, at: str, detail: Mapping[str, Any]) -> None:
        """Put an event on record."""
        await self._writer.run(self._put, key, station_id, at, what, detail)

    def _put(self, key: str, station_id: str, at: str, what: str, detail: Mapping[str, Any]) -> None:
        with self._store.db:
            put_event(self._store.db, key, station_id, at, what, detail)

    def _route(self, mn: str) -> Route:
        if mn not in self.routes:
            raise RefusedError(f"MN {mn} is not enrolled")
        return self.routes[mn]

    def _sendable(self, route: Route) -> dict[str, Command]:
        table = commands(Edition(route.outlet.edition))
        return {
            cn: command
            for (cn, direction), command in table.items()
            if direction == "to_station" and command.dialogue in ("request", "notice") and cn not in NOT_BY_HAND
        }


def area_of(texts: Sequence[str]) -> Area:
    """Data area of items as people write them. Raises RefusedError."""
    if sum(map(len, texts)) > AREA_CHARACTERS_MAX:
        raise RefusedError(f"at most {AREA_CHARACTERS_MAX} characters of fields")
    items = []
    for text in texts:
        pairs = [part.strip().partition("=") for part in text.split(",")]
        if not all(name and equals and value for name, equals, value in pairs):
            raise RefusedError(f"{text!r}: write NAME=VALUE")
        items.append(tuple((name, value) for name, _, value in pairs))
    return tuple(items)


def text_of(area: Area) -> str:
    """Data area as it travels."""
    return ";".join(",".join(f"{name}={value}" for name, value in item) for item in area)
