"""Tables of boards as a person sets them, against a whole daemon with boards on a real line."""

import asyncio
import base64
import csv
import json
import os
import tty
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.__main__ import main
from agent.config import Config
from agent.daemon import Daemon
from agent.firmware.drift import DriftDesk
from agent.firmware.tables import Row, row_of
from host.clock import ManualClock, RealClock
from metrology.periods import HOUR_S, iso, period_start
from metrology.quality import Cause
from metrology.reading import Average
from protocols.record import averages_fields, decode, encode
from simulation.board_desk import Gateway
from simulation.boards import Board
from simulation.drifting import Weeks, hourly, name
from simulation.faults import Faults
from simulation.sensor_error import sensor_error

BOARDS = 4
CH4 = 2.0
SET = ("--source", "co-location 1", "--reason", "beside the CRDS", "--who", "ann")


class Station:
    """A daemon whose boards 1 to 4 speak on one line: `board-00` to `board-03`, the last one regulated."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.socket = folder, RealClock(), str(folder / "socket")
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
        (folder / "key").chmod(0o600)
        self.gateway = Gateway()
        self.faults = Faults(1, self.clock.now())
        self.faults.bad_crc_share = 0.0
        self.silent: set[int] = set()
        self.gateway.boards.extend(self.board(number) for number in range(1, BOARDS + 1))
        asyncio.get_running_loop().add_reader(self.master, self._heard)

    def board(self, number: int) -> Board:
        """A board with this id on the line, not yet on it."""
        return Board(number, self, lambda *_, **__: None, sensor_error(1, f"b{number}"),  # type: ignore[arg-type]
                     np.random.default_rng(number), self.faults, self.clock.now())  # fmt: skip

    def _heard(self) -> None:
        heard = self.gateway.hear(os.read(self.master, 4096))
        if heard and not self.silent:
            os.write(self.master, heard)

    def send(self, data: bytes) -> bool:
        os.write(self.master, data)
        return True

    async def begin(self, **more: Any) -> None:
        board = {"driver": "micro_board", "bus": "air", "rule": "ghg", "series": {
            "ch4": {}, "board_temperature": {}, "battery_voltage": {}}, **more}  # fmt: skip
        kinds = ["research"] * (BOARDS - 1) + ["regulated"]
        document = {
            "station": {"id": "field", "network": "n", "name_zh": "场", "name_en": "field",
                        "position": {"latitude": 31, "longitude": 121, "height_m": 3, "datum": "WGS-84"}},
            "store": {"path": str(self.folder / "store"), "commit_ms": 5},
            "ledger": {"key": {"file": str(self.folder / "key")}},
            "buses": {"air": {"wire": {"kind": "serial", "device": os.ttyname(self._slave)}, "protocol": "stream"}},
            "instruments": {name(at): {**board, "kind": kind, "unit": at + 1} for at, kind in enumerate(kinds)},
            "socket": self.socket,
        }  # fmt: skip
        path = self.folder / "station.hjson"
        path.write_text(json.dumps(document))
        self.daemon = Daemon(Config.model_validate(document), self.clock, path)
        self.tasks = [asyncio.create_task(part()) for part in (self.daemon.run, self._measure)]
        await self.until(lambda: len(self.daemon.live.latest) >= 3 * BOARDS and Path(self.socket).exists())

    async def _measure(self) -> None:
        while True:
            for board in self.gateway.boards:
                assert isinstance(board, Board)
                board._push(self.clock.now(), CH4, 20.0)
            await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    def value(self, board: str) -> float | None:
        return self.daemon.live.latest[f"{board}.ch4"].value

    def causes(self, board: str) -> frozenset[Cause]:
        return self.daemon.live.latest[f"{board}.ch4"].reading.quality.causes

    async def typed(self, *words: str) -> int:
        return await asyncio.to_thread(main, ["--lang", "en", *words, "--socket", self.socket])

    async def set(self, board: str, zero: str, slope: str) -> int:
        row = ("board", "calibration", "set", board, "ch4", "--zero", zero, "--slope", slope)
        return await self.typed(*row, *SET)

    async def records(self, kind: str, what: str) -> list[dict[str, Any]]:
        assert self.daemon.index is not None
        return (await self.daemon.log.call(self.daemon.index.newest, kind, what, 100))[::-1]

    async def stop(self) -> None:
        self.daemon.stop()
        await asyncio.wait_for(self.tasks[0], 10)
        self.tasks[1].cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def end(self) -> None:
        await self.stop()
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
async def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    monkeypatch.setattr("agent.firmware.chips.ANSWER_WALL_S", 0.3)
    one = Station(tmp_path)
    await one.begin()
    yield one
    await one.end()


async def test_a_table_corrects_its_board_and_survives_a_restart(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    assert station.value("board-00") == pytest.approx(CH4)
    row = ("board", "calibration", "set", "board-00", "ch4", "--zero", "0.5", "--slope", "2", "--per-degc", "0.1")
    assert await station.typed(*row, *SET) == 0
    # The board is two degrees warmer than the air of 20 degC: 0.1 * (22 - 25).
    await station.until(lambda: station.value("board-00") == pytest.approx(3.0 - 0.3, abs=0.06))
    assert station.value("board-01") == pytest.approx(CH4)
    (record,) = await station.records("calibration", "coefficients")
    named = {key: record[key] for key in ("chip", "measurand", "who", "reason", "source", "temperature", "series")}
    assert named == {
        "chip": "00005eed00000001", "measurand": "ch4", "who": "ann", "reason": "beside the CRDS",
        "source": "co-location 1", "temperature": "board_temperature", "series": "board-00.ch4",
    }  # fmt: skip
    scans = await station.daemon.log.read(-1, kinds=frozenset({"scan"}), limit=500)
    assert {row.fields["values"]["ch4"]["x"] for row in scans} == {CH4}, "raw stays raw"
    await station.stop()
    await station.begin()
    assert station.value("board-00") == pytest.approx(2.7, abs=0.06)
    assert station.daemon.live.latest["board-00.ch4"].calibration == record["id"]
    capsys.readouterr()
    assert await station.typed("board", "calibration", "list") == 0
    assert "co-location 1" in capsys.readouterr().out
    assert await station.set("board-00", "0", "1") == 0
    assert await station.typed("board", "calibration", "show", "board-00", "--json") == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(row["slope"], row["in_force"]) for row in shown["rows"]] == [(1, True), (2, False)]
    assert shown["rows"][0]["replaces"] == record["id"]


async def test_what_makes_no_sense_is_refused(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    tries = {
        ("board-03", "ch4", "--zero", "0", "--slope", "2"): "regulated",
        ("board-09", "ch4", "--zero", "0", "--slope", "2"): "no board",
        ("board-00", "battery_voltage", "--zero", "0", "--slope", "2"): "not corrected",
        ("board-00", "ch4", "--zero", "0", "--slope", "0"): "slope",
        ("board-00", "ch4", "--zero", "nan", "--slope", "1"): "zero",
        ("board-00", "ch4", "--zero", "0", "--slope", "1", "--per-percent", "1"): "relative_humidity",
        ("board-00", "ch4", "--zero", "0", "--slope", "1", "--valid-from", "soon"): "valid_from",
    }
    for row, why in tries.items():
        assert await station.typed("board", "calibration", "set", *row, *SET) == 1, row
        assert why in capsys.readouterr().err
    assert await station.typed("board", "calibration", "confirm", "board-00", "--reason", "x") == 1
    assert await station.records("calibration", "coefficients") == []
    await station.typed("board", "calibration", "set", "board-00", "ch4", "--zero", "1", "--slope", "1",
                        "--valid-from", iso(station.clock.now() + timedelta(hours=1)), *SET)  # fmt: skip
    assert station.value("board-00") == pytest.approx(CH4), "not yet"


async def test_another_board_under_a_name_does_not_inherit_and_one_that_moves_keeps(station: Station) -> None:
    assert await station.set("board-00", "0", "3") == 0
    await station.until(lambda: station.value("board-00") == pytest.approx(6.0))
    former, other = station.gateway.boards[0], station.board(1)
    other.chip, other.boot = 0xABCD, 4711
    station.gateway.boards[0] = other
    await station.until(lambda: station.causes("board-00") == {Cause.MAINTENANCE})
    await station.until(lambda: station.value("board-00") == pytest.approx(CH4))
    (event,) = await station.records("event", "board-replaced")
    assert (event["board"], event["former"], event["chip"]) == ("board-00", "00005eed00000001", "000000000000abcd")
    assert await station.typed("board", "calibration", "list") == 1
    await station.stop()
    await station.begin()
    await station.until(lambda: station.causes("board-00") == {Cause.MAINTENANCE})
    assert await station.typed("board", "calibration", "confirm", "board-00", "--reason", "spare", "--who", "bo") == 0
    await station.until(lambda: not station.causes("board-00"))
    assert [row["who"] for row in await station.records("event", "board-confirmed")] == ["bo"]
    assert await station.typed("board", "calibration", "list") == 0
    # The first board comes back on another place of the line, under another name.
    former.number, former.boot = 2, 4712
    station.gateway.boards[1] = former
    await station.until(lambda: station.value("board-01") == pytest.approx(6.0))
    await station.until(lambda: not station.causes("board-01"))
    assert station.value("board-00") == pytest.approx(CH4)


async def test_a_board_that_does_not_say_who_it_is_is_marked_until_it_does(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.firmware.chips.AGAIN_WALL_S", 0.2)
    assert await station.set("board-00", "0", "3") == 0
    await station.until(lambda: station.value("board-00") == pytest.approx(6.0))
    station.silent.add(1)
    board = station.gateway.boards[0]
    assert isinstance(board, Board)
    board.restart(station.clock.now())
    await station.until(lambda: station.causes("board-00") == {Cause.MARK})
    assert station.value("board-00") == pytest.approx(6.0)
    station.silent.clear()
    await station.until(lambda: not station.causes("board-00"))


async def test_tables_go_out_and_come_in_as_csv(
    station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await station.set("board-00", "0", "3") == 0
    file = tmp_path / "table.csv"
    assert await station.typed("board", "calibration", "export", str(file)) == 0
    with file.open(newline="") as text:
        (row,) = csv.DictReader(text)
    assert (row["board"], float(row["slope"]), row["who"]) == ("board-00", 3.0, "ann")
    come = ("board", "calibration", "import", str(file), "--reason", "round", "--who", "bo")
    assert await station.typed(*come) == 0
    assert "0 rows set, 1 as they were" in capsys.readouterr().out
    lines = [f"{at:016x},,co2,{at},1.5,0,0,,factory" for at in range(150)]
    head = "chip,board,measurand,zero,slope,per_degC,per_percent,valid_from,source"
    file.write_text("\n".join([head, *lines, ",board-01,ch4,0.1,1,0,0,,factory", ",board-03,ch4,0,1,0,0,,factory"]))
    assert await station.typed(*come) == 1
    assert "line 153: board-03 is regulated" in capsys.readouterr().err
    assert len(await station.records("calibration", "coefficients")) == 1
    file.write_text("\n".join([head, *lines, ",board-01,ch4,0.1,1,0,0,,factory"]))
    assert await station.typed(*come) == 0
    assert "151 rows set" in capsys.readouterr().out
    await station.until(lambda: station.value("board-01") == pytest.approx(CH4 - 0.1))
    file.write_text(f"{head}\n,board-01,ch4,none,1,0,0,,factory")
    assert await station.typed(*come) == 1
    assert "line 2" in capsys.readouterr().err


async def past(station: Station, weeks: Weeks, more: Mapping[str, Mapping[int, float]] | None = None) -> None:
    """Hours of two weeks that boards measured, put into the log as the station would have."""
    boards, _ = hourly(weeks)
    series: dict[str, Mapping[int, float]] = {f"{board}.ch4": values for board, values in boards.items()}
    series |= more or {}
    end = period_start(station.clock.now(), HOUR_S)
    for hour in range(24 * weeks.days):
        start = end - timedelta(hours=24 * weeks.days - hour)
        rows = [
            Average(one, "umol/mol", start, HOUR_S, 60, 1.0, values[hour], 0, 9, 0.1, "ghg")
            for one, values in series.items() if hour in values
        ]  # fmt: skip
        station.daemon.log.post("average", averages_fields(rows))
    await station.daemon.log.append("event", {"what": "stopped", "origin": "test"})


async def test_a_drift_is_shown_and_accepted_by_a_person(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    assert await station.typed("board", "drift") == 1
    assert "fewer than 3 boards" in capsys.readouterr().out
    await past(station, Weeks(12, boards=BOARDS, plume=1.0, drift={name(1): 0.2}))
    assert await station.typed("board", "drift", "--json") == 1
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["measurands"]["ch4"]
    assert [row["verdict"] for row in found["boards"]] == ["ok", "drifting", "ok", "ok"]
    assert found["doubt"] is None
    proposal = found["boards"][1]["proposal"]
    assert proposal["zero"] == pytest.approx(0.4, abs=0.1)
    accept = ("board", "drift", "accept", "board-01", "ch4")
    person = ("--reason", "seen", "--who", "bo")
    for wrong in (("board", "drift", "accept", "board-00", "ch4", proposal["id"]), (*accept, "00000000")):
        assert await station.typed(*wrong, *person) == 1
        assert "not shown" in capsys.readouterr().err
    assert await station.records("calibration", "coefficients") == []
    assert await station.typed(*accept, proposal["id"], *person) == 0
    (record,) = await station.records("calibration", "coefficients")
    assert record["who"] == "bo"
    assert record["zero"] == pytest.approx(proposal["zero"], abs=0)
    assert proposal["id"] in record["source"]
    await station.until(lambda: station.value("board-01") == pytest.approx((CH4 - record["zero"]) * record["slope"]))
    assert await station.typed(*accept, proposal["id"], *person) == 1, "once"
    # Hours made without the new row say nothing about it.
    assert await station.typed("board", "drift", "--json") == 1
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["measurands"]["ch4"]["boards"]
    assert rows[1]["verdict"] == "not-enough-data"


async def test_a_proposal_ends_where_the_board_was_set_meanwhile(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    await past(station, Weeks(12, boards=BOARDS, drift={name(1): 0.2}))
    await station.typed("--lang", "zh", "board", "drift")
    told = capsys.readouterr().out
    assert "漂移" in told
    proposal = next(line.split("：")[0] for line in told.splitlines() if "预计残差" in line)
    assert await station.set("board-01", "0.1", "1") == 0
    assert await station.typed("board", "drift", "accept", "board-01", "ch4", proposal, "--reason", "x") == 1
    assert "was set since" in capsys.readouterr().err
    assert await station.typed("board", "drift", "--days", "2") == 1
    assert await station.typed("board", "drift", "--reference", "board-00.nothing") == 1


async def test_the_daily_check_says_once_that_a_board_drifts_and_once_that_it_is_back(station: Station) -> None:
    await past(station, Weeks(12, boards=BOARDS, drift={name(1): 0.2}))
    assert station.daemon.boards is not None
    for _ in range(2):
        await station.daemon.boards.drift.check()
    rows = await station.records("event", "board-drifting")
    assert [(row["board"], row["measurand"], row["verdict"]) for row in rows] == [("board-01", "ch4", "drifting")]
    await station.stop()
    await station.begin()
    assert station.daemon.boards is not None
    await station.daemon.boards.drift.check()
    assert len(await station.records("event", "board-drifting")) == 1
    await past(station, Weeks(12, boards=BOARDS))
    for _ in range(2):
        await station.daemon.boards.drift.check()
    assert [row["board"] for row in await station.records("event", "board-drift-back")] == ["board-01"]


async def test_the_check_comes_each_day_after_the_stations_midnight(station: Station) -> None:
    await past(station, Weeks(12, boards=BOARDS, drift={name(1): 0.2}))
    daemon = station.daemon
    assert daemon.boards is not None
    assert daemon.index is not None
    # The station's midnight is 16:00 UTC.
    clock = ManualClock(period_start(daemon.clock.now(), HOUR_S * 24, 8 * HOUR_S) + timedelta(minutes=40))
    told: list[tuple[str, str]] = []
    desk = DriftDesk(daemon.config, daemon.boards.calibration, daemon.log, daemon.index, clock,
                     lambda what, detail: told.append((what, iso(clock.now()))))  # fmt: skip
    task = asyncio.create_task(desk.run())
    await asyncio.sleep(0)
    await clock.advance(23 * HOUR_S + 49 * 60)
    assert told == []
    await clock.advance(60)
    await station.until(lambda: told)
    task.cancel()
    assert [(what, at[11:16]) for what, at in told] == [("board-drifting", "16:30")]


async def test_a_reference_that_disagrees_stops_proposals(station: Station, capsys: pytest.CaptureFixture[str]) -> None:
    weeks = Weeks(12, boards=BOARDS, drift={name(at): 0.3 for at in range(BOARDS)})
    _, true = hourly(weeks)
    await past(station, weeks, {"crds.ch4": true})
    assert await station.typed("board", "drift", "--reference", "crds.ch4") == 1
    assert "reference disagrees" in capsys.readouterr().out
    await station.typed("board", "drift", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["measurands"]["ch4"]["doubt"] is None


DAYS = 10
NEEDED = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
BESIDE = (
    "board",
    "colocate",
    "board-00",
    "ch4",
    "--reference",
    "crds.ch4",
    "--from",
    NEEDED["from"],
    "--to",
    NEEDED["to"],
)


async def beside(
    station: Station, correct: Callable[[float, float], float], calibrations: tuple[str, ...] = ()
) -> None:
    """Ten days of a board beside a CRDS: truth = 0.3 + 1.25 x + 0.01 (T - 25); `correct` is what the station did."""
    rng = np.random.default_rng(5)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for hour in range(24 * DAYS):
        x = 1.4 + 0.2 * np.sin(hour / 17) + rng.normal(0, 0.05)
        warm = 22 + 6 * np.sin(2 * np.pi * hour / 24) + rng.normal(0, 2)
        truth = 0.3 + 1.25 * x + 0.01 * (warm - 25) + rng.normal(0, 0.01)
        said = {"board-00.ch4": correct(x, warm), "crds.ch4": truth}
        at = start + timedelta(hours=hour)
        own = {one: calibrations if one != "crds.ch4" else () for one in said}
        rows = [
            Average(one, "umol/mol", at, HOUR_S, 60, 1.0, float(value), 0, 9, 0.1, "ghg", calibrations=own[one])
            for one, value in said.items()
        ]
        warmth = Average("board-00.board_temperature", "degC", at, HOUR_S, 60, 1.0, float(warm), 0, 40, 0.1, "ghg")
        rows.append(warmth)
        station.daemon.log.post("average", averages_fields(rows))
    await station.daemon.log.append("event", {"what": "stopped", "origin": "test"})


async def test_a_board_beside_a_reference_gets_its_table_when_a_person_accepts(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await station.typed(*BESIDE) == 1
    assert "no valid hours" in capsys.readouterr().err
    await beside(station, lambda x, warm: x)
    assert await station.typed(*BESIDE, "--reference-u", "0.002", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["slope"], shown["per_degC"]) == (pytest.approx(1.25, abs=0.03), pytest.approx(0.01, abs=0.001))
    assert (shown["per_percent"], shown["temperature"], shown["n"]) == (0.0, "board_temperature", 24 * DAYS)
    assert shown["rmse"] == pytest.approx(0.01, rel=0.2)
    assert shown["budget"][0]["name"] == "scatter about the reference"
    accept = ("board", "colocate", "board-00", "ch4", "--accept", shown["proposal"])
    assert await station.typed(*accept) == 2, "a reason is needed"
    assert await station.typed("board", "colocate", "board-00", "ch4") == 2
    assert await station.typed("board", "colocate", "board-01", "ch4", *accept[4:], "--reason", "x") == 1
    assert await station.records("calibration", "coefficients") == []
    assert await station.typed(*accept, "--reason", "ten days", "--who", "ann") == 0
    (record,) = await station.records("calibration", "coefficients")
    assert record["rmse"] == shown["rmse"]
    assert record["source"].startswith("co-location with crds.ch4, 2026-03-01")
    assert len(record["colocation"]["covariance"]) == 3
    # 2 umol/mol of air at 22 degC on the board.
    await station.until(lambda: station.value("board-00") == pytest.approx(0.3 + 1.25 * CH4 - 0.03, abs=0.08))
    await station.stop()
    await station.begin()
    await station.until(lambda: station.value("board-00") == pytest.approx(0.3 + 1.25 * CH4 - 0.03, abs=0.08))
    assert await station.typed("board", "calibration", "show", "board-00", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"][0]["rmse"] == shown["rmse"]


async def test_hours_a_table_corrected_are_brought_back_before_the_fit(
    station: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ("board", "calibration", "set", "board-00", "ch4", "--zero", "0.5", "--slope", "2", "--per-degc", "0.1")
    assert await station.typed(*row, *SET) == 0
    (record,) = await station.records("calibration", "coefficients")
    await beside(station, lambda x, warm: 2 * (x - 0.5) + 0.1 * (warm - 25), (record["id"],))
    capsys.readouterr()
    assert await station.typed(*BESIDE, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["slope"] == pytest.approx(1.25, abs=0.03)
    assert shown["per_degC"] == pytest.approx(0.01, abs=0.001)
    assert await station.typed("--lang", "zh", *BESIDE) == 0
    assert "参比仪器的不确定度未知" in capsys.readouterr().out
    # Made with a row nobody knows: no way back.
    assert await station.typed(*BESIDE[:2], "board-03", *BESIDE[3:]) == 1
    assert "regulated" in capsys.readouterr().err


async def test_a_board_that_never_says_who_it_is_goes_by_its_serial_number(station: Station) -> None:
    station.silent.add(1)
    assert await station.set("board-00", "0", "3") == 1
    await station.stop()
    await station.begin(serial_number="A-17")
    assert await station.set("board-00", "0", "3") == 0
    await station.until(lambda: station.value("board-00") == pytest.approx(6.0))
    (record,) = await station.records("calibration", "coefficients")
    assert record["chip"] == "A-17"
    await station.stop()
    await station.begin(serial_number="A-18")
    await station.until(lambda: station.causes("board-00") == {Cause.MAINTENANCE})


TEXT, NUMBER = st.text(max_size=9), st.floats(-9, 9)
INSTANT = st.datetimes(datetime(2020, 1, 1), timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001
ROWS = st.builds(
    Row, TEXT, TEXT, st.just("ch4"), NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from([None, "board_temperature"]),
    INSTANT, TEXT, TEXT, TEXT, st.sampled_from([None, "board-00"]), st.none() | TEXT,
)  # fmt: skip


@given(ROWS)
def test_a_row_is_its_record(row: Row) -> None:
    body = encode({**row.record(), "kind": "calibration", "v": 1, "epoch": 1, "seq": 1})
    assert row_of(decode(body)) == row
