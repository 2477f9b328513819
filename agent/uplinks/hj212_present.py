"""What an HJ 212 uplink tells of the present: real-time values, states of units, station information, its own start."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from agent.uplinks.hj212_info import Facts, Information
from agent.uplinks.hj212_kept import Kept
from agent.uplinks.hj212_outbox import HELD_LOOK_S, Fleeting
from agent.uplinks.hj212_selection import Selection
from agent.uplinks.hj212_treatment import Treatment
from metrology.clock import Clock
from protocols.hj212.information import identity_items, information_items, restart_items
from protocols.hj212.link_commands import StationState
from protocols.hj212.message import Area
from protocols.hj212.profile import Edition
from protocols.hj212.uploads import REALTIME

PIECE_S: Final = 15.0
# Hardware identity of the logger, CN 1001 of 2025.
HARDWARE: Final = ("i23005", "i23006", "i23007", "i23008")


class Present:
    """One uplink's view of now; `offer` takes what is to be told."""

    def __init__(
        self,
        selection: Selection,
        treatment: Treatment,
        information: Information,
        facts: Facts,
        state: StationState,
        clock: Clock,
        edition: Edition,
    ) -> None:
        self._selection, self._treatment, self._information = selection, treatment, information
        self._facts, self._state, self._clock, self._edition = facts, state, clock, edition
        self._told: dict[tuple[str, str | None], str] = {}

    async def dated(self) -> None:
        """Return once it is known what time it is: nothing that names a time is told before."""
        while self._facts.held():
            await self._clock.sleep_wall(HELD_LOOK_S)

    async def tell_start(self, begun: float, kept: Kept, offer: Callable[[Fleeting], None]) -> None:
        """Offer what is told once after a start, which was at `begun` on the scale that never steps."""
        await self.dated()
        for one in self._of_start(self._clock.now() - timedelta(seconds=self._clock.monotonic() - begun), kept):
            offer(one)

    def _of_start(self, started: datetime, kept: Kept) -> list[Fleeting]:
        """The start itself (2081), and analysers that were replaced (3019)."""
        if self._edition is Edition.HJ2005:
            return []
        told = [Fleeting("2081", "2081", started, restart_items(started), until_taken=True)]
        serials = {code: serial for code in self._information.factors if (serial := self._information.serial(code))}
        known = kept.get("serials", None) or {}
        for code, serial in serials.items():
            if known.get(code, serial) != serial:
                told.append(Fleeting(f"3019 {code}", "3019", started, identity_items(code, serial), until_taken=True))
        # Where the disk does not take it now, the next start tells it again.
        with contextlib.suppress(OSError):
            kept.set({}, {"serials": serials})
        return told

    def hardware(self) -> Area | None:
        """Data area of 1001, None where a part of it is not configured or the edition has none."""
        found = {code: self._information.value(code, None) for code in HARDWARE}
        known = {code: value for code, value in found.items() if value is not None}
        return information_items(known) if self._edition is Edition.HJ2025 and len(known) == len(HARDWARE) else None

    async def tell(self, offer: Callable[[Fleeting], None]) -> None:
        """Offer it every real-time interval of world time, cut to whole intervals; never afterwards."""
        last = 0.0
        while True:
            interval, now = self._state.realtime_s, self._clock.now().timestamp()
            # A timer may ring a little early: never the same instant twice.
            due = max((now // interval + 1) * interval, last + 1)
            if due - now > PIECE_S:
                # In pieces, so that an interval changed by the platform (1062) holds soon.
                await self._clock.sleep(PIECE_S)
                continue
            await self._clock.sleep(due - now)
            last = due
            for one in self.now():
                offer(one)

    def now(self) -> list[Fleeting]:
        """2011 and 2021 where they are on, and states (3020) that changed since they were told."""
        now, latest, told = self._clock.now(), self._facts.latest, []
        if self._state.realtime_on and (found := self._selection.realtime(latest, now, self._state.realtime_s)):
            told.append(Fleeting(REALTIME, REALTIME, found[0], tuple(found[1])))
        if self._state.status_on and (units := self._treatment.states(latest, now)):
            told.append(Fleeting("2021", "2021", now, units))
        for (code, pol_id), value in self._information.states().items():
            if self._told.get((code, pol_id)) != value:
                self._told[code, pol_id] = value
                items = information_items({code: value}, pol_id)
                told.append(Fleeting(f"3020 {code} {pol_id or ''}", "3020", now, items))
        return told
