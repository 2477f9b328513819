"""A station that derives its stack: a simulated CEMS on real Modbus, a real log, a platform on a real socket."""

import asyncio
import base64
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.config import Config
from agent.daemon import Daemon
from agent.requests import status
from agent.values.derived import Derived
from agent.values.series import series_of
from host.clock import clock_from
from host.hjson import read
from metrology.clock import Clock
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from metrology.stack import emission, flow, oxygen
from protocols.record import average_row, averages_of
from simulation.cems import Cems
from simulation.faults import Faults
from simulation.modbus import ModbusTcp
from simulation.valves import ValveBlock

RATE = 40.0
# Six seconds before a whole minute.
WORLD = datetime(2026, 6, 15, 0, 29, 54, tzinfo=UTC)
STACK = {
    "so2": 40.0, "nox": 60.0, "o2": 6.8, "co2_percent": 12.0, "dust": 4.0, "differential_pressure": 80.0,
    "stack_temperature": 138.5, "static_pressure": -250.0, "stack_humidity": 8.6,
}  # fmt: skip


class Plant:
    """The simulated CEMS behind a TCP port. `frames` is what a platform got."""

    def __init__(self, clock: Clock) -> None:
        self.valve = ValveBlock(("sample", "zero", "span"))
        gases = {name: dict.fromkeys(STACK, 0.0) for name in ("zero", "span")}
        self.cems = Cems(
            clock, lambda values, **more: None, np.random.default_rng(3), self.valve, Faults([], clock.now()), gases
        )
        self.cems.step(clock.now(), STACK)
        self._units = ModbusTcp({1: self.cems, 2: self.valve})
        self.frames = b""
        self.ports: list[int] = []
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for serve in (self._modbus, self._platform):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    async def _modbus(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._units(reader, writer)
        writer.close()

    async def _platform(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.frames += data
        writer.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


def configuration(root: Path, folder: Path, ports: list[int]) -> Config:
    """The example, at this plant, with everything that leads elsewhere left out."""
    document: dict[str, Any] = read(root / "config" / "emission.hjson")[0].root.plain()
    for name, seed in (("key", base64.b64encode(bytes(range(32)))), ("pw", b"123456")):
        (folder / name).write_bytes(seed)
        (folder / name).chmod(0o600)
    document["station"]["simulated"] = True
    document["store"] |= {"path": str(folder / "store"), "commit_ms": 5}
    document["ledger"]["key"] = {"file": str(folder / "key")}
    document["socket"] = str(folder / "agent.sock")
    document["buses"]["plc"]["wire"] |= {"host": "127.0.0.1", "port": ports[0]}
    document["sequences"] = {}
    uplink = document["uplinks"]["authority"] | {
        "host": "127.0.0.1", "port": ports[1], "pw": {"file": str(folder / "pw")}, "ack": "none"
    }  # fmt: skip
    document["uplinks"] = {"authority": uplink}
    return Config.model_validate(document)


@pytest.fixture
async def running(root: Path, tmp_path: Path) -> AsyncIterator[tuple[Daemon, Plant]]:
    clock = clock_from(f"{time.time()},{WORLD.timestamp()},{RATE:g}")
    plant = Plant(clock)
    await plant.start()
    daemon = Daemon(configuration(root, tmp_path, plant.ports), clock, tmp_path / "station.hjson")
    task = asyncio.create_task(daemon.run())
    yield daemon, plant
    daemon.stop()
    await task
    plant.close()


async def records(daemon: Daemon, kind: str) -> list[dict[str, Any]]:
    return [row.fields for row in await daemon.log.read(-1, kinds=frozenset({kind}), limit=10_000)]


async def derived(daemon: Daemon) -> list[tuple[int, dict[str, Any]]]:
    """Values of all derived scans, with their numbers."""
    return [(row["seq"], row["values"]) for row in await records(daemon, "scan") if row["instrument"] == "main"]


async def until_minute(daemon: Daemon, count: int, *, full: bool = False) -> list[dict[str, Any]]:
    """Wait for so many closed minutes; for a valid one among them where `full`, however busy the machine is."""
    async with asyncio.timeout(60):
        while True:
            found = [row for row in await records(daemon, "average") if row["period_s"] == 60]
            valid = [row for row in found if row["rows"]["main.so2_rate"]["n"] >= 12]
            if len(found) >= count and (valid or not full):
                return found
            await daemon.log.wait(daemon.log.next_seq - 1)


async def test_every_scan_is_followed_by_what_the_stack_gives_off(running: tuple[Daemon, Plant]) -> None:
    daemon, plant = running
    minutes = await until_minute(daemon, 3, full=True)
    scans = await records(daemon, "scan")
    pairs = [(a, b) for a, b in itertools.pairwise(scans) if a["instrument"] == "cems" and a["values"]["so2"]["x"]]
    assert len(pairs) > 20
    assert {b["instrument"] for _, b in pairs} == {"main"}
    assert {b["status"]["kv"] for _, b in pairs} == {"kv-2026-03"}
    for read_, derived in pairs:
        assert derived["at"] == read_["at"]
        x = {name: row["x"] for name, row in read_["values"].items()}
        y = {name: row["x"] for name, row in derived["values"].items()}
        ts, ps, moisture = x["stack_temperature"], x["static_pressure"], x["stack_humidity"] / 100
        density = flow.stack_density_kg_m3(1.31, ts, 101200.0, ps)
        velocity = 1.05 * flow.pitot_velocity_m_s(x["differential_pressure"], density, 0.84)
        assert y["stack_velocity"] == pytest.approx(velocity)
        dry = 3600 * 12.5 * velocity * flow.state_factor(ts, 101200.0, ps) * (1 - moisture)
        assert y["flow_dry"] == pytest.approx(dry)
        assert y["so2_std"] == x["so2"]
        assert y["so2_rate"] == pytest.approx(x["so2"] * dry * 1e-6)
        assert y["co2_rate"] == pytest.approx(1000 * emission.co2_t_h(x["co2_percent"], dry))
        assert y["so2_zs"] == pytest.approx(oxygen.at_reference_oxygen(x["so2"], x["o2"], 6.0).value)
    full = next(minute for minute in minutes if minute["rows"]["main.so2_rate"]["n"] >= 12)
    await the_minute_is_the_mean_of_the_scans(full, scans)
    await the_platform_got_it(plant, full)
    assert status(daemon)["stacks"] == {"main": {"cut_offs": 0, "guarded": 0}}
    assert status(daemon)["values"]["main.co2_rate"]["value"] > 1000


async def the_minute_is_the_mean_of_the_scans(minute: dict[str, Any], scans: list[dict[str, Any]]) -> None:
    """Means are of what was derived, the amount is rate times time; raw and derived stand side by side."""
    rows = {average.series: average for average in averages_of(minute)}
    inside = [s for s in scans if s["instrument"] == "main" and minute["start"] <= s["at"] < minute["end"]]
    good = [s["values"]["so2_rate"]["x"] for s in inside if "q" not in s["values"]["so2_rate"]]
    rate = rows["main.so2_rate"]
    assert rate.n == len(good) >= 12
    assert rate.mean == pytest.approx(sum(good) / len(good))
    assert rate.sum == pytest.approx(rate.mean / 60)
    assert (rate.rule, rate.unit) == ("hj-stack", "kg/h")
    assert rows["cems.so2"].sum is None
    assert rows["main.flow_dry"].sum == pytest.approx((rows["main.flow_dry"].mean or 0) / 60)


async def the_platform_got_it(plant: Plant, minute: dict[str, Any]) -> None:
    """2051 of the minute: flow in m3/s, the converted mean, and the amounts in kg and m3."""
    rows = minute["rows"]
    local = datetime.fromisoformat(minute["start"]) + timedelta(hours=8)
    async with asyncio.timeout(20):
        while not (found := [f for f in plant.frames.decode().split("\r\n")
                             if "CN=2051" in f and f"DataTime={local:%Y%m%d%H%M%S}" in f]):  # fmt: skip
            await asyncio.sleep(0.02)
    sent = dict(re.findall(r"(a\d{5}-\w+)=([^,;&]+)", found[0]))
    assert float(sent["a00000-Avg"]) == pytest.approx(rows["main.flow_dry"]["mean"] / 3600, abs=0.06)
    assert float(sent["a00000-Cou"]) == pytest.approx(rows["main.flow_dry"]["sum"], abs=0.06)
    assert float(sent["a21026-Avg"]) == pytest.approx(rows["cems.so2"]["mean"], abs=0.006)
    assert float(sent["a21026-ZsAvg"]) == pytest.approx(rows["main.so2_zs"]["mean"], abs=0.006)
    assert float(sent["a21026-Cou"]) == pytest.approx(rows["main.so2_rate"]["sum"], abs=0.006)
    assert float(sent["a01011-Avg"]) == pytest.approx(rows["main.stack_velocity"]["mean"], abs=0.006)


async def test_gas_in_the_line_marks_what_is_made_of_it(running: tuple[Daemon, Plant]) -> None:
    daemon, plant = running
    await until_minute(daemon, 1)
    plant.valve.write(1, 0, 0)
    plant.valve.write(1, 1, 1)
    before = daemon.log.next_seq
    async with asyncio.timeout(20):
        while not (
            marked := [values for seq, values in await derived(daemon) if seq > before and "q" in values["so2_rate"]]
        ):
            await daemon.log.wait(daemon.log.next_seq - 1)
    causes = {name: {mark[0] for mark in row.get("q", ())} for name, row in marked[-1].items()}
    assert causes["so2_rate"] == causes["so2_zs"] == causes["nox_std"] == causes["co2_rate"] == {"calibration"}
    # Flow and dust are read in the stack and go on; what is converted needs the oxygen.
    assert causes["flow_dry"] == causes["dust_rate"] == set()
    assert causes["dust_std"] == set()
    assert causes["dust_zs"] == {"calibration"}
    # A mark is no reason to hide what was computed.
    assert marked[-1]["so2_rate"]["x"] is not None


async def test_a_restart_amid_a_minute_loses_and_doubles_nothing(root: Path, tmp_path: Path) -> None:
    clock = clock_from(f"{time.time()},{(WORLD + timedelta(seconds=6)).timestamp()},{RATE:g}")
    plant = Plant(clock)
    await plant.start()
    for last in (False, True):
        daemon = Daemon(configuration(root, tmp_path, plant.ports), clock, tmp_path / "station.hjson")
        task = asyncio.create_task(daemon.run())
        async with asyncio.timeout(20):
            before = daemon.log.next_seq
            while len([seq for seq, _ in await derived(daemon) if seq >= before]) < 15:
                await asyncio.sleep(0.02)
        if not last:
            daemon.stop()
            await task
    minutes = await until_minute(daemon, 2)
    scans = await records(daemon, "scan")
    for minute in minutes:
        inside = [row for row in scans if minute["start"] <= row["at"] < minute["end"]]
        made = [row["values"]["so2_rate"] for row in inside if row["instrument"] == "main"]
        good = [value for value in made if value["x"] is not None and "q" not in value]
        assert minute["rows"]["main.so2_rate"]["n"] == len(good)
        assert minute["rows"]["cems.so2"]["n"] == len(good)
    daemon.stop()
    await task
    plant.close()


def hourly(config: Config, at: datetime) -> list[Average]:
    """An hour of every series at the plant's own values, the derived ones as derived from them."""
    readings = [Reading("cems", name, value, "", at) for name, value in STACK.items()]
    units = {spec.series: spec.unit for spec in series_of(config)}
    measured = [Measurement(replace(one, unit=units[one.series]), one.value) for one in readings]
    (scan,) = Derived(config).scans(measured)
    means = {one.reading.series: one.value for one in measured} | {one.series: one.value for one in scan.readings}
    return [
        Average(series, units[series], at, 3600, 60, 1.0, mean, mean, mean, 0.0, "hj-stack", sum=mean)
        for series, mean in means.items()
    ]


def test_a_valid_hour_says_what_it_is_uncertain_by(root: Path, tmp_path: Path) -> None:
    config = configuration(root, tmp_path, [1, 2])
    derived = Derived(config)
    hours = hourly(config, WORLD.replace(minute=0, second=0))
    found = {one.series: one for one in derived.with_uncertainty(hours)}
    assert [one.series for one in hours] == list(found)
    for series in ("main.stack_velocity", "main.flow_dry", "main.so2_std", "main.so2_zs", "main.co2_rate"):
        parts, mean = found[series].uncertainty, found[series].mean
        assert parts is not None
        assert mean is not None
        assert 0.005 < max(parts.independent, parts.slow, parts.common) / mean < 0.2
    assert found["cems.so2"].uncertainty is None
    row = average_row(found["main.co2_rate"])
    assert len(row["unc"]) == 3
    # The analyzer's range stands behind what drifts: 2.5 and 2 % of 100 mg/m3, as limits.
    std = found["main.so2_std"].uncertainty
    assert std is not None
    assert std.slow == pytest.approx((2.5**2 + 2.0**2) ** 0.5 / 3**0.5)
    minutes = [replace(one, period_s=60) for one in hours]
    assert derived.with_uncertainty(minutes) == minutes
    lost = Quality.of(Mark(Cause.INCOMPLETE, "averaging", WORLD))
    assert all(
        one.uncertainty is None for one in derived.with_uncertainty([replace(one, quality=lost) for one in hours])
    )
