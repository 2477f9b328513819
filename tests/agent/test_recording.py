"""Recordings: what passed is written down as it passed, within bounds, and a driver meets it again."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.__main__ import main
from agent.config import Config
from agent.wires import recording
from agent.wires.bus import AskedBus, BusSilentError
from agent.wires.bus_turns import Priority
from agent.wires.recording import Recorder, Tape
from agent.wires.transcript import Piece, TranscriptError, header, noted, read, written
from drivers.base import BadAnswer
from drivers.registry import driver
from host.clock import ManualClock, RealClock

START = datetime(2026, 1, 1, tzinfo=UTC)
ABOUT = header("line", {"protocol": "text"}, {})

pieces = st.builds(
    Piece,
    st.integers(0, 10**15).map(lambda us: START + timedelta(microseconds=us)),
    st.sampled_from([">", "<", "x"]),
    st.binary(min_size=1, max_size=100),
)


@given(st.lists(pieces, max_size=20), st.text(max_size=30))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, passed: list[Piece], text: str
) -> None:
    path = tmp_path_factory.mktemp("t") / "line.txt"
    path.write_text(ABOUT + "".join(noted(START, text) + written(one) + "\n" for one in passed), encoding="utf-8")
    found = read([path])
    assert (found.bus, found.config, list(found.pieces)) == ("line", {"protocol": "text"}, passed)


def test_a_person_can_read_it() -> None:
    frame = bytes.fromhex("FE 04 02 01 90 AD 24")
    assert written(Piece(START, "<", frame)) == "2026-01-01T00:00:00.000000Z < FE 04 02 01 90 AD 24  |......$|\n"
    first, second = written(Piece(START, ">", b"_Meas_GetConc\r" * 3)).splitlines()
    assert first.endswith("  |_Meas_GetConc._Meas_GetConc._Mea|")
    assert second == "2026-01-01T00:00:00.000000Z + 73 5F 47 65 74 43 6F 6E 63 0D  |s_GetConc.|"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("2026-01-01T00:00:00Z > 0102", ":3: neither a time"),
        ("2026-01-01T00:00:00Z ? 01", ":3: neither a time"),
        ("2026-01-01T00:00:00 > 01", ":3: a time without its zone"),
        ("yesterday > 01", ":3: Invalid isoformat"),
        ("2026-01-01T00:00:00Z + 01", ":3: the line goes on, and nothing is before it"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_place(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "line.txt"
    path.write_text(f"{ABOUT}{line}\n")
    with pytest.raises(TranscriptError, match=f"line.txt{what}"):
        read([path])


def test_a_file_that_says_no_bus_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2026-01-01T00:00:00Z > 01\n")
    with pytest.raises(TranscriptError, match="which bus"):
        read([tmp_path / "a.txt"])


async def test_files_are_turned_over_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FILES_MAX", 3)
    (tmp_path / "line-2.20000101T000000.000000Z.txt").write_text("of another bus")
    clock = ManualClock(START)
    tape = Tape(tmp_path, "line", ABOUT, clock, file_bytes_max=1000)
    for number in range(200):
        tape.passed(">", b"%03d" % number)
        await clock.advance(1)
    tape.close()
    paths = sorted(tmp_path.glob("line.*.txt"))
    assert len(paths) == 3
    assert all(path.stat().st_size <= 1000 for path in paths)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    # Each file stands alone, and together they hold the last of what passed without a hole.
    kept = [piece.data for path in paths for piece in read([path]).pieces]
    assert kept == [piece.data for piece in read(paths).pieces] == [b"%03d" % n for n in range(200 - len(kept), 200)]
    assert (tmp_path / "line-2.20000101T000000.000000Z.txt").exists()


def test_a_full_disk_ends_the_recording_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(tmp_path, "line", ABOUT, RealClock())
    tape.passed(">", b"first")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with caplog.at_level(logging.WARNING):
            tape.passed(">", b"second")
            tape.passed(">", b"third")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    tape.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the recording of bus line ended: [Errno 27] File too large"
    ]
    assert [piece.data for piece in read(tmp_path.glob("line.*")).pieces] == [b"first"]


def test_a_line_torn_by_a_power_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    whole = ABOUT + written(Piece(START, ">", b"first")) + written(Piece(START, "<", b"second"))
    for length in range(len(whole) - 35, len(whole) - 2):
        path.write_text(whole[:length])
        assert [piece.data for piece in read([path]).pieces] == [b"first"]


SERIAL = {"kind": "serial", "device": "/dev/null"}
SIMULATED = {"kind": "research", "rule": "ghg"}


def station(folder: Path, wire: dict[str, Any], protocol: str, **blocks: dict[str, Any]) -> Config:
    (folder / "key").write_text("secret")
    return Config.model_validate(
        {
            "station": {
                "id": "s", "network": "n", "name_zh": "站", "name_en": "s",
                "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
            },
            "store": {"path": str(folder / "store")},
            "ledger": {"key": {"file": str(folder / "key")}},
            "buses": {"line": {"wire": wire, "protocol": protocol, "timeout_s": 0.3}},
            "instruments": {name: {"bus": "line", **SIMULATED, **block} for name, block in blocks.items()},
            "socket": str(folder / "socket"),
        }
    )  # fmt: skip


class Far:
    """The far end of a pty line: answers the n-th question with the n-th list of pieces."""

    def __init__(self, pty_line: Any, *answers: list[bytes]) -> None:
        self._line = pty_line
        self._answers = list(answers)
        self.asked: list[bytes] = []
        asyncio.get_running_loop().add_reader(pty_line.slaves[1], self._hear)

    def _hear(self) -> None:
        self.asked.append(os.read(self._line.slaves[1], 1000))
        for answer in self._answers.pop(0) if self._answers else []:
            os.write(self._line.slaves[1], answer)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._line.slaves[1])


QUESTION = bytes.fromhex("FE 04 00 00 00 04 E5 C6")
GOOD = bytes.fromhex("FE 04 08 00 00 00 00 00 00 01 90 16 E6")
OTHER = bytes.fromhex("FE 04 08 00 20 00 00 00 00 01 90 37 24")
NDIR = {"driver": "senseair_s8", "unit": 254, "poll_s": 1}


async def recorded(folder: Path, pty_line: Any, answers: list[list[bytes]]) -> tuple[list[str], list[Path]]:
    """Polls a sensor on a recorded line once for each list of answers; gives what came of them, and the files."""
    wire = {"kind": "serial", "device": str(pty_line.link)}
    config = station(folder, wire, "modbus-rtu", ndir=NDIR)
    far = Far(pty_line, *answers)
    with contextlib.closing(Recorder(folder / "tapes", config, RealClock())) as recorder:
        bus = AskedBus("line", config.buses["line"], RealClock(), lambda what, detail: None, make_wire=recorder.wire)
        ndir = driver("senseair_s8", instrument="ndir", unit=254, options={})
        heard = []
        for _ in answers:
            try:
                (scan,) = await bus.run_poll(254, ndir.poll(), Priority.VALVE)  # which no silence holds back
                heard.append(f"{scan.readings[0].value:g} {sorted(map(str, scan.readings[0].quality.causes))}")
            except (BusSilentError, BadAnswer) as error:
                heard.append(str(error).removeprefix("bus line unit 254: "))
        bus.close()
    far.close()
    return heard, sorted((folder / "tapes").iterdir())


def told(value: float, _unit: str, *causes: str) -> str:
    return f"{value:g} {list(causes)}"


def played(*arguments: str | Path, code: int = 0) -> Any:
    assert main(["--lang", "en", "play", *map(str, arguments)]) == code


async def test_what_a_driver_met_at_a_station_it_meets_again_at_home(
    tmp_path: Path, pty_line: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pieces, rubbish around an answer, a wrong check sum, silence, a status bit."""
    heard, files = await recorded(
        tmp_path,
        pty_line,
        [[GOOD], [GOOD[:4], GOOD[4:]], [b"\0\xff" + GOOD + b"\xff"], [GOOD[:-1] + b"\0"], [], [OTHER]],
    )
    assert heard[:3] == ["400 []"] * 3
    assert "13 bytes that are no answer" in heard[3]
    assert heard[4:] == ["no answer within 0.3 s", "400 ['out_of_range']"]
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, played, *files, "--json")
    again = json.loads(capsys.readouterr().out)
    assert [one.get("silent") or one.get("bad") or told(*one["readings"]["co2"]) for one in again] == heard
    assert [one["at"] for one in again] == sorted(one["at"] for one in again)


async def test_a_late_answer_is_written_down_as_nobodys(tmp_path: Path, pty_line: Any) -> None:
    """It must not become, at home, the answer that the question before it got in time."""
    wire = {"kind": "serial", "device": str(pty_line.link)}
    config = station(tmp_path, wire, "modbus-rtu", ndir=NDIR)
    with contextlib.closing(Recorder(tmp_path / "tapes", config, RealClock())) as recorder:
        line = recorder.wire("line", config.buses["line"])
        await line.open()
        await line.write(QUESTION)
        os.write(pty_line.slaves[1], GOOD)
        late = b""
        async with asyncio.timeout(5):
            while len(late) < len(GOOD):
                late += line.drain_input()
                await asyncio.sleep(0.001)
        line.close()
    (file,) = (tmp_path / "tapes").iterdir()
    transcript = read([file])
    assert [piece.mark for piece in transcript.pieces][:2] == [">", "x"]
    assert b"".join(piece.data for piece in transcript.pieces if piece.mark == "x") == GOOD
    notes = [line.split(" ", 2)[2] for line in file.read_text().splitlines()[2:] if line.startswith("#")]
    assert notes == ["open", "closed"]


async def test_an_adapter_that_is_gone_for_long_is_noted_once(tmp_path: Path, pty_line: Any) -> None:
    wire = {"kind": "serial", "device": str(tmp_path / "nothing")}
    config = station(tmp_path, wire, "modbus-rtu", ndir=NDIR)
    clock = ManualClock(START)
    with contextlib.closing(Recorder(tmp_path / "tapes", config, clock)) as recorder:
        bus = AskedBus("line", config.buses["line"], clock, lambda what, detail: None, make_wire=recorder.wire)
        ndir = driver("senseair_s8", instrument="ndir", unit=254, options={})
        for _ in range(20):
            with pytest.raises(BusSilentError):
                await bus.run_poll(254, ndir.poll())
            await clock.advance(5)
    (file,) = (tmp_path / "tapes").iterdir()
    assert file.read_text().count("cannot be opened: ") == 1


async def test_another_configuration_is_tried_on_what_was_recorded(
    tmp_path: Path, pty_line: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--config`: the same bytes through a changed block; a question that never was asked is told."""
    _, files = await recorded(tmp_path, pty_line, [[GOOD]] * 2)
    loop = asyncio.get_running_loop()

    def with_units(*units: int) -> Path:
        path = tmp_path / "other.hjson"
        blocks = {f"n{unit}": {**NDIR, "unit": unit} for unit in units}
        path.write_text(station(tmp_path, SERIAL, "modbus-rtu", **blocks).model_dump_json())
        return path

    await loop.run_in_executor(None, played, *files, "--config", with_units(254))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    assert out[0].endswith("Z n254 co2 400 umol/mol; meter_status=0")
    await loop.run_in_executor(None, lambda: played(*files, "--config", with_units(17), code=1))
    assert "asks what was not recorded: 11 04 00 00 00 04" in capsys.readouterr().err
    await loop.run_in_executor(None, lambda: played(*files, "--config", with_units(17, 254), code=1))
    assert "name an instrument of bus line by --instrument: n17, n254" in capsys.readouterr().err
    await loop.run_in_executor(None, played, *files, "--config", with_units(17, 254), "--instrument", "n254")
    assert len(capsys.readouterr().out.splitlines()) == 2


async def test_transactions_of_modbus_tcp_are_numbered_anew(
    tmp_path: Path, serve_modbus: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real server's frames, recorded from the seventh question on and cut in odd pieces by hand."""
    peer = await serve_modbus(1)
    config = station(
        tmp_path, peer.bus.wire.model_dump(mode="json"), "modbus-tcp",
        cems={"driver": "senseair_s8", "unit": 1, "poll_s": 1},
    )  # fmt: skip
    with contextlib.closing(Recorder(tmp_path / "tapes", config, RealClock())) as recorder:
        bus = AskedBus("line", config.buses["line"], RealClock(), lambda what, detail: None, make_wire=recorder.wire)
        for _ in range(9):
            await bus.run_poll(1, driver("senseair_s8", instrument="cems", unit=1, options={}).poll())
        bus.close()
    (file,) = (tmp_path / "tapes").iterdir()
    lines = file.read_text().splitlines(keepends=True)
    asked = [number for number, line in enumerate(lines) if " > " in line and line[0] != "#"]
    cut = tmp_path / "cut.txt"
    text = "".join(lines[:2] + lines[asked[6] :])
    answer = next(line for line in lines[asked[6] :] if " < " in line and line[0] != "#")
    at, _, data = answer.split("  |")[0].split(" ", 2)
    cut.write_text(text.replace(answer, f"{at} < {data[:11]}\n{at} < {data[12:]}\n", 1))
    await asyncio.get_running_loop().run_in_executor(None, played, cut)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert all(" co2 3 umol/mol" in line for line in out)


def test_a_stream_is_played_in_the_pieces_it_came_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = {"bus": "air", "driver": "licor_li850_stream", "kind": "research", "rule": "ghg"}
    config = {"wire": SERIAL, "protocol": "stream"}
    data = b"<li850><data><co2>412.7</co2><h2o>9.8</h2o></data></li850>\r\n"
    sent = data + b"<li850>damaged</data></li850>\r\n" + data
    text = "".join(
        written(Piece(START + timedelta(seconds=number), "<", sent[number * 7 : number * 7 + 7]))
        for number in range(-(-len(sent) // 7))
    )
    path = tmp_path / "air.txt"
    path.write_text(header("air", config, {"licor": block}) + text)
    played(path)
    out = capsys.readouterr().out.splitlines()
    scan = "licor co2 412.7 umol/mol; h2o_reported 0.98 %; gas_temperature - degC; gas_pressure - kPa"
    assert [line.split("Z ")[1].split(":")[0] for line in out] == [scan, "fault of the stream", scan]
    ends = [len(data), len(sent) - len(data), len(sent)]
    assert [line[:19] for line in out] == [f"2026-01-01T00:00:{(end - 1) // 7:02d}" for end in ends]


def test_what_cannot_be_played_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played(tmp_path / "absent.txt", code=1)
    assert "No such file" in capsys.readouterr().err
    path = tmp_path / "line.txt"
    path.write_text(header("line", {"protocol": "text"}, {}))
    played(path, code=1)
    assert "wire" in capsys.readouterr().err
    path.write_text(
        header("line", {"wire": SERIAL, "protocol": "modbus-rtu"}, {"ndir": {"bus": "line", **SIMULATED, **NDIR}})
    )
    played(path, code=1)
    assert capsys.readouterr() == ("", "")
