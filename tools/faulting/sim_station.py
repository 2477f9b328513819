"""The station of the simulation: its configuration, and the daemon as it is started, killed and started again."""

import asyncio
import base64
import hashlib
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim_broker import Broker
from sim_disk import Disk, PowerCut
from sim_field import COLUMNS, CRDS, PLC
from sim_loop import Process, SimClock, SimLoop

from agent.config import Config
from agent.daemon import Daemon
from agent.store.log import Place, Record
from protocols.tlog import signer_from_seed

STATION, MN, PASSWORD, PLATFORM = "sim-01", "ABCD0100000001", "123456", 9212
SEED = base64.b64encode(bytes(range(32))).decode()
VKEY = signer_from_seed(SEED, f"plumeline/{STATION}").vkey
# One seed in eight polls as a stack does (a minute of it needs twelve values), the others more slowly, for the sake of
# speed: what is between two records costs the time and finds nothing.
PACES = ((5.0, "hj-stack"), *[(30.0, "hj-ambient")] * 7)
CRDS_POLL_S = 60.0
FACTORS = {"a21026": {"series": "cems.so2"}, "a21002": {"series": "cems.nox"}, "a19001": {"series": "cems.o2"}}


def _gas(number: str, **assigned: float) -> dict[str, Any]:
    units = {"so2": "mg/m3", "nox": "mg/m3", "o2": "%"}
    values = {
        n: {"value": v, "unit": units[n], "uncertainty": 0.5, "scale": "GBW(E) 060000"} for n, v in assigned.items()
    }
    return {"number": number, "certificate": f"GBW(E) {number} 1", "expires": "2036-12-31", "assigned": values}


def document(commit_ms: int = 1000, pace: tuple[float, str] = PACES[0]) -> dict[str, Any]:
    """The configuration; all paths are relative, so that no record holds the name of a temporary folder."""
    wire = {"kind": "tcp", "host": "127.0.0.1"}
    roles = {"so2", "nox", "o2"}

    def inject(name: str) -> dict[str, Any]:
        return {"gas": name, "port": name, "roles": dict.fromkeys(sorted(roles), name), "flush_s": 60, "average_s": 30}

    return {
        "station": {
            "id": STATION, "network": "n", "name_zh": "模拟", "name_en": "simulated",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": "store", "quota_GB": 1000, "commit_ms": commit_ms, "space": {"ballast_MB": 0.125}},
        "ledger": {"key": {"file": "key"}, "checkpoint_s": 300},
        "buses": {
            "plc": {"wire": wire | {"port": PLC}, "protocol": "modbus-tcp", "timeout_s": 1},
            "crds": {"wire": wire | {"port": CRDS}, "protocol": "text", "timeout_s": 2},
        },
        "instruments": {
            "cems": {
                "driver": "cems_block", "bus": "plc", "unit": 1, "poll_s": pace[0], "kind": "regulated",
                "rule": pace[1], "options": {"base_address": 0, "word_order": "ABCD"},
            },
            "crds": {
                "driver": "picarro", "bus": "crds", "poll_s": CRDS_POLL_S, "kind": "research", "rule": "ghg",
                "expected_per_minute": 2, "options": {"columns": list(COLUMNS), "clock": "UTC", "decimals": 6},
            },
        },
        "valves": {
            "gas": {
                "bus": "plc", "unit": 2, "sample": "sample", "on_power_loss": "sample",
                "ports": {"sample": {"coil": 0}, "zero": {"coil": 1}, "span": {"coil": 2}},
            }
        },
        "cylinders": {"zero": _gas("N2", so2=0, nox=0, o2=0), "span": _gas("MX", so2=80.2, nox=121, o2=18.05)},
        "sequences": {
            "daily": {
                "valve": "gas", "instrument": "cems", "affects": ["so2", "nox", "o2", "co2_percent"],
                "injections": [inject("zero"), inject("span")], "recovery_s": 60, "flow_L_min": 2,
                "schedule": {"every_h": 6, "offset_h": 1},
            }
        },
        "uplinks": {
            "authority": {
                "kind": "hj212", "host": "127.0.0.1", "port": PLATFORM, "outlet": "o", "mn": MN, "st": "31",
                "pw": {"file": "pw"}, "factors": FACTORS, "realtime_s": 3600,
            },
            "centre": {"kind": "mqtt", "host": "127.0.0.1", "port": 1883},
        },
        "socket": "socket/agent",
    }  # fmt: skip


def prepare(folder: Path, commit_ms: int, pace: tuple[float, str]) -> Config:
    """Files of a station in the working folder."""
    for name, text in (("key", SEED), ("pw", PASSWORD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    (folder / "station.hjson").write_text("{}")
    os.utime(folder / "station.hjson", (0, 0))  # the start tells when it was changed
    return Config.model_validate(document(commit_ms, pace))


class Station:
    """The machine: at most one daemon at a time. `told` gets what the world should hear."""

    def __init__(
        self, config: Config, loop: SimLoop, clock: SimClock, disk: Disk, broker: Broker, told: Callable[..., None]
    ) -> None:
        self.config, self.loop, self.clock, self.disk, self.broker, self._told = config, loop, clock, disk, broker, told
        self.process: Process | None = None
        self.daemon: Daemon | None = None
        self.latency: Callable[[], float] = lambda: 0.0
        self.boots, self.starting = 0, False
        self.graves: list[Any] = []
        self.reported: dict[tuple[int, int], bytes] = {}
        self.scans: dict[str, float] = {}
        self.on_record: Callable[[Record], None] = lambda row: None
        self.on_place: Callable[[str, Place], None] = lambda uplink, place: None

    @property
    def up(self) -> bool:
        """Whether a daemon runs."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """Start the daemon on what the disk holds."""
        self.boots += 1
        self.disk.start()
        process = self.process = Process(f"station-{self.boots}", latency=lambda: self.latency())
        context = process.context()
        self.starting = True
        try:
            self.daemon = context.run(self._made)
        except PowerCut:
            return
        except Exception as error:  # noqa: BLE001  told as the end of the daemon
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._told("start-failed", error=f"{type(error).__name__}: {error}", at=f"{where.name} {where.lineno}")
            if process.alive:
                self._ended_by(process, error)
            return
        finally:
            self.starting = False
        task = self.loop.create_task(self.daemon.run(), context=context)
        task.add_done_callback(lambda done: self._done(process, done), context=self.loop.net.context)
        process.kept.append((task, self.daemon))

    def _made(self) -> Daemon:
        daemon = Daemon(self.config, self.clock, Path("station.hjson"), make_link=self.broker.link)
        post = daemon.log.post

        def posted(kind: str, fields: Any) -> "asyncio.Future[Record]":
            future = post(kind, fields)
            # In the world's own context: what a process was told counts, even where it died in the same instant.
            future.add_done_callback(self._told_so, context=self.loop.net.context)
            return future

        async def saved(uplink: str, place: Place) -> None:
            self.on_place(uplink, place)
            await save_place(uplink, place)

        daemon.log.post = posted  # type: ignore[method-assign]
        save_place, daemon.log.save_place = daemon.log.save_place, saved  # type: ignore[method-assign]
        return daemon

    def _told_so(self, future: "asyncio.Future[Record]") -> None:
        if not future.cancelled() and future.exception() is None:
            self._committed(future.result())

    def _committed(self, row: Record) -> None:
        key, body = (row.epoch, row.seq), hashlib.sha256(row.body).digest()[:12]
        if self.reported.setdefault(key, body) != body:
            self._told("violation", rule="I3", text=f"number {key} was given to two bodies")
        if row.kind == "scan" and b'"x":null' not in row.body:
            fields = row.fields
            self.scans[fields["instrument"]] = self.loop.time()
        self.on_record(row)

    def _done(self, process: Process, task: "asyncio.Task[None]") -> None:
        if process.alive and not task.cancelled():
            self._ended_by(process, task.exception())

    def _ended_by(self, process: Process, error: BaseException | None) -> None:
        process.alive = False
        self.disk.dead = True
        self._told("daemon-ended", error=_first(error))

    def die(self) -> None:
        """Stand still at once: nothing of the daemon runs any more."""
        self.disk.dead = True
        if self.process is not None:
            self.process.alive = False
            self.graves.append((self.process, self.daemon))
        self.daemon = None


def _first(error: BaseException | None) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if error else ""
