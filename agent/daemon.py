"""The station daemon: parts put together from a configuration, run in one task group, stopped in order."""

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.analysis.waiting import Recomputing
from agent.changes import author, config_fields
from agent.clock.keeping import timekeeping
from agent.config import Config
from agent.doctor.desk import ScanDesk
from agent.duties import DUTIES
from agent.firmware.jobs import Jobs
from agent.gas.calibrator import Calibrator
from agent.gas.maintenance import Maintenance
from agent.gas.register import Cylinders
from agent.ledger.keys import StationKeys
from agent.people import gate
from agent.qa.identity import Identities
from agent.reload import Reloader
from agent.requests import handlers
from agent.space.keeper import Keeper
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import coefficients_in_force, kept_until, replay, restored_averager, write_gap
from agent.store.salvaging import Salvaging
from agent.uplinks.assembly import Parts, Uplink, uplinks
from agent.uplinks.mqtt_link import MakeLink, link_of
from agent.values.budgets import Budgets
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.periods import PeriodWriter
from agent.values.series import ranges_of, serials_of, series_of, stacks_of
from agent.wires.bus import AskedBus, asked_buses
from agent.wires.poller import Poller
from agent.wires.sources import sources
from agent.wires.wire_kinds import MakeWire, wire_of
from host.control import Control
from host.notify import READY, STOPPING, notify
from host.secrets import read_secret
from metrology.clock import Clock
from metrology.periods import HOUR_S
from protocols.tlog import Signer, signer_from_seed

if TYPE_CHECKING:
    from agent.firmware.parts import BoardParts

LAST_RECORDS_WALL_S: Final = 4.0
DRAIN_WALL_S: Final = 10.0

logger = logging.getLogger(__name__)


class Daemon:
    """One station. `run` returns after `stop` was called and everything committed was offered to the uplinks.

    `path` is the file the configuration came from and is read from again; `make_wire` gives each bus its wire,
    `make_link` each MQTT uplink its connection.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        path: Path,
        make_wire: MakeWire = wire_of,
        make_link: MakeLink = link_of,
    ) -> None:
        self.config = config
        self.clock = clock
        self.path = path
        self.started = clock.now()
        self._stop = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._polling: dict[str, asyncio.Task[None]] = {}
        self.reloader = Reloader(self, path)
        store = Path(config.store.path)
        segments = store / "segments"
        segments.mkdir(parents=True, exist_ok=True)
        station = config.station
        offset_s = int(station.day_start_utc_offset_h * HOUR_S)
        self.keys = StationKeys(
            segments, signer_from_seed(read_secret(config.ledger.key).decode(), f"plumeline/{station.id}")
        )
        self.index: Index | None = None
        self.space = Keeper(self)
        self.log = self._log_in(segments, offset_s)
        self.index = Index(store / "station.db", segments, self.log.files)
        self.salvaging = Salvaging(segments, self.log, self.index, self.started)
        self.specs = series_of(config)
        self.averager = restored_averager(self.index, self.specs, self.started, offset_s)
        self.serials = serials_of(config)
        self.live = Live()
        self.stacks = stacks_of(config)
        self.intake = Intake(self.log, self.live, self.averager, ranges_of(config), self.stacks)
        self.intake.coefficients.update(coefficients_in_force(self.index))
        self.intake.gate = self.space.gate
        self.buses: dict[str, AskedBus] = asked_buses(config, clock, self.event, make_wire)
        self.sources = sources(config, self.buses, self.intake.take, clock, self.event, make_wire)
        self.maintenance = Maintenance(store / "maintenance.json", self.log, clock)
        self.cylinders = Cylinders(config, self.index, self.log, self.intake, self.live, clock)
        self.calibrator = Calibrator(config, self.buses, self.log, self.intake, self.live, self.index,
                                     self.maintenance, clock, self.cylinders.gas)  # fmt: skip
        self.identities = Identities(config, self.intake, self.log, self.index, clock)
        self.jobs = Jobs(store, self.event)
        self.scans = ScanDesk(self)
        self.recomputing = Recomputing(self)
        self.boards = self._board_parts() if self.sources.lines else None
        self.clock_state, self.turns, self.clock_watch = timekeeping(
            config, clock, self.log, self.index, self.averager, self.intake, offset_s
        )
        self.uplinks: dict[str, Uplink] = uplinks(
            Parts(
                config, self.log, self.index, self.live, self.intake, self.calibrator, self.maintenance, clock,
                self.log.vkey, self.serials, make_link, self.clock_state,
            )
        )  # fmt: skip

    def _log_in(self, segments: Path, offset_s: int) -> Log:
        station = self.config.station
        return Log(
            segments,
            self.clock,
            station_id=station.id,
            signer=self.keys.ring,
            commit_s=self.config.store.commit_ms / 1000,
            commit_records=self.config.store.commit_records,
            simulated=station.simulated or self.clock.rate != 1.0,
            day_offset_s=offset_s,
            on_commit=lambda rows: self.index.add(rows) if self.index else None,
            on_failure=self.space.failed,
        )

    @property
    def signer(self) -> Signer:
        """Who signs for the station now."""
        return self.keys.ring.signer

    def _board_parts(self) -> "BoardParts":
        # Only a station with boards carries what looks after them.
        from agent.firmware.parts import board_parts

        return board_parts(self)

    def event(self, what: str, detail: Mapping[str, Any]) -> None:
        """Record something that happened, and say it in the journal."""
        logger.warning("%s %s", what, json.dumps(dict(detail), ensure_ascii=False))
        self.log.post("event", {**detail, "what": what, "origin": detail.get("origin", detail.get("bus", "daemon"))})

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped; a crash of any part ends all and is raised, and so is a disk that takes no last record."""
        async with asyncio.TaskGroup() as group:
            log = group.create_task(self.log.run(), name="log")
            self._group = group
            self.log.hurry(True)
            await self._begin()
            self.log.hurry(False)
            writer = PeriodWriter(
                self.averager, self.log, self.clock, self.intake.watermarks, len(self.config.instruments),
                self.clock_watch, self.stacks, Budgets(self.log, self.index, self.intake.coefficients), self.turns,
            )  # fmt: skip
            for name, poller in self.sources.pollers.items():
                self._polling[name] = group.create_task(poller.run(), name=f"poller-{name}")
            acquisition = [
                group.create_task(part(), name=part.__qualname__)
                for part in [
                    *(listener.run for listener in self.sources.listeners.values()),
                    *(bus.run for bus in self.sources.streams.values()),
                    *(self.boards.runs if self.boards else ()),
                    self.salvaging.run,
                    self.calibrator.run,
                    self.cylinders.run,
                    self.identities.run,
                    *(one.run for one in (self.jobs, self.scans, self.recomputing)),
                    writer.run,
                    self.reloader.run,
                    Control(Path(self.config.socket), handlers(self), gate=gate(self)).run,
                ]
            ] + [group.create_task(duty(self), name=duty.__name__) for duty in DUTIES]
            sending = [group.create_task(uplink.run(), name=name) for name, uplink in self.uplinks.items()]
            # What stands now stays until the end: looking for garbage in it would hold up polls for 70 ms at a time.
            gc.collect()
            gc.freeze()
            notify(READY)
            await self._stop.wait()
            notify(STOPPING)
            self.log.hurry(True)
            gc.unfreeze()
            await _cancel(acquisition)
            await _cancel([*self._polling.values()])
            for bus in self.buses.values():
                bus.close()
            writer.write_due()
            async with asyncio.timeout(LAST_RECORDS_WALL_S):
                self.log.post("event", {"what": "stopped", "origin": "daemon"})
                await self.log.post_checkpoint()
            await asyncio.gather(*(uplink.drain(DRAIN_WALL_S) for uplink in self.uplinks.values()))
            await _cancel(sending)
            await _cancel([log])
        if self.index:
            self.index.close()

    async def _begin(self) -> None:
        """First records of a run: what was missed, what was damaged, and the configuration in force."""
        await self.keys.begin(self.log, self.index)
        self.salvaging.begin(self.event)
        await self.space.begin()
        # Without a believable clock both wait until there is one (`Turns`).
        if self.clock_state.believed:
            kept = await self.log.look_up(kept_until, self.log, self.index, self.averager.closed_until)
            known = await self.turns.begin()
            self.averager.told_until = now = self.clock.now()
            await write_gap(self.log, now, kept, known)
            await replay(self.log, self.intake, self.averager.closed_until)
        if self.sources.lines:
            from agent.firmware.line import resume

            await resume(self.sources.lines, self.log)
        assert self.index is not None, "made with the daemon"
        former = next((row.get("document") for row in self.index.newest("config", None, 1)), None)
        by = author(self.path)
        fields = config_fields(self.config, self.clock.rate, former=former, origin="start", by=by)
        await self.log.append("config", fields)
        await self.cylinders.begin(by)
        self.clock_watch.begin()

    def replace_poller(self, name: str, poller: Poller) -> None:
        """Have an instrument asked by another poller from now on; the caller holds the old one's `busy`."""
        assert self._group is not None, "nothing is replaced before the start"
        self._polling[name].cancel()
        self.sources.pollers[name] = poller
        self._polling[name] = self._group.create_task(poller.run(), name=f"poller-{name}")


async def _cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _in_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def serve(config: Config, clock: Clock, path: Path, make_wire: MakeWire = wire_of) -> None:
    """Run a station until SIGTERM or SIGINT; SIGHUP has the file read again."""
    daemon = Daemon(config, clock, path, make_wire)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    began_in_terminal = _in_terminal()

    def hung_up() -> None:
        """A terminal that closes sends the same signal: with it ends what a person ran in it."""
        if began_in_terminal and not _in_terminal():
            daemon.stop()
        else:
            daemon.reloader.ask()

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    await daemon.run()
