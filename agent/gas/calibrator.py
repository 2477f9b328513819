"""Calibration runs of a station: who may start one and when, and that the inlet comes home to sample air.

The safe state is reached in the `finally` of every run, at every start of the daemon and, when the daemon has ended,
by `agent.gas.valves.safe_state`. What software cannot move is declared in the configuration (`on_power_loss`).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from agent.allowance import Allowance
from agent.config import Config
from agent.config_gas import Schedule
from agent.gas.guards import GuardError, guards_of
from agent.gas.homing import Homing
from agent.gas.interrupted import Interrupted
from agent.gas.maintenance import Maintenance
from agent.gas.outcome import Purpose, RefusalKind, RefusedError, RunOutcome
from agent.gas.plan import due_after, marked_by, sequence_of
from agent.gas.results import Results
from agent.gas.run import CalibrationRun, GasMarks, uncancelled
from agent.gas.valves import ValveBlock, ValveError, blocks
from agent.qa.control import OutOfControl
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from agent.values.live import Live
from agent.wires.bus import AskedBus
from metrology.clock import Clock
from metrology.periods import iso
from metrology.quality import Cause
from metrology.units import UnitError

# A due time is looked at again this often, so that a step of the wall clock is followed.
SCHEDULE_LOOK_S: Final = 60.0
# Refusals of starts from afar that are recorded in a row.
REFUSALS_MAX: Final = 20


class Calibrator:
    """One for a station. `run` must be running for anything to start."""

    def __init__(
        self,
        config: Config,
        buses: Mapping[str, AskedBus],
        log: Log,
        intake: Intake,
        live: Live,
        index: Index,
        maintenance: Maintenance,
        clock: Clock,
    ) -> None:
        self._config = config
        self._valves = blocks(config, buses)
        self._ranges = intake.ranges
        self._log = log
        self._intake = intake
        self._live = live
        self._maintenance = maintenance
        self._clock = clock
        self._refusals_from_afar = Allowance(REFUSALS_MAX)
        self._group: asyncio.TaskGroup | None = None
        self._held: dict[str, str] = dict.fromkeys(self._valves, "the start of the station")
        self._runs: dict[str, CalibrationRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, datetime] = {}
        self._interrupted = Interrupted(config, index, intake, log, clock)
        self.control = OutOfControl(index, intake, log)
        self._homings = {
            name: Homing(valve, config, intake, log, maintenance, clock) for name, valve in self._valves.items()
        }
        maintenance.before_lock(self._give_way)

    async def run(self) -> None:
        """Bring all valves to sample air, then serve schedules and starts until cancelled."""
        await self._interrupted.record()
        await self.control.begin()
        async with asyncio.TaskGroup() as group:
            self._group = group
            for valve in self._valves.values():
                group.create_task(self._begin(valve), name=f"calibrator-begin-{valve.name}")
            for name, sequence in self._config.sequences.items():
                if sequence.schedule is not None:
                    group.create_task(self._keep_schedule(name, sequence.schedule), name=f"schedule-{name}")
            group.create_task(self._maintenance.expire(), name="maintenance")
            try:
                await asyncio.Event().wait()
            finally:
                # Platforms are still served while the station stops: what they ask from here on is refused.
                self._group = None

    async def _begin(self, valve: ValveBlock) -> None:
        """The start of one valve: home first, then the recovery of what was interrupted on it; then it is watched."""
        homing = self._homings[valve.name]
        elsewhere = await homing.until_home("start")
        await asyncio.gather(self._interrupted.recover(valve.name), homing.recover(elsewhere))
        del self._held[valve.name]
        await homing.watch(self._held)

    @property
    def instruments(self) -> frozenset[str]:
        """Instruments on which a run is going on."""
        return frozenset(run.sequence.instrument for run in self._runs.values())

    @property
    def busy(self) -> bool:
        """True while a run is going on."""
        return bool(self._runs)

    async def start(self, name: str, who: str) -> dict[str, Any]:
        """Start a sequence by name. Raises RefusedError; every refusal is an event with who and why."""
        if (refusal := self._refusal(name)) is not None:
            raise await self._refused(name, who, *refusal)
        run = self._begun(name, who, check=False)
        return {"run": run.id, "seconds": run.sequence.seconds}

    async def perform(self, name: str, who: str, *, check: bool = False) -> RunOutcome:
        """Start a sequence from afar and wait until it has ended with its inlet home, as far as that could be done.

        With `check` it is a standard check: nothing is adopted. Raises RefusedError; refusals are events as far as
        their number is bounded. Who stops waiting leaves the run going on.
        """
        if (refusal := self._refusal(name)) is not None:
            if self._refusals_from_afar.take(self._clock.wall_monotonic()):
                raise await self._refused(name, who, *refusal)
            raise RefusedError(*refusal)
        run = self._begun(name, who, check=check)
        await run.ended.wait()
        return run.outcome

    async def _refused(self, name: str, who: str, reason: str, kind: RefusalKind) -> RefusedError:
        event = {"what": "calibration-refused", "origin": who, "sequence": name, "reason": reason}
        await self._log.append("event", event)
        return RefusedError(reason, kind)

    def _begun(self, name: str, who: str, *, check: bool) -> CalibrationRun:
        assert self._group is not None
        run = self._run_of(name, who, check=check)
        self._held[run.valve.name] = f"run {run.id}"
        self._runs[run.id] = run
        task = self._tasks[run.id] = self._group.create_task(self._supervise(run), name=run.id)
        task.add_done_callback(lambda _: self._forget(run))
        return run

    def _run_of(self, name: str, who: str, *, check: bool) -> CalibrationRun:
        sequence = sequence_of(self._config, name)
        checks: Purpose = "check" if check or self._config.sequences[name].check_only else "calibration"
        results = Results(
            f"{name}-{iso(self._clock.now())}",
            "blowback" if sequence.blowback else checks,
            sequence,
            self._config.instruments[sequence.instrument],
            self._ranges,
            self._intake,
            self._log,
            self._clock,
        )
        valve = self._valves[self._config.sequences[name].valve]
        marks = GasMarks(self._intake, marked_by(self._config, name), results.run, self._clock)
        guards = guards_of(self._config, name, self._live, self._clock)
        return CalibrationRun(who, sequence, valve, marks, guards, self._intake, results, self._clock)

    def _refusal(self, name: str) -> tuple[str, RefusalKind] | None:
        """Why a sequence may not start now; the guards last, when nothing else stands in its way."""
        if self._group is None:
            return "the station is not running", "fault"
        declared = self._config.sequences.get(name)
        if declared is None:
            known = ", ".join(sorted(self._config.sequences)) or "none"
            return f"no sequence {name}; known: {known}", "condition"
        if (lock := self._maintenance.held) is not None:
            return f"maintenance lock of {lock.owner} since {iso(lock.since)}: {lock.reason}", "condition"
        if declared.valve in self._held:
            return f"valve {declared.valve} is held by {self._held[declared.valve]}", "busy"
        for run in self._runs.values():
            if run.sequence.instrument == declared.instrument:
                return f"instrument {declared.instrument} is in run {run.id}", "busy"
        tripped = guards_of(self._config, name, self._live, self._clock).tripped()
        return None if tripped is None else (tripped, "condition")

    async def abort(self, who: str) -> dict[str, Any]:
        """Abort every run, and return when each inlet is home or could not be brought there.

        Raises ValueError where no run is going on.
        """
        going = [run for run in self._runs.values() if run.end_reason is None]
        if not going:
            raise ValueError("no calibration is going on")
        for run in going:
            run.end, run.end_reason = "aborted", f"aborted by {who}"
            self._tasks[run.id].cancel()
        for run in going:
            await run.ended.wait()
        return {"aborted": [run.id for run in going], "home": all(run.home for run in going)}

    async def _give_way(self, owner: str) -> None:
        if any(run.end_reason is None for run in self._runs.values()):
            await self.abort(f"{owner}, who took the maintenance lock")

    async def _supervise(self, run: CalibrationRun) -> None:
        task = asyncio.current_task()
        assert task is not None
        reason: str | None = "a fault of this program"
        try:
            await run.execute()
            # Before the marks of the run come off, those of what it found are on.
            await self.control.look()
            reason, run.end = None, "finished"
        except GuardError as error:
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
            run.phase = "recovery"
            run.marks.put(Cause.RECOVERY)
            await self._clock.sleep(run.sequence.recovery_s)
        run.marks.put(None)

    def _forget(self, run: CalibrationRun) -> None:
        run.ended.set()
        del self._held[run.valve.name]
        del self._runs[run.id], self._tasks[run.id]

    async def _keep_schedule(self, name: str, schedule: Schedule) -> None:
        due = due_after(schedule, self._clock.now())
        while True:
            self._due[name] = due
            while (rest_s := (due - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(min(rest_s, SCHEDULE_LOOK_S))
            # A refusal is recorded by start; the next turn comes at its own time.
            with contextlib.suppress(RefusedError):
                await self.start(name, "schedule")
            due = due_after(schedule, max(due, self._clock.now()))

    def status(self) -> dict[str, Any]:
        """Runs, what holds each valve, when schedules are due, and which sequence a guard would refuse now, and why."""
        guards = {
            name: guards_of(self._config, name, self._live, self._clock).tripped() for name in self._config.sequences
        }
        return {
            "runs": [
                {"run": run.id, "instrument": run.sequence.instrument, "phase": run.phase, "port": run.port}
                for run in self._runs.values()
            ],
            "held": dict(self._held),
            "due": {name: iso(due) for name, due in self._due.items()},
            "out_of_control": self.control.status(),
            "guards": {name: reason for name, reason in guards.items() if reason is not None},
        }
