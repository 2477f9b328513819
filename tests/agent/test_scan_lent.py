"""A scan of a line that a running daemon owns, and a daemon that runs what a scan proposed: real processes and ptys."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from peers.lines import METER, STACK, Counting, on_a_pty, senseair, unheard
from peers.stations import StationProcess, bare

from agent.doctor.places import Place, Plan
from agent.doctor.propose import proposed, text
from agent.doctor.scan import scan
from host.control import RequestError, ask
from simulation.instruments.registers import Gmp252, Sdm630, StackDevice
from simulation.modbus import RtuLine, Unit


class Station(StationProcess):
    """A daemon of a bare station with these blocks, as a scan proposed them."""

    def __init__(self, folder: Path, root: Path, blocks: str) -> None:
        super().__init__(folder, root, bare("scan-01"))
        del self.document["buses"], self.document["instruments"]
        self.blocks = blocks

    def write(self) -> None:
        self.file.write_text(json.dumps(self.document)[:-1] + "\n" + self.blocks + "}\n", encoding="utf-8")

    async def scanned(self, device: str, *words: str) -> tuple[int, str, str]:
        look = ("--units", "1-3,240", "--timeout", "0.1", "--who", "li", "--socket", self.socket)
        process = await self.program("scan", device, *look, *words)
        out, said = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), said.decode()

    def logged(self) -> list[dict[str, Any]]:
        return [row.fields for row in self.rows()]


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
def units() -> dict[int, Counting]:
    return {1: Counting(Sdm630(METER)), 3: Counting(senseair()), 240: Counting(Gmp252(unheard))}


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
