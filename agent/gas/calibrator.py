"""Calibration runs of a station: who may start one and when, and that the inlet comes home to sample air.

The safe state is reached in the `finally` of every run, at every start of the daemon and, when the daemon has ended,
by `agent.gas.valves.safe_state`. What software cannot move is declared in the configuration (`on_power_loss`).
"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.allowance import Allowance
from agent.config import Config
from agent.gas.admission import Admission
from agent.gas.homing import Homing
from agent.gas.interrupted import Interrupted
from agent.gas.maintenance import Maintenance
from agent.gas.outcome import RefusalKind, RefusedError, RunOutcome
from agent.gas.passive import PassiveRun
from agent.gas.plan import Gas
from agent.gas.run import CalibrationRun
from agent.gas.runs import NAMES_MAX, Runs
from agent.gas.schedules import Schedules
from agent.gas.valves import ValveBlock, blocks
from agent.gas.waiting import WaitingList
from agent.qa.control import OutOfControl
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from agent.values.live import Live
from agent.wires.bus import AskedBus
from metrology.clock import Clock

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
        gas: Gas | None = None,
    ) -> None:
        self._config = config
        self._valves = blocks(config, buses)
        self._log = log
        self._maintenance = maintenance
        self._clock = clock
        self._refusals_from_afar = Allowance(REFUSALS_MAX)
        self._held: dict[str, str] = dict.fromkeys(self._valves, "the start of the station")
        self.control = OutOfControl(index, intake, log)
        self._interrupted = Interrupted(config, index, intake, log, clock)
        self._homings = {
            name: Homing(valve, config, intake, log, maintenance, clock) for name, valve in self._valves.items()
        }
        named = [row["run"] for row in reversed(index.newest("calibration", "run-started", NAMES_MAX))]
        self._runs = Runs(config, self._valves, self._held, self._homings, self.control, intake, log, clock, gas, named)
        self._passive = [
            PassiveRun(config, name, self._runs, intake, clock, self.control.look)
            for name, sequence in config.sequences.items()
            if sequence.passive is not None
        ]
        self._admission = Admission(config, maintenance, live, clock, self._held, self._on_instruments)
        self._schedules = Schedules(config, self.start, clock)
        self._waiting = WaitingList(config, log, clock, self._refusal, self._started)
        maintenance.before_lock(self._give_way)

    async def run(self) -> None:
        """Bring all valves to sample air, then serve schedules and starts until cancelled."""
        await self._interrupted.record()
        await self.control.begin()
        async with asyncio.TaskGroup() as group:
            self._runs.group = group
            for valve in self._valves.values():
                group.create_task(self._begin(valve), name=f"calibrator-begin-{valve.name}")
            group.create_task(self._interrupted.recover(None), name="recovery of the instruments' own calibrations")
            for passive in self._passive:
                group.create_task(passive.run(), name=f"passive-{passive.name}")
            self._schedules.begin(group)
            group.create_task(self._waiting.run(), name="waiting")
            group.create_task(self._maintenance.expire(), name="maintenance")
            try:
                await asyncio.Event().wait()
            finally:
                # Platforms are still served while the station stops: what they ask from here on is refused.
                self._runs.group = None

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
        return frozenset(run.instrument for run in self._on_instruments())

    def _on_instruments(self) -> Iterator[CalibrationRun | PassiveRun]:
        return itertools.chain(self._runs, (one for one in self._passive if one.going_on))

    @property
    def busy(self) -> bool:
        """True while a run is going on."""
        return any(True for _ in self._on_instruments())

    async def start(self, name: str, who: str) -> dict[str, Any]:
        """Start a sequence by name, or have it wait until what it needs is free.

        Raises RefusedError; every refusal is an event with who and why.
        """
        refusal = self._refusal(name)
        if refusal is None and (behind := self._waiting.behind(name)) is not None:
            refusal = behind, "busy"
        if refusal is None:
            return self._started(name, who)
        reason, kind = refusal
        if kind != "busy" or self._config.sequences[name].wait_max_s == 0 or self._runs.of(name):
            raise await self._refused(name, who, reason, kind)
        try:
            place = self._waiting.put(name, who, reason)
        except RefusedError as error:
            raise await self._refused(name, who, str(error), error.kind) from error
        if self._config.sequences[name].interrupts:
            self._runs.give_way_to(name)
        return {"waiting": place, "reason": reason}

    def _started(self, name: str, who: str) -> dict[str, Any]:
        run = self._runs.begin(name, who, self._admission)
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
        run = self._runs.begin(name, who, self._admission, check=check)
        await run.ended.wait()
        return run.outcome

    async def _refused(self, name: str, who: str, reason: str, kind: RefusalKind) -> RefusedError:
        event = {"what": "calibration-refused", "origin": who, "sequence": name, "reason": reason}
        await self._log.append("event", event)
        return RefusedError(reason, kind)

    def _refusal(self, name: str) -> tuple[str, RefusalKind] | None:
        if self._runs.group is None:
            return "the station is not running", "fault"
        return self._admission.refusal(name)

    async def abort(self, who: str) -> dict[str, Any]:
        """Abort every run, drop what waits, and return when each inlet is home or could not be brought there.

        Raises ValueError where nothing is going on or waits.
        """
        dropped = await self._waiting.clear(f"aborted by {who}")
        going = [run for run in self._runs if run.end_reason is None]
        if not going and not dropped:
            raise ValueError("no calibration is going on")
        for run in going:
            self._runs.end(run, f"aborted by {who}")
        for run in going:
            await run.ended.wait()
        return {"aborted": [run.id for run in going], "dropped": dropped, "home": all(run.home for run in going)}

    async def _give_way(self, owner: str) -> None:
        if any(run.end_reason is None for run in self._runs):
            await self.abort(f"{owner}, who took the maintenance lock")

    def status(self) -> dict[str, Any]:
        """Runs, what holds each valve, what waits, when schedules are due, which sequence a guard would refuse now."""
        return {
            "runs": [
                {"run": run.id, "instrument": run.instrument, "phase": run.phase, "port": run.port}
                for run in self._on_instruments()
            ],
            "held": dict(self._held),
            "waiting": self._waiting.status(),
            "due": self._schedules.status(),
            "out_of_control": self.control.status(),
            "guards": self._admission.held_back(),
        }
