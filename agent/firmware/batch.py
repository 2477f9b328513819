"""One batch of updates: canaries, then the others, each board on its own line in turn; every step becomes a record."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.firmware.links import Link
from agent.firmware.walk import delivers, walk
from agent.values.intake import Intake
from agent.wires.bus_wire import OnEvent
from firmware_bridge.image import Image
from firmware_bridge.rollout import Rollout
from firmware_bridge.update import Progress, update
from metrology.clock import Clock

Delivers = Callable[[str], Any]


@dataclass(slots=True)
class Batch:
    """What is to be done, and how far it is. `file` keeps the results over a restart of the daemon."""

    image: Image
    rollout: Rollout
    links: Mapping[str, Link]
    who: str
    downgrade: bool
    watch_s: float
    readings_min: int
    file: Path
    shares: dict[str, float] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)

    def status(self) -> dict[str, Any]:
        """How far it is; `steps` of the boards that are being updated, with the share of their upload."""
        rollout = self.rollout
        return {
            "version": str(self.image.version),
            "who": self.who,
            "boards": len(rollout.lines),
            "canary": rollout.canary,
            "running": {
                board: {"step": self.steps.get(board), "share": round(self.shares.get(board, 0.0), 3)}
                for board in sorted(rollout.running)
            },
            "results": dict(rollout.results),
            "left": len(rollout.left),
            "stopped": rollout.stopped,
            "ended": rollout.ended,
        }

    async def run(self, intake: Intake, clock: Clock, event: OnEvent) -> None:
        """Until every board ended or the batch stopped."""
        rollout = self.rollout
        event("firmware-batch-started", {
            "version": str(self.image.version), "hash": self.image.hash.hex(), "who": self.who,
            "boards": list(rollout.lines), "canary": rollout.canary, "failures_max": rollout.failures_max,
        })  # fmt: skip
        async with asyncio.TaskGroup() as group:
            going: set[asyncio.Task[None]] = set()
            while not rollout.ended:
                going |= {group.create_task(self._board(one, intake, clock, event)) for one in rollout.begin()}
                _, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        self._keep()
        event("firmware-batch-ended", {
            "version": str(self.image.version), "who": self.who, "results": dict(rollout.results),
            "left": rollout.left, "stopped": rollout.stopped,
        })  # fmt: skip

    async def _board(self, board: str, intake: Intake, clock: Clock, event: OnEvent) -> None:
        link = self.links[board]

        def told(progress: Progress) -> None:
            if progress.what == "uploaded":
                self.shares[board] = progress.detail["offset"] / progress.detail["bytes"]
            else:
                self.steps[board] = progress.what
                event("board-update", {"board": board, "step": progress.what, **progress.detail})

        async def watch() -> bool:
            return await delivers(intake, clock, board, self.watch_s, self.readings_min)

        self._keep()
        steps = update(self.image, link.message_bytes_max, link.wrap_bytes, self.downgrade)
        try:
            outcome = await walk(steps, link, clock, watch, told)
        finally:
            link.close()
        event("board-updated", {
            "board": board, "result": outcome.result, "reason": outcome.reason, "who": self.who,
            "version": str(self.image.version),
        })  # fmt: skip
        self.rollout.end(board, outcome.result)
        self._keep()

    def _keep(self) -> None:
        """Write the state, so that a daemon that starts again knows of a batch that was cut."""
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(self.status()), encoding="utf-8")
        os.replace(temporary, self.file)
