"""One run: a station, its wires, broker and centre under a seed, faults in their time, and a verdict at the end."""

import asyncio
import hashlib
import json
import os
import random
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sim_bugs
import sim_checks
import sim_children
import sim_faults
from sim_broker import Broker
from sim_centre import Centre
from sim_disk import Disk, plain_os, room
from sim_field import Field
from sim_kinds import Fault
from sim_loop import PROCESS, SimClock, SimLoop, StalledError, run
from sim_net import Net
from sim_station import PACES, Station, prepare

import agent.clock.keeping
import agent.clock.state
import agent.gas.maintenance
import agent.space.keeper
import agent.store.witness
import agent.uplinks.hj212
import agent.uplinks.mqtt
import agent.uplinks.mqtt_sender
import agent.values.periods
import central.hj212_fill
import central.ingest_hj212
import central.ingest_mqtt
from host.timesync import Reference

START = datetime(2026, 6, 15, tzinfo=UTC)
LOOK_S = 600.0
DRAIN_S = 4 * 3600.0
VIOLATIONS_MAX = 20
SELDOM = (
    (agent.values.periods, "TICK_WALL_S", 5.0),
    (agent.gas.maintenance, "EXPIRY_LOOK_S", 30.0),
    (agent.space.keeper, "LOOK_WALL_S", 60.0),
    (agent.uplinks.mqtt, "EXPIRE_WALL_S", 10.0),
    (agent.uplinks.mqtt_sender, "SAVE_WALL_S", 10.0),
    (agent.uplinks.hj212, "SAVE_S", 10.0),
    (central.ingest_mqtt, "ACK_S", 5.0),
    (central.hj212_fill, "LOOK_S", 30.0),
    (central.ingest_hj212, "ROLL_UP_S", 60.0),
)


@dataclass
class Verdict:
    """What a run gave. Equal seeds and faults give equal digests."""

    seed: int
    days: float
    faults: list[Fault]
    violations: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    digest: str = ""

    @property
    def rules(self) -> set[str]:
        """The rules that were broken."""
        return {text.partition(" ")[0] for text in self.violations}


class World:
    """Everything of one run. `trace` prints what happens."""

    def __init__(self, seed: int, days: float, faults: list[Fault], folder: Path, *, trace: bool = False) -> None:
        self.seed, self.faults, self.days, self._trace = seed, faults, days, trace
        dice = random.Random(f"{seed}/world")
        random.seed(f"{seed}/programs")
        secrets.token_hex = lambda count=16: "5a" * count  # a salt that is the same in a replay
        sim_children.adopt()
        self.loop = SimLoop(seed)
        self.net = self.loop.net = Net(self.loop, seed)
        start = self.began = START + timedelta(seconds=dice.randrange(86400))
        self.centre_clock, self.clock = SimClock(self.loop, start), SimClock(self.loop, start)
        self.broker = Broker(self.loop, seed)
        self.disk = Disk(folder / "store", self._cut_came)
        agent.clock.keeping.reference_of = lambda *_, **__: self._reference  # type: ignore[assignment]
        agent.clock.state.boot_id = lambda: f"{self.station.boots:032x}"
        agent.store.witness.os = plain_os(self.disk)  # type: ignore[attr-defined]
        os.statvfs = room(self.disk)  # type: ignore[assignment]
        self.field = Field(self.net, SimClock(self.loop, start), seed)
        self.centre = Centre(self.loop, self.centre_clock, self.broker, self.told)
        config = prepare(folder, dice.choice((50, 1000, 1000, 4000)), PACES[seed % len(PACES)])
        self.station = Station(config, self.loop, self.clock, self.disk, self.broker, self.told)
        self.station.on_record = self._recorded
        self.verdict = Verdict(seed, days, faults)
        self.checks = sim_checks.Checks(self)
        self.station.on_place = self.checks.placed
        self._digest = hashlib.sha256()
        self._reboots: random.Random = random.Random(f"{seed}/reboots")
        self.counts: dict[str, int] = {}
        self.ending = False

    def _reference(self) -> Reference | None:
        """A time server that is heard while the clock is right."""
        return Reference(synced=True, error_s=0.001, source="simulated") if self.clock.offset_s == 0 else None

    # -- what is heard

    def told(self, what: str, **more: Any) -> None:
        """Something happened: part of the digest and of the trace."""
        line = json.dumps([round(self.loop.time(), 6), what, more], ensure_ascii=False, default=str)
        self._digest.update(line.encode())
        self.counts[what] = self.counts.get(what, 0) + 1
        if self._trace:
            print(line)
        if what == "violation":
            self.violation(more["rule"], more["text"])
        elif what == "daemon-ended" and not self.ending:
            # Nothing starts on a disk that takes no sync, and systemd tries again.
            if not (self.station.starting and self.disk.failing):
                self.violation("daemon", f"ended by itself: {more['error']}")
            self.crashed(power=False, why="ended by itself", away_s=2.0)

    @property
    def lost(self) -> bool:
        """Whether going on tells nothing more."""
        return len(self.verdict.violations) >= VIOLATIONS_MAX

    def violation(self, rule: str, text: str) -> None:
        """A rule is broken."""
        if len(self.verdict.violations) < VIOLATIONS_MAX:
            self.verdict.violations.append(f"{rule} at {self.loop.time() - 1000:.1f} s: {text}")
            if self._trace:
                print("VIOLATION", self.verdict.violations[-1])

    def _recorded(self, row: Any) -> None:
        self._digest.update(row.body)
        self.checks.committed(row)

    # -- the machine

    def _cut_came(self) -> None:
        """A planned cut at a write: the daemon runs no further, the rest follows outside of it."""
        if self.station.process is not None:
            self.station.process.alive = False
        self.loop.call_soon(self.crashed_at_write, context=self.net.context)

    def crashed_at_write(self) -> None:
        """What follows a cut that came at a write."""
        self.crashed(power=True, why="power cut at a write", away_s=self._reboots.uniform(1, 60))

    def crashed(self, *, power: bool, why: str, away_s: float) -> None:
        """The daemon is gone: settle the disk, break its links, and start it again after `away_s`."""
        process = self.station.process
        self.checks.disturbed(True, +1)
        self.station.die()
        lost = self.disk.crash(self._reboots, power=power)
        if power and random.Random(f"{self.seed}/relays/{self.station.boots}").random() < 0.5:
            for coil in (1, 2):  # relays of the same supply fall off
                self.field.valve.write(1, coil, 0)
        self.net.cut(process=process, after_s=self._reboots.uniform(0, 20) if power else 0.0)
        for ear in [one for one in self.broker.ears if one.process is process]:
            self.broker.ears.remove(ear)
        self.told("crashed", why=why, away_s=away_s, bytes_lost=lost)
        self.loop.call_later(away_s, self._boot, context=self.net.context)

    def _boot(self) -> None:
        self.checks.disturbed(True, -1)
        if not self.station.up and not self.lost:
            self.told("boot")
            self.station.start()
            self.checks.recovers("boot")

    # -- the run

    def run(self) -> Verdict:
        """Carry the whole run out."""
        # Looking less often costs nothing here but seconds of delay, and saves most of the turns of the loop.
        for module, name, seconds in SELDOM:
            assert getattr(module, name) < seconds, "it looks as seldom by itself"
            setattr(module, name, seconds)
        try:
            run(self.loop, self._live())
        except StalledError as error:
            self.violation("stalled", str(error))
        finally:
            self.verdict.figures = {**self.checks.figures(), **dict(sorted(self.counts.items()))}
            self.verdict.digest = self._digest.hexdigest()
        return self.verdict

    async def _live(self) -> None:
        PROCESS.set(None)
        self.centre.start()
        await asyncio.sleep(1.0)
        self.station.start()
        faults = asyncio.create_task(sim_faults.play(self, self.faults))
        end = self.loop.time() + self.days * 86400
        while self.loop.time() < end and not self.lost:
            await asyncio.sleep(min(LOOK_S, max(end - self.loop.time(), 1e-3)))
            self.checks.look()
        await faults if not self.lost else faults.cancel()
        sim_faults.all_well(self)
        await self._settle()
        self.checks.look()
        self.ending = True
        if self.station.daemon is not None:
            self.station.daemon.stop()
            await asyncio.sleep(60)
        self.checks.final()
        self._digest.update(self.checks.stores())

    async def _settle(self) -> None:
        """All faults are over: within four hours everything is delivered."""
        until = self.loop.time() + DRAIN_S
        await asyncio.sleep(180)
        while self.loop.time() < until and not self.checks.drained() and not self.lost:
            await asyncio.sleep(60)
        if not self.checks.drained():
            self.violation("I1", f"not delivered {DRAIN_S / 3600:g} h after the last fault")
        if not self.station.up:
            self.violation("daemon", "does not run at the end")


def play(
    seed: int, days: float, faults: list[Fault], folder: Path, *, bug: str | None = None, trace: bool = False
) -> Verdict:
    """One run in a folder of its own, which is the working folder; for a process that does nothing else after it."""
    if bug:
        sim_bugs.plant(bug)
    world = World(seed, days, faults, folder, trace=trace)
    if bug:
        sim_bugs.plant_in(bug, world)
    return world.run()
