"""Boards of a station compared with each other, from the log's hours; corrected where a person says so."""

import asyncio
from collections import defaultdict
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from agent.config import Config
from agent.firmware.calibration import BoardCalibration
from agent.firmware.hours import Hours
from agent.firmware.offers import Offer, Offers
from agent.store.index import Index
from agent.store.log import Log
from agent.wires.bus_wire import OnEvent
from calibration.neighbours import BOARDS_MIN, LIMITS, Finding, Survey, survey
from host.control import RequestError
from metrology.clock import Clock
from metrology.periods import DAY_S, EPOCH, HOUR_S, iso, period_start
from metrology.reading import Average

DAYS: Final = 14
DAYS_MIN: Final = 5
DAYS_MAX: Final = 60
# After the hours of the day are closed; a board that drifts is not in a hurry.
AFTER_MIDNIGHT_S: Final = 1800.0
TELLS: Final = ("board-drifting", "board-drift-back")


class DriftDesk:
    """The check, by hand and once a day."""

    def __init__(
        self, config: Config, tables: BoardCalibration, log: Log, index: Index, clock: Clock, event: OnEvent
    ) -> None:
        self._config = config
        self._tables = tables
        self._hours_of = Hours(log, index)
        self._clock = clock
        self._event = event
        self.offers = Offers(tables, clock, "plumeline board drift")
        told = [row for what in TELLS for row in index.newest("event", what, 1000)]
        told.sort(key=lambda row: (row["epoch"], row["seq"]))
        state = {(row["board"], row["measurand"]): row["what"] for row in told}
        self._drifting = {key for key, what in state.items() if what == "board-drifting"}

    async def run(self) -> None:
        """Once a day; until cancelled."""
        offset_s = int(self._config.station.day_start_utc_offset_h * HOUR_S)
        while True:
            now = self._clock.now()
            due = period_start(now, DAY_S, offset_s) + timedelta(seconds=DAY_S + AFTER_MIDNIGHT_S)
            await self._clock.sleep((due - now).total_seconds())
            await self.check()

    async def check(self) -> None:
        """Say which boards began to drift, and which no longer do; nothing where the consensus is doubtful."""
        for measurand, found in (await self._surveys(DAYS, None)).items():
            for one in found.findings if found.doubt is None else ():
                key = (one.board, measurand)
                if one.verdict in ("drifting", "faulty") and key not in self._drifting:
                    self._drifting.add(key)
                    self._event("board-drifting", {**_key(*key), **_told(one)})
                elif one.verdict == "ok" and key in self._drifting:
                    self._drifting.discard(key)
                    self._event("board-drift-back", {**_key(*key), **_told(one)})

    async def shown(self, days: int, reference: str | None) -> dict[str, Any]:
        """All boards with what is proposed, and the ids under which that may be accepted."""
        if not DAYS_MIN <= days <= DAYS_MAX:
            raise RequestError(f"days: from {DAYS_MIN} to {DAYS_MAX}")
        surveys = await self._surveys(days, reference)
        if not surveys:
            raise RequestError(f"no boards with {', '.join(LIMITS)} on this station's lines")
        if reference is not None and all(found.reference is None for found in surveys.values()):
            raise RequestError(f"{reference}: no series of this station with hours in the unit of the boards")
        now = self._clock.now()
        self.offers.forget_old()
        return {
            "days": days, "until": iso(now), "reference": reference,
            "measurands": {name: self._survey_row(name, found, days) for name, found in surveys.items()},
        }  # fmt: skip

    def _survey_row(self, measurand: str, found: Survey, days: int) -> dict[str, Any]:
        rows = []
        for one in found.findings:
            row = asdict(one)
            offer = self._offer(one, measurand, days)
            row["proposal"] = (
                {"id": offer.id, **offer.values, "residual": row["proposal"]["residual"]} if offer else None
            )
            rows.append(row)
        return {
            "doubt": found.doubt, "limit": found.limit, "calm_blocks": found.calm_blocks, "boards": rows,
            "reference": asdict(found.reference) if found.reference else None,
        }  # fmt: skip

    def _offer(self, one: Finding, measurand: str, days: int) -> Offer | None:
        """What would undo a difference, on top of the row in force: the board's values are made with that one."""
        chip = self._tables.chips.chips.get(one.board)
        if one.proposal is None:
            return None
        now = self._clock.now()
        row = self._tables.tables.in_force(chip, now).get(measurand) if chip else None
        zero, slope, per_degC, per_percent = row.values if row else (0.0, 1.0, 0.0, 0.0)
        values = {
            "zero": zero + one.proposal.zero / slope, "slope": slope * one.proposal.slope,
            "per_degC": per_degC * one.proposal.slope, "per_percent": per_percent * one.proposal.slope,
        }  # fmt: skip
        why = f"neighbour check over {days} days until {iso(now)}"
        return self.offers.show(Offer(one.board, measurand, chip or "", row.id if row else None, values, now, why))

    # -- hours from the log

    async def _surveys(self, days: int, reference: str | None) -> dict[str, Survey]:
        """By measurand; only where there are boards enough to compare, or a person asked."""
        end = period_start(self._clock.now(), HOUR_S)
        wanted = self._wanted()
        names = {f"{board}.{measurand}" for measurand, boards in wanted.items() for board in boards}
        hours, units = await self._hours(names | ({reference} if reference else set()), days, end)
        found = {}
        for measurand, boards in wanted.items():
            own = {board: hours.get(f"{board}.{measurand}", {}) for board in boards}
            unit = {units[f"{board}.{measurand}"] for board in boards if f"{board}.{measurand}" in units}
            against = hours[reference] if reference in hours and {units[reference]} == unit else None
            found[measurand] = await asyncio.to_thread(survey, own, LIMITS[measurand], _hour(end), against)
        return found

    def _wanted(self) -> dict[str, list[str]]:
        """Boards of each measurand that is compared."""
        found: dict[str, list[str]] = {}
        for board, (line, _) in self._tables.chips.boards.items():
            block = self._config.instruments[board]
            for measurand in LIMITS:
                if measurand in (block.series or line.boards.measurands):
                    found.setdefault(measurand, []).append(board)
        return {measurand: boards for measurand, boards in found.items() if len(boards) >= BOARDS_MIN}

    async def _hours(
        self, names: set[str], days: int, end: datetime
    ) -> tuple[dict[str, dict[int, float]], dict[str, str]]:
        """Valid hourly means by series and hour, and units by series."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        units: dict[str, str] = {}
        for one in await self._hours_of.read(names, end - timedelta(days=days), end):
            if one.mean is not None and self._counts(one):
                found[one.series][_hour(one.start)] = one.mean
                units[one.series] = one.unit
        return found, units

    def _counts(self, one: Average) -> bool:
        """Whether an hour is of the board that hangs there now, and made with the row that is in force now."""
        board, _, measurand = one.series.partition(".")
        chip = self._tables.chips.chips.get(board)
        if chip is None:
            return True
        row = self._tables.tables.in_force(chip, self._clock.now()).get(measurand)
        since = self._tables.chips.since.get(board, one.start)
        return one.start >= since and one.calibrations == ((row.id,) if row else ())


def _hour(at: datetime) -> int:
    return int((at - EPOCH) // timedelta(hours=1))


def _key(board: str, measurand: str) -> dict[str, str]:
    return {"board": board, "measurand": measurand}


def _told(one: Finding) -> dict[str, Any]:
    return {"verdict": one.verdict, "offset": one.offset, "drift_per_week": one.drift_per_week, "blocks": one.blocks}
