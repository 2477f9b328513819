"""Runs that move a valve: begun in a task each, and brought home to sample air however they end."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Final

from agent.config import Config
from agent.gas.admission import Admission
from agent.gas.guards import GuardError
from agent.gas.homing import Homing
from agent.gas.plan import Gas, marked_by, sequence_of, share
from agent.gas.results import Results
from agent.gas.run import CalibrationRun, GasMarks, UnstableError, uncancelled
from agent.gas.valves import ValveBlock, ValveError
from agent.qa.control import OutOfControl
from agent.store.log import Log
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.periods import iso
from metrology.units import UnitError

# Of the newest runs. A clock set back by more of them than this is not thought of.
NAMES_MAX: Final = 1_000


class Runs:
    """Those going on. `held` names who has each valve and is kept up to date; `group` is set before the first start."""

    def __init__(
        self,
        config: Config,
        valves: Mapping[str, ValveBlock],
        held: dict[str, str],
        homings: Mapping[str, Homing],
        control: OutOfControl,
        intake: Intake,
        log: Log,
        clock: Clock,
        gas: Gas | None,
        named: Iterable[str],
    ) -> None:
        """`named` are runs of the past, newest last: a clock that was set back gives none of their names again."""
        self._config = config
        self._gas = gas
        self._named = deque(named, NAMES_MAX)
        self._valves = valves
        self._held = held
        self._homings = homings
        self._control = control
        self._intake = intake
        self._log = log
        self._clock = clock
        self.group: asyncio.TaskGroup | None = None
        self._runs: dict[str, CalibrationRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[CalibrationRun]:
        """Those going on, each until its recovery has ended."""
        return iter(self._runs.values())

    def on_instrument(self, instrument: str) -> bool:
        """True while a run is on an instrument."""
        return any(run.instrument == instrument for run in self)

    def of(self, name: str) -> bool:
        """True while a run of a sequence is going on."""
        return any(run.sequence.name == name for run in self)

    def begin(self, name: str, who: str, admission: Admission, *, check: bool = False) -> CalibrationRun:
        """Start a sequence that may start."""
        assert self.group is not None, "nothing is admitted before"
        results = self.results(name, self.named(name), check=check)
        valve = self._valves[self._config.sequences[name].valve or ""]
        marks = GasMarks(self._intake, marked_by(self._config, name), results.run, self._clock)
        guards = admission.guards(name)
        run = CalibrationRun(who, results.sequence, valve, marks, guards, self._intake, results, self._clock)
        self._held[run.valve.name] = f"run {run.id}"
        self._runs[run.id] = run
        task = self._tasks[run.id] = self.group.create_task(self._supervise(run), name=run.id)
        task.add_done_callback(lambda _: self._forget(run))
        return run

    def named(self, name: str) -> str:
        """What a run of a sequence that begins now is called, now and in all that is derived from it."""
        begun = iso(self._clock.now())
        # The start stays at the end: who has a name reads from it where in the log to look.
        names = chain((f"{name}-{begun}",), (f"{name}-{n}-{begun}" for n in count(2)))
        made = next(one for one in names if one not in self._named)
        self._named.append(made)
        return made

    def results(self, name: str, run: str, *, check: bool = False) -> Results:
        """What keeps the records of a run."""
        sequence, declared = sequence_of(self._config, name, self._gas), self._config.sequences[name]
        return Results(
            run,
            "blowback" if sequence.blowback else "check" if check or declared.check_only else "calibration",
            sequence,
            self._config.instruments[sequence.instrument],
            self._intake.ranges,
            self._intake,
            self._log,
            self._clock,
        )

    def end(self, run: CalibrationRun, reason: str) -> None:
        """Have a run that has not ended come home; `ended` is set when it has, or could not."""
        run.end, run.end_reason = "aborted", reason
        self._tasks[run.id].cancel()

    def give_way_to(self, name: str) -> None:
        """End those of lower priority that have what a sequence needs; one that only recovers ends well by itself."""
        own = self._config.sequences[name]
        for run in self:
            other = self._config.sequences[run.sequence.name]
            lower = other.priority < own.priority and share(own, other)
            if lower and run.end_reason is None and run.phase != "recovery":
                self.end(run, f"gave way to {name}")

    async def _supervise(self, run: CalibrationRun) -> None:
        task = asyncio.current_task()
        assert task is not None
        reason: str | None = "a fault of this program"
        try:
            await run.execute()
            # Before the marks of the run come off, those of what it found are on.
            await self._control.look()
            reason, run.end = None, "finished"
        except (GuardError, UnstableError) as error:
            reason, run.end = str(error), "aborted"
        except (ValveError, UnitError) as error:
            reason, run.end = str(error), "fault"
        except asyncio.CancelledError:
            reason, run.end = run.end_reason or "the station stops", "aborted"
            if run.end_reason is None:
                raise
            task.uncancel()
        finally:
            if reason is not None:
                run.end_reason = reason
                try:
                    await uncancelled(run.go_home())
                finally:
                    run.results.aborted(reason)
                    run.ended.set()
        if reason is not None:
            await self._homings[run.valve.name].until_home(f"run:{run.id}")
            await run.recover()
        run.marks.put(None)

    def _forget(self, run: CalibrationRun) -> None:
        run.ended.set()
        del self._held[run.valve.name]
        del self._runs[run.id], self._tasks[run.id]
