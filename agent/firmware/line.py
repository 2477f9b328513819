"""The boards of one line as something that can be asked, beside the readings they send unasked."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from agent.store.log import Log
from agent.wires.wire import WireError
from firmware_bridge.board import Boards
from firmware_bridge.manage import EVERY_BOARD, Kind, Letter, encode_letter

TAGS: Final = 0xFFFF
# How many of the last records are looked through for the last frame of each board.
TAIL_RECORDS: Final = 5000


class BoardLine:
    """One line. Questions of the driver itself are written as they arise, those of people one at a time."""

    def __init__(self, name: str, boards: Boards, feed: Callable[[bytes, datetime], Awaitable[None]]) -> None:
        self.name = name
        self.boards = boards
        self._feed = feed
        self._turn = asyncio.Lock()
        self._tags = itertools.cycle(range(1, TAGS))
        self._came = asyncio.Event()
        self._heard = asyncio.Event()
        self._write: Callable[[bytes], Awaitable[None]] | None = None

    def attach(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Say how bytes get onto the line."""
        self._write = write

    async def feed(self, data: bytes, at: datetime) -> None:
        """Take bytes of the line; what the driver wants to ask again goes out."""
        await self._feed(data, at)
        while self.boards.questions:
            await self._send(self.boards.questions.popleft())
        if self.boards.answers:
            self._came.set()
        self._heard.set()

    async def heard(self) -> None:
        """Return when bytes came since the last time. For one who waits."""
        await self._heard.wait()
        self._heard.clear()

    async def _send(self, data: bytes) -> None:
        # Where the line is down, who waits for an answer gets none, and the bus says so.
        with suppress(WireError):
            if self._write is not None:
                await self._write(data)

    async def ask(self, board: int, kind: Kind, payload: bytes, timeout_s: float) -> Letter | None:
        """The answer of one board; None where none came in time."""
        async with self._turn:
            question = Letter(board, kind, next(self._tags), payload)
            return next(iter(await self._exchange(question, timeout_s)), None)

    async def call(self, kind: Kind, payload: bytes, wait_s: float) -> list[Letter]:
        """Ask all boards at once; what came within the time, by board."""
        async with self._turn:
            question = Letter(EVERY_BOARD, kind, next(self._tags), payload)
            found = await self._exchange(question, wait_s)
            return sorted(found, key=lambda letter: letter.board)

    async def _exchange(self, question: Letter, timeout_s: float) -> list[Letter]:
        """Answers to a question: the first one of a board, or all that come in time."""
        found: list[Letter] = []
        self.boards.answers.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(encode_letter(question))
                while not found or question.board == EVERY_BOARD:
                    self._came.clear()
                    await self._came.wait()
                    found += [one for one in self.boards.answers if one.answers(question)]
                    self.boards.answers.clear()
        except TimeoutError:
            pass  # silence is an answer, and so is what came before it
        return found


async def resume(lines: Mapping[str, BoardLine], log: Log) -> None:
    """Go on from the frames in the log where lost ones are asked for: those of the daemon's own outage are lost too."""
    boards = {
        name: (line.boards, unit)
        for line in lines.values()
        if line.boards.asks_again
        for unit, name in line.boards.units.items()
    }
    last: dict[str, tuple[int, int]] = {}
    after = max(-1, log.next_seq - 1 - TAIL_RECORDS)
    while boards and (rows := await log.read(after, kinds=frozenset({"scan"}), limit=500)):
        after = rows[-1].seq
        for fields in (row.fields for row in rows):
            status = fields["status"]
            if fields["instrument"] in boards and "sequence" in status and not status.get("kept"):
                last[fields["instrument"]] = (status["boot"], status["sequence"])
    for name, (boot, sequence) in last.items():
        driver, unit = boards[name]
        driver.resume(unit, boot, sequence)
