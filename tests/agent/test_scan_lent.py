"""A scan of a line that a running daemon owns, and a daemon that runs what a scan proposed: real processes and ptys."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.doctor.places import Place, Plan
from agent.doctor.propose import proposed, text
from agent.doctor.scan import scan
from agent.store.segment import Segment
from host.control import RequestError, ask
from protocols import record
from simulation.instruments.registers import Gmp252, Sdm630, StackDevice
from simulation.modbus import RtuLine, Unit
from simulation.senseair import Senseair

METER = {
    "voltage_a": 231.4, "voltage_b": 229.9, "voltage_c": 230.0, "current_a": 12.345, "current_b": -0.5,
    "current_c": 0.0, "active_energy": 123456.78, "active_power": -3.1415, "power_factor": 0.987,
    "mains_frequency": 49.98,
}  # fmt: skip
STACK = {0: 35.2, 2: 48.1, 4: 6.2, 6: 12.1, 8: 4.5, 10: 120.0, 12: 118.0, 14: -230.0, 16: 9.8}


def unheard(values: Mapping[str, float], **more: object) -> None:
    """A journal nobody reads."""


def senseair() -> Senseair:
    sensor = Senseair(unheard, np.random.default_rng(1))
    sensor.step(datetime(2026, 6, 1, tzinfo=UTC), 420.0)
    return sensor


class Writes:
    """A unit that counts what is written to it."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.written = 0

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        return self._unit.read(table, address, count)

    def write(self, table: int, address: int, value: int) -> bool:
        self.written += 1
        return self._unit.write(table, address, value)


@contextlib.contextmanager
def on_a_pty(hear: Callable[[bytes], bytes]) -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: os.write(master, hear(os.read(master, 4096))))
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


class Station:
    """A daemon of a bare station with these blocks."""

    def __init__(self, folder: Path, root: Path, blocks: str) -> None:
        self.folder, self.root, self.socket = folder, root, str(folder / "socket")
        key = folder / "station.key"
        key.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
        key.chmod(0o600)
        place = {"latitude": 31.0, "longitude": 121.0, "height_m": 4, "datum": "WGS-84"}
        bare = {
            "station": {"id": "scan-01", "network": "n", "name_zh": "例", "name_en": "Example", "position": place},
            "store": {"path": str(folder / "store"), "quota_GB": 2000, "commit_ms": 10},
            "ledger": {"key": {"file": str(key)}},
            "socket": self.socket,
        }
        self.path = folder / "station.hjson"
        self.path.write_text(json.dumps(bare)[:-1] + "\n" + blocks + "}\n", encoding="utf-8")

    async def program(self, *words: str, **how: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "--lang", "en", *words,
            cwd=self.root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **how,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        process = await self.program("run", str(self.path))
        try:
            yield
        finally:
            process.terminate()
            _, said = await process.communicate()
        assert process.returncode == 0, said.decode()

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(RequestError):
                    async for status in ask(self.socket, {"do": "status"}):
                        if condition(status):
                            return status
                await asyncio.sleep(0.02)

    async def scanned(self, device: str, *words: str) -> tuple[int, str, str]:
        look = ("--units", "1-3,240", "--timeout", "0.1", "--who", "li", "--socket", self.socket)
        process = await self.program("scan", device, *look, *words)
        out, said = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), said.decode()

    def logged(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for path in sorted((self.folder / "store" / "segments").glob("log-*.db")):
            segment = Segment(path)
            while found := segment.read(rows[-1]["seq"] if rows else -1, record.KINDS, 500, None):
                rows += [row.fields for row in found]
            segment.close()
        return rows


def blocks(device: str, *units: tuple[str, int]) -> str:
    instruments = {
        f"one-{unit}": {"driver": name, "bus": "line", "unit": unit, "poll_s": 0.2, "kind": "research", "rule": "ghg"}
        for name, unit in units
    }
    wire = {"kind": "serial", "device": device, "baud": 9600}
    buses = {"line": {"wire": wire, "protocol": "modbus-rtu", "timeout_s": 0.3}}
    return text({"buses": buses, "instruments": instruments})


def polls(status: dict[str, Any]) -> int:
    return min(one["polls"] - one["missed"] for one in status["instruments"].values())


def causes(scan: dict[str, Any]) -> set[str]:
    found = [mark for value in scan["values"].values() for mark in value.get("q", [])]
    return {mark[0] if isinstance(mark, list) else mark["cause"] for mark in found}


@pytest.fixture
def units() -> dict[int, Writes]:
    return {1: Writes(Sdm630(METER)), 3: Writes(senseair()), 240: Writes(Gmp252(unheard))}


LIVE = (("senseair_s8", 3), ("vaisala_gmp252", 240))


async def test_the_daemon_lends_its_line_and_marks_the_data(tmp_path: Path, root: Path, units) -> None:
    with on_a_pty(RtuLine(units).hear) as device:
        station = Station(tmp_path, root, blocks(device, *LIVE))
        async with station.running():
            await station.until(lambda status: polls(status) > 3)
            code, out, said = await station.scanned(device)
            before = polls(await station.until(lambda status: True))
            await station.until(lambda status: polls(status) > before + 4)
    assert code == 0, said
    assert "unit 1: Eastron SDM630-Modbus (eastron_sdm630)" in out
    assert "configured as one-3" in out
    assert "configured as one-240" in out
    pasted = out.partition("// to be pasted")[2]
    assert "eastron_sdm630" in pasted
    assert 'bus: "line"' in pasted
    assert "senseair" not in pasted
    assert [one.written for one in units.values()] == [0, 0, 0]

    rows = station.logged()
    (began,) = [row for row in rows if row.get("what") == "scan-started"]
    (ended,) = [row for row in rows if row.get("what") == "scan-finished"]
    assert (began["origin"], began["bus"], sorted(began["marked"])) == ("li", "line", ["one-240", "one-3"])
    assert ended["ended"] == "done"
    assert {"unit": 1, "driver": "eastron_sdm630"} in ended["found"]
    for name in began["marked"]:
        scans = [row for row in rows if row["kind"] == "scan" and row["instrument"] == name]
        during = [causes(row) for row in scans if began["seq"] < row["seq"] < ended["seq"]]
        after = [causes(row) for row in scans if row["seq"] > ended["seq"]]
        # A poll goes on between the questions, and what it brought is marked.
        assert len(during) > 3
        assert set(map(frozenset, during)) == {frozenset({"maintenance"})}
        assert len(after) > 3
        assert after[1:] == [set()] * (len(after) - 1)
        assert all(value["x"] is not None for row in scans for value in row["values"].values())


async def test_a_scan_whose_asker_is_killed_gives_the_line_back(tmp_path: Path, root: Path, units) -> None:
    with on_a_pty(RtuLine(units).hear) as device:
        station = Station(tmp_path, root, blocks(device, *LIVE))
        async with station.running():
            await station.until(lambda status: polls(status) > 3)
            look = ("--units", "1-247", "--timeout", "1", "--socket", station.socket)
            asking = await station.program("scan", device, *look)
            await station.until(lambda status: "maintenance" in status["values"]["one-3.co2"]["causes"])
            asking.send_signal(signal.SIGKILL)
            await asking.communicate()
            await station.until(lambda status: status["values"]["one-3.co2"]["causes"] == [])
            before = polls(await station.until(lambda status: True))
            await station.until(lambda status: polls(status) > before + 4)
    (ended,) = [row for row in station.logged() if row.get("what") == "scan-finished"]
    assert ended["ended"] == "cut"


async def test_a_daemon_that_stops_ends_the_scan_first(tmp_path: Path, root: Path, units) -> None:
    with on_a_pty(RtuLine(units).hear) as device:
        station = Station(tmp_path, root, blocks(device, *LIVE))
        async with station.running():
            await station.until(lambda status: polls(status) > 3)
            look = ("--units", "1-247", "--timeout", "1", "--socket", station.socket)
            asking = await station.program("scan", device, *look)
            await station.until(lambda status: "maintenance" in status["values"]["one-3.co2"]["causes"])
        _, said = await asking.communicate()
        assert asking.returncode == 1
        assert "the scan was ended" in said.decode()
    whats = [row.get("what") for row in station.logged() if row["kind"] == "event"]
    assert whats.index("scan-finished") < whats.index("stopped")


async def test_who_takes_the_lock_ends_the_scan_of_another(tmp_path: Path, root: Path, units) -> None:
    with on_a_pty(RtuLine(units).hear) as device:
        station = Station(tmp_path, root, blocks(device, *LIVE))
        async with station.running():
            await station.until(lambda status: polls(status) > 3)
            look = ("--units", "1-247", "--timeout", "1", "--who", "li", "--socket", station.socket)
            asking = await station.program("scan", device, *look)
            await station.until(lambda status: "maintenance" in status["values"]["one-3.co2"]["causes"])
            lock = {"do": "maintenance", "on": True, "who": "wang", "reason": "pump", "until": None}
            async for _ in ask(station.socket, lock):
                pass
            _, said = await asking.communicate()
            assert asking.returncode == 1
            assert "somebody took the maintenance lock" in said.decode()
            await station.until(lambda status: status["values"]["one-3.co2"]["causes"] == [])
    whats = [row.get("what") for row in station.logged() if row["kind"] == "event"]
    assert whats.index("scan-finished") < whats.index("maintenance-lock")


async def test_what_is_refused_is_said_and_asks_nothing(tmp_path: Path, root: Path, units) -> None:
    with on_a_pty(RtuLine(units).hear) as device:
        station = Station(tmp_path, root, blocks(device, *LIVE))
        async with station.running():
            await station.until(lambda status: polls(status) > 3)
            code, _, said = await station.scanned(device, "--bauds", "9600,19200")
            assert code == 1
            assert "keeps 9600 8N1: for 19200 stop the daemon" in said
            lock = {"do": "maintenance", "on": True, "who": "wang", "reason": "pump", "until": None}
            async for _ in ask(station.socket, lock):
                pass
            code, _, said = await station.scanned(device)
            assert code == 1
            assert "maintenance lock of wang: pump" in said
            async for _ in ask(station.socket, {"do": "maintenance", "on": False, "who": "wang"}):
                pass
            code, out, said = await station.scanned(device, "--bauds", "9600", "--json")
            assert code == 0, said
            assert [one["configured"] for one in json.loads(out)["places"][0]["found"]] == [None, "one-3", "one-240"]
            with pytest.raises(RequestError, match="units"):
                async for _ in ask(station.socket, {"do": "scan", "who": "li", "place": device}):
                    pass
    refused = [row["reason"] for row in station.logged() if row.get("what") == "scan-refused"]
    assert len(refused) == 2


async def test_a_daemon_runs_what_a_scan_proposed(tmp_path: Path, root: Path) -> None:
    devices: dict[int, Unit] = {
        1: Sdm630(METER), 2: StackDevice(STACK, {18: 0}, holes=True), 3: senseair(), 4: senseair(),
        240: Gmp252(unheard),
    }  # fmt: skip
    with on_a_pty(RtuLine(devices).hear) as device:
        plan = Plan((9600,), ("N",), (1, 2, 3, 4, 240), 0.15, 0.06, False, ("modbus",))
        report = await scan(Place(device), plan, lambda *_: None)
        assert len(report.found) == 5
        station = Station(tmp_path, root, text(proposed([(report.place, report.found)])))
        async with station.running():
            status = await station.until(lambda status: polls(status) > 0)
    assert len(status["instruments"]) == 5
    heard = {row["instrument"] for row in station.logged() if row["kind"] == "scan" and not causes(row)}
    assert heard == set(status["instruments"])
