"""Commands that ask a running daemon, here a real one with an instrument on a real Modbus server."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.status import Reader, span
from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock
from host.problems import Lang
from metrology.quality import Cause


def station(folder: Path, port: int) -> Config:
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    pw = folder / "pw"
    pw.write_text("123456")
    pw.chmod(0o600)
    gas = {"value": 4, "unit": "umol/mol", "uncertainty": 0.1, "scale": "WMO CO2 X2019"}
    return Config.model_validate({
        "station": {
            "id": "live-01", "network": "n", "name_zh": "河边站", "name_en": "Riverside",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store")},
        "ledger": {"key": {"file": str(key)}},
        "buses": {
            "plc": {
                "wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "modbus-tcp", "timeout_s": 2,
            },
            "boards": {"wire": {"kind": "serial", "device": str(folder / "none")}, "protocol": "stream"},
        },
        "instruments": {
            "ndir": {
                "driver": "senseair_s8", "bus": "plc", "unit": 1, "poll_s": 1, "kind": "research", "rule": "ghg",
                "series": {"co2": {"minimum": 100, "maximum": 1000}},
            },
            "board": {"driver": "micro_board", "bus": "boards", "unit": 1, "kind": "research", "rule": "ghg"},
        },
        "valves": {
            "gas": {
                "bus": "plc", "unit": 2, "sample": "sample", "on_power_loss": "sample",
                "ports": {"sample": {"coil": 0}, "zero": {"coil": 1}},
            }
        },
        "cylinders": {
            "zero": {"number": "N1", "certificate": "C", "expires": "2040-01-01", "assigned": {"co2": gas}}
        },
        "sequences": {
            "daily": {
                "valve": "gas", "instrument": "ndir", "recovery_s": 1,
                "injections": [
                    {"gas": "zero", "port": "zero", "roles": {"co2": "zero"}, "flush_s": 600, "average_s": 60}
                ],
                "schedule": {"every_h": 24},
            }
        },
        "uplinks": {
            "gov": {
                "kind": "hj212", "host": "127.0.0.1", "port": 9, "outlet": "main", "mn": "A" * 14,
                "pw": {"file": str(pw)}, "factors": {"a05001": {"series": "ndir.co2", "unit": "umol/mol"}},
            }
        },
        "socket": str(folder / "agent.sock"),
    })  # fmt: skip


async def run(*line: str, lang: str = "en") -> tuple[int, str, str]:
    """A command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "--lang", lang, *line,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def daemon_of(config: Config) -> AsyncIterator[Daemon]:
    daemon = Daemon(config, RealClock(), Path("station.hjson"))
    task = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(20):
            while not ("ndir.co2" in daemon.live.latest and Path(config.socket).exists()
                       and daemon.uplinks["gov"].status()["down_wall_s"] is not None
                       and not daemon.calibrator.status()["held"]):  # fmt: skip
                await asyncio.sleep(0.02)
                assert not task.done()
        yield daemon
    finally:
        daemon.stop()
        await task


async def test_a_person_reads_the_state_and_acts(
    tmp_path: Path, serve_modbus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.daemon.DRAIN_WALL_S", 0.1)  # nobody listens at the other end of the uplink
    peer = await serve_modbus(1, 2)
    async with daemon_of(station(tmp_path, peer.port)):
        socket = ("--socket", str(tmp_path / "agent.sock"))
        code, out, err = await run("status", *socket)
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].startswith("Riverside (live-01)  20")
        row = {line.split()[0]: line for line in lines if line}
        # Register 3 holds 3, below the range.
        assert row["ndir.co2"].split()[1:3] == ["3", "ppm"]
        assert row["ndir.co2"].endswith("  out of range")
        assert row["ndir"].split()[2] == "0"
        assert row["plc"].split()[1] == "open"
        assert row["boards"].split()[1] == "closed"
        assert "could not open port" in row["boards"]
        assert "not connected, down for" in row["gov"]
        assert "127.0.0.1:9" in row["gov"]
        assert row["Calibration:"].startswith("Calibration: daily due 20")
        assert "Maintenance lock: not set" in out
        assert "{" not in out
        code, raw, _ = await run("status", *socket, "--json")
        assert json.loads(raw)["values"]["ndir.co2"]["causes"] == ["out_of_range"]

        code, out, _ = await run("status", *socket, lang="zh")
        assert out.startswith("河边站 (live-01)")
        assert "超量程" in out

        assert (await run("calibrate", "start", "daily", "--who", "li", *socket))[1].endswith(", 11.0 min\n")
        _, out, _ = await run("status", *socket)
        assert ": flushing, zero" in out or ": starting, " in out
        _, out, _ = await run("calibrate", "abort", "--who", "li", *socket)
        assert out.endswith("; the inlet is at sample air\n")
        _, out, _ = await run("maintenance", "on", "--who", "li", "--reason", "filter", "--hours", "2", *socket)
        assert out.startswith("li, filter, 20")
        assert " until 20" in out
        _, out, err = await run("calibrate", "start", "daily", "--who", "li", *socket)
        assert (out, "maintenance lock of li" in err) == ("", True)
        assert (await run("maintenance", "off", "--who", "li", *socket))[1] == "not set\n"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_cause_and_phase_has_a_word(lang: Lang) -> None:
    at = "2026-01-01T00:00:00.000Z"
    row = {"value": 1.0, "unit": "Pa", "at": at, "causes": [cause.value for cause in Cause]}
    told = Reader(lang).values({"now": at, "values": {"a.b": row}})
    assert told.count(", ") == len(Cause) - 1


def test_spans() -> None:
    assert [span(s) for s in (0.4, 59, 61, 3600, 86399, 90000)] == [
        "0 s", "59 s", "1 min", "1 h 0 min", "23 h 59 min", "1 d 1 h",
    ]  # fmt: skip
