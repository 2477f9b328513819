"""History that a platform asks for, answered from the log: one upload a record, oldest first, read page by page.

One request at a time; live data goes first, and a connection that breaks ends the request.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agent.uplinks.hj212_info import LINES, LOGS, Information
from agent.uplinks.hj212_outbox import Asked
from agent.uplinks.hj212_past import Past
from agent.uplinks.hj212_requests import Answer, Handler
from agent.uplinks.hj212_selection import CHECK, Selection, Upload
from metrology.periods import DAY_S, HOUR_S, iso, parse_iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.information import information_items
from protocols.hj212.message import Message
from protocols.hj212.times import parse_time

# A standard check is recorded when it ends and named by its start.
CHECK_S_MAX: Final = DAY_S
# History of what a station of this kind does not measure.
NOTHING: Final = frozenset({"2011", "2013", "2052", "2071"})
HANDLED: Final = frozenset({"2031", "2041", "2051", "2061", "2062", *NOTHING})
_MOMENT: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class _Running:
    cn: str
    begin: datetime
    end: datetime
    sent: int = 0
    at: datetime | None = None


class History:
    """Answers of one uplink. `offer` puts one upload before the line; `landed` and `cut` tell what became of it.

    Where nothing is acknowledged `pause` is awaited after each: no line is filled faster than it may be.
    """

    def __init__(
        self,
        selection: Selection,
        past: Past,
        information: Information,
        offer: Callable[[Asked], None],
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        self._selection, self._past, self._information = selection, past, information
        self._offer, self._pause = offer, pause
        self._running: _Running | None = None
        self._landing: asyncio.Future[bool] | None = None
        self._number = 0

    def handlers(self) -> dict[str, Handler]:
        """The history requests by command."""
        return dict.fromkeys(HANDLED, self.answer)

    async def answer(self, message: Message) -> Answer:
        """Send what the log holds of a range, both ends included."""
        if self._running is not None:
            return Answer(ExeRtn.BUSY)
        try:
            begin, end = parse_time(message.value("BeginTime") or ""), parse_time(message.value("EndTime") or "")
        except ValueError:
            return Answer(ExeRtn.CONDITION)
        if end < begin:
            return Answer(ExeRtn.CONDITION)
        running = self._running = _Running(message.cn, begin, end)
        try:
            return Answer(await self._send(running, self._uploads(message, begin, end)))
        finally:
            self._running = None

    async def _send(self, running: _Running, uploads: AsyncIterator[Upload]) -> int:
        async for cn, at, items in uploads:
            self._number += 1
            self._landing = asyncio.get_running_loop().create_future()
            self._offer(Asked(self._number, cn, at, items))
            if not await self._landing:
                return ExeRtn.TIMEOUT
            running.sent, running.at = running.sent + 1, at
            await self._pause()
        return ExeRtn.DONE if running.sent else ExeRtn.NO_DATA

    def landed(self, asked: Asked, *, taken: bool) -> None:
        """An upload was taken, or given up."""
        if asked.number == self._number and self._landing is not None and not self._landing.done():
            self._landing.set_result(taken)

    def cut(self) -> None:
        """The connection broke: the request ends."""
        if self._landing is not None and not self._landing.done():
            self._landing.set_result(False)

    def _uploads(self, message: Message, begin: datetime, end: datetime) -> AsyncIterator[Upload]:
        match message.cn:
            case "2051":
                return self._periods(self._selection.minutes_s, begin, end)
            case "2061":
                return self._periods(HOUR_S, begin, end)
            case "2031":
                return self._periods(DAY_S, begin, end)
            case "2041":
                return self._run_times(begin, end)
            case "2062":
                return self._checks(begin, end)
            case "3020":
                return self._lines(message.value("InfoId") or "", message.value("PolId"), begin, end)
            case _:
                return _nothing()

    async def _periods(self, period_s: int, begin: datetime, end: datetime) -> AsyncIterator[Upload]:
        after = begin - _MOMENT
        while page := await self._past.page(period_s, after, end):
            for period in page:
                for upload in self._selection.period(period_s, period):
                    yield upload
            after = page[-1].start

    async def _run_times(self, begin: datetime, end: datetime) -> AsyncIterator[Upload]:
        after = begin - _MOMENT
        while page := await self._past.page(DAY_S, after, end):
            for period in page:
                for upload in await self._selection.run_time(period.start):
                    yield upload
            after = page[-1].start

    async def _checks(self, begin: datetime, end: datetime) -> AsyncIterator[Upload]:
        after, until = begin - _MOMENT, end + timedelta(seconds=CHECK_S_MAX)
        while rows := await self._past.told("calibration", (CHECK,), after, until):
            for row in rows:
                for upload in self._selection.check(row):
                    if begin <= upload[1] <= end:
                        yield upload
            after = parse_iso(rows[-1]["t"])

    async def _lines(self, code: str, pol_id: str | None, begin: datetime, end: datetime) -> AsyncIterator[Upload]:
        kind, whats = LINES[code]
        after = begin - _MOMENT
        while rows := await self._past.told(kind, whats, after, end):
            for row in rows:
                for found, about, text in self._information.lines(row):
                    if found == code and (pol_id is None or pol_id == about):
                        yield "3020", parse_iso(row["t"]), information_items({code: text}, about)
            after = parse_iso(rows[-1]["t"])

    def asks_for_log(self, message: Message) -> bool:
        """True for a 3020 that asks for lines of a log."""
        return message.value("InfoId") in LOGS

    def status(self) -> dict[str, Any] | None:
        """How far the request under way is, None where there is none."""
        one = self._running
        if one is None:
            return None
        at = iso(one.at) if one.at else None
        return {"cn": one.cn, "begin": iso(one.begin), "end": iso(one.end), "sent": one.sent, "at": at}


async def _nothing() -> AsyncIterator[Upload]:
    return
    yield
