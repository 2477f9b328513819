"""`plumeline-sim` as a person starts it: a process, its folder, its wires, its end."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import serial
from cobs import cobs

from agent.config import Instrument
from agent.config_cylinders import Cylinder
from agent.config_gas import Valve
from metrology.measurand import catalogue
from simulation.__main__ import main
from simulation.faults import Faults
from simulation.layout import Layout, Scenario

DEADLINE_S = 20.0
LOG = "picarro_g2301/CFADS2283-20150831-171845Z-DataLog_User.dat"


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)


@contextmanager
def simulation(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "simulation", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str], folder: Path) -> dict[str, int]:
    """The ports of a simulation, when it is ready."""
    path = folder / "wires" / "ports.json"
    until(lambda: path.exists() or process.poll() is not None)
    assert path.exists(), process.communicate()
    return dict(loaded(path))


def ended(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")


def fast(rate: int) -> str:
    return f"{time.time()},{time.time()},{rate}"


def loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def ask(port: int, command: bytes) -> bytes:
    """The answer up to its CR."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(command)
        answer = b""
        while not answer.endswith(b"\r"):
            answer += peer.recv(4096)
    return answer


def test_a_field_answers_on_all_its_wires_and_ends_cleanly(tmp_path: Path) -> None:
    with simulation("field", "--out", tmp_path, "--seed", "3", "--clock", fast(200)) as process:
        ports = listening(process, tmp_path)
        assert set(ports) == {"stack-01.plc", "tower-01.crds", "tower-01.valve"}
        frames = []
        for number in (1, 2):
            with serial.Serial(str(tmp_path / "wires" / f"field-01.gateway-{number}"), timeout=20) as line:
                frames += [cobs.decode(line.read_until(b"\0")[:-1]) for _ in range(12)]
        boards = [int.from_bytes(frame[1:3], "little") for frame in frames]
        assert len(set(boards[:12])) >= 11  # one may come again where another's frame was dropped before
        assert set(boards[:12]) <= set(range(1, 13))
        assert set(boards[12:]) <= set(range(13, 25))
        with serial.Serial(str(tmp_path / "wires" / "field-01.pm"), timeout=20) as line:
            assert line.read(32)[:4] == b"BM\x00\x1c"
        for name in ("tower-01", "field-01"):
            with serial.Serial(str(tmp_path / "wires" / f"{name}.weather"), timeout=20) as line:
                line.write(b"0R0\r\n")
                assert line.read_until(b"\r\n").startswith(b"0R0,Dm=")
        assert ask(ports["tower-01.crds"], b"_Instr_GetStatus\r\n") == b"963\r"
        with (
            socket.create_connection(("127.0.0.1", ports["stack-01.plc"])),
            socket.create_connection(("127.0.0.1", ports["tower-01.crds"])),
        ):  # who is still connected must not keep it from ending, nor make it complain
            ended(process)
    assert not (tmp_path / "wires" / "field-01.pm").is_symlink()
    stats = loaded(tmp_path / "stats.json")
    journal = tmp_path / "journal"
    told = {f"{path.parent.name}/{path.stem}": len(path.read_text().splitlines()) for path in journal.glob("*/*.jsonl")}
    assert told == stats["answers"]
    assert told["tower-01/weather"] == 1
    assert sum(stats["dropped"].values()) > 0


def test_what_is_hidden_follows_from_the_seed_and_no_leak_hides_none(tmp_path: Path) -> None:
    hidden = {}
    for name, arguments in (("leak", ["--seed", "7"]), ("none", ["--seed", "7", "--no-leak"])):
        with simulation("field", "--out", tmp_path / name, *arguments) as process:
            listening(process, tmp_path / name)
            hidden[name] = loaded(tmp_path / name / "truth.json")
            ended(process)
    (leak,) = Layout.of(Scenario(seed=7)).leaks
    assert [(told["x"], told["y"], told["rate_kg_h"]) for told in hidden["leak"]["leaks"]] == [
        (leak.position.x, leak.position.y, leak.rate_kg_h)
    ]
    assert hidden["none"]["leaks"] == []
    kinds = {fault["kind"] for fault in hidden["leak"]["faults"]["listed"]}
    assert kinds == {"cems-fault", "senseair-silence", "board-restart"}


def test_the_layout_is_what_an_agent_can_be_configured_from(tmp_path: Path) -> None:
    with simulation("field", "--out", tmp_path, "--config-only") as process:
        assert process.wait(DEADLINE_S) == 0
    assert not (tmp_path / "wires").exists()
    assert len([Cylinder.model_validate(each) for each in loaded(tmp_path / "cylinders.json").values()]) == 5
    stations = loaded(tmp_path / "layout.json")["stations"]
    shape = Instrument.model_fields.keys()
    for station in stations.values():
        for instrument in station["instruments"].values():
            Instrument.model_validate({"driver": "x"} | {k: v for k, v in instrument.items() if k in shape})
            assert set(instrument.get("measurands", ())) <= catalogue().keys()
            assert instrument["bus"] in station["buses"]
        for valve in station["valves"].values():
            Valve.model_validate(valve)
    assert sum(name.startswith("board-") for name in stations["field-01"]["instruments"]) == 24


def test_one_instrument_alone_opens_one_wire(tmp_path: Path) -> None:
    with simulation("instrument", "tower-01.ndir", "--out", tmp_path) as process:
        assert listening(process, tmp_path) == {}
        with serial.Serial(str(tmp_path / "wires" / "tower-01.ndir"), timeout=20) as line:
            line.write(bytes.fromhex("FE0400030001D5C5"))
            assert line.read(7)[:3] == b"\xfe\x04\x02"
        ended(process)


def test_a_player_answers_and_refuses_what_it_cannot_play(tmp_path: Path, recorded_data: Path) -> None:
    log = recorded_data / LOG
    with simulation("play", log, "--out", tmp_path, "--columns", "species,CO2", "--decimals", "4") as process:
        port = listening(process, tmp_path)["tower-01.crds"]
        until(lambda: not ask(port, b"_Meas_GetConc\r\n").startswith(b"ERR:3002"))
        assert ask(port, b"_Meas_GetBufferFirst\r\n") == b"15/08/31 17:18:40.949;1.0000;483.3173;\r"
        ended(process)


@pytest.mark.parametrize(
    "arguments",
    [
        ["play", "LOG", "--columns", "CO"],
        ["play", "none.dat"],
        ["field", "--clock", "x"],
        ["field", "--crds-row-s", "0"],
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    arguments: list[str], tmp_path: Path, recorded_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    told = [str(recorded_data / LOG) if each == "LOG" else each for each in arguments]
    monkeypatch.setattr(sys, "argv", ["plumeline-sim", *told, "--out", str(tmp_path)])
    assert main() == 2
    errors = capsys.readouterr().err
    assert errors.startswith("plumeline-sim: ")
    assert errors.count("\n") == 1


def test_faults_are_rare_and_declared() -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    faults = Faults(5, start)
    listed = [fault for fault in faults.truth()["listed"] if fault["kind"] == "senseair-silence"]
    seconds = sum(faults.active("senseair-silence", start + timedelta(seconds=n)) for n in range(0, 86400, 5))
    assert 8 <= len(listed) <= 24
    assert seconds == pytest.approx(4 * len(listed), abs=len(listed))
    assert faults.begun("board-restart", start, start + timedelta(hours=48)) == sum(
        fault["kind"] == "board-restart" for fault in faults.truth()["listed"]
    )
