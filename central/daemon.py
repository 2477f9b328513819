"""The centre's daemon: both ingests, the page, the attribution each world hour, around one store with one writer."""

import asyncio
import logging
import os
import signal
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from central.challenge import Challenger
from central.config import Config
from central.control import control
from central.ingest_hj212 import Hj212Ingest
from central.ingest_mqtt import MqttIngest
from central.people import Acts
from central.store import Store
from central.writer import Writer
from host.notify import READY, STOPPING, WATCHDOG, notify, watchdog_s
from host.secrets import read_secret
from metrology.clock import Clock
from metrology.periods import EPOCH, iso
from protocols.tlog_cosign import cosigner_from_seed

if TYPE_CHECKING:
    from central.enrolment import Enrolment

log = logging.getLogger(__name__)

# After the end of the hour: its last minute is averaged, sent and committed before the window is read.
SETTLE_WORLD_S: Final = 60
SETTLE_WALL_S: Final = 3
ATTRIBUTION_WALL_S: Final = 900
COMPLAINT_BYTES: Final = 2000


def next_due(now: datetime, every_h: float) -> datetime:
    """End of the window that is due next: whole multiples of `every_h` since 1970, UTC, after `now`."""
    every = timedelta(hours=every_h)
    return EPOCH + ((now - EPOCH) // every + 1) * every


class Centre:
    """Everything that runs. `path` is the configuration's own, for the attribution's process."""

    def __init__(self, config: Config, path: str, clock: Clock, clock_spec: str | None) -> None:
        """Open the store. Raises what the store, the secrets and the certificates raise."""
        self.config = config
        self.clock = clock
        self._path = path
        self._clock_spec = clock_spec
        self.writer = Writer()
        cosigner = None
        if config.witness:
            cosigner = cosigner_from_seed(
                read_secret(config.witness.key).decode("ascii", "replace"), config.witness.name
            )
        self.witness = cosigner.vkey if cosigner else None
        self.store = Store(config.store, config.stations, time.time, cosigner)
        self.acts = Acts(self.store, self.writer, clock)
        parts = (config.stations, self.store, self.writer, clock)
        self.mqtt = MqttIngest(config.mqtt, *parts, _challenger(config, self.store)) if config.mqtt else None
        self.hj212 = Hj212Ingest(config.hj212, *parts) if config.hj212 else None
        self.enrolment = _enrolment(self) if config.authority else None
        self.attribution: dict[str, Any] = {"at": None, "error": None}
        self._stop = asyncio.Event()

    def status(self) -> dict[str, Any]:
        """What the page shows of the centre itself."""
        return {
            "rate": self.clock.rate,
            "world": iso(self.clock.now()),
            "mqtt": self.mqtt.status() if self.mqtt else None,
            "hj212": self.hj212.status() if self.hj212 else None,
            "attribution": self.attribution,
            "witness": self.witness,
        }

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped; a crash of any part ends all and is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                if self.hj212:
                    log.info("HJ 212 on port %d", await self.hj212.start())
                if self.enrolment:
                    log.info("enrolment on port %d", self.enrolment.port)
                parts = [self.hj212, self.mqtt, self.enrolment]
                tasks = [group.create_task(part.run()) for part in parts if part is not None]
                tasks += [group.create_task(part()) for part in (self._page, self._attribute, self._watchdog)]
                tasks.append(group.create_task(self.acts.run(Path(self.config.store).parent)))
                if self.hj212:
                    tasks.append(group.create_task(control(self.config, self.hj212.desk, self.acts.gate()).run()))
                notify(READY)
                await self._stop.wait()
                notify(STOPPING)
                for task in tasks:
                    task.cancel()
        finally:
            self.writer.close()
            self.store.close()

    async def _page(self) -> None:
        """The map and the API, where an address is configured; a centre without them needs no web libraries."""
        if self.config.http is not None:
            from central.app import build, listen, settings
            from web.serve import serve

            desk = self.hj212.desk if self.hj212 else None
            app = build(self.config, self.clock, self.acts.record, self.status, desk)
            await serve(app, listen(self.config.http), settings(self.config.http))

    async def _attribute(self) -> None:
        settings = self.config.attribution
        while settings is not None:
            due = next_due(self.clock.now(), settings.every_h)
            await self.clock.sleep((due - self.clock.now()).total_seconds() + SETTLE_WORLD_S)
            await self.clock.sleep_wall(SETTLE_WALL_S)
            error = await self._run_attribution(iso(due))
            self.attribution = {"at": iso(due), "error": error}
            if error:
                log.warning("attribution of %s: %s", iso(due), error)

    async def _run_attribution(self, at: str) -> str | None:
        """Run one attribution to its end; what it complained of, None where it went well."""
        command = [sys.executable, "-m", "central", "attribute", self._path, "--at", at]
        clock = ["--clock", self._clock_spec] if self._clock_spec else []
        # The ingest shares the processors with it: one thread is enough for a window of hours.
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(
            *command,
            *clock,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **threads},
        )
        try:
            async with asyncio.timeout(ATTRIBUTION_WALL_S):
                _, complaint = await process.communicate()
        except TimeoutError:
            return f"not done after {ATTRIBUTION_WALL_S} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return complaint[-COMPLAINT_BYTES:].decode("utf-8", "replace").strip() if process.returncode else None

    async def _watchdog(self) -> None:
        """Feed the service manager while the writer answers: an event loop that turns without it is no life."""
        limit_s = watchdog_s()
        while limit_s is not None:
            await self.writer.run(notify, WATCHDOG)
            await self.clock.sleep_wall(limit_s / 4)


def _enrolment(centre: Centre) -> "Enrolment":
    # Only a centre with an authority needs the libraries of a server for it.
    from central.enrolment import Enrolment

    config = centre.config
    assert config.authority is not None, "asked for where there is one"
    return Enrolment(config.authority, config.stations, centre.store, centre.writer, centre.clock, centre.witness)


def _challenger(config: Config, store: Store) -> Challenger | None:
    """Who asks for records at rest: a centre that witnesses, and is told to."""
    asks = config.witness
    if asks is None:
        return None
    return Challenger(store.db, config.stations, time.time, asks.challenge, asks.answer_h, walk_h=asks.walk_h)


async def serve(config: Config, path: str, clock: Clock, clock_spec: str | None) -> None:
    """Run a centre until SIGTERM or SIGINT."""
    centre = Centre(config, path, clock, clock_spec)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, centre.stop)
    await centre.run()
