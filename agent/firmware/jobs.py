"""The part of the boards' management that every daemon carries: it runs what was asked for, and imports no codec."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from agent.wires.bus_wire import OnEvent


class Jobs:
    """Long work on boards, one at a time, under the daemon's own tasks: a bug in it is seen, a stop ends it."""

    def __init__(self, folder: Path, event: OnEvent) -> None:
        self.file = folder / "firmware.json"
        self._event = event
        self._queue: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()

    def put(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done. Who puts sees to it that nothing else runs."""
        self._queue.put_nowait(work)

    async def run(self) -> None:
        """Work until cancelled."""
        self._tell_of_a_cut()
        while True:
            await (await self._queue.get())

    def _tell_of_a_cut(self) -> None:
        """Say which boards a batch left that the last run of the daemon did not bring to its end."""
        try:
            state = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        if not state["ended"]:
            detail = {key: state[key] for key in ("version", "who", "results", "running", "left")}
            self._event("firmware-batch-cut", detail)
        self.file.unlink()
