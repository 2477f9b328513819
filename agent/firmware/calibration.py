"""The tables in force: put on the series of the boards they belong to, set by a named person, kept as records."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from agent.config import Config
from agent.firmware.chips import SEEN, Chips
from agent.firmware.line import BoardLine
from agent.firmware.tables import HUMIDITY, Row, Tables
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import COEFFICIENTS_MAX
from agent.values.intake import Intake
from agent.values.live import Live
from agent.wires.bus_wire import OnEvent
from host.control import RequestError
from metrology.clock import Clock
from metrology.measurand import catalogue
from metrology.periods import parse_iso
from metrology.quality import Cause, Mark

SLOPE_MIN: Final = 0.01
SLOPE_MAX: Final = 100.0
TEXT_MAX: Final = 200
TEMPERATURES: Final = ("board_temperature", "air_temperature")
# What else a board sends of itself is not what it measures.
NOT_CORRECTED: Final = frozenset({"board_temperature", "battery_voltage"})
ROWS_MAX: Final = 1000


class BoardCalibration:
    """One for a station with boards. Nothing is written into a board: raw stays raw, the correction is made here."""

    def __init__(
        self,
        config: Config,
        lines: Mapping[str, BoardLine],
        intake: Intake,
        log: Log,
        index: Index,
        live: Live,
        clock: Clock,
        event: OnEvent,
    ) -> None:
        self._live = live
        self._config = config
        self._lines = lines
        self._intake = intake
        self._log = log
        self._clock = clock
        self.tables = Tables(reversed(index.newest("calibration", "coefficients", COEFFICIENTS_MAX)))
        seen = [row for what in SEEN for row in index.newest("event", what, COEFFICIENTS_MAX)]
        seen.sort(key=lambda row: (row["epoch"], row["seq"]))
        units = {board: unit for line in lines.values() for unit, board in line.boards.units.items()}
        serials = {name: block.serial_number for name, block in config.instruments.items() if block.serial_number}
        known = [row for row in seen if row["board"] in units]
        self.chips = Chips(lines, serials, known, clock, event)
        self.chips.changed = self._bind
        self._bound: dict[str, set[str]] = {}
        self._marks: dict[str, Mark] = {}
        for board in units:
            self._bind(board)

    async def run(self) -> None:
        """Notice boards that were replaced, as long as there is a table; until cancelled."""
        await self.chips.watch(lambda: bool(self.tables))

    def _bind(self, board: str) -> None:
        """Have a board's series corrected by the table of the chip behind it, and by no other."""
        chip = self.chips.chips.get(board)
        found = list(self.tables.corrections(chip, board)) if chip and self._is_research(board) else []
        for series in self._bound.get(board, set()) - {one.series for one in found}:
            self._intake.coefficients.pop(series, None)
        self._bound[board] = {one.series for one in found}
        self._intake.coefficients.update({one.series: one for one in found})
        self._mark(board, self._doubt(board, chip in self.tables.chips))

    def _doubt(self, board: str, has_table: bool) -> tuple[Cause, str] | None:
        """Another instrument's values are not valid until a person confirms it (design, section 13.6)."""
        if board in self.chips.unconfirmed and not has_table:
            return Cause.MAINTENANCE, "another board under this name"
        if board in self.chips.silent and has_table:
            return Cause.MARK, "the board does not say who it is"
        return None

    def _mark(self, board: str, doubt: tuple[Cause, str] | None) -> None:
        if (former := self._marks.pop(board, None)) is not None:
            self._intake.remove_mark(board, former)
        if doubt is not None:
            self._marks[board] = Mark(*doubt, self._clock.now())
            self._intake.add_mark(board, self._marks[board])

    def _is_research(self, board: str) -> bool:
        return self._config.instruments[board].kind == "research"

    # -- for people

    def listed(self, board: str | None) -> dict[str, Any]:
        """Rows in force of all boards, or of one; tables of chips that hang nowhere too."""
        boards = self._boards(board)
        rows = [self._board_row(name) for name in boards]
        at_home = set(self.chips.chips.values())
        if board is None:
            away = sorted(self.tables.chips - at_home)
            rows += [{"board": None, "chip": chip, "state": "away", "rows": self._in_force(chip)} for chip in away]
        return {"boards": rows}

    def _boards(self, board: str | None) -> list[str]:
        known = list(self.chips.boards)
        if board is None:
            return known
        if board not in known:
            raise RequestError(f"{board}: no board on a line of this station; there are {', '.join(known) or 'none'}")
        return [board]

    def _board_row(self, board: str) -> dict[str, Any]:
        chip = self.chips.chips.get(board)
        state = "unconfirmed" if board in self._marks else "known" if chip else "unknown"
        return {"board": board, "chip": chip, "state": state, "rows": self._in_force(chip) if chip else []}

    def _in_force(self, chip: str) -> list[dict[str, Any]]:
        return [row.record() for row in self.tables.in_force(chip, self._clock.now()).values()]

    def shown(self, board: str) -> dict[str, Any]:
        """The whole history of the chip behind a board, newest first."""
        self._boards(board)
        chip = self.chips.chips.get(board)
        in_force = {row["id"] for row in self._in_force(chip)} if chip else set()
        rows = [{**row.record(), "in_force": row.id in in_force} for row in self.tables.history(chip or "")]
        return {**self._board_row(board), "rows": sorted(rows, key=lambda row: str(row["from"]), reverse=True)}

    async def confirm(self, board: str, who: str, reason: str) -> dict[str, Any]:
        """A person says that the board that hangs there now is right, without a table or with its own."""
        self._boards(board)
        if await self.chips.identify(board) is None:
            raise RequestError(f"{board} does not say who it is")
        if board not in self.chips.unconfirmed:
            raise RequestError(f"{board}: nothing to confirm")
        self.chips.confirm(board, who, reason)
        return self._board_row(board)

    async def put(
        self, wanted: Mapping[str, Any], who: str, reason: str, worth: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Put a row in force. Raises RequestError."""
        row = replace(await self._prepared(wanted, who, reason), worth=worth)
        await self._put_in_force([row])
        return row.record()

    async def imported(self, rows: object, who: str, reason: str, *, apply: bool) -> dict[str, Any]:
        """Check rows of a table, and put them in force where `apply`; all of them or none."""
        if not isinstance(rows, list) or len(rows) > ROWS_MAX or not all(isinstance(row, dict) for row in rows):
            raise RequestError(f"rows: at most {ROWS_MAX} objects")
        problems: list[dict[str, Any]] = []
        made: list[Row] = []
        unchanged = 0
        for number, wanted in enumerate(rows):
            try:
                row = await self._prepared(wanted, who, reason)
            except RequestError as error:
                problems.append({"row": number, "what": str(error)})
                continue
            newest = self.tables.newest(row.chip, row.measurand)
            if newest and newest.values == row.values:
                unchanged += 1
            elif any((one.chip, one.measurand) == (row.chip, row.measurand) for one in made):
                problems.append({"row": number, "what": f"{row.chip} {row.measurand}: comes twice"})
            else:
                made.append(row)
        if apply and not problems:
            await self._put_in_force(made)
        return {"problems": problems, "set": len(made), "unchanged": unchanged}

    async def _put_in_force(self, rows: Iterable[Row]) -> None:
        for row in rows:
            await self._log.room()
            recorded = self._log.post("calibration", row.record())
            # In force with its place in the log: what follows it there is corrected by it.
            self.tables.add(row)
            for board in [name for name, chip in self.chips.chips.items() if chip == row.chip]:
                self._bind(board)
            await recorded

    async def _prepared(self, wanted: Mapping[str, Any], who: str, reason: str) -> Row:
        chip, board = await self._chip(wanted)
        measurand = wanted.get("measurand")
        self.may_correct(board, measurand)
        zero, slope = _number(wanted, "zero", 0.0), _number(wanted, "slope", 1.0)
        if not SLOPE_MIN <= slope <= SLOPE_MAX:
            raise RequestError(f"slope: from {SLOPE_MIN:g} to {SLOPE_MAX:g}")
        source = wanted.get("source")
        if not isinstance(source, str) or not 0 < len(source) <= TEXT_MAX:
            raise RequestError("source: where the numbers come from (a co-location, factory, ...)")
        per_degC, per_percent = _number(wanted, "per_degC", 0.0), _number(wanted, "per_percent", 0.0)
        temperature = self._temperature(board, wanted.get("temperature")) if per_degC else None
        if board and per_percent and f"{board}.{HUMIDITY}" not in self._sent(board):
            raise RequestError(f"{board} sends no {HUMIDITY} to correct by")
        newest = self.tables.newest(chip, str(measurand))
        name, valid_from = self.tables.free_id(chip, str(measurand), self._valid_from(wanted))
        return Row(
            name, chip, str(measurand), zero, slope, per_degC, per_percent, temperature, valid_from, source, who,
            reason, board, newest.id if newest else None,
        )  # fmt: skip

    def may_correct(self, board: str | None, measurand: object) -> None:
        """Raise RequestError for a measurand no table corrects, and for a regulated board."""
        if measurand not in self._correctable():
            raise RequestError(f"{measurand}: not corrected by a table; that are {', '.join(self._correctable())}")
        if board and not self._is_research(board):
            raise RequestError(f"{board} is regulated: its data are never corrected (the analyzer is adjusted)")

    async def _chip(self, wanted: Mapping[str, Any]) -> tuple[str, str | None]:
        """Chip a row is for, and the board it hangs at now; a named chip needs no board."""
        chip, board = wanted.get("chip"), wanted.get("board")
        if isinstance(chip, str) and chip:
            if not chip.isprintable() or len(chip) > 64:
                raise RequestError("chip: the number a board says, 16 hexadecimal digits")
            return chip, next((name for name, own in self.chips.chips.items() if own == chip), None)
        if not isinstance(board, str):
            raise RequestError("a row names a chip or a board")
        self._boards(board)
        found = await self.chips.identify(board)
        if found is None:
            raise RequestError(f"{board} does not say who it is, and has no serial_number in the configuration")
        return found, board

    def _correctable(self) -> list[str]:
        line = next(iter(self._lines.values()))
        return [name for name in line.boards.measurands if name not in NOT_CORRECTED and name in catalogue()]

    def _sent(self, board: str) -> set[str]:
        return {series for series in self._live.latest if series.startswith(f"{board}.")}

    def temperatures(self, board: str | None) -> list[str]:
        """Measurands a temperature term may go by, the board's own first."""
        sent = self._sent(board) if board else set()
        return [name for name in TEMPERATURES if f"{board}.{name}" in sent]

    def _temperature(self, board: str | None, wanted: object) -> str:
        found = [name for name in self.temperatures(board) if wanted in (None, name)]
        if board and not found:
            raise RequestError(f"{board} sends no {wanted or 'temperature'} to correct by")
        return found[0] if found else TEMPERATURES[0]

    def _valid_from(self, wanted: Mapping[str, Any]) -> datetime:
        """From now on, or later: what was reported stays as it was."""
        now, text = self._clock.now(), wanted.get("valid_from")
        if not text:
            return now
        try:
            return max(now, parse_iso(str(text)))
        except ValueError as error:
            raise RequestError(f"valid_from: {error}") from error


def _number(wanted: Mapping[str, Any], name: str, default: float) -> float:
    value = wanted.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise RequestError(f"{name}: a number")
    return float(value)
