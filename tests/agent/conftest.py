"""Peers on real wires: pymodbus servers, text servers, ptys."""

import asyncio
import base64
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.config import Bus, Config
from agent.gas.calibrator import Calibrator
from agent.gas.maintenance import Maintenance
from agent.gas.valves import lock_path
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import coefficients_in_force
from agent.values.averaging import Averager
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.series import ranges_of, series_of
from agent.wires.bus import asked_buses
from host.clock import ManualClock
from metrology.quality import Cause
from metrology.reading import Reading, Scan
from protocols.record import scan_of
from protocols.tlog import signer_from_seed

COILS = 16


@dataclass
class ModbusPeer:
    """Units of a bus: holding registers 0..19 hold 0..19; every coil write is kept in order."""

    port: int = 0
    coil_writes: list[tuple[int, bool]] = field(default_factory=list)
    coils: dict[int, bool] = field(default_factory=dict)
    stuck: set[int] = field(default_factory=set)
    reads: list[int] = field(default_factory=list)
    open_at_once: int = 0
    gas: set[int] = field(default_factory=set)
    units: set[int] = field(default_factory=set)

    def tcp_packet(self, sending: bool, data: bytes) -> bytes:
        return b"" if sending and data[6] not in self.units else data

    def rtu_packet(self, sending: bool, data: bytes) -> bytes:
        return b"" if sending and data[0] not in self.units else data

    def device(self, unit: int) -> SimDevice:
        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        registers = [SimData(0, values=list(range(20)), datatype=DataType.REGISTERS)]

        async def act(function: int, _start: int, address: int, _count: int, _now: list[int], new: Any) -> None:
            if function == 5 and new is not None:
                if address in self.stuck:
                    new[0] = False
                self.wrote(address, bool(new[0]))
            elif function in (3, 4):
                self.reads.append(unit)

        return SimDevice(unit, (bits, bits, registers, registers), action=act)

    def wrote(self, coil: int, on: bool) -> None:
        self.coil_writes.append((coil, on))
        self.coils[coil] = on
        self.open_at_once = max(self.open_at_once, sum(self.coils.get(gas, False) for gas in self.gas))

    @property
    def bus(self) -> Bus:
        wire = {"kind": "tcp", "host": "127.0.0.1", "port": self.port}
        return Bus.model_validate({"wire": wire, "protocol": "modbus-tcp", "timeout_s": 0.2})


ServeModbus = Callable[..., Awaitable[ModbusPeer]]


@pytest.fixture
async def serve_modbus() -> AsyncIterator[ServeModbus]:
    """`await serve_modbus(1, 2)` serves these units on a TCP port; all others hear and say nothing."""
    servers = []

    async def serve(*units: int, port: int = 0) -> ModbusPeer:
        peer = ModbusPeer(units=set(units))
        server = ModbusTcpServer(
            [peer.device(unit) for unit in range(1, 21)], address=("127.0.0.1", port), trace_packet=peer.tcp_packet
        )
        await server.serve_forever(background=True)
        servers.append(server)
        peer.port = server.transport.sockets[0].getsockname()[1]
        return peer

    yield serve
    for server in servers:
        await server.shutdown()


class PtyLine:
    """A serial line: what is written to one end comes out of the other. Both ends are raw ptys."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.masters: list[int] = []
        self.plug()

    def plug(self) -> None:
        self.masters, self.slaves = [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.masters.append(master)
            self.slaves.append(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slaves[0]))
        self.far = os.ttyname(self.slaves[1])
        loop = asyncio.get_running_loop()
        for here, there in (self.masters, self.masters[::-1]):
            loop.add_reader(here, self._carry, here, there)

    @staticmethod
    def _carry(here: int, there: int) -> None:
        with contextlib.suppress(OSError):
            os.write(there, os.read(here, 4096))

    def unplug(self) -> None:
        loop = asyncio.get_running_loop()
        for master in self.masters:
            loop.remove_reader(master)
        for descriptor in [*self.masters, *self.slaves]:
            os.close(descriptor)
        self.masters, self.slaves = [], []

    def bus(self, protocol: str = "modbus-rtu", timeout_s: float = 0.3) -> Bus:
        wire = {"kind": "serial", "device": str(self.link), "baud": 115200}
        return Bus.model_validate({"wire": wire, "protocol": protocol, "timeout_s": timeout_s})


@pytest.fixture
async def pty_line(tmp_path: Path) -> AsyncIterator[PtyLine]:
    line = PtyLine(tmp_path / "serial-line")
    yield line
    line.unplug()


@pytest.fixture
async def serve_rtu(pty_line: PtyLine) -> AsyncIterator[ServeModbus]:
    """`await serve_rtu(1, 2)` serves these units at the far end of the pty line."""
    servers = []

    async def serve(*units: int) -> ModbusPeer:
        peer = ModbusPeer(units=set(units))
        server = ModbusSerialServer(
            [peer.device(unit) for unit in range(1, 21)],
            framer=FramerType.RTU,
            port=pty_line.far,
            baudrate=115200,
            trace_packet=peer.rtu_packet,
        )
        await server.serve_forever(background=True)
        servers.append(server)
        return peer

    yield serve
    for server in servers:
        await server.shutdown()


@dataclass
class Events:
    """What a bus reported."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, what: str, detail: Any) -> None:
        self.seen.append((what, dict(detail)))

    def __iter__(self) -> Iterator[str]:
        return iter(what for what, _ in self.seen)


@pytest.fixture
def events() -> Events:
    return Events()


Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; a deadline ends it."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)

    return wait


START = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/cal")
SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
ALL_KINDS = frozenset({"calibration", "event", "scan"})
AIR, GASES = 420.0, {ZERO: 402.0, SPAN: 604.0, TARGET: 452.5}


class Inline(Executor):
    """Runs at once, in the loop's thread: commits take no time on a clock that only moves by hand."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  it goes to whoever waits for the future
            future.set_exception(error)
        return future


def station_config(folder: Path, port: int, kind: str = "research", **valve: Any) -> Config:
    def gas(value: float, expires: str = "2030-01-01") -> dict[str, Any]:
        assigned = {"co2": {"value": value, "unit": "umol/mol", "uncertainty": 0.1, "scale": "WMO CO2 X2019"}}
        return {"number": f"N{value:g}", "certificate": "C", "expires": expires, "assigned": assigned}

    def inject(name: str) -> dict[str, Any]:
        return {"gas": name, "port": name, "roles": {"co2": name}, "flush_s": 180, "average_s": 60}

    wire = {"kind": "tcp", "host": "127.0.0.1", "port": port}
    return Config.model_validate(
        {
            "station": {
                "id": "cal", "network": "n", "name_zh": "标", "name_en": "cal",
                "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
            },
            "store": {"path": str(folder)},
            "ledger": {"key": {"file": str(folder / "key")}},
            "buses": {"relays": {"wire": wire, "protocol": "modbus-tcp", "timeout_s": 0.15}},
            "instruments": {
                "ndir": {
                    "driver": "senseair_s8", "bus": "relays", "unit": 2, "poll_s": 5, "kind": kind,
                    "rule": "ghg" if kind == "research" else "hj-stack",
                    "series": {"co2": {"minimum": 0, "maximum": 1000}},
                }
            },
            "valves": {
                "gas": {
                    "bus": "relays", "unit": 1, "sample": "sample", "on_power_loss": "sample",
                    "ports": {n: {"coil": c} for n, c in
                              [("sample", SAMPLE), ("zero", ZERO), ("span", SPAN), ("target", TARGET)]},
                    **valve,
                }
            },
            "cylinders": {"zero": gas(402), "span": gas(604, "2025-06-30"), "target": gas(452.5)},
            "sequences": {
                "daily": {
                    "valve": "gas", "instrument": "ndir", "recovery_s": 120,
                    "injections": [inject("zero"), inject("span"), inject("target")],
                }
            },
            "socket": str(folder / "socket"),
        }
    )  # fmt: skip


class Rig:
    """A station's calibration part; the instrument reads (true + 2) / 1.01 of whatever port is open."""

    def __init__(self, config: Config, clock: ManualClock, peer: Any) -> None:
        self.config, self.clock, self.peer, self.events = config, clock, peer, []
        folder = Path(config.store.path)
        self.log = Log(
            folder / "segments", clock, station_id="cal", signer=SIGNER, commit_s=0, executor=Inline(),
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.files)
        self.live = Live()
        self.intake = Intake(self.log, self.live, Averager(series_of(config), clock.now(), 8 * 3600), ranges_of(config))
        self.intake.coefficients.update(coefficients_in_force(self.index))
        self.buses = asked_buses(config, clock, lambda what, detail: self.events.append(what))
        self.lock = Maintenance(lock_path(config), self.log, clock)
        self.calibrator = Calibrator(config, self.buses, self.log, self.intake, self.live, self.index, self.lock, clock)
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self.tasks = [asyncio.create_task(self.log.run()), asyncio.create_task(self.calibrator.run())]

    async def end(self) -> None:
        """Stop the calibrator, then the log, as the daemon does."""
        for task in reversed(self.tasks):
            task.cancel()
            await asyncio.wait({task}, timeout=10)
        self.tasks = []
        for bus in self.buses.values():
            bus.close()
        self.index.close()

    @property
    def open_ports(self) -> set[int]:
        return {coil for coil, on in self.peer.coils.items() if on}

    def indication(self) -> float:
        gas = next((GASES[coil] for coil in self.open_ports if coil in GASES), AIR)
        return (gas + 2) / 1.01

    async def step(self, seconds: float = 5.0) -> None:
        await self.clock.advance(seconds)
        at = self.clock.now()
        await self.intake.take(Scan("ndir", at, (Reading("ndir", "co2", self.indication(), "umol/mol", at),)))
        await asyncio.sleep(0.002)

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await self.step(seconds)

    @property
    def phase(self) -> str | None:
        runs = self.calibrator.status()["runs"]
        return runs[0]["phase"] if runs else None

    @property
    def ready(self) -> bool:
        return not self.calibrator.status()["held"]

    async def records(self, *whats: str) -> list[dict[str, Any]]:
        found = []
        after = -1
        while rows := await self.log.read(after, kinds=ALL_KINDS, limit=500):
            after = rows[-1].seq
            found += [row.fields for row in rows]
        return [row for row in found if not whats or row.get("what") in whats]

    async def causes(self) -> list[frozenset[Cause]]:
        return [scan_of(row).readings[0].quality.causes for row in await self.records() if row["kind"] == "scan"]


@pytest.fixture
async def rig(tmp_path: Path, serve_modbus) -> AsyncIterator[Callable[..., Any]]:
    """`await rig(kind=..., change=..., **valve)`: a rig at home and ready, unless `begin` is False."""
    made: list[Rig] = []

    async def make(
        kind: str = "research",
        begin: bool = True,
        again: Rig | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
        **valve: Any,
    ) -> Rig:
        peer = again.peer if again else await serve_modbus(1)
        peer.gas = {ZERO, SPAN, TARGET}
        clock = again.clock if again else ManualClock(START)
        document = station_config(tmp_path, peer.port, kind, **valve).model_dump(mode="json")
        if change is not None:
            change(document)
        one = Rig(Config.model_validate(document), clock, peer)
        made.append(one)
        if begin:
            one.begin()
            await one.until(lambda: one.ready)
        return one

    yield make
    for one in made:
        if one.tasks:
            await one.end()


@pytest.fixture
def rig_of() -> type[Rig]:
    """The rig itself, for tests with a configuration of their own."""
    return Rig


@pytest.fixture
def config_for() -> Callable[..., Config]:
    """`config_for(folder, port, kind, **valve)`: one NDIR, a valve block with three gases, a daily run."""
    return station_config
