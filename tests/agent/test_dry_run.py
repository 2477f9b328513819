"""`plumeline check --dry-run`: what instruments on real wires answer, what is wrong with those that do not."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import sys
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.dry_run import remedies
from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock

PLANTOWER = bytes.fromhex("424d001c") + b"".join(
    n.to_bytes(2, "big") for n in (5, 9, 11, 4, 8, 10, 1, 2, 3, 4, 5, 6, 0)
)


def frame(body: bytes) -> bytes:
    """A Plantower frame: the sum of all bytes before it ends it."""
    return body + sum(body).to_bytes(2, "big")


async def answer_weather(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.readline():
            writer.write(b"0R0,Dm=236D,Sm=2.5M,Ta=21.40C,Ua=48.1P,Pa=1009.6H\r\n")
            await writer.drain()
    writer.close()


async def talk_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(100):
            writer.write(b"Welcome to the gateway\r\n")
            await writer.drain()
    writer.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def tcp(port: int) -> dict[str, Any]:
    return {"kind": "tcp", "host": "127.0.0.1", "port": port}


def instrument(driver: str, bus: str, unit: int | None = None, **more: Any) -> dict[str, Any]:
    polled = {} if driver == "plantower_pms" else {"poll_s": 1}
    return {"driver": driver, "bus": bus, "unit": unit, "kind": "research", "rule": "ghg", **polled, **more}


def document(folder: Path, buses: dict[str, Any], instruments: dict[str, Any]) -> dict[str, Any]:
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    return {
        "station": {
            "id": "test-01", "network": "n", "name_zh": "站", "name_en": "station",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store"), "quota_GB": 1000},
        "ledger": {"key": {"file": str(key)}},
        "buses": buses,
        "instruments": instruments,
        "socket": str(folder / "agent.sock"),
    }  # fmt: skip


async def run(folder: Path, written: dict[str, Any], *more: str, lang: str = "en") -> tuple[int, str, str]:
    """The command in a process of its own."""
    path = folder / "station.hjson"
    path.write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "--lang", lang, "check", str(path), "--dry-run", *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def weather() -> AsyncIterator[int]:
    server = await asyncio.start_server(answer_weather, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def rubbish() -> AsyncIterator[int]:
    server = await asyncio.start_server(talk_rubbish, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class Speaker:
    """A pty whose far end says the same frame again and again."""

    def __init__(self, said: bytes) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.device = os.ttyname(self.slave)
        self._task = asyncio.create_task(self._speak(said)) if said else None

    async def _speak(self, said: bytes) -> None:
        while True:
            os.write(self.master, said)
            await asyncio.sleep(0.1)

    def close(self) -> None:
        if self._task:
            self._task.cancel()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
async def speaker() -> AsyncIterator[Any]:
    made: list[Speaker] = []

    def make(said: bytes) -> Speaker:
        made.append(Speaker(said))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
async def station(
    tmp_path: Path, weather: int, rubbish: int, pty_line: Any, serve_rtu: Any, serve_modbus: Any, speaker: Any
) -> Any:
    """Nine lines, of which three work; and the peer on the serial one."""
    peer, plc = await serve_rtu(5), await serve_modbus(1)
    serial = {"kind": "serial", "device": str(pty_line.link)}
    stream = {"protocol": "stream"}
    buses = {
        "air": {"wire": tcp(weather), "protocol": "text"},
        "line": {"wire": serial, "protocol": "modbus-rtu", "timeout_s": 0.3},
        "gone": {"wire": {"kind": "serial", "device": str(tmp_path / "ttyUSB7")}, "protocol": "modbus-rtu"},
        "off": {"wire": tcp(free_port()), "protocol": "modbus-tcp"},
        "plc": {"wire": tcp(plc.port), "protocol": "modbus-tcp"},
        "web": {"wire": tcp(rubbish), "protocol": "modbus-rtu", "timeout_s": 0.3},
        "pm": {"wire": {"kind": "serial", "device": speaker(frame(PLANTOWER)).device}, **stream},
        "mute": {"wire": {"kind": "serial", "device": speaker(b"").device}, **stream},
        "wrong": {"wire": {"kind": "serial", "device": speaker(b"\x00\xff").device}, **stream},
    }
    instruments = {
        "weather": instrument(
            "vaisala_wxt5xx", "air", 0, series={"air_temperature": {"maximum": 20}, "wind_speed": {}}
        ),
        "ndir": instrument("senseair_s8", "line", 5),
        "silent": instrument("senseair_s8", "line", 6),
        "unplugged": instrument("senseair_s8", "gone", 1),
        "beside": instrument("senseair_s8", "gone", 2),
        "off": instrument("senseair_s8", "off", 1),
        "elsewhere": instrument("cems_block", "plc", 1, options={"base_address": 5000}),
        "web": instrument("senseair_s8", "web", 1),
        "pm": instrument("plantower_pms", "pm", expected_per_minute=60),
        "mute": instrument("plantower_pms", "mute", expected_per_minute=60),
        "wrong": instrument("plantower_pms", "wrong", expected_per_minute=60),
    }
    return document(tmp_path, buses, instruments), peer


async def test_every_instrument_is_read_once_and_what_fails_is_explained(tmp_path: Path, station: Any) -> None:
    written, peer = station
    code, out, err = await run(tmp_path, written, "--json")
    assert code == 1, err
    answer = json.loads(out)
    assert (answer["from"], answer["problems"]) == ("instruments", [])
    rows = {row["instrument"]: row for row in answer["instruments"]}
    assert list(rows) == list(written["instruments"])
    assert {name: row["failure"] and row["failure"]["code"] for name, row in rows.items()} == {
        "weather": None, "ndir": None, "silent": "no-answer", "unplugged": "port-missing", "beside": "port-missing",
        "off": "refused", "elsewhere": "exception", "web": "garbled", "pm": None, "mute": "nothing-heard",
        "wrong": "not-understood",
    }  # fmt: skip
    assert rows["weather"]["values"] == {
        "air_temperature": {"value": 21.4, "unit": "degC", "causes": ["out_of_range"]},
        "wind_speed": {"value": 2.5, "unit": "m/s", "causes": []},
    }
    assert rows["ndir"]["values"]["co2"] == {"value": 3.0, "unit": "umol/mol", "causes": []}
    assert 0 < rows["ndir"]["seconds"] < 5
    assert 0.25 < rows["silent"]["seconds"] < 5
    assert rows["pm"]["values"]["pm2_5"]["value"] == 8
    assert str(tmp_path / "ttyUSB7") in rows["unplugged"]["failure"]["text"]
    assert "ls -l /dev/serial/by-id" in rows["unplugged"]["failure"]["remedy"]
    assert peer.reads == [5, 6], "one read each"
    assert not (tmp_path / "store").exists()


async def test_the_table_says_what_to_do(tmp_path: Path, station: Any) -> None:
    written, _ = station
    del written["instruments"]["mute"], written["instruments"]["wrong"], written["buses"]["mute"]
    del written["buses"]["wrong"]
    code, out, err = await run(tmp_path, written)
    lines = out.splitlines()
    assert "No daemon runs by this file" in lines[0]
    assert lines[1].split() == ["Name", "Measurand", "Value", "Unit", "Took", "Quality"]
    assert ["weather", "wind_speed", "2.5", "m/s"] in [line.split()[:4] for line in lines]
    assert any(line.startswith("silent (line): Nothing came back. Check power") for line in lines)
    assert "reading 9 instruments" in err
    _, out, _ = await run(tmp_path, written, lang="zh")
    assert code == 1
    assert "没有任何应答。请检查电源" in out


async def test_a_running_daemon_is_asked_and_gives_its_own_readings(
    tmp_path: Path, weather: int, serve_modbus: Any
) -> None:
    peer = await serve_modbus(2)
    buses = {
        "air": {"wire": tcp(weather), "protocol": "text"},
        "line": {"wire": tcp(peer.port), "protocol": "modbus-tcp", "timeout_s": 0.2},
    }
    instruments = {
        "weather": instrument("vaisala_wxt5xx", "air", 0, series={"wind_speed": {}}),
        "ndir": instrument("senseair_s8", "line", 2),
        "silent": instrument("senseair_s8", "line", 3),
    }
    written = document(tmp_path, buses, instruments)
    path = tmp_path / "station.hjson"
    daemon = Daemon(Config.model_validate(written), RealClock(), path)
    task = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(20):
            while not Path(written["socket"]).exists():
                await asyncio.sleep(0.01)
        code, out, err = await run(tmp_path, written, "--json")
        assert code == 1, err
        answer = json.loads(out)
        assert answer["from"] == "daemon"
        rows = {row["instrument"]: row for row in answer["instruments"]}
        assert list(rows) == ["weather", "ndir", "silent"]
        assert rows["weather"]["values"]["wind_speed"]["value"] == 2.5
        assert rows["ndir"]["values"]["co2"]["value"] == 3.0
        assert rows["silent"]["failure"]["code"] == "silent"
        written["instruments"]["ndir"]["poll_s"] = 2
        _, out, _ = await run(tmp_path, written)
        assert "another configuration than this file" in out
    finally:
        daemon.stop()
        await task


async def test_what_cannot_be_read_is_said_before_any_wire_is_touched(tmp_path: Path, serve_modbus: Any) -> None:
    peer = await serve_modbus(1)
    buses = {"line": {"wire": tcp(peer.port), "protocol": "modbus-tcp"}}
    written = document(tmp_path, buses, {"ndir": instrument("senseair_s9", "line", 1)})
    code, out, _ = await run(tmp_path, written)
    assert code == 1
    assert 'Did you mean "senseair_s8"' in out
    assert peer.reads == []
    # A missing secret is an error of the file, and the instruments are read all the same.
    written["instruments"]["ndir"]["driver"] = "senseair_s8"
    (tmp_path / "key").unlink(missing_ok=True)
    written["ledger"]["key"]["file"] = str(tmp_path / "none")
    code, out, _ = await run(tmp_path, written, "--json")
    answer = json.loads(out)
    assert code == 1
    assert [one["code"] for one in answer["problems"]] == ["secret-missing"]
    assert answer["instruments"][0]["values"]["co2"]["value"] == 3.0
    assert peer.reads == [1]


async def test_a_daemon_that_may_not_be_asked_is_never_read_around(tmp_path: Path, serve_modbus: Any) -> None:
    peer = await serve_modbus(1)
    buses = {"line": {"wire": tcp(peer.port), "protocol": "modbus-tcp"}}
    written = document(tmp_path, buses, {"ndir": instrument("senseair_s8", "line", 1)})

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"error": "unknown request; known: status"}\n')
        writer.close()

    server = await asyncio.start_unix_server(refuse, written["socket"])
    code, out, err = await run(tmp_path, written)
    server.close()
    assert (code, peer.reads) == (1, [])
    assert "unknown request" in err
    assert "ndir" not in out


def test_every_remedy_is_told_in_both_languages() -> None:
    values = {"device": "/dev/ttyUSB0", "host": "h", "seconds": 3.0, "bytes": 5}
    for code in remedies().table:
        english, chinese = (remedies().say(code, lang, **values) for lang in ("en", "zh"))
        assert all(english)
        assert all("\u4e00" <= said[0] <= "\u9fff" or "{" not in said for said in chinese)
