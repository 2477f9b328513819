"""One run of a sequence: moves the valve, marks the data and collects the readings on each gas."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, Final, Literal

from agent.gas.guards import GUARD_LOOK_S, GuardError, Guards
from agent.gas.outcome import RunEnd, RunOutcome
from agent.gas.results import Results, Taken
from agent.gas.valves import SAFE_TRIES, ValveBlock, ValveError
from agent.values.intake import Intake
from calibration.evaluate import Sample, point
from calibration.sequence import Collect, OpenPort, Sequence, Step, Wait, plan
from metrology.clock import Clock
from metrology.quality import Cause, Mark
from metrology.reading import Scan

# Causes that say that a number is no fresh indication of the gas on the port; range and calibration marks do not.
UNUSABLE: Final = frozenset(
    {
        Cause.STOPPED,
        Cause.COMMUNICATION,
        Cause.FAULT,
        Cause.WARM_UP,
        Cause.FLUSH,
        Cause.BLOWBACK,
        Cause.SUBSTITUTED,
        Cause.INCOMPLETE,
        Cause.STALE,
    }
)

RunPhase = Literal["starting", "flush", "collect", "blowback", "pause", "recovery", "to-sample"]


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
        self.port = sequence.sample_port
        self.end: RunEnd = "fault"
        self.end_reason: str | None = None
        self.ended = asyncio.Event()
        self.home = False
        self._who = who
        self._guards = guards
        self._cause = Cause.BLOWBACK if sequence.blowback else Cause.CALIBRATION
        self._opened = clock.now()
        self._intake = intake
        self._clock = clock

    async def execute(self) -> None:
        """Carry out the plan and record its results. Raises ValveError, UnitError, GuardError."""
        today = self._clock.now().date()
        gases = [
            {
                "gas": one.cylinder.name,
                "number": one.cylinder.number,
                "certificate": one.cylinder.certificate,
                "expired": one.cylinder.expires < today,
                "port": one.port,
            }
            for one in self.sequence.injections
        ]
        # Committed before the first valve moves: a run cut short by a power cut is found at the next start.
        await self.results.record(
            "run-started",
            who=self._who,
            purpose=self.results.purpose,
            valve=self.valve.name,
            gases=gases,
            planned_s=self.sequence.seconds,
            marked=list(self.marks.targets),
        )
        for step in plan(self.sequence):
            await self._carry_out(step)
        await self.results.conclude()

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

    async def _carry_out(self, step: Step) -> None:
        match step:
            case OpenPort(port):
                self.marks.put(self._cause)
                if port != self.sequence.sample_port:
                    self._guarded()
                self.port = port
                await self.valve.open(port)
                self._opened = self._clock.now()
            case Wait(seconds, phase):
                self.phase = phase
                if phase == "recovery":
                    self.marks.put(Cause.RECOVERY)
                await self._meanwhile(self._clock.sleep(seconds))
            case Collect():
                self.phase = "collect"
                await self._meanwhile(self._collect(step))

    async def _meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work while guards are watched and the valve is kept, and seen, where it stands."""
        beside = [] if self.port == self.sequence.sample_port else list(self._beside())
        if not beside:
            await work
            return
        parts = {asyncio.create_task(part) for part in (work, *beside)}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
        for part in done:
            part.result()

    def _beside(self) -> Iterator[Coroutine[Any, Any, None]]:
        if (each_wall_s := self.valve.refresh_wall_s) is not None:
            yield self._refresh(each_wall_s)
        if self._guards:
            yield self._watch()

    def _guarded(self) -> None:
        if (reason := self._guards.tripped(self.marks.origin)) is not None:
            raise GuardError(reason)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(GUARD_LOOK_S)
            self._guarded()

    async def _refresh(self, each_wall_s: float) -> None:
        while True:
            await self._clock.sleep_wall(each_wall_s)
            await self.valve.refresh(self.port)

    async def _collect(self, step: Collect) -> None:
        samples: dict[str, list[Sample]] = defaultdict(list)
        began = self._clock.now()
        async with self._intake.subscribe(self.sequence.instrument) as scans:
            gathering = asyncio.create_task(_gather(scans, samples))
            try:
                await self._clock.sleep(step.seconds)
            finally:
                gathering.cancel()
                await asyncio.wait({gathering})
        if not gathering.cancelled():
            gathering.result()
        taken = Taken(step.injection, self._opened, began, self._clock.now())
        for measurand in step.injection.roles:
            await self.results.add(point(step.injection, measurand, samples[measurand]), taken)


async def _gather(scans: AsyncIterator[Scan], samples: dict[str, list[Sample]]) -> None:
    async for scan in scans:
        for reading in scan.readings:
            if reading.value is not None and not reading.quality.causes & UNUSABLE:
                samples[reading.measurand].append(Sample(reading.at.timestamp(), reading.value, reading.unit))


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
