"""Records that wait for their commit, and how long they wait for company."""

import asyncio
from datetime import datetime
from typing import Final, NamedTuple

from agent.store.segment import Record
from metrology.clock import Clock
from protocols.tlog import Frontier

COMMIT_RECORDS: Final = 1_000


class One(NamedTuple):
    """A record that waits, the tree behind it, and when it was written."""

    row: Record
    future: asyncio.Future[Record]
    frontier: Frontier
    at: datetime


class Waiting:
    """In the order of their numbers. Whoever puts records here bounds them by `size`, in bytes of bodies."""

    def __init__(self, clock: Clock, commit_s: float, commit_records: int) -> None:
        """A batch has at most `commit_records`; where so many wait, it does not wait for `commit_s` (wall)."""
        self._clock = clock
        self._commit_s, self._commit_records = commit_s, commit_records
        self._hurried = False
        self._all: list[One] = []
        self._some = asyncio.Event()
        self._pause: asyncio.Future[None] | None = None
        self.size = 0

    def __len__(self) -> int:
        return len(self._all)

    def put(self, one: One) -> None:
        """Take the next record."""
        self._all.append(one)
        self.size += len(one.row.body)
        self._some.set()
        if self._pause is not None and len(self._all) >= self._commit_records:
            self._pause.cancel()

    async def company(self) -> None:
        """Return when a batch is due: the first record waited its time, or there are enough."""
        await self._some.wait()
        if self._hurried or not self._commit_s or len(self._all) >= self._commit_records:
            return
        self._pause = asyncio.ensure_future(self._clock.sleep_wall(self._commit_s))
        try:
            await asyncio.wait([self._pause])
        finally:
            self._pause.cancel()
            self._pause = None

    def hurry(self, hurried: bool) -> None:
        """Whether nothing waits for company: at a start and at a stop, where each record is waited for."""
        self._hurried = hurried
        if hurried and self._pause is not None:
            self._pause.cancel()

    def batch(self) -> list[One]:
        """The next ones; they stay until they are `done`."""
        return self._all[: self._commit_records]

    def done(self, batch: list[One]) -> None:
        """These are durable."""
        del self._all[: len(batch)]
        self.size -= sum(len(one.row.body) for one in batch)
        if not self._all:
            self._some.clear()
        for one in batch:
            if not one.future.done():
                one.future.set_result(one.row)
