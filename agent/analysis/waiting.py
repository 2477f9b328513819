"""The part of recomputation that every daemon carries: it waits, and imports what computes when it is wanted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agent.analysis.desk import RecomputeDesk
    from agent.daemon import Daemon

NEWEST: Final = 100


class Recomputing:
    """One for a daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._wanted = asyncio.Event()
        self._desk: RecomputeDesk | None = None

    async def run(self) -> None:
        """Go on with what the last run of the daemon left, then serve; until cancelled."""
        if not await self._daemon.log.look_up(self._is_left):
            await self._wanted.wait()
        await self.desk.run()

    def _is_left(self) -> bool:
        assert self._daemon.index is not None, "made with the daemon"
        begun = self._daemon.index.newest("calibration", "recompute", NEWEST)
        ended = self._daemon.index.newest("calibration", "recompute-finished", NEWEST)
        # Of one whose day is still open that is said first, and its end later.
        return bool({row["id"] for row in begun} - {row["id"] for row in ended if "open" not in row})

    @property
    def desk(self) -> "RecomputeDesk":
        """What computes, made at the first use."""
        from agent.analysis.desk import RecomputeDesk

        self._desk = self._desk or RecomputeDesk(self._daemon)
        return self._desk

    async def serve(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """See `RecomputeDesk.serve`."""
        self._wanted.set()
        async for state in self.desk.serve(request):
            yield state
