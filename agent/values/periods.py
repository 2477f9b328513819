"""Closing periods in time, and watching the wall clock."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from agent.clock.state import Change, ClockState, micros
from agent.store.log import Log
from agent.values.averaging import EMPTY_MINUTES_MAX, Averager
from agent.values.budgets import Budgets
from metrology.clock import Clock
from metrology.periods import MINUTE_S, iso, period_start
from metrology.quality import Cause, Mark
from metrology.reading import Average
from protocols.record import averages_fields

if TYPE_CHECKING:
    from agent.clock.turns import Turns
    from agent.values.derived import Derived

TICK_WALL_S: Final = 0.2
# How long a period waits for instruments that have said nothing after its end: world and wall seconds, the longer.
GRACE_WORLD_S: Final = 10.0
GRACE_WALL_S: Final = 2.0
STEP_S: Final = 0.5
# A step back up to this long is waited out; beyond it averages go on at the new time (decision 12).
BACK_S: Final = 3600.0
# A record has a greatest size, and what writes it a greatest need of memory: large stations write several a period, and
# so do those whose instruments talk nonsense, each mark of which says what was heard.
ROWS_MAX: Final = 100
MARKS_BYTES_MAX: Final = 100_000


class ClockWatch:
    """Compares world time with the monotonic scale: a step is a record and a mark on the open periods.

    What is believed of the clock is `state`; without one it is taken as right. `turns` puts averages right.
    """

    def __init__(
        self,
        clock: Clock,
        log: Log,
        averager: Averager,
        state: ClockState | None = None,
        turns: "Turns | None" = None,
    ) -> None:
        self._clock = clock
        self._log = log
        self._averager = averager
        self._state = state
        self._turns = turns
        self._offset = self._measure()
        self.steps = 0

    def _measure(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def begin(self) -> None:
        """The first record of a run: the state, and what maps the machine's own scale to the wall."""
        assert self._state is not None, "a station has one"
        told = self._log.post(
            "event", {"what": "clock-state", "origin": "clock", "former": None, **self._state.now()}
        )  # fmt: skip
        if not self._state.believed and self._turns is not None:
            self._turns.lost(told, from_start=True)

    @property
    def believed(self) -> bool:
        """Whether stamps of now stand for what they say."""
        return self._state is None or self._state.believed

    def look(self) -> None:
        """Record a step where there was one, and a change of state; slow drift is followed."""
        offset, before = self._measure(), self._offset
        self._offset = offset
        # An accelerated clock turns jitter of the wall into world seconds.
        stepped = abs(offset - before) > STEP_S * max(1.0, self._clock.rate)
        if stepped and self._state is not None:
            self._state.stepped()
        believed = self.believed
        change = self._state.look() if self._state is not None else None
        if stepped:
            self._stepped(offset - before, whole=believed and self.believed)
        if change is not None:
            self._changed(change)

    def _stepped(self, step_s: float, *, whole: bool) -> None:
        """`whole`: the clock was believed on both sides of the step."""
        self.steps += 1
        now = self._clock.now()
        old = now - timedelta(seconds=step_s)
        self._averager.mark_open(Mark(Cause.CLOCK_DOUBTFUL, f"clock stepped {step_s:+.3f} s", now))
        scales = {"boot": self._state.boot, "mono": micros(self._clock)} if self._state is not None else {}
        told = self._log.post(
            "event",
            {"what": "clock-step", "origin": "clock", "step_s": step_s, "at": iso(now), "old": iso(old), **scales},
        )
        if whole and step_s >= MINUTE_S:
            # Minutes that never were: the averager does not walk through all of a long step.
            # Where nothing went on for longer than that before it, minutes are left out on both sides of the step.
            closed = self._averager.closed_until
            self._gap(closed if old - closed > timedelta(minutes=EMPTY_MINUTES_MAX) else old, now)
            self._averager.told_until = now
            if step_s > EMPTY_MINUTES_MAX * MINUTE_S:
                self._averager.empty_from = period_start(now, MINUTE_S)
        elif whole and step_s < -BACK_S:
            if self._turns is not None:
                self._turns.went_back(told, self._averager.closed_until, old)
            # Averages begin anew at once: what comes in next is already of the new time.
            start = period_start(now, MINUTE_S)
            self._averager.restart(start, start)

    def _gap(self, since: datetime, until: datetime) -> None:
        self._log.post("gap", {"from": iso(since), "to": iso(until), "reason": "clock stepped"})

    def _changed(self, change: Change) -> None:
        assert self._state is not None, "it changed"
        told = self._log.post(
            "event", {"what": "clock-state", "origin": "clock", "former": change.former, **self._state.now()}
        )
        if self._turns is not None and change.state == "R":
            self._turns.lost(told)
        elif self._turns is not None and change.former == "R":
            self._turns.found(told)


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
        turns: "Turns | None" = None,
    ) -> None:
        """`stacks` says what the hours of derived series are uncertain by, `budgets` averages of corrected ones."""
        self._budgets = budgets
        self._turns = turns
        self._watch = watch
        self._stacks = stacks
        self._averager = averager
        self._log = log
        self._clock = clock
        self._watermarks = watermarks
        self._instruments = instruments
        self._grace = timedelta(seconds=max(GRACE_WORLD_S, GRACE_WALL_S * clock.rate))
        # Right after a start the buffer of an instrument may still hold readings of periods before it.
        self._not_before = clock.monotonic() + self._grace.total_seconds()

    async def run(self) -> None:
        """Close periods for ever."""
        while True:
            await self._clock.sleep_wall(TICK_WALL_S)
            await self._log.room()
            if self._budgets is not None:
                await self._budgets.look()
            await self.turn()
            self.write_due()

    async def turn(self) -> None:
        """Put right what a jump of the clock did to the averages, where there was one."""
        self._watch.look()
        if self._turns is not None:
            async for since, periods in self._turns.take():
                self._write(since, periods)

    def write_due(self) -> None:
        """Write what can be closed now. All records of one call lie in one commit: minute, hour and day together."""
        # A step must be on the open periods before the time it brought closes them.
        self._watch.look()
        now = self._clock.now()
        if not self._watch.believed or (self._turns is not None and not self._turns.ready(now)):
            return
        due = now - self._grace
        if len(self._watermarks) == self._instruments:
            due = max(due, min(self._watermarks.values(), default=due))
        elif self._clock.monotonic() < self._not_before:
            return
        since = self._averager.closed_until
        self._write(since, self._averager.close(min(due, now)))

    def _write(self, since: datetime, periods: list[list[Average]]) -> None:
        for left, until in _left_out(max(since, self._averager.told_until), periods):
            self._log.post("gap", {"from": iso(left), "to": iso(until), "reason": "stalled"})
        # A station that has no series yet averages nothing.
        for averages in filter(None, periods):
            if self._stacks is not None:
                averages = self._stacks.with_uncertainty(averages)
            if self._budgets is not None:
                averages = self._budgets.weighed(averages)
            if self._turns is not None:
                averages = self._turns.numbered(averages)
            for portion in portions(averages):
                self._log.post("average", averages_fields(portion))


def _left_out(since: datetime, periods: list[list[Average]]) -> Iterator[tuple[datetime, datetime]]:
    """Stretches from a time on that lie before a minute that is written, and hold none."""
    for start in [rows[0].start for rows in periods if rows and rows[0].period_s == MINUTE_S]:
        if start > since:
            yield since, start
        since = max(since, start + timedelta(seconds=MINUTE_S))


def portions(averages: list[Average]) -> Iterator[list[Average]]:
    """The averages of a period, record by record."""
    first, size = 0, 0
    for at, average in enumerate(averages):
        mine = sum(len(mark.origin.encode()) for mark in average.quality.marks)
        if at - first >= ROWS_MAX or (at > first and size + mine > MARKS_BYTES_MAX):
            yield averages[first:at]
            first, size = at, 0
        size += mine
    yield averages[first:]
