"""An NDIR whose cell feels the weather: calibrated and corrected at one density, no value without its pressure."""

import asyncio
import base64
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.analysis.corrections import AsMeasured
from agent.analysis.nodes import word
from agent.analysis.plan import ByPlan, Known, by_interpolation
from agent.checks.check import check_file
from agent.config import Config
from agent.config_density import Density
from agent.daemon import Daemon
from agent.values.series import series_of
from drivers.registry import stream_driver
from host.clock import RealClock
from host.problems import Lang
from metrology.quality import Cause
from metrology.reading import Reading, Scan
from protocols.record import scan_of
from simulation.instruments.licor import Licor

AIR = 420.0
DENSITY = {
    "measurands": ["co2"], "pressure": "gas_pressure", "temperature": "gas_temperature", "pressure_exponent": 1.0,
    "temperature_exponent": 0.8, "pressure_kPa": 101.325, "temperature_degC": 25.0,
}  # fmt: skip


def declared(document: dict[str, Any]) -> None:
    document["instruments"]["ndir"]["density"] = DENSITY


class Cell:
    """The rig's analyzer in a cell whose pressure and temperature swing; `gone` leaves the pressure out."""

    def __init__(self, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.one, self.gone, self.values = one, False, []
        monkeypatch.setattr(one, "step", self.step)

    async def step(self, seconds: float = 5.0) -> None:
        await self.one.clock.advance(seconds)
        at = self.one.clock.now()
        pressure = 97 + 3 * math.sin(at.timestamp() / 300)
        warm = 30 + 8 * math.sin(at.timestamp() / 500)
        raw = self.one.indication() * (pressure / 101.325) * (298.15 / (warm + 273.15)) ** 0.8
        told = [("co2", raw, "umol/mol"), ("gas_temperature", warm, "degC")]
        told += [] if self.gone else [("gas_pressure", 10 * pressure, "hPa")]
        readings = tuple(Reading("ndir", name, value, unit, at) for name, value, unit in told)
        await self.one.intake.take(Scan("ndir", at, readings))

    def live(self) -> Any:
        return self.one.live.latest["ndir.co2"]


async def calibrated(rig: Any, monkeypatch: pytest.MonkeyPatch, change: Any = declared) -> tuple[Any, Cell]:
    one = await rig(change=change)
    cell = Cell(one, monkeypatch)
    await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    await one.step()
    await one.log.append("event", {"what": "stopped", "origin": "test"})
    return one, cell


async def test_weather_in_the_cell_drops_out_and_survives_a_restart(rig, monkeypatch) -> None:
    one, cell = await calibrated(rig, monkeypatch)
    (adopted,) = await one.records("coefficients")
    assert adopted["density"] == {key: value for key, value in DENSITY.items() if key != "measurands"}
    assert (adopted["slope"], adopted["zero"]) == (pytest.approx(1.01), pytest.approx(2 / 1.01))
    points = await one.records("point")
    assert [row["sd"] for row in points] == [pytest.approx(0, abs=1e-9)] * 3
    assert await one.records("drift") == [], "nothing was reported at this density before"
    (target,) = await one.records("target")
    assert target["deviation"] == pytest.approx(0, abs=1e-9)
    for _ in range(20):
        await one.step(60)
        assert cell.live().value == pytest.approx(AIR)
    await one.end()
    again = await rig(again=one, change=declared)
    cell = Cell(again, monkeypatch)
    for _ in range(5):
        await again.step(60)
        await again.log.append("event", {"what": "waited", "origin": "test"})
        assert cell.live().value == pytest.approx(AIR)
    await again.calibrator.start("daily", "li")
    await again.until(lambda: again.ready)
    assert [row["corrected"] for row in await again.records("drift")] == [pytest.approx(402), pytest.approx(604)]


async def test_without_its_pressure_there_is_no_value_and_the_log_says_the_same(rig, monkeypatch) -> None:
    one, cell = await calibrated(rig, monkeypatch)
    cell.gone = True
    await one.step(60)
    await one.log.append("event", {"what": "waited", "origin": "test"})
    assert (cell.live().value, cell.live().reading.quality.causes) == (None, {Cause.FAULT})
    cell.gone = False
    for _ in range(5):
        await one.step(60)
    await one.log.append("event", {"what": "waited", "origin": "test"})
    rows = await one.records()
    made, traced = [row for row in rows if row.get("what") == "coefficients"], AsMeasured()
    runs = [row for row in rows if row.get("what") in ("run-started", "point")]
    plan = ByPlan("r", by_interpolation("linear"), Known(made, runs), [])
    found = []
    for row in rows:
        if row["kind"] == "scan":
            scan = scan_of(row)
            found.append((traced.measure(scan.readings[0], scan).value, plan.measure(scan.readings[0], scan).value))
        else:
            traced.take(row)
    assert found[-6] == (None, None)
    assert [value for pair in found[-5:] for value in pair] == [pytest.approx(AIR)] * 10


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_trace_tells_the_density(lang: Lang) -> None:
    values = {key: value for key, value in DENSITY.items() if key != "measurands"}
    assert "(101.325 / gas_pressure)^1.0 (gas_temperature / 25.0)^0.8" in word("trace.density", lang, **values)


async def test_without_a_declared_density_the_weather_is_in_the_values(rig, monkeypatch) -> None:
    one, cell = await calibrated(rig, monkeypatch, None)
    assert all("density" not in row for row in await one.records("coefficients"))
    await one.step(400)
    assert cell.live().value != pytest.approx(AIR, abs=1)


@pytest.mark.parametrize(
    ("density", "codes"),
    [
        ("{measurands: ['so2'], pressure: 'nox', temperature: 'none', pressure_exponent: 1, temperature_exponent: 1}",
         {"density-regulated", "density-unit", "measurand-unknown"}),
        ("{measurands: ['so2'], pressure: 'so2', temperature: 'nox', pressure_exponent: 1, temperature_exponent: 1}",
         {"density-regulated", "density-unit", "density-itself"}),
        ("{measurands: ['so2'], pressure: 'nox', temperature: 'nox', pressure_exponent: 1}", {"key-missing"}),
    ],
)  # fmt: skip
def test_check_refuses_what_cannot_be(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, density: str, codes: set[str]
) -> None:
    (tmp_path / "station-key").write_bytes(base64.b64encode(bytes(range(32))))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8")
    anchor = '      rule: "hj-stack"\n'
    path = tmp_path / "station.hjson"
    path.write_text(text.replace(anchor, f"{anchor}density: {density}\n"), encoding="utf-8")
    problems = check_file(path, now=datetime(2026, 6, 1, tzinfo=UTC), lang="en").problems
    errors = {one.code for one in problems if one.severity == "error"}
    assert codes <= errors
    assert all(one.what for one in problems)


def test_an_analyzer_that_tells_of_its_cell_among_its_tags_can_be_brought_to_one_density() -> None:
    licor = Licor(lambda values: None)
    feed = stream_driver("licor_li850_stream", {0: "irga"}, {}).feed
    made = Density.model_validate({**DENSITY, "temperature_exponent": 1.0}).of("co2")
    assert made is not None
    (scan,) = [one for one in feed(licor.document(), datetime(2026, 6, 1, tzinfo=UTC)) if isinstance(one, Scan)]
    # 51.229 degC and 98.453 kPa, as its documents say.
    expected = 400.0 * (101.325 / 98.453) * (51.229 + 273.15) / 298.15
    assert made.bring(scan.readings[0].value or 0.0, scan.readings) == pytest.approx(expected)
    licor.fields.remove("cellpres")
    (scan,) = [one for one in feed(licor.document(), datetime(2026, 6, 1, tzinfo=UTC)) if isinstance(one, Scan)]
    assert made.bring(400.0, scan.readings) is None


async def test_a_daemon_brings_what_a_real_wire_tells_to_the_density_of_its_coefficients(
    tmp_path: Path, config_for: Any, serve_modbus: Any, eventually: Any
) -> None:
    peer = await serve_modbus(1, 2)
    (tmp_path / "key").write_bytes(base64.b64encode(bytes(range(32))))
    (tmp_path / "key").chmod(0o600)
    own = tmp_path / "ndir.hjson"
    rows = [("co2", "umol/mol", 19, 20.0), ("gas_pressure", "kPa", 19, 5.0), ("gas_temperature", "degC", 15, 1.0)]
    registers = [
        {"measurand": name, "unit": unit, "table": "holding", "address": at, "type": "u16", "scale": scale}
        for name, unit, at, scale in rows
    ]
    table = {"maker": "m", "model": "n", "manual": {"title": "own", "revision": "1", "page": "1"}, "evidence": "src"}
    own.write_text(json.dumps({**table, "largest_gap": 9, "largest_block": 8, "registers": registers}))
    document = config_for(tmp_path, peer.port).model_dump(mode="json")
    document["instruments"]["ndir"] |= {"driver": str(own), "poll_s": 1, "series": {}, "density": DENSITY}
    document["sequences"] = {}
    told = {"what": "coefficients", "run": "r", "sequence": "daily", "instrument": "ndir", "id": "r.ndir.co2",
            "series": "ndir.co2", "zero": 2.0, "slope": 1.01, "from": "2026-01-01T00:00:00.000Z", "replaces": None,
            "gases": [], "density": {key: value for key, value in DENSITY.items() if key != "measurands"}}  # fmt: skip
    for expected in (380.0, 1.01 * (380.0 * (101.325 / 95.0) * (288.15 / 298.15) ** 0.8 - 2.0)):
        daemon = Daemon(Config.model_validate(document), RealClock(), tmp_path / "station.hjson")
        task = asyncio.create_task(daemon.run())
        await eventually(lambda d=daemon: "ndir.co2" in d.live.latest)
        assert daemon.live.latest["ndir.co2"].value == pytest.approx(expected)
        await daemon.log.append("calibration", told)
        daemon.stop()
        await asyncio.wait_for(task, 10)


def test_a_column_that_a_probe_is_not_told_to_write_makes_no_series(tmp_path: Path, config_for: Any) -> None:
    document = config_for(tmp_path, 1).model_dump(mode="json")
    found = {}
    for columns in (["CO2"], ["CO2", "T"], None):
        options = {} if columns is None else {"columns": columns}
        document["instruments"] = {
            "probe": {**document["instruments"][next(iter(document["instruments"]))], "driver": "vaisala_gmp343",
                      "options": options, "series": {}},
        }  # fmt: skip
        found[str(columns)] = [spec.series for spec in series_of(Config.model_validate(document))]
    both = ["probe.co2", "probe.gas_temperature"]
    assert found == {"['CO2']": both[:1], "['CO2', 'T']": both, "None": both}
