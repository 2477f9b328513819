"""Calibration runs of a station: who may start one and when, and that the inlet comes home to sample air.

The safe state is reached in the `finally` of every run, at every start of the daemon and, when the daemon has ended,
by `agent.gas.valves.safe_state`. What software cannot move is declared in the configuration (`on_power_loss`).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from agent.config import Config
from agent.config_gas import Schedule
from agent.config_gas import Sequence as SequenceConfig
from agent.gas.maintenance import Maintenance
from agent.gas.plan import due_after, marked_by, sequence_of
from agent.gas.results import Results
from agent.gas.run import CalibrationRun, GasMarks, uncancelled
from agent.gas.valves import ValveBlock, ValveError, blocks
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from agent.values.series import ranges_of
from agent.wires.bus import AskedBus
from metrology.clock import Clock
from metrology.periods import iso
from metrology.quality import Cause
from metrology.units import UnitError

RETRY_STEP_S: Final = 2.0
RETRY_MAX_S: Final = 15.0
# A due time is looked at again this often, so that a step of the wall clock is followed.
SCHEDULE_LOOK_S: Final = 60.0
RUNS_LOOKED_BACK: Final = 50
ENDS: Final = ("run-finished", "run-aborted")


class RefusedError(ValueError):
    """A run that may not start; the text says why. The refusal is recorded."""


class Calibrator:
    """One for a station. `run` must be running for anything to start."""

    def __init__(
        self,
        config: Config,
        buses: Mapping[str, AskedBus],
        log: Log,
        intake: Intake,
        index: Index,
        maintenance: Maintenance,
        clock: Clock,
    ) -> None:
        self._config = config
        self._valves = blocks(config, buses)
        self._ranges = ranges_of(config)
        self._log = log
        self._intake = intake
        self._maintenance = maintenance
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._held: dict[str, str] = dict.fromkeys(self._valves, "the start of the station")
        self._runs: dict[str, CalibrationRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, datetime] = {}
        self._interrupted = self._find_interrupted(index)
        maintenance.before_lock(self._give_way)

    def _find_interrupted(self, index: Index) -> list[tuple[Mapping[str, Any], GasMarks]]:
        """Runs without an end in the log. Their instruments are marked here, before the first reading comes."""
        ended = {row["run"] for what in ENDS for row in index.newest("calibration", what, RUNS_LOOKED_BACK)}
        found: list[tuple[Mapping[str, Any], GasMarks]] = []
        for row in index.newest("calibration", "run-started", RUNS_LOOKED_BACK):
            if row["run"] not in ended:
                marks = GasMarks(self._intake, row["marked"], row["run"], self._clock)
                if row["valve"] in self._valves:
                    marks.put(Cause.CALIBRATION)
                found.append((row, marks))
        return found

    async def run(self) -> None:
        """Bring all valves to sample air, then serve schedules and starts until cancelled."""
        await self._abort_interrupted()
        async with asyncio.TaskGroup() as group:
            self._group = group
            for valve in self._valves.values():
                group.create_task(self._begin(valve), name=f"calibrator-begin-{valve.name}")
            for name, sequence in self._config.sequences.items():
                if sequence.schedule is not None:
                    group.create_task(self._keep_schedule(name, sequence.schedule), name=f"schedule-{name}")
            group.create_task(self._maintenance.expire(), name="maintenance")

    async def _abort_interrupted(self) -> None:
        """What a kill or a power cut ended is recorded as aborted, never resumed."""
        for row, _ in self._interrupted:
            names = {key: row[key] for key in ("run", "sequence", "instrument")}
            reason = "the station stopped during the run"
            await self._log.append("calibration", {"what": "run-aborted", **names, "reason": reason})

    async def _begin(self, valve: ValveBlock) -> None:
        """The start of one valve: home first, then the recovery of what was interrupted on it."""
        own = [(row["sequence"], marks) for row, marks in self._interrupted if row["valve"] == valve.name]
        await self._until_home(valve, "start")
        for _, marks in own:
            marks.put(Cause.RECOVERY)
        if own:
            await self._clock.sleep(max(self._recovery_s(sequence) for sequence, _ in own))
        for _, marks in own:
            marks.put(None)
        del self._held[valve.name]

    def _recovery_s(self, sequence: str) -> float:
        declared: SequenceConfig | None = self._config.sequences.get(sequence)
        return declared.recovery_s if declared else 0.0

    async def start(self, name: str, who: str) -> dict[str, Any]:
        """Start a sequence by name. Raises RefusedError; every refusal is an event with who and why."""
        reason = self._refusal(name)
        if reason is not None or self._group is None:
            reason = reason or "the station is not running"
            await self._log.append(
                "event", {"what": "calibration-refused", "origin": who, "sequence": name, "reason": reason}
            )
            raise RefusedError(reason)
        run = self._run_of(name, who)
        self._held[run.valve.name] = f"run {run.id}"
        self._runs[run.id] = run
        task = self._tasks[run.id] = self._group.create_task(self._supervise(run), name=run.id)
        task.add_done_callback(lambda _: self._forget(run))
        return {"run": run.id, "seconds": run.sequence.seconds}

    def _run_of(self, name: str, who: str) -> CalibrationRun:
        sequence = sequence_of(self._config, name)
        results = Results(
            f"{name}-{iso(self._clock.now())}",
            sequence,
            self._config.instruments[sequence.instrument],
            self._ranges,
            self._intake,
            self._log,
            self._clock,
        )
        valve = self._valves[self._config.sequences[name].valve]
        marks = GasMarks(self._intake, marked_by(self._config, name), results.run, self._clock)
        return CalibrationRun(who, sequence, valve, marks, self._intake, results, self._clock)

    def _refusal(self, name: str) -> str | None:
        declared = self._config.sequences.get(name)
        if declared is None:
            return f"no sequence {name}; known: {', '.join(sorted(self._config.sequences)) or 'none'}"
        if (lock := self._maintenance.held) is not None:
            return f"maintenance lock of {lock.owner} since {iso(lock.since)}: {lock.reason}"
        if declared.valve in self._held:
            return f"valve {declared.valve} is held by {self._held[declared.valve]}"
        busy = [run.id for run in self._runs.values() if run.sequence.instrument == declared.instrument]
        return f"instrument {declared.instrument} is in run {busy[0]}" if busy else None

    async def abort(self, who: str) -> dict[str, Any]:
        """Abort every run, and return when each inlet is home or could not be brought there.

        Raises ValueError where no run is going on.
        """
        going = [run for run in self._runs.values() if run.end_reason is None]
        if not going:
            raise ValueError("no calibration is going on")
        for run in going:
            run.end_reason = f"aborted by {who}"
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
            reason = None
        except (ValveError, UnitError) as error:
            reason = str(error)
        except asyncio.CancelledError:
            reason = run.end_reason or "the station stops"
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
            await self._until_home(run.valve, f"run:{run.id}")
            run.phase = "recovery"
            run.marks.put(Cause.RECOVERY)
            await self._clock.sleep(run.sequence.recovery_s)
        run.marks.put(None)

    def _forget(self, run: CalibrationRun) -> None:
        run.ended.set()
        del self._held[run.valve.name]
        del self._runs[run.id], self._tasks[run.id]

    async def _until_home(self, valve: ValveBlock, origin: str) -> None:
        """Try until the inlet is at sample air. A person who holds the lock has the valve; then nothing is moved."""
        tries = 0
        while True:
            if self._maintenance.held is None:
                try:
                    await valve.to_sample()
                    return
                except ValveError as error:
                    tries += 1
                    if tries == 1:
                        event = {"what": "valve-not-safe", "origin": origin, "reason": str(error)}
                        self._log.post("event", event)
            await self._clock.sleep_wall(min(RETRY_STEP_S * max(tries, 1), RETRY_MAX_S))

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
        """Runs, what holds each valve, and when schedules are due."""
        return {
            "runs": [
                {"run": run.id, "instrument": run.sequence.instrument, "phase": run.phase, "port": run.port}
                for run in self._runs.values()
            ],
            "held": dict(self._held),
            "due": {name: iso(due) for name, due in self._due.items()},
        }
