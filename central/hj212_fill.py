"""Asking stations for what is missing: history requests over gaps, one at a time, a bounded number of times.

A station is left in peace while it still brings old data by itself. What it says it has not is not asked for again.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from central import hj212_missing, queries
from central.config import Hj212
from central.hj212_desk import Desk
from central.hj212_missing import Range
from central.hj212_routes import Route
from central.store import Store
from central.writer import Writer
from metrology.clock import Clock
from metrology.periods import iso, parse_iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Area
from protocols.hj212.times import render_time

LOOK_S: Final = 5.0
AGAIN_S: Final = 600.0
# After a refusal or no answer at all.
REFUSED_S: Final = 6 * 3600.0
STATIONS_MAX: Final = 4
RANGES_MAX: Final = 50
WHO: Final = "centre"


class Filler:
    """Looks after every connected outlet in turn."""

    def __init__(
        self, settings: Hj212, routes: Mapping[str, Route], desk: Desk, store: Store, writer: Writer, clock: Clock
    ) -> None:
        self._settings = settings
        self._routes = {mn: route for mn, route in routes.items() if route.outlet.ask_missing}
        self._desk = desk
        self._store = store
        self._path = store.db.db_filename("main")
        self._writer = writer
        self._clock = clock
        self._next: dict[str, float] = {}
        self._turns = asyncio.Semaphore(STATIONS_MAX)

    async def run(self) -> None:
        """Ask for ever; what the store raises ends it."""
        if not self._settings.missing_days:
            return
        async with asyncio.TaskGroup() as group:
            while True:
                for mn in [mn for mn in self._desk.connected if self._is_due(mn)]:
                    self._next[mn] = float("inf")
                    group.create_task(self._visit(mn))
                await self._clock.sleep_wall(min(LOOK_S, self._settings.settle_s or LOOK_S))

    def _is_due(self, mn: str) -> bool:
        wall, seen = self._store.wall(), self._desk.seen[mn]
        settled = wall - max(seen.connected_wall, seen.old_wall) >= self._settings.settle_s
        return mn in self._routes and settled and wall >= self._next.get(mn, 0.0)

    async def _visit(self, mn: str) -> None:
        async with self._turns:
            went_well = await self.fill(mn)
        self._next[mn] = self._store.wall() + (AGAIN_S if went_well else REFUSED_S)

    async def fill(self, mn: str) -> bool:
        """Ask one station for what it owes, RANGES_MAX requests at most; False where it does not answer to them."""
        route, now = self._routes[mn], self._clock.now()
        before = iso(now - timedelta(days=self._settings.missing_days))
        await self._writer.run(hj212_missing.forget, self._store.db, route, before)
        for asked in (await asyncio.to_thread(self._find, route))[:RANGES_MAX]:
            outcome = await self._desk.order(mn, asked.cn, _area(asked), WHO)
            if outcome["outcome"] in ("lost", "not sent"):
                return True
            absent = outcome["code"] == ExeRtn.NO_DATA
            wall = self._store.wall()
            await self._writer.run(hj212_missing.note, self._store.db, mn, asked, wall, absent=absent)
            if outcome["outcome"] in ("refused", "unanswered"):
                return False
        return True

    def _find(self, route: Route) -> list[Range]:
        db = queries.open_reader(self._path)
        try:
            return hj212_missing.find(db, route, self._clock.now(), self._store.wall(), self._settings.missing_days)
        finally:
            db.close()


def _area(asked: Range) -> Area:
    begin, end = (render_time(parse_iso(at)) for at in (asked.starts[0], asked.starts[-1]))
    return ((("BeginTime", begin),), (("EndTime", end),))
