"""The Picarro command interface over a plain socket: a simulated analyzer behind a valve, and a recorded log."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from host.clock import ManualClock
from simulation.crds import Crds, Response
from simulation.picarro import COLUMNS, Interface, Picarro, Row
from simulation.play import LogError, Recording, play
from simulation.serve import TcpPort

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
EXACT = Response(slope={"CO2": 1.0, "CH4": 1.0}, offset={"CO2": 0.0, "CH4": 0.0})
STAMP = re.compile(r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3}")
LOG = "picarro_g2301/CFADS2283-20150831-171845Z-DataLog_User.dat"


class Counted:
    """A row each second; CO2 is the second, everything else is fixed."""

    def __init__(self) -> None:
        self._next = 1

    def until(self, now: datetime) -> Iterable[Row]:
        while (at := START + timedelta(seconds=self._next)) <= now:
            values = {**dict.fromkeys(COLUMNS, 1.0), "CO2": float(self._next), "CH4": 1.8765432, "INST_STATUS": 963.0}
            yield Row(at, values)
            self._next += 1


@dataclass
class Talk:
    """An analyzer on a port and a client that knows only bytes."""

    clock: ManualClock
    picarro: Picarro
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    told: list[dict[str, float]] = field(default_factory=list)

    async def ask(self, command: bytes, end: bytes = b"\r") -> bytes:
        self.writer.write(command)
        async with asyncio.timeout(10):
            return await self.reader.readuntil(end)


@asynccontextmanager
async def analyzer(interface: Interface, rows: object = None) -> AsyncIterator[Talk]:
    clock = ManualClock(START)
    told: list[dict[str, float]] = []
    picarro = Picarro(rows or Counted(), clock, lambda values: told.append(dict(values)), interface)  # type: ignore[arg-type]
    served = TcpPort(picarro)
    reader, writer = await asyncio.open_connection("127.0.0.1", await served.start())
    try:
        yield Talk(clock, picarro, reader, writer, told)
    finally:
        writer.close()
        await writer.wait_closed()
        await served.close()


TWO = Interface(columns=("CO2", "CH4"))


async def test_the_newest_value_is_not_consumed_and_has_three_decimals() -> None:
    async with analyzer(TWO) as talk:
        await talk.clock.advance(2.5)
        assert await talk.ask(b"_Meas_GetConc\r") == b"2.000;1.877\r"
        assert await talk.ask(b"_meas_getconcex\r\n") == b"26/05/01 12:00:02.000;2.000;1.877\r"
        assert talk.told == [{"co2": 2.0, "ch4": 1.877}] * 2


async def test_the_buffer_gives_every_row_once_and_ends_with_an_empty_line() -> None:
    async with analyzer(TWO) as talk:
        await talk.clock.advance(2.5)
        assert await talk.ask(b"_Meas_GetBuffer\r", b"\r\r") == (
            b"2;\r26/05/01 12:00:01.000;1.000;1.877;\r26/05/01 12:00:02.000;2.000;1.877;\r\r"
        )
        assert await talk.ask(b"_Meas_GetBuffer\r") == b"0;\r"
        await talk.clock.advance(2.0)
        assert await talk.ask(b"_Meas_GetBufferFirst\r") == b"26/05/01 12:00:03.000;3.000;1.877;\r"
        assert [values["co2"] for values in talk.told] == [1.0, 2.0, 3.0]
        assert await talk.ask(b"_Meas_ClearBuffer\r") == b"OK\r"
        assert (await talk.ask(b"_Meas_GetBufferFirst\r")).startswith(b"ERR:3002\t")


async def test_the_buffer_holds_512_rows_and_loses_the_oldest() -> None:
    async with analyzer(TWO) as talk:
        await talk.clock.advance(515.0)
        answer = await talk.ask(b"_Meas_GetBuffer\r", b"\r\r")
        lines = answer.decode().split("\r")
        assert (lines[0], len(lines)) == ("512;", 512 + 3)
        assert [line.split(";")[1] for line in (lines[1], lines[512])] == ["4.000", "515.000"]
        assert talk.picarro.overflowed == 3


@pytest.mark.parametrize(
    ("command", "code"),
    [(b"_Meas_GetAll\r", b"1002"), (b"\r", b"1002"), (b"_Meas_GetConc 5\r", b"1003"), (b"_Meas_GetConc\r", b"3002")],
)
async def test_errors_carry_their_code_and_the_time(command: bytes, code: bytes) -> None:
    async with analyzer(TWO) as talk:
        answer = await talk.ask(command)
        kind, at = answer.decode().rstrip("\r").split("\t")
        assert kind == f"ERR:{code.decode()}"
        assert STAMP.fullmatch(at)
        assert talk.told == []


async def test_status_scan_time_several_commands_at_once_and_the_other_line_end() -> None:
    async with analyzer(Interface(("CO2",), decimals=1, terminator="\r\n")) as talk:
        await talk.clock.advance(1.0)
        assert await talk.ask(b"_Instr_GetStatus\r_Meas_GetScanTime\r_Meas_Get", b"1.000\r\n") == b"963\r\n1.000\r\n"
        assert await talk.ask(b"Conc\r", b"\r\n") == b"1.0\r\n"


def crds_rows(inlets: Iterable[dict[str, float]], response: Response = EXACT) -> list[Row]:
    crds = Crds(np.random.default_rng(5), response, every_s=1.0)
    for second, inlet in enumerate(inlets):
        crds.step(START + timedelta(seconds=second), inlet)
    return list(crds.until(START + timedelta(days=1)))


def test_rows_measure_one_gas_each_and_repeat_the_rest() -> None:
    rows = crds_rows([{"CO2": 420.0, "CH4": 2.0, "H2O": 1.5}] * 31)
    assert [row.values["species"] for row in rows[:6]] == [1, 2, 3, 1, 2, 3]
    fresh = {1: {"CO2"}, 2: {"CH4"}, 3: {"CO2_dry", "CH4_dry", "H2O", "h2o_reported"}}
    for before, row in itertools.pairwise(rows):
        changed = {name for name, value in row.values.items() if value != before.values[name]} - {"species"}
        assert changed == fresh[int(row.values["species"])]


def test_wet_dry_and_both_waters_agree_as_in_the_recorded_log(recorded_data: Path) -> None:
    """One relation, checked on the simulated rows and on the instrument's own: dry from wet and reported water."""
    ours = [row for row in crds_rows([{"CO2": 420.0, "CH4": 2.0, "H2O": 1.5}] * 60) if row.values["species"] == 3]
    log = [row for row in Recording(recorded_data / LOG).rows if row.values["species"] == 3]
    for rows in (ours, log):
        water = np.array([row.values["h2o_reported"] for row in rows])
        for gas, a, b, unit in (("CO2", -0.01200, -2.674e-4, 0.02), ("CH4", -0.00982, -2.393e-4, 1e-4)):
            wet, dry = (np.array([row.values[name] for row in rows]) for name in (gas, f"{gas}_dry"))
            assert np.median(np.abs(wet / (1 + a * water + b * water**2) - dry)) < unit
        raw = np.array([row.values["H2O"] for row in rows])
        assert np.median(np.abs(0.772 * water + 0.01949 * water**2 - raw)) < 1e-3


def test_gas_arrives_after_the_tube_mixes_in_the_cell_and_is_shown_with_the_analyzers_own_error() -> None:
    air, gas = {"CO2": 420.0, "CH4": 2.0, "H2O": 1.5}, {"CO2": 450.0, "CH4": 2.2, "H2O": 0.0}
    off = Response(slope={"CO2": 1.002, "CH4": 0.99}, offset={"CO2": -0.5, "CH4": 0.01})
    rows = crds_rows([air] * 10 + [gas] * 110, off)
    dry = [row.values["CO2_dry"] for row in rows if row.values["species"] == 3]
    assert dry[3] == pytest.approx(420.0 * 1.002 - 0.5, abs=0.3)  # 12 s: still air in the cell
    assert 421.0 < dry[6] < 449.0
    assert dry[-1] == pytest.approx(450.0 * 1.002 - 0.5, abs=0.3)
    assert rows[-1].values["CH4_dry"] == pytest.approx(2.2 * 0.99 + 0.01, abs=0.003)


async def read_port(path: Path) -> int:
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.01)
    return int(json.loads(path.read_text())["tower-01.crds"])


async def test_a_recorded_hour_is_played_row_by_row_once_and_in_order(recorded_data: Path, tmp_path: Path) -> None:
    """An hour by a clock moved by hand, read by a client that polls each 20 s and parses nothing but text."""
    recording = Recording(recorded_data / LOG)
    clock = ManualClock(recording.start - timedelta(seconds=5))
    stop = asyncio.Event()
    columns = ("species", "MPVPosition", "CH4", "CO2", "CO2_dry", "h2o_reported")
    interface = Interface(columns, decimals=10)
    playing = asyncio.create_task(play(recording, tmp_path, clock, interface, "tower-01.crds", 0, stop))
    reader, writer = await asyncio.open_connection("127.0.0.1", await read_port(tmp_path / "wires" / "ports.json"))
    received: list[str] = []
    for _ in range(185):
        writer.write(b"_Meas_GetBuffer\r\n")
        async with asyncio.timeout(10):
            if (await reader.readuntil(b"\r")) != b"0;\r":
                received += (await reader.readuntil(b"\r\r")).decode().strip("\r").split("\r")
        await clock.advance(20.0)
    writer.close()
    await writer.wait_closed()
    stop.set()
    await clock.advance(2.0)
    await playing
    with (recorded_data / LOG).open() as file:
        names = file.readline().split()
        told = [dict(zip(names, line.split(), strict=True)) for line in file]
    assert len(received) == len(told) == 2679
    for line, row in zip(received, told, strict=True):
        at, *values, end = line.split(";")
        told_at = datetime.strptime(at, "%y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
        assert (f"{told_at.timestamp():.3f}", end) == (row["EPOCH_TIME"], "")
        assert values == [f"{float(row[name]):.10f}" for name in columns]
    journal = (tmp_path / "journal" / "tower-01" / "crds.jsonl").read_text().splitlines()
    assert [json.loads(line)["values"]["co2"] for line in journal] == [float(f"{float(r['CO2']):.10f}") for r in told]
    assert json.loads((tmp_path / "stats.json").read_text()) == {"rows": 2679, "read_out": 2679, "overflowed": 0}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("CO2 CH4\n1 2\n", ":1: no column EPOCH_TIME"),
        ("EPOCH_TIME CO2\n", ":2: no rows"),
        ("EPOCH_TIME CO2\n1441041520.9 400\n1441041521.9\n", ":3: 1 fields under 2 names"),
        ("EPOCH_TIME CO2\n1441041520.9 abc\n", ":2: could not convert"),
        ("EPOCH_TIME CO2\n1441041520.9 nan\n", ":2: a value is not finite"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "log.dat"
    path.write_text(text)
    with pytest.raises(LogError, match=re.escape(f"{path}{place}")):
        Recording(path)
