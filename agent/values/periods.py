"""Closing periods in time, and watching the wall clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from agent.store.log import Log
from agent.values.averaging import Averager
from agent.values.budgets import Budgets
from metrology.clock import Clock
from metrology.periods import MINUTE_S, iso
from metrology.quality import Cause, Mark
from protocols.record import averages_fields

if TYPE_CHECKING:
    from agent.values.derived import Derived

TICK_WALL_S: Final = 0.2
# How long a period waits for instruments that have said nothing after its end: world and wall seconds, the longer.
GRACE_WORLD_S: Final = 10.0
GRACE_WALL_S: Final = 2.0
STEP_S: Final = 0.5
# A record has a greatest size, and what writes it a greatest need of memory: large stations write several a period.
ROWS_MAX: Final = 100


class ClockWatch:
    """Compares world time with the monotonic scale; a step is a record and a mark on the open periods."""

    def __init__(self, clock: Clock, log: Log, averager: Averager) -> None:
        self._clock = clock
        self._log = log
        self._averager = averager
        self._offset = self._measure()
        self.steps = 0

    def _measure(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def look(self) -> None:
        """Record a step where there was one; slow drift is followed."""
        offset, before = self._measure(), self._offset
        self._offset = offset
        # An accelerated clock turns jitter of the wall into world seconds.
        if abs(offset - before) <= STEP_S * max(1.0, self._clock.rate):
            return
        self.steps += 1
        now = self._clock.now()
        self._averager.mark_open(Mark(Cause.CLOCK_DOUBTFUL, f"clock stepped {offset - before:+.3f} s", now))
        self._log.post("event", {"what": "clock-step", "origin": "clock", "step_s": offset - before, "at": iso(now)})
        if offset - before >= MINUTE_S:
            # Minutes that never were: the averager does not walk through all of a long step.
            since = now - timedelta(seconds=offset - before)
            self._log.post("gap", {"from": iso(since), "to": iso(now), "reason": "clock stepped"})


class PeriodWriter:
    """Writes average records as soon as every instrument has spoken after a period's end, or the grace is over."""

    def __init__(
        self,
        averager: Averager,
        log: Log,
        clock: Clock,
        watermarks: Mapping[str, datetime],
        instruments: int,
        watch: ClockWatch,
        stacks: "Derived | None" = None,
        budgets: Budgets | None = None,
    ) -> None:
        """`stacks` says what the hours of derived series are uncertain by, `budgets` averages of corrected ones."""
        self._budgets = budgets
        self._watch = watch
        self._stacks = stacks
        self._averager = averager
        self._log = log
        self._clock = clock
        self._watermarks = watermarks
        self._instruments = instruments
        self._grace = timedelta(seconds=max(GRACE_WORLD_S, GRACE_WALL_S * clock.rate))
        # Right after a start the buffer of an instrument may still hold readings of periods before it.
        self._not_before = clock.now() + self._grace

    async def run(self) -> None:
        """Close periods for ever."""
        while True:
            await self._clock.sleep_wall(TICK_WALL_S)
            await self._log.room()
            if self._budgets is not None:
                await self._budgets.look()
            self.write_due()

    def write_due(self) -> None:
        """Write what can be closed now. All records of one call lie in one commit: minute, hour and day together."""
        # A step must be on the open periods before the time it brought closes them.
        self._watch.look()
        now = self._clock.now()
        due = now - self._grace
        if len(self._watermarks) == self._instruments:
            due = max(due, min(self._watermarks.values(), default=due))
        elif now < self._not_before:
            return
        for averages in self._averager.close(min(due, now)):
            if self._stacks is not None:
                averages = self._stacks.with_uncertainty(averages)
            if self._budgets is not None:
                averages = self._budgets.weighed(averages)
            for first in range(0, len(averages), ROWS_MAX):
                self._log.post("average", averages_fields(averages[first : first + ROWS_MAX]))
