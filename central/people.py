"""Acts of people at the centre: one event each in the store, written before the act is done."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from central.events import put_event
from central.store import Store
from central.writer import Writer
from host.acts import WaitingActs
from host.control import Gate, Peer, RequestError
from metrology.clock import Clock
from metrology.periods import iso

# Acts belong to the centre, to no station.
NO_STATION: Final = ""
WAITING_WALL_S: Final = 60.0
READS: Final = frozenset({"hj212-stations", "hj212-dialogue"})
ACTS: Final = frozenset({"hj212-send"})


log = logging.getLogger(__name__)


class Acts:
    """The record of acts in the store of the running centre."""

    def __init__(self, store: Store, writer: Writer, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._number = itertools.count()
        # Two runs of the program may begin at one time of an accelerated clock.
        self._run = secrets.token_hex(4)

    async def record(self, act: Mapping[str, Any]) -> None:
        """Put an act on record."""
        at = iso(self._clock.now())
        await self._writer.run(self._put, f"act/{at}/{self._run}/{next(self._number)}", at, act)

    def _put(self, key: str, at: str, act: Mapping[str, Any]) -> None:
        detail = {name: value for name, value in act.items() if name != "origin"}
        with self._store.db:
            put_event(self._store.db, key, NO_STATION, at, "act", detail, str(act.get("origin", "page")))

    def gate(self) -> Gate:
        """Lets a request of the command line through, an act once it is on record."""

        async def _gate(name: str, request: Mapping[str, Any], peer: Peer) -> None:
            by = {"user": peer.user, "uid": peer.uid}
            if name in READS:
                return
            refused = name not in ACTS and not peer.is_service
            asked = {key: value for key, value in request.items() if key in ("mn", "cn", "who")}
            outcome = "refused" if refused else "asked"
            await self.record({"do": name, "outcome": outcome, "by": by, "origin": "socket", **asked})
            if refused:
                raise RequestError(f"{name}: only the service's own user may ask this, not {peer.user}")

        return _gate

    async def run(self, folder: Path) -> None:
        """Put on record what commands left waiting beside the accounts."""
        waiting, broken = WaitingActs(folder), False
        while True:
            try:
                async for act in _each(waiting):
                    await self.record({**act, "late": True})
                broken = False
            except OSError as error:
                # They stay where they are; without descriptors or disk the rest of the centre goes on.
                if not broken:
                    log.error("acts that wait cannot be read, will retry: %s", error)
                broken = True
            await self._clock.sleep_wall(WAITING_WALL_S)


async def _each(waiting: WaitingActs) -> AsyncIterator[dict[str, Any]]:
    """Acts that wait; each is forgotten once the next is asked for."""
    for act in await asyncio.to_thread(waiting.read):
        yield act
        await asyncio.to_thread(waiting.forget, 1)
