"""From the log into the outbox of an HJ 212 uplink: what is committed now, and what lies open from before."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn

from agent.store.log import Log, Record
from agent.uplinks.hj212_entries import Entry
from agent.uplinks.hj212_outbox import Outbox
from agent.uplinks.hj212_selection import Selection

READ_MAX: Final = 50
NEWEST_FIRST: Final = 3
NEWEST_SEARCH: Final = 2_000


class Signal:
    """Something changed: whoever waits looks again."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def tell(self) -> None:
        """Wake everyone who waits now."""
        self.event.set()
        self.event = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds."""
        while not condition():
            await self.event.wait()


class Feed:
    """Reads for one connection. `gave_up` gets the frames of an older epoch that were never taken."""

    def __init__(
        self, log: Log, selection: Selection, outbox: Outbox, signal: Signal, gave_up: Callable[[Entry], None]
    ) -> None:
        self._log = log
        self._selection = selection
        self._outbox = outbox
        self._signal = signal
        self._gave_up = gave_up
        # What was committed before the connection is not sent at its time.
        self._fresh_from = log.next_seq

    async def run(self) -> None:
        """Queue what comes and what is open, for ever."""
        start = await self._start_of_newest()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(start))
            group.create_task(self._refill(start))

    async def _start_of_newest(self) -> int:
        """Sequence number from which records count as fresh: the newest few go before everything older."""
        head = self._log.next_seq
        after = max(-1, head - NEWEST_SEARCH)
        found = await self._log.read(after, kinds=self._selection.kinds, limit=NEWEST_SEARCH)
        return found[-NEWEST_FIRST:][0].seq if found else head

    async def _follow(self, start: int) -> NoReturn:
        """Queue records from `start` on as they are committed."""
        cursor, epoch = start - 1, self._log.epoch
        while True:
            await self._log.wait(cursor)
            end = self._log.next_seq
            records = await self._log.read(cursor, kinds=self._selection.kinds, limit=READ_MAX, before=end)
            for record in records:
                await self._signal.until(lambda: self._outbox.room_fresh)
                await self._offer(record, cursor, "fresh", self._outbox.put_fresh)
                cursor = record.seq
            if not records:
                self._outbox.done(epoch, cursor + 1, end - 1)
                cursor = end - 1
                self._signal.tell()

    async def _refill(self, start: int) -> None:
        """Queue what lies open before `start`, epoch by epoch, oldest first."""
        for epoch in self._outbox.open_epochs(await self._log.epochs()):
            if epoch == self._log.epoch:
                last = await self._refill_epoch(epoch, start)
                self._outbox.done(epoch, last + 1, start - 1)
                self._signal.tell()
            else:
                await self._refill_epoch(epoch, None)
                await self._signal.until(lambda: self._outbox.quiet)
                for entry in self._outbox.finish_epoch(epoch):
                    self._gave_up(entry)

    async def _refill_epoch(self, epoch: int, before: int | None) -> int:
        cursor = self._outbox.progress(epoch).through
        kinds = self._selection.kinds
        while records := await self._log.read(cursor, kinds=kinds, limit=READ_MAX, before=before, epoch=epoch):
            for record in records:
                await self._signal.until(lambda: self._outbox.room_old)
                await self._offer(record, cursor, "old", self._outbox.put_old)
                cursor = record.seq
        return cursor

    async def _offer(self, record: Record, before: int, stream: str, put: Callable[[Entry], None]) -> None:
        if self._outbox.wanted(record.epoch, record.seq):
            entries = await self._selection.entries(record, before + 1, stream)
            late = record.epoch != self._log.epoch or record.seq < self._fresh_from
            for entry in entries:
                if self._outbox.open(entry):
                    put(replace(entry, late=late))
            if not entries:
                self._outbox.done(record.epoch, before + 1, record.seq)
        self._signal.tell()
