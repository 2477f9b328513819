"""Starts sequences when they are due, each schedule in a task of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from agent.config import Config
from agent.config_gas import Schedule
from agent.gas.outcome import RefusedError
from agent.gas.plan import due_after
from metrology.clock import Clock
from metrology.periods import iso

# A due time is looked at again this often, so that a step of the wall clock is followed.
SCHEDULE_LOOK_S: Final = 60.0
SCHEDULE: Final = "schedule"


class Schedules:
    """Starts what is due. A refusal is recorded by `start`; the next turn comes at its own time."""

    def __init__(self, config: Config, start: Callable[[str, str], Awaitable[Any]], clock: Clock) -> None:
        self._config = config
        self._start = start
        self._clock = clock
        self._due: dict[str, datetime] = {}

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Keep every schedule, each in a task of its own."""
        for name, sequence in self._config.sequences.items():
            if sequence.schedule is not None:
                group.create_task(self._keep(name, sequence.schedule), name=f"schedule-{name}")

    async def _keep(self, name: str, schedule: Schedule) -> None:
        offset_h = self._config.station.day_start_utc_offset_h
        due = due_after(schedule, self._clock.now(), offset_h)
        while True:
            self._due[name] = due
            while (rest_s := (due - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(min(rest_s, SCHEDULE_LOOK_S))
            with contextlib.suppress(RefusedError):
                await self._start(name, SCHEDULE)
            due = due_after(schedule, max(due, self._clock.now()), offset_h)

    def status(self) -> dict[str, str]:
        """When each is due next."""
        return {name: iso(due) for name, due in self._due.items()}
