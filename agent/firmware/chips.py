"""Which chip stands behind each board's name: asked after every start of a board, so that a replaced one is noticed.

A board that only changed its place keeps its table. One that took another's name does not inherit that one's: it is an
event, and its values bear a cause until a person confirms it or sets a table of its own.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from agent.firmware.line import BoardLine
from agent.wires.bus_wire import OnEvent
from firmware_bridge import manage
from firmware_bridge.frame import FrameError
from firmware_bridge.manage import Kind
from metrology.clock import Clock
from metrology.periods import parse_iso

ANSWER_WALL_S: Final = 1.0
TRIES: Final = 3
# A board that did not say who it is is asked again with a later frame, not sooner than this.
AGAIN_WALL_S: Final = 60.0
# What a board says of itself; a serial number that stands in for it has another form.
CHIP: Final = re.compile("[0-9a-f]{16}")
SEEN: Final = ("board-identified", "board-replaced", "board-confirmed")


class Chips:
    """Chip by board, as last known. `changed` is called with a board whose chip or standing became another one.

    `serials` stands in for the chip of boards whose firmware does not say who they are.
    """

    def __init__(
        self,
        lines: Mapping[str, BoardLine],
        serials: Mapping[str, str],
        records: Iterable[Mapping[str, Any]],
        clock: Clock,
        event: OnEvent,
    ) -> None:
        """`records` are those of the events in SEEN, oldest first."""
        self._lines = lines
        self._serials = serials
        self._clock = clock
        self._event = event
        self._boots: dict[str, int] = {}
        self._failed: dict[str, float] = {}
        self.chips: dict[str, str] = {}
        self.since: dict[str, datetime] = {}
        self.unconfirmed: set[str] = set()
        self.silent: set[str] = set()
        self.changed: Callable[[str], None] = lambda board: None
        for fields in records:
            self._restore(fields)

    def _restore(self, fields: Mapping[str, Any]) -> None:
        board = fields["board"]
        self.chips[board] = fields["chip"]
        if fields["what"] == "board-replaced":
            self.since[board] = parse_iso(fields["t"])
            self.unconfirmed.add(board)
        elif fields["what"] == "board-confirmed":
            self.unconfirmed.discard(board)

    @property
    def boards(self) -> dict[str, tuple[BoardLine, int]]:
        """Line and id of every board."""
        return {board: (line, unit) for line in self._lines.values() for unit, board in line.boards.units.items()}

    async def watch(self, wanted: Callable[[], bool]) -> None:
        """Ask boards that started anew, as long as anything depends on it (`wanted`); until cancelled."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines.values():
                group.create_task(self._watch(line, wanted))

    async def _watch(self, line: BoardLine, wanted: Callable[[], bool]) -> None:
        while True:
            await line.heard()
            for unit, board in line.boards.units.items() if wanted() else ():
                boot = line.boards.boot(unit)
                if boot is not None and self._boots.get(board) != boot and self._may_ask(board):
                    await self.identify(board)

    def _may_ask(self, board: str) -> bool:
        failed = self._failed.get(board)
        return failed is None or self._clock.wall_monotonic() - failed >= AGAIN_WALL_S

    async def identify(self, board: str) -> str | None:
        """Ask a board who it is; its chip, its configured serial number where it does not say, None for neither."""
        line, unit = self.boards[board]
        boot = line.boards.boot(unit)
        chip = await self._asked(line, unit) or self._declared(board)
        if chip is None:
            self._failed[board] = self._clock.wall_monotonic()
            self.silent.add(board)
            self.changed(board)
            return None
        self._failed.pop(board, None)
        if boot is not None:
            self._boots[board] = boot
        self._found(board, chip)
        return chip

    def _declared(self, board: str) -> str | None:
        """The configured serial number, for a board that never said who it is."""
        return None if CHIP.fullmatch(self.chips.get(board, "")) else self._serials.get(board)

    async def _asked(self, line: BoardLine, unit: int) -> str | None:
        for _ in range(TRIES):
            answer = await line.ask(unit, Kind.WHO, manage.who(unit, unit, 0), ANSWER_WALL_S)
            if answer is not None and answer.refusal is None:
                with suppress(FrameError):  # who answers in another form does not say who it is
                    return manage.identity(answer).chip
        return None

    def _found(self, board: str, chip: str) -> None:
        former = self.chips.get(board)
        if former == chip:
            if board in self.silent:
                self.silent.discard(board)
                self.changed(board)
            return
        self.silent.discard(board)
        self.chips[board] = chip
        if former is None:
            self._event("board-identified", {"board": board, "chip": chip})
        else:
            self.since[board] = self._clock.now()
            self.unconfirmed.add(board)
            self._event("board-replaced", {"board": board, "chip": chip, "former": former})
        self.changed(board)

    def confirm(self, board: str, who: str, reason: str) -> None:
        """A person says that this chip is right under this name."""
        self.unconfirmed.discard(board)
        self._event("board-confirmed", {"board": board, "chip": self.chips[board], "who": who, "reason": reason})
        self.changed(board)
