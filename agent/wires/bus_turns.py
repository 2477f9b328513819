"""Who may speak on a bus: one at a time, the urgent first."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Final

# Who has been passed over by so many turns is served next, before all but valves: a full bus starves nobody.
PASSED_OVER_MAX: Final = 200


class Priority(IntEnum):
    """Who is served first: gas before readings, readings of every few seconds before slow ones, all before probes."""

    VALVE = 0
    POLL = 1
    SLOW = 2
    PROBE = 3


class Turns:
    """A lock whose waiters are served by priority, then in the order they came. Each caller waits at most once."""

    def __init__(self) -> None:
        self._taken = False
        self._order = itertools.count()
        self._served = 0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Hold the line."""
        await self._acquire(priority)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, priority: Priority) -> None:
        if not self._taken:
            self._taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), self._served, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # The turn may have been given in the same instant; then it goes to the next.
            if turn.done() and not turn.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        self._served += 1
        while self._waiting:
            *_, turn = self._next()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def _next(self) -> tuple[int, int, int, asyncio.Future[None]]:
        if self._waiting[0][0] > Priority.VALVE:
            oldest = min(self._waiting, key=lambda waiter: waiter[1])
            if self._served - oldest[2] > PASSED_OVER_MAX:
                self._waiting.remove(oldest)
                heapq.heapify(self._waiting)
                return oldest
        return heapq.heappop(self._waiting)
