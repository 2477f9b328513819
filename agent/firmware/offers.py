"""Corrections of boards that were shown to a person, who may put in force what was shown and nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agent.firmware.calibration import BoardCalibration
from host.control import RequestError
from metrology.clock import Clock

# What was shown may be accepted so long.
SHOWN_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """A correction that was shown: what it would set for which chip, in place of which row.

    `temperature` is the measurand its temperature term goes by, `worth` what its record says of its quality.
    """

    board: str
    measurand: str
    chip: str
    base: str | None
    values: Mapping[str, float]
    shown: datetime
    why: str
    temperature: str | None = None
    worth: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Names all that would be put in force: another number is another id."""
        told = "|".join(f"{key}={value!r}" for key, value in sorted(self.values.items()))
        whole = f"{self.chip}|{self.measurand}|{self.base}|{told}"
        return hashlib.sha256(whole.encode()).hexdigest()[:8]


class Offers:
    """What one command showed (`command` shows it again). In memory: after a restart offers are made anew."""

    def __init__(self, tables: BoardCalibration, clock: Clock, command: str) -> None:
        self._tables = tables
        self._clock = clock
        self._command = command
        self._offers: dict[str, Offer] = {}

    def forget_old(self) -> None:
        """Drop what was shown too long ago."""
        now = self._clock.now()
        self._offers = {key: offer for key, offer in self._offers.items() if now - offer.shown < SHOWN_FOR}

    def show(self, offer: Offer) -> Offer:
        """Remember an offer as shown."""
        self._offers[offer.id] = offer
        return offer

    async def accept(self, board: str, measurand: str, proposal: str, who: str, reason: str) -> dict[str, Any]:
        """Put in force what was shown under an id, and nothing else. Raises RequestError."""
        offer = self._offers.get(proposal)
        now = self._clock.now()
        if offer is None or (offer.board, offer.measurand) != (board, measurand) or now - offer.shown >= SHOWN_FOR:
            raise RequestError(
                f"{proposal}: not shown for {board} {measurand}: {self._command} shows what may be accepted"
            )
        chip = await self._tables.chips.identify(board)
        if offer.chip and chip != offer.chip:
            raise RequestError(f"{board} is another board now; look again: {self._command}")
        row = self._tables.tables.in_force(chip or "", now).get(measurand)
        if (row.id if row else None) != offer.base:
            raise RequestError(f"{board} {measurand} was set since that was shown; look again: {self._command}")
        wanted = {"board": board, "measurand": measurand, **offer.values, "source": f"{offer.why} ({offer.id})"}
        if offer.temperature is not None:
            wanted["temperature"] = offer.temperature
        made = await self._tables.put(wanted, who, reason, offer.worth)
        del self._offers[proposal]
        return made
