"""Calibrations an instrument carries out by itself: it says what it is doing, this collects what it reads meanwhile.

No valve of ours moves. The data are marked from the very scan that says so, before it is stored; the points, drift and
coefficients are those of any run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from agent.config import Config
from agent.gas.plan import marked_by, sequence_of, spelled
from agent.gas.readings import Settled, first, gather, settle
from agent.gas.results import Results, Taken
from agent.gas.run import GasMarks, RunPhase
from agent.gas.runs import Runs
from agent.values.intake import Intake
from calibration.evaluate import point
from calibration.sequence import Collect
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Scan
from metrology.units import UnitError

AIR: Final = None


def said(scan: Scan, field: str) -> str | None:
    """What a scan says in a status word, else in a measurand of that name; None where it says nothing of it."""
    value = scan.status.get(field)
    if value is None:
        value = next((one.value for one in scan.readings if one.measurand == field), None)
    return None if value is None else spelled(value)


class PassiveRun:
    """One passive sequence of the configuration. `run` serves for ever; `see` is called for each scan, before all."""

    def __init__(
        self,
        config: Config,
        name: str,
        runs: Runs,
        intake: Intake,
        clock: Clock,
        look: Callable[[], Awaitable[None]],
    ) -> None:
        declared = config.sequences[name]
        assert declared.passive is not None, "made for passive sequences alone"
        self.name = name
        self.instrument = declared.instrument
        self.id = ""
        self.sequence = sequence_of(config, name)
        self._passive = declared.passive
        self._states = {spelled(state): n for n, one in enumerate(declared.injections) for state in one.state or ()}
        self._targets = marked_by(config, name)
        self._runs = runs
        self._intake = intake
        self._clock = clock
        self._look = look
        self._now: int | None = AIR
        self._said = ""
        self._changed = asyncio.Event()
        self._marks: GasMarks | None = None
        intake.watch(declared.instrument, self.see)

    @property
    def going_on(self) -> bool:
        """True from the first word of the instrument until its recovery has ended."""
        return self._marks is not None

    @property
    def phase(self) -> RunPhase:
        """Whether it says that it is on a gas."""
        return "recovery" if self._now is AIR else "collect"

    @property
    def port(self) -> str | None:
        """No port of ours is open for it: the gas it says it is on."""
        return None if self._now is AIR else self.sequence.injections[self._now].cylinder.name

    def see(self, scan: Scan) -> None:
        """Mark what follows, this scan first; a scan that says nothing of its state changes nothing."""
        word = said(scan, self._passive.field)
        if word is None or (self._marks is None and self._runs.on_instrument(self.instrument)):
            return
        state = self._states.get(word, AIR)
        if state == self._now:
            return
        self._now, self._said = state, word
        if self._marks is None:
            self.id = self._runs.named(self.name)
            self._marks = GasMarks(self._intake, self._targets, self.id, self._clock)
        if state is not AIR:
            self._marks.put(Cause.CALIBRATION)
        self._changed.set()

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            await self._changed.wait()
            await self._supervise()

    async def _supervise(self) -> None:
        assert self._marks is not None, "set with the change"
        results = self._runs.results(self.name, self.id)
        # The cylinders as they are now.
        self.sequence = results.sequence
        reason: str | None = "the station stops"
        try:
            await results.record("run-started", **self._started(results))
            reason = await self._carried_out(results)
            await self._look()
        finally:
            if reason is not None:
                results.aborted(reason)
        while self._now is not AIR:
            self._changed.clear()
            await self._changed.wait()
        if reason is not None:
            self._changed.clear()
            self._marks.put(Cause.RECOVERY)
            await self._settled_as(self.sequence.recovery_s)
        if self._now is AIR:
            self._changed.clear()
            self._marks.put(None)
            self._marks = None
        else:
            # It began anew before it had recovered: another run.
            self.id = self._runs.named(self.name)
            self._marks.origin = f"run:{self.id}"

    def _started(self, results: Results) -> dict[str, Any]:
        return {
            "who": f"instrument {self.instrument}: {self._passive.field} {self._said}",
            "purpose": results.purpose,
            "valve": None,
            "gases": self.sequence.gases(self._clock.now().date()),
            "planned_s": self.sequence.seconds,
            "marked": list(self._targets),
        }

    async def _carried_out(self, results: Results) -> str | None:
        """Points of each gas it says it is on, then the recovery and the results; why it was given up, or None."""
        began = self._clock.monotonic()
        while True:
            self._changed.clear()
            if self._now is AIR:
                self._marks_put(Cause.RECOVERY)
                results.recovered(await self._settled_as(self.sequence.recovery_s))
                if self._now is AIR:
                    await results.conclude()
                    return None
                continue
            try:
                await self._one_gas(self._now, results)
            except UnitError as error:
                return str(error)
            left_s = began + self._passive.max_s - self._clock.monotonic()
            await self._until_changed(self._clock.sleep(max(0.0, left_s)))
            if not self._changed.is_set():
                return f"{self._passive.field} still says {self._said} after {self._passive.max_s:g} s"

    def _marks_put(self, cause: Cause) -> None:
        assert self._marks is not None, "a run has marks"
        self._marks.put(cause)

    async def _settled_as(self, seconds: float) -> Settled:
        """The recovery; cut short where the instrument goes on with another gas."""
        found: list[Settled] = []

        async def wait() -> None:
            limits = self.sequence.settle
            found.append(await settle(self._intake, self._clock, self.instrument, limits, seconds))

        await self._until_changed(wait())
        return found[0] if found else Settled(0.0, {})

    async def _one_gas(self, index: int, results: Results) -> None:
        """Flush, then collect; where it goes on to something else earlier, what there is by then."""
        injection = self.sequence.injections[index]
        opened = self._clock.now()
        found: list[Settled] = []

        async def flush() -> None:
            wait = settle(self._intake, self._clock, self.instrument, injection.settle, injection.flush_s)
            found.append(await wait)

        await self._until_changed(flush())
        settled = found[0] if found else Settled(injection.flush_s, dict.fromkeys(injection.roles, "gone before"))
        began = self._clock.now()
        work = self._until_changed(self._clock.sleep(injection.average_s))
        samples = await gather(self._intake, [self.instrument], work, results.usable)
        taken = Taken(Collect(injection, injection.average_s), opened, began, self._clock.now(), settled)
        for measurand in injection.roles:
            rows = samples.get(f"{self.instrument}.{measurand}", [])
            doubt = "; ".join(settled.against(measurand)) or None
            await results.add(point(injection, measurand, rows, doubt), taken)

    async def _until_changed(self, work: Coroutine[Any, Any, None]) -> None:
        if self._changed.is_set():
            work.close()
            return
        waiting = asyncio.create_task(self._changed.wait())
        try:
            await first(work, waiting)
        finally:
            waiting.cancel()
