"""The standards register of a running station: state from its records, changes as records, cautions said once.

What the configuration declares is registered when it is new or changed; what a person wrote later holds while the
declaration stays as it was. A station that once started always starts (design, 13.6): an expired, low or absent
cylinder is a warning and a mark on what it calibrates, never a refusal.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from agent.config import Config
from agent.gas.cylinder_rows import Block, declared_row, redeclared
from agent.gas.proposals import Proposals
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from agent.values.live import Live
from calibration import sequence
from calibration.standards.cautions import Caution, cautions, mismatch
from calibration.standards.cylinder import Act, Cylinder, Row, row_fields
from calibration.standards.register import WHAT, Register
from calibration.standards.stock import Pressure, bar
from metrology.clock import Clock
from metrology.periods import DAY_S, period_start
from metrology.quality import Cause, Mark
from metrology.units import UnitError

PAGE: Final = 500
LOOK_S: Final = 600.0
# A pressure older than this is none of today.
FRESH: Final = timedelta(hours=1)
EVENTS_LOOKED_BACK: Final = 2000
# Cautions that put a mark on what the gas calibrates; the end of a certificate that is near is for people alone.
MARKING: Final = frozenset({"expired", "low", "absent"})
# A caution by what it is about: number and fill, or sequence and measurand; and its kind.
Said = tuple[str, str, str]


class Cylinders:
    """One for a station. `begin` before anything is calibrated; `run` looks after dates and pressures."""

    def __init__(self, config: Config, index: Index, log: Log, intake: Intake, live: Live, clock: Clock) -> None:
        self._config = config
        self._log = log
        self._intake = intake
        self._live = live
        self._clock = clock
        self._day_offset_s = int(config.station.day_start_utc_offset_h * 3600)
        self.register = Register(told(index))
        self.proposals = Proposals(self.register, log, index, clock)
        self._said = _said(index)
        self._marks: dict[tuple[str, Said], Mark] = {}
        self._read: dict[str, datetime] = {}

    async def begin(self, by: Mapping[str, Any]) -> None:
        """Register what the configuration declares anew (`by`: who stands behind the file), and say what is due."""
        who = str(by.get("login") or by.get("owner") or "configuration")
        for name, declared in self._config.cylinders.items():
            block = declared.model_dump(mode="json")
            block["roles"] = block["roles"] or self._roles(name)
            former = self.register.declared(name)
            if former != block:
                act, row = self._declared(name, former, block)
                await self.write(act, row, who, f"declared in {by.get('file', 'the configuration')}", declared=block)
        await self.look()

    def _roles(self, name: str) -> dict[str, str]:
        """What the sequences use a cylinder for, by measurand; the first word where they differ."""
        used = [one.roles for each in self._config.sequences.values() for one in each.injections if one.gas == name]
        return {measurand: role for roles in reversed(used) for measurand, role in roles.items()}

    def _declared(self, name: str, former: Block | None, block: Block) -> tuple[Act, Row]:
        """The act and the row of a declaration that is new or changed."""
        if former is None or (former.get("number"), former.get("fill")) != (block["number"], block["fill"]):
            return "declared", declared_row(name, block)
        # The same cylinder, described otherwise. Where a person put another one in its place, that one stays there.
        known = self.register.cylinder((block["number"], block["fill"]))
        return "revalued", redeclared(replace(known.row, name=name) if known.in_use else known.row, former, block)

    async def write(self, act: Act, row: Row, who: str, reason: str, **more: Any) -> Cylinder:
        """Record an act with the whole row after it; the register follows once it is committed."""
        fields = {"what": WHAT, "act": act, "name": row.name, "number": row.number, "fill": row.fill, "who": who}
        record = await self._log.append("calibration", {**fields, "reason": reason, "row": row_fields(row), **more})
        self.register.take(record.fields)
        return self.register.cylinder(row.key)

    def gas(self, name: str) -> sequence.Cylinder | None:
        """What a sequence takes from here now: the assigned values of this day, and what speaks against them."""
        return gas_of(self.register, name, self._clock.now())

    async def run(self) -> None:
        """Look after dates, pressures and what runs say of unknown gases, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.proposals.run(), name="proposals")
            while True:
                await self._clock.sleep(LOOK_S)
                await self._read_gauges()
                await self.look()

    async def _read_gauges(self) -> None:
        """Once a day take the pressure of every cylinder that a series reads."""
        now = self._clock.now()
        day = period_start(now, DAY_S, self._day_offset_s)
        for one in list(self.register.cylinders.values()):
            series = one.row.pressure_series
            last = one.pressures[-1].at if one.pressures else None
            if series is None or not one.in_use or (last is not None and last >= day):
                continue
            if (found := self._gauge(series, max(day, now - FRESH))) is not None:
                await self.write("pressure", replace(one.row, pressure=found), f"series {series}", "daily reading")

    def _gauge(self, series: str, since: datetime) -> Pressure | None:
        """The latest reading of a gauge; None where it is older, not valid, or in no unit of pressure."""
        latest = self._live.latest.get(series)
        if latest is None or latest.value is None or not latest.reading.quality.valid:
            return None
        if latest.reading.at < since:
            return None
        try:
            return Pressure(latest.reading.at, round(bar(latest.value, latest.reading.unit), 3))
        except UnitError:
            return None

    async def look(self) -> None:
        """Say each caution once when it comes and once when it goes, and mark what the gas calibrates meanwhile."""
        now = dict(self._cautions())
        for said, (where, caution, _) in now.items():
            if said not in self._said:
                self._said.add(said)
                await self._event("cylinder-warning", where, {"warning": caution.kind, **caution.detail})
        for said in sorted(self._said - now.keys()):
            self._said.discard(said)
            names = ("sequence", "measurand") if said[2] == "scale" else ("number", "fill")
            where = dict(zip(names, said, strict=False))
            await self._event("cylinder-warning-over", where, {"warning": said[2]})
        self._mark({(series, said): one for said, (_, one, all_series) in now.items() for series in all_series})

    def _cautions(self) -> Iterator[tuple[Said, tuple[dict[str, Any], Caution, list[str]]]]:
        """Of every cylinder in its place or used by a sequence, and of every sequence's scales."""
        at = self._clock.now()
        used = {one.row.key: one for name in self._config.cylinders if (one := self.register.named(name))}
        there = {key: one for key, one in self.register.cylinders.items() if one.in_use}
        for key, cylinder in {**there, **used}.items():
            where = {"name": cylinder.row.name, "number": key[0], "fill": key[1]}
            for caution in cautions(cylinder, at):
                marked = self._calibrated(cylinder) if caution.kind in MARKING else []
                yield (*key, caution.kind), (where, caution, marked)
        yield from self._scales(at.date())

    def _scales(self, day: date) -> Iterator[tuple[Said, tuple[dict[str, Any], Caution, list[str]]]]:
        for name, declared in self._config.sequences.items():
            for measurand in dict.fromkeys(m for one in declared.injections for m in one.roles):
                gases = {one.gas for one in declared.injections if measurand in one.roles}
                held = {gas: cylinder for gas in sorted(gases) if (cylinder := self.register.named(gas))}
                values = {gas: value for gas, one in held.items() if (value := one.value(measurand, day))}
                found = mismatch((gas, value.value, value.scale) for gas, value in values.items())
                if found is not None:
                    where = {"sequence": name, "measurand": measurand}
                    yield (name, measurand, found.kind), (where, found, [f"{declared.instrument}.{measurand}"])

    def _calibrated(self, cylinder: Cylinder) -> list[str]:
        """Series that sequences calibrate with a cylinder."""
        return [
            f"{declared.instrument}.{measurand}"
            for declared in self._config.sequences.values()
            for one in declared.injections
            for measurand in one.roles
            if (held := self.register.named(one.gas)) and held.row.key == cylinder.row.key
        ]

    def _mark(self, wanted: Mapping[tuple[str, Said], Caution]) -> None:
        for place in self._marks.keys() - wanted.keys():
            self._intake.remove_mark(place[0], self._marks.pop(place))
        for place in sorted(wanted.keys() - self._marks.keys()):
            series, (number, fill, kind) = place
            mark = self._marks[place] = Mark(Cause.MARK, f"standard gas {number}/{fill}: {kind}", self._clock.now())
            self._intake.add_mark(series, mark)

    async def _event(self, what: str, where: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
        await self._log.append("event", {"what": what, "origin": "register", **where, **detail})


def gas_of(register: Register, name: str, now: datetime) -> sequence.Cylinder | None:
    """What stands in a place, with the values of that day and what speaks against it; None where nothing ever stood."""
    found = register.named(name)
    if found is None:
        return None
    day = now.date()
    values = {m: value for m in found.measurands if (value := found.value(m, day))}
    assigned = {m: sequence.Assigned(v.value, v.unit, v.uncertainty, v.scale) for m, v in values.items()}
    certificates = dict.fromkeys(c.number for m in found.measurands if (c := found.certificate(m, day)))
    doubts = tuple(one.kind for one in cautions(found, now))
    return sequence.Cylinder(
        name, found.row.number, ", ".join(certificates), found.expires or date.max, assigned, found.row.fill, doubts
    )


def told(index: Index) -> Iterator[dict[str, Any]]:
    """All records of the register, oldest first, a page at a time."""
    after = ""
    while rows := index.told("calibration", (WHAT,), after, "9", PAGE):
        yield from rows
        after = rows[-1]["t"]


def _said(index: Index) -> set[Said]:
    """Cautions that were said and not taken back before the restart."""
    rows = [row for what in ("cylinder-warning", "cylinder-warning-over")
            for row in index.newest("event", what, EVENTS_LOOKED_BACK)]  # fmt: skip
    found: set[Said] = set()
    for row in sorted(rows, key=lambda one: (one["epoch"], one["seq"])):
        about = ("sequence", "measurand") if row["warning"] == "scale" else ("number", "fill")
        said = row[about[0]], row[about[1]], row["warning"]
        (found.add if row["what"] == "cylinder-warning" else found.discard)(said)
    return found
