"""What a station asks of the boards on its lines, beside firmware: who and how they are, clocks, settings."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from agent.firmware.line import BoardLine
from agent.wires.bus_wire import OnEvent
from firmware_bridge import manage
from firmware_bridge.frame import FrameError
from firmware_bridge.manage import EVERY_BOARD, Identity, Kind, Letter
from host.control import RequestError
from metrology.clock import Clock
from metrology.periods import iso

ANSWER_WALL_S: Final = 1.0
TRIES: Final = 3
# A board answers the call of all so long after the one before it: a whole answer at 9600 baud takes 40 ms.
SLOT_MS: Final = 50
IDS_MAX: Final = 1024


class BoardDesk:
    """The boards of a station's lines. What changes a board is recorded with who asked."""

    def __init__(self, lines: Mapping[str, BoardLine], clock: Clock, event: OnEvent) -> None:
        self._lines = lines
        self._clock = clock
        self._event = event

    async def find(self, first: int, last: int, who: str) -> dict[str, Any]:
        """Call all boards with ids from `first` to `last` on every line, and ask each that answers how it is."""
        if not 0 <= first <= last < EVERY_BOARD or last - first >= IDS_MAX:
            raise RequestError(f"ids: from 0 to {EVERY_BOARD - 1}, at most {IDS_MAX} at once")
        rows = [row for line in self._lines.values() for row in await self._on(line, first, last)]
        known = {(name, unit): board for name, line in self._lines.items() for unit, board in line.boards.units.items()}
        found = {(row["bus"], row["id"]) for row in rows}
        missing = [board for key, board in known.items() if first <= key[1] <= last and key not in found]
        strange = [f"{row['bus']}/{row['id']}" for row in rows if row["board"] is None]
        self._event("boards-found", {"who": who, "found": len(rows), "missing": missing, "unknown": strange})
        return {"boards": rows, "missing": missing}

    async def _on(self, line: BoardLine, first: int, last: int) -> list[dict[str, Any]]:
        wait_s = ANSWER_WALL_S + (last - first + 1) * SLOT_MS / 1000
        rows = []
        for letter in await line.call(Kind.WHO, manage.who(first, last, SLOT_MS), wait_s):
            with suppress(FrameError):  # who answers in another form is no board of ours
                rows.append(await self._row(line, letter.board, manage.identity(letter)))
        return rows

    async def _row(self, line: BoardLine, board: int, who: Identity) -> dict[str, Any]:
        answer = await self._try(line, board, Kind.HEALTH, b"")
        health = None
        if answer is not None and answer.refusal is None:
            with suppress(FrameError):
                health = asdict(manage.health(answer))
        return {
            "bus": line.name, "id": board, "board": line.boards.units.get(board), **asdict(who), "health": health,
            "lost": line.boards.lost[board], "recovered": line.boards.recovered[board],
        }  # fmt: skip

    async def _try(self, line: BoardLine, board: int, kind: Kind, payload: bytes) -> Letter | None:
        for _ in range(TRIES):
            if (answer := await line.ask(board, kind, payload, ANSWER_WALL_S)) is not None:
                return answer
        return None

    async def set_time(self, boards: str, who: str) -> dict[str, Any]:
        """Set the clocks of boards to the station's; how far each is off afterwards, or None."""
        offsets: dict[str, float | None] = {}
        for name in self._chosen(boards):
            line, unit = self._place(name)
            answer = await self._try(line, unit, Kind.TIME, manage.time_payload(self._clock.now()))
            offset = None
            if answer is not None and answer.refusal is None:
                with suppress(FrameError):
                    offset = round((manage.time_of(answer) - self._clock.now()).total_seconds(), 3)
            offsets[name] = offset
            self._event("board-time-set", {"who": who, "board": name, "offset_s": offset})
        return {"at": iso(self._clock.now()), "offsets_s": offsets}

    async def setting(self, board: str, name: str, value: str | None, who: str) -> dict[str, Any]:
        """Read a setting, or write it and read it back. Raises RequestError where the board does not hold it then.

        Raises ValueError for a name or value that is too long.
        """
        line, unit = self._place(board)
        former = await self._read(line, unit, board, name)
        if value is None:
            return {"board": board, "name": name, "value": former}
        await self._settled(line, unit, board, Kind.WRITE, manage.setting(name, value))
        in_force = await self._read(line, unit, board, name)
        detail = {"who": who, "board": board, "name": name, "former": former, "wanted": value, "value": in_force}
        self._event("board-setting", detail)
        if in_force != value:
            raise RequestError(f"{board}: {name} is {in_force} now, not {value}")
        return {"board": board, "name": name, "value": in_force, "former": former}

    async def _read(self, line: BoardLine, unit: int, board: str, name: str) -> str:
        return await self._settled(line, unit, board, Kind.READ, manage.setting(name))

    async def _settled(self, line: BoardLine, unit: int, board: str, kind: Kind, payload: bytes) -> str:
        answer = await self._try(line, unit, kind, payload)
        if answer is None:
            raise RequestError(f"{board} does not answer")
        if answer.refusal is not None:
            raise RequestError(f"{board} refuses: {answer.refusal}")
        try:
            return manage.setting_of(answer)[1]
        except FrameError as error:
            raise RequestError(f"{board}: {error}") from error

    def _chosen(self, wanted: str) -> list[str]:
        known = [name for line in self._lines.values() for name in line.boards.units.values()]
        return known if wanted == "all" else [name for name in wanted.split(",") if name]

    def _place(self, name: str) -> tuple[BoardLine, int]:
        """Line and id of a board."""
        for line in self._lines.values():
            for unit, board in line.boards.units.items():
                if board == name:
                    return line, unit
        known = [board for line in self._lines.values() for board in line.boards.units.values()]
        raise RequestError(f"{name}: no board on a line of this station; there are {', '.join(known) or 'none'}")
