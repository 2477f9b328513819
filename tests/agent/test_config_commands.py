"""Commands that need no daemon, and what commands say where none runs."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import COMMANDS, PROGRAM, main
from host.control import Control, Handler
from protocols.tlog import Verifier
from simulation.modbus import COIL, ModbusTcp
from simulation.serve import TcpPort
from simulation.valves import ValveBlock


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("command", [path for path, _, _ in COMMANDS])
def test_every_command_has_help_in_both_languages(command: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--lang", lang, *command.split(), "--help"])
    assert ended.value.code == 0
    assert any("\u4e00" <= sign <= "\u9fff" for sign in capsys.readouterr().out) == (lang == "zh")


@pytest.mark.parametrize("line", [[], ["nonsense"], ["check"], ["config"], ["maintenance", "on"], ["--lang", "fr"]])
def test_usage_errors_end_with_2(line: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2


def test_every_handler_exists() -> None:
    for path, handler, _ in COMMANDS:
        module, function = handler.split(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function)), path


def test_rehearse_walks_the_plan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(root / "config" / "tower.hjson")
    assert main(["--lang", "en", "rehearse", config, "nightly", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seconds"] == 3 * (300 + 120) + 300
    assert answer["litres"] == {"zero": 3.5, "span": 3.5, "target": 3.5}
    assert [step["step"] for step in answer["steps"] if step["step"].startswith("open")] == [
        "open port zero, zero (CC-310022)",
        "open port span, span (CB-11873)",
        "open port target, target (CB-11902)",
        "open port sample, sample air",
    ]
    assert main(["--lang", "zh", "rehearse", config, "nightly"]) == 0
    assert "合计 26.0 分钟" in capsys.readouterr().out
    assert main(["--lang", "en", "rehearse", config, "nightli"]) == 1
    assert "declared: nightly" in capsys.readouterr().err


def test_rehearse_walks_a_blowback(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8")
    text = text.replace("span: { coil: 2 } }", "span: { coil: 2 }, air: { coil: 3 } }")
    text = text.replace(
        "  sequences: {\n",
        '  sequences: {\n    clean: { valve: "gas", instrument: "cems", recovery_s: 60,\n'
        '      blowback: { port: "air", blow_s: 15, pulses: 2, pause_s: 30 } }\n',
    )
    path = tmp_path / "station.hjson"
    path.write_text(text, encoding="utf-8")
    assert main(["--lang", "en", "rehearse", str(path), "clean"]) == 0
    told = [line.split("s  ", 1)[1] for line in capsys.readouterr().out.splitlines()[:8]]
    assert told == [
        "open port air, blowback air", "blow 15 s", "open port sample, sample air", "sample air for 30 s",
        "open port air, blowback air", "blow 15 s", "open port sample, sample air", "recovery 60 s",
    ]  # fmt: skip


def test_commands_say_when_no_daemon_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    socket = ["--socket", str(tmp_path / "none.sock")]
    for command in (["status"], ["watch"], ["calibrate", "start", "daily"], ["calibrate", "abort"],
                    ["maintenance", "on", "--reason", "x", "--hours", "1"], ["maintenance", "off"]):  # fmt: skip
        assert main([*command, *socket]) == 1
        assert "none.sock" in capsys.readouterr().err


def test_run_refuses_a_broken_configuration_and_a_broken_clock(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "station.hjson"
    path.write_text("{}")
    assert main(["--lang", "en", "run", str(path)]) == 1
    assert f'{path}:1:1: error: The key "station" is missing' in capfd.readouterr().err
    assert main(["run", str(path), "--clock", "1,2"]) == 2
    assert "WALL0,WORLD0,RATE" in capfd.readouterr().err


def test_vkey_prints_what_the_centre_must_know(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = str(root / "config" / "tower.hjson")
    assert main(["config", "vkey", config]) == 1
    assert "station-key" in capsys.readouterr().err
    (tmp_path / "station-key").write_bytes(base64.b64encode(bytes(range(32))))
    assert main(["config", "vkey", config]) == 0
    printed = capsys.readouterr().out.strip()
    assert Verifier.from_vkey(printed).name == "plumeline/tower-01"
    # The public half of RFC 8032 keys is a function of the seed alone: here that of 00 01 .. 1f.
    assert base64.b64decode(printed.split("+", 2)[2])[1:] == (
        bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    )


async def test_safe_puts_the_inlet_to_sample_air(root: Path, tmp_path: Path) -> None:
    block = ValveBlock(("sample", "zero", "span"))
    served = TcpPort(ModbusTcp({2: block}))
    port = await served.start()
    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8").replace("192.168.10.20", "127.0.0.1")
    text = text.replace("port: 502", f"port: {port}").replace("/var/lib/plumeline", str(tmp_path))
    config = tmp_path / "station.hjson"
    # Secrets and certificates are not there: that must not keep gas flowing.
    config.write_text(text.replace("/run/plumeline", str(tmp_path)), encoding="utf-8")
    lock = tmp_path / "maintenance.json"
    try:
        block.write(COIL, 0, 0)
        block.write(COIL, 1, 1)
        held = {"owner": "li", "reason": "filter", "since": "2026-01-01T00:00:00.000Z", "until": None}
        lock.write_text(json.dumps(held))
        code, out, _ = await _run(["calibrate", "safe", str(config)])
        assert (code, block.open) == (0, "zero")
        assert "li (filter)" in out
        lock.unlink()
        code, out, _ = await _run(["calibrate", "safe", str(config), "--json"])
        assert (code, json.loads(out), block.open, block.clashes) == (0, {"failed": []}, "sample", 0)
    finally:
        await served.close()
    code, out, _ = await _run(["calibrate", "safe", str(config)])
    assert code == 1
    assert "gas" in out


async def test_safe_leaves_the_valves_to_a_running_daemon(root: Path, tmp_path: Path) -> None:
    async def status(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"now": "2026-01-01T00:00:00.000Z"}

    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8").replace("/run/plumeline", str(tmp_path))
    config = tmp_path / "station.hjson"
    config.write_text(text, encoding="utf-8")
    async with _serving(tmp_path / "agent.sock", {"status": status}):
        code, _, err = await _run(["calibrate", "safe", str(config)])
    assert code == 1
    assert "plumeline calibrate abort" in err


@contextlib.asynccontextmanager
async def _serving(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """A daemon's socket with these answers."""
    serving = asyncio.create_task(Control(path, handlers).run())
    try:
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.005)
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_live_commands_ask_over_the_socket(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    value = {"value": 1.5, "unit": "mg/m3", "at": "2026-01-01T00:00:00.000Z", "causes": ["maintenance"]}
    values = {"cems.so2": value, "cems.nox": {**value, "value": None}}

    def answering(answer: dict[str, Any]) -> Any:
        async def handler(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
            asked.append(dict(request))
            yield answer

        return handler

    handlers = {
        "status": answering({"now": "2026-01-01T00:00:00.000Z"}),
        "watch": answering({"now": "2026-01-01T00:00:00.000Z", "values": values}),
        "calibrate-start": answering({"run": "r1", "seconds": 90}),
        "calibrate-abort": answering({"error": "no run"}),
        "maintenance": answering({"held": None}),
    }  # fmt: skip
    path = tmp_path / "agent.sock"
    async with _serving(path, handlers):
        told = [await _run([*command, "--socket", str(path)]) for command in (
            ["watch"], ["watch", "--json"], ["calibrate", "start", "daily", "--who", "li"],
            ["calibrate", "abort", "--who", "li"],
            ["maintenance", "on", "--reason", "filter", "--hours", "2", "--who", "li"],
            ["maintenance", "off", "--who", "li"],
        )]  # fmt: skip
    assert [code for code, _, _ in told] == [0, 0, 0, 1, 0, 0]
    assert told[0][1] == (
        "2026-01-01 08:00:00 UTC+8\n\n"
        "Latest values\n"
        "Series    Value  Unit   Time (UTC+8)         Quality\n"
        "cems.so2    1.5  mg/m³  2026-01-01 08:00:00  maintenance\n"
        "cems.nox      -  mg/m³  2026-01-01 08:00:00  maintenance\n\n"
    )
    assert json.loads(told[1][1])["values"] == values
    assert told[2][1] == "started r1, 1.5 min\n"
    assert told[3][2].strip() == "no run"
    assert {"do": "calibrate-start", "name": "daily", "who": "li"} in asked
    assert {
        "do": "maintenance",
        "on": True,
        "who": "li",
        "reason": "filter",
        "until": "2026-01-01T02:00:00.000Z",
    } in asked
    assert {"do": "maintenance", "on": False, "who": "li"} in asked


async def _run(line: list[str]) -> tuple[int, str, str]:
    """The command in a process of its own, as a person runs it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        "--lang",
        "en",
        *line,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def test_the_parser_knows_every_command_once() -> None:
    paths = [path for path, _, _ in COMMANDS]
    assert len(paths) == len(set(paths))
    line = PROGRAM.parser("en").parse_args(["run", "x", "--clock", "1,2,3"])
    assert (line.handler, line.config, line.clock) == ("agent.cli.run:run", "x", "1,2,3")
