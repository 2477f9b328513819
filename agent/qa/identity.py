"""Is the instrument on the wire the declared one: compared at the start, once a day, and when it says otherwise.

A station keeps measuring with another instrument (design, section 13.6): its values carry cause maintenance until a
person confirms the serial number or the configuration names it. A changed range, slope, offset or approval number is an
event and marks nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.config import Config, Instrument
from agent.qa.declared import SERIAL, Item, declared_items, differing, same, status_names, told_items
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.periods import DAY_S, iso, period_start
from metrology.quality import Cause, Mark
from metrology.reading import Scan

# Slow parameters come with some scans only: the first comparison waits for all of them so long.
FIRST_WAIT_S: Final = 600.0
EVENTS_LOOKED_BACK: Final = 2000
# Events that hold what an instrument told.
TELLING: Final = ("instrument-compared", "instrument-differs", "instrument-changed", "instrument-confirmed")


@dataclass(slots=True)
class _Known:
    """One instrument: declared, told last, and the serial number a person confirmed for what was declared then.

    `filed`: more is declared than the range of its series, so that a day on which it tells nothing is recorded too.
    """

    declared: dict[str, Item]
    names: dict[str, str]
    filed: bool
    told: dict[str, Item] = field(default_factory=dict)
    confirmed: tuple[Item | None, Item] | None = None
    mark: Mark | None = None

    @property
    def other(self) -> Item | None:
        """The serial number of another instrument than declared that nobody confirmed."""
        told, declared = self.told.get(SERIAL), self.declared.get(SERIAL)
        if told is None or declared is None or same(told, declared):
            return None
        return None if self.confirmed is not None and self.confirmed == (declared, told) else told


class Identities:
    """One for a station. `run` must be running for anything to be compared."""

    def __init__(self, config: Config, intake: Intake, log: Log, index: Index, clock: Clock) -> None:
        self._intake = intake
        self._log = log
        self._clock = clock
        self._day_offset_s = int(config.station.day_start_utc_offset_h * 3600)
        self._known = {name: _known(block) for name, block in config.instruments.items()}
        self._remember(index)
        for name in self._known:
            self._set_mark(name)

    def _remember(self, index: Index) -> None:
        """What instruments said before the restart, and what persons confirmed; the oldest first."""
        rows = [row for what in TELLING for row in index.newest("event", what, EVENTS_LOOKED_BACK)]
        for row in sorted(rows, key=lambda one: (one["epoch"], one["seq"])):
            known = self._known.get(row["instrument"])
            if known is not None:
                known.told |= row["told"]
                if row["what"] == "instrument-confirmed" and SERIAL in row["told"]:
                    known.confirmed = row["declared"].get(SERIAL), row["told"][SERIAL]

    async def run(self) -> None:
        """Listen to every instrument that is declared, for ever."""
        async with asyncio.TaskGroup() as group:
            for name in self._known:
                group.create_task(self._listen(name), name=f"identity-{name}")

    async def _listen(self, name: str) -> None:
        began, compared = self._clock.now(), None
        heard: dict[str, Item] = {}
        async with self._intake.subscribe(name) as scans:
            async for scan in scans:
                known = self._known[name]
                told = told_items(scan.status, known.names)
                heard |= told
                if changed := differing(known.told, told):
                    await self._changed(name, told, changed)
                known.told |= told
                self._set_mark(name)
                day = period_start(scan.at, DAY_S, self._day_offset_s)
                waited = (scan.at - began).total_seconds() >= FIRST_WAIT_S
                if day != compared and (compared is not None or waited or heard.keys() == known.names.keys()):
                    compared = day
                    if heard or known.filed:
                        await self._compared(name, scan, heard)
                    heard = {}

    async def _changed(self, name: str, told: Mapping[str, Item], changed: Mapping[str, list[Item]]) -> None:
        detail = {"instrument": name, "changed": dict(changed), "told": dict(told)}
        await self._event("instrument-changed", name, detail)

    async def _compared(self, name: str, scan: Scan, heard: Mapping[str, Item]) -> None:
        known = self._known[name]
        differs = differing(known.declared, heard)
        untold = sorted(known.names.keys() - heard.keys())
        detail = {"instrument": name, "at": iso(scan.at), "told": dict(heard), "differs": differs, "untold": untold}
        await self._event("instrument-differs" if differs else "instrument-compared", name, detail)

    async def _event(self, what: str, origin: str, detail: Mapping[str, Any]) -> None:
        await self._log.append("event", {"what": what, "origin": origin, **detail})

    def set_anew(self, name: str, block: Instrument) -> None:
        """Take over what an instrument is declared as from now on; what it told stays known."""
        former = self._known[name]
        self._known[name] = known = _known(block)
        known.told, known.confirmed, known.mark = former.told, former.confirmed, former.mark
        self._set_mark(name)

    def _set_mark(self, name: str) -> None:
        """Cause maintenance while another serial number is told than declared or confirmed."""
        known = self._known[name]
        other, declared = known.other, known.declared.get(SERIAL)
        origin = None if other is None else f"serial number {other}, declared {declared}"
        if (known.mark.origin if known.mark else None) == origin:
            return
        if known.mark is not None:
            self._intake.remove_mark(name, known.mark)
        known.mark = None if origin is None else Mark(Cause.MAINTENANCE, origin, self._clock.now())
        if known.mark is not None:
            self._intake.add_mark(name, known.mark)

    async def confirm(self, name: str, who: str, reason: str) -> dict[str, Any]:
        """A person takes what the instrument says of itself for right. Raises ValueError where it said nothing."""
        known = self._known.get(name)
        if known is None:
            raise ValueError(f"no instrument {name}; known: {', '.join(sorted(self._known)) or 'none'}")
        if not known.told:
            raise ValueError(f"{name} has told nothing of itself yet")
        detail = {"instrument": name, "reason": reason, "told": dict(known.told), "declared": dict(known.declared)}
        await self._event("instrument-confirmed", who, detail)
        if SERIAL in known.told:
            known.confirmed = known.declared.get(SERIAL), known.told[SERIAL]
        self._set_mark(name)
        return self.status()[name]

    def status(self) -> dict[str, dict[str, Any]]:
        """By instrument: declared, told, what differs, and whether a person must confirm it."""
        return {
            name: {
                "declared": one.declared,
                "told": one.told,
                "differs": differing(one.declared, one.told),
                "unconfirmed": one.other is not None,
            }
            for name, one in sorted(self._known.items())
            if one.declared or one.told
        }


def _known(block: Instrument) -> _Known:
    declared = declared_items(block)
    return _Known(declared, status_names(block, declared), block.declared is not None or SERIAL in declared)
