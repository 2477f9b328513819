"""The guide to a new instrument, done as it says: its own files, checked, played, and read over a real line."""

import asyncio
import base64
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import minimalmodbus
import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.__main__ import main
from agent.checks.check import check_file
from agent.wires.transcript import exchanges, read
from drivers.registry import describe
from metrology.measurand import catalogue

GUIDES = ("add-an-instrument.md", "add-an-instrument.zh-CN.md")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MAPS = "/etc/plumeline/maps"


@dataclass
class Guide:
    """The files of a guide, written into a folder of the station's own."""

    map: Path
    transcript: Path
    station: Path
    says: str


def block(page: str, kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(params=GUIDES)
def guide(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Guide:
    page = (root / "docs" / request.param).read_text(encoding="utf-8").replace(MAPS, str(tmp_path))
    made = Guide(
        tmp_path / "renke_ws.hjson", tmp_path / "renke_ws.txt", tmp_path / "station.hjson", block(page, "text")
    )
    made.map.write_text(block(page, "hjson"), encoding="utf-8")
    made.transcript.write_text(block(page, "transcript"), encoding="utf-8")
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    rest = f"""
station: {{
  id: "a", network: "n", name_zh: "a", name_en: "a"
  position: {{ latitude: 31, longitude: 121, height_m: 10, datum: "WGS-84" }}
}}
store: {{ path: "{tmp_path}/store", quota_GB: 10000 }}
ledger: {{ key: {{ file: "{key}" }} }}
socket: "{tmp_path}/agent.sock"
"""
    made.station.write_text(block(page, "station") + rest, encoding="utf-8")
    return made


def test_both_languages_have_the_same_files(root: Path) -> None:
    pages = [(root / "docs" / name).read_text(encoding="utf-8") for name in GUIDES]
    for kind in ("hjson", "transcript", "station", "text"):
        assert block(pages[0], kind) == block(pages[1], kind)
    assert re.findall(r"^plumeline .*", pages[0], re.MULTILINE) == re.findall(r"^plumeline .*", pages[1], re.MULTILINE)


def test_it_checks_clean_and_plays_what_the_guide_says(guide: Guide, capsys: pytest.CaptureFixture[str]) -> None:
    assert [str(one) for one in check_file(guide.station, now=NOW).problems] == []
    assert main(["--lang", "en", "play", str(guide.transcript)]) == 0
    assert capsys.readouterr().out == guide.says
    assert main(["--lang", "en", "config", "example", str(guide.map)]) == 0
    assert f'driver: "{guide.map}"' in capsys.readouterr().out


def test_it_passes_the_test_every_driver_passes(guide: Guide, root: Path) -> None:
    spec = importlib.util.spec_from_file_location("house", root / "tests" / "drivers" / "test_transcripts.py")
    assert spec is not None
    assert spec.loader is not None
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    info = describe(str(guide.map))
    assert {measurand: catalogue()[measurand].unit for measurand in info.measurands} == dict(info.measurands)
    ((asked, came),) = exchanges(read([guide.transcript]).pieces)
    exchange = {"send": asked.data.hex(" "), "answer": b"".join(piece.data for piece in came).hex(" ")}
    wanted = {"readings": {"relative_humidity": [65.8, "%"], "air_temperature": [-10.1, "degC"]}}
    transcript = {
        "driver": str(guide.map), "unit": 1, "wire": "rtu", "polls": [{"exchanges": [exchange], "scans": [wanted]}],
    }  # fmt: skip
    house.replay(transcript, lambda step, one: house.modbus_answer(transcript, step, one))


@pytest.fixture
async def transmitter(pty_line: Any) -> AsyncIterator[list[int]]:
    """An independent Modbus server with the two registers; it knows nothing of the map."""
    words = [0x01A4, 0xFFCE]  # 42.0 % and -5.0 degC
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    holding = [SimData(0, values=words, datatype=DataType.REGISTERS)]
    device = SimDevice(1, (bits, bits, holding, [SimData(0, values=[0], datatype=DataType.REGISTERS)]))
    server = ModbusSerialServer([device], framer=FramerType.RTU, port=pty_line.far, baudrate=4800)
    await server.serve_forever(background=True)
    yield words
    await server.shutdown()


async def test_a_dry_run_reads_what_an_independent_client_reads(
    guide: Guide, transmitter: list[int], pty_line: Any
) -> None:
    text = guide.station.read_text(encoding="utf-8")
    guide.station.write_text(text.replace("/dev/serial/by-id/usb-ADAPTER", str(pty_line.link)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "check", str(guide.station), "--dry-run", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    (row,) = json.loads(out)["instruments"]
    other = minimalmodbus.Instrument(str(pty_line.link), 1, close_port_after_each_call=True)
    other.serial.baudrate, other.serial.timeout = 4800, 2
    humidity = await asyncio.to_thread(other.read_register, 0, 1)
    temperature = await asyncio.to_thread(other.read_register, 1, 1, 3, True)
    assert {name: one["value"] for name, one in row["values"].items()} == {
        "relative_humidity": pytest.approx(humidity), "air_temperature": pytest.approx(temperature),
    }  # fmt: skip
    assert (humidity, temperature) == (pytest.approx(42.0), pytest.approx(-5.0))


async def told(*command: str) -> str:
    """What the program prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "--lang", "en", *command,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return (await process.communicate())[0].decode()


@pytest.mark.parametrize("guide", GUIDES[:1], indirect=True)
async def test_a_station_runs_with_it_and_records_it(guide: Guide, transmitter: list[int], pty_line: Any) -> None:
    text = guide.station.read_text(encoding="utf-8").replace("poll_s: 5", "poll_s: 1")
    guide.station.write_text(text.replace("/dev/serial/by-id/usb-ADAPTER", str(pty_line.link)), encoding="utf-8")
    tapes = guide.map.parent / "tapes"
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "run", str(guide.station), "--record", str(tapes),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            while not any(" < " in line for path in tapes.glob("*.txt") for line in path.read_text().splitlines()):
                await asyncio.sleep(0.05)
            status = json.loads(await told("status", "--socket", str(guide.map.parent / "agent.sock"), "--json"))
    finally:
        daemon.terminate()
        assert await daemon.wait() == 0
    assert str(status).count("'weather.air_temperature'") >= 1
    (tape,) = tapes.glob("*.txt")
    assert (
        (await told("play", str(tape)))
        .splitlines()[0]
        .endswith(" weather relative_humidity 42 %; air_temperature -5 degC")
    )


WRONG = [
    ("address: 1,", "adress: 1,", 'Unknown key "adress"', "adress"),
    ("largest_gap: 0", 'largest_gap: "0"', "wanted a whole number", '"0"'),
    ("largest_gap: 0", "largest_gap: true", "wanted a whole number", "true"),
    ("address: 1,", "address: 65536,", "<= 65535", "65536"),
    ('"air_temperature", unit', '"air_temprature", unit', "not in the measurand catalogue", "{ measurand: \"air_tempr"),
    ('unit: "degC"', 'unit: "K"', "is kept in degC", '{ measurand: "air_temperature"'),
    ('model: "RS-WS-N01"', 'model: "RS-WS-N01"\n  model: "other"', "given before", 'model: "other"'),
    ("registers: [", "registers: {", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "words", "at"), WRONG)
@pytest.mark.parametrize("guide", GUIDES[:1], indirect=True)
def test_what_is_wrong_in_a_map_is_told_with_its_place(
    guide: Guide, good: str, bad: str, words: str | None, at: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = guide.map.read_text(encoding="utf-8")
    assert good in text
    guide.map.write_text(text.replace(good, bad), encoding="utf-8")
    checked = check_file(guide.station, now=NOW)
    assert checked.config is None
    first = checked.problems[0]
    assert first.path == str(guide.map)
    assert words is None or words in str(first)
    if at is not None:
        line = guide.map.read_text(encoding="utf-8").splitlines()[first.line - 1]
        assert line[first.column - 1 :].startswith(at)
    for command in (["config", "example", str(guide.map)], ["play", str(guide.transcript)]):
        assert main(["--lang", "en", *command]) == 1
        assert f"{guide.map}:{first.line}:{first.column}: " in capsys.readouterr().err


@pytest.mark.parametrize(("path", "code"), [("{folder}/absent.hjson", "map-missing"), ("x/a.hjson", "map-relative")])
@pytest.mark.parametrize("guide", GUIDES[:1], indirect=True)
def test_a_map_that_is_not_there(guide: Guide, path: str, code: str) -> None:
    text = guide.station.read_text(encoding="utf-8")
    named = path.format(folder=guide.map.parent)
    guide.station.write_text(text.replace(str(guide.map), named), encoding="utf-8")
    (found,) = check_file(guide.station, now=NOW).problems
    assert (found.code, found.path) == (code, str(guide.station))
    assert named in str(found)
