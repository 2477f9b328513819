"""One run of a sequence: moves the valve, marks the data and collects the readings on each gas."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Literal, TypeVar

from agent.gas.guards import GUARD_LOOK_S, GuardError, Guards
from agent.gas.line import flow_seen, leak_seen
from agent.gas.outcome import RunEnd, RunOutcome
from agent.gas.readings import Samples, Settled, gather, settle
from agent.gas.results import Results, Taken
from agent.gas.valves import SAFE_TRIES, ValveBlock, ValveError
from agent.values.intake import Intake
from calibration.evaluate import point
from calibration.sequence import ClosePorts, Collect, Leak, LeakCheck, OpenPort, Sequence, Stability, Step, Wait, plan
from metrology.clock import Clock
from metrology.quality import Cause, Mark

T = TypeVar("T")
RunPhase = Literal["starting", "flush", "collect", "blowback", "pause", "leak", "recovery", "to-sample"]


class UnstableError(Exception):
    """A gas that did not settle, or a check of the line that failed, where that is to end the run."""


class GasMarks:
    """The mark a run holds on series or an instrument: its cause while gas may flow, then recovery, then none."""

    def __init__(self, intake: Intake, targets: Iterable[str], run: str, clock: Clock) -> None:
        self.targets = tuple(targets)
        self._intake = intake
        self.origin = f"run:{run}"
        self._clock = clock
        self._mark: Mark | None = None

    def put(self, cause: Cause | None) -> None:
        """Replace the mark; the same cause keeps its start."""
        if self._mark is not None and self._mark.cause == cause:
            return
        before = self._mark
        self._mark = None if cause is None else Mark(cause, self.origin, self._clock.now())
        for target in self.targets:
            if self._mark is not None:
                self._intake.add_mark(target, self._mark)
            if before is not None:
                self._intake.remove_mark(target, before)


class CalibrationRun:
    """`execute` ends with results or raises; that the inlet then goes home is the calibrator's part."""

    def __init__(
        self,
        who: str,
        sequence: Sequence,
        valve: ValveBlock,
        marks: GasMarks,
        guards: Guards,
        intake: Intake,
        results: Results,
        clock: Clock,
    ) -> None:
        self.id = results.run
        self.sequence = sequence
        self.valve = valve
        self.results = results
        self.marks = marks
        self.phase: RunPhase = "starting"
        self.port: str | None = sequence.sample_port
        self.end: RunEnd = "fault"
        self.end_reason: str | None = None
        self.ended = asyncio.Event()
        self.home = False
        self._who = who
        self._guards = guards
        self._cause = Cause.BLOWBACK if sequence.blowback else Cause.CALIBRATION
        self._opened = clock.now()
        self._settled = Settled(0.0, {})
        self._intake = intake
        self._clock = clock

    async def execute(self) -> None:
        """Carry out the plan and record its results. Raises ValveError, UnitError, GuardError, UnstableError."""
        # Committed before the first valve moves: a run cut short by a power cut is found at the next start.
        await self.results.record(
            "run-started",
            who=self._who,
            purpose=self.results.purpose,
            valve=self.valve.name,
            gases=self.sequence.gases(self._clock.now().date()),
            planned_s=self.sequence.seconds,
            marked=list(self.marks.targets),
        )
        for step in plan(self.sequence):
            await self._carry_out(step)
        await self.results.conclude()

    @property
    def instrument(self) -> str:
        """What it calibrates."""
        return self.sequence.instrument

    @property
    def outcome(self) -> RunOutcome:
        """How it ended; to be asked after `ended`."""
        return RunOutcome(self.id, self.end, self.end_reason, dict(self.results.unusable))

    async def go_home(self) -> None:
        """The bounded way home of a run that ended early; what is left to do is for later tries or for the service."""
        self.phase = "to-sample"
        failure = ""
        for _ in range(SAFE_TRIES):
            try:
                await self.valve.to_sample()
            except ValveError as error:
                failure = str(error)
            else:
                self.port, self.home = self.sequence.sample_port, True
                return
        await self.valve.send_home()
        self.results.not_home(failure)

    async def recover(self) -> Settled:
        """Mark the recovery, and wait until what is measured is air again."""
        self.phase = "recovery"
        self.marks.put(Cause.RECOVERY)
        return await self._settle(self.sequence.recovery_s, self.sequence.settle)

    async def _carry_out(self, step: Step) -> None:
        match step:
            case OpenPort(port):
                self.marks.put(self._cause)
                if port != self.sequence.sample_port:
                    self._guarded()
                self.port = port
                await self.valve.open(port)
                self._opened = self._clock.now()
            case ClosePorts():
                self.marks.put(self._cause)
                self._guarded()
                self.port = None
                await self.valve.close()
            case Wait(_, "recovery"):
                self.results.recovered(await self.recover())
            case Wait(seconds, phase, limits):
                self.phase = phase
                self._settled = await self._meanwhile(self._settle(seconds, limits))
                if limits and self._settled.restless and limits.on_unstable == "abort":
                    why = "; ".join(f"{name}: {why}" for name, why in self._settled.restless.items())
                    raise UnstableError(f"port {self.port} did not settle in {seconds:g} s: {why}")
            case Leak(check):
                self.phase = "leak"
                await self._look_for_leak(check)
            case Collect():
                self.phase = "collect"
                await self._collect(step)

    async def _settle(self, seconds: float, limits: Stability | None) -> Settled:
        return await settle(self._intake, self._clock, self.sequence.instrument, limits, seconds)

    async def _gather(self, seconds: float, *more: str) -> Samples:
        """Readings of the instrument, and of those of more series."""
        instruments = {self.sequence.instrument, *(series.partition(".")[0] for series in more)}
        return await self._meanwhile(gather(self._intake, instruments, self._clock.sleep(seconds), self.results.usable))

    async def _meanwhile(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work while guards are watched and the valve is kept, and seen, where it stands."""
        beside = [] if self.port == self.sequence.sample_port else list(self._beside())
        if not beside:
            return await work
        main = asyncio.create_task(work)
        parts: set[asyncio.Task[Any]] = {main, *(asyncio.create_task(part) for part in beside)}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
        for part in done - {main}:
            part.result()
        return main.result()

    def _beside(self) -> Iterator[Coroutine[Any, Any, None]]:
        if self.port is not None and (each_wall_s := self.valve.refresh_wall_s) is not None:
            yield self._refresh(self.port, each_wall_s)
        if self._guards:
            yield self._watch()

    def _guarded(self) -> None:
        if (reason := self._guards.tripped(self.marks.origin)) is not None:
            raise GuardError(reason)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(GUARD_LOOK_S)
            self._guarded()

    async def _refresh(self, port: str, each_wall_s: float) -> None:
        while True:
            await self._clock.sleep_wall(each_wall_s)
            await self.valve.refresh(port)

    async def _look_for_leak(self, check: LeakCheck) -> None:
        samples = await self._gather(check.seconds, check.series)
        seen = leak_seen(check, samples.get(check.series, []))
        await self.results.line_checked("leak", self.port, seen.fields())
        if seen.failed is not None and check.on_fail == "abort":
            raise UnstableError(f"leak check: {seen.failed}")
        self.results.leaking = [f"leak: {seen.failed}"] if seen.failed else []

    async def _collect(self, step: Collect) -> None:
        began = self._clock.now()
        flow = self.sequence.flow
        samples = await self._gather(step.seconds, *([flow.series] if flow else []))
        doubts = []
        if flow:
            seen = flow_seen(flow, samples.get(flow.series, []))
            await self.results.line_checked("flow", self.port, seen.fields(), gas=step.injection.cylinder.name)
            if seen.failed is not None and flow.on_fail == "abort":
                raise UnstableError(f"flow check: {seen.failed}")
            doubts += [f"flow: {seen.failed}"] if seen.failed else []
        taken = Taken(step, self._opened, began, self._clock.now(), self._settled)
        for measurand in step.injection.roles:
            found = samples.get(f"{self.sequence.instrument}.{measurand}", [])
            against = [*doubts, *self._settled.against(measurand), *self.results.leaking]
            await self.results.add(point(step.injection, measurand, found, "; ".join(against) or None), taken)


async def uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Finish bounded work although the task is cancelled meanwhile, then be cancelled."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
