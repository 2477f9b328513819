"""Simulated serial instruments against clients of other people: minimalmodbus, pyserial, and the decoder of `cobs`."""

import asyncio
import binascii
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import minimalmodbus
import numpy as np
import pytest
import serial
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from host.clock import RealClock
from simulation.boards import Board
from simulation.faults import Faults
from simulation.journal import Journal
from simulation.modbus import RtuLine
from simulation.plantower import Plantower, frame
from simulation.senseair import ANY_ADDRESS, Senseair
from simulation.sensor_error import SensorError
from simulation.serve import Pty
from simulation.wxt import Weather, Wxt

START = datetime(2026, 5, 1, tzinfo=UTC)
QUIET = SensorError(key=(1, 2), offset=0.0, drift=0.0, drift_period_s=3600.0, drift_phase=0.0, noise=0.0)
DEADLINE_S = 10.0


class NoFaults(Faults):
    """A day without faults, or with every frame damaged."""

    def __init__(self, bad_crc_share: float = 0.0) -> None:
        self._faults = []
        self.bad_crc_share = bad_crc_share


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    written = Journal(tmp_path, RealClock())
    yield written
    written.close()


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@asynccontextmanager
async def running(pty: Pty) -> AsyncIterator[None]:
    task = asyncio.create_task(pty.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@contextmanager
def opened(path: Path) -> Iterator[serial.Serial]:
    port = serial.Serial(str(path), 9600, timeout=5, exclusive=True)
    try:
        yield port
    finally:
        port.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def ask_with_minimalmodbus(path: Path) -> list[int]:
    instrument = minimalmodbus.Instrument(str(path), 254, close_port_after_each_call=True)
    instrument.serial.baudrate = 9600
    instrument.serial.timeout = 0.5  # it waits so long for the rest of a short exception reply
    values = instrument.read_registers(0, 4, functioncode=4)
    values.append(instrument.read_register(3, functioncode=4))
    with pytest.raises(minimalmodbus.IllegalRequestError):
        instrument.read_register(200, functioncode=4)
    return values


async def test_minimalmodbus_reads_the_senseair_and_each_answer_is_told(tmp_path: Path, journal: Journal) -> None:
    sensor = Senseair(journal.pen("s", "ndir"), np.random.default_rng(1), offset=0.0, noise=0.0)
    sensor.step(START, 904.0)
    pty = Pty(tmp_path / "ndir", RealClock(), RtuLine({ANY_ADDRESS: sensor}).hear)
    async with running(pty):
        values = await asyncio.to_thread(ask_with_minimalmodbus, tmp_path / "ndir")
    assert values == [0, 0, 0, 904, 904]
    assert [line["values"] for line in lines(tmp_path / "s", "ndir")] == [{"co2": 904}, {"co2": 904}]


def test_the_published_frames_of_the_senseair() -> None:
    sensor = Senseair(lambda values: None, np.random.default_rng(1), offset=0.0, noise=0.0)
    sensor.step(START, 904.0)
    line = RtuLine({ANY_ADDRESS: sensor})
    assert line.hear(bytes.fromhex("FE0400030001D5C5")) == bytes.fromhex("FE04020388ADB2")
    sensor.step(START + timedelta(days=1), 400.0)
    assert line.hear(bytes.fromhex("FE0400000004E5C6")) == bytes.fromhex("FE0408000000000000019016E6")
    assert line.hear(bytes.fromhex("FE03001F0001A1C3"))[:4] == bytes.fromhex("FE030200")
    assert line.hear(bytes.fromhex("FE06001F0000AC03")) == bytes.fromhex("FE06001F0000AC03")


@given(noise=st.binary(max_size=40), cut=st.integers(0, 8))
def test_a_damaged_request_meets_silence_and_the_next_one_is_answered(noise: bytes, cut: int) -> None:
    line = RtuLine({ANY_ADDRESS: Senseair(lambda values: None, np.random.default_rng(1))})
    question = bytes.fromhex("FE0400030001D5C5")
    wrong = question[:-1] + b"\x00"
    assert line.hear(wrong) == b""
    line.hear(noise)
    assert len(line.hear(question[:cut]) + line.hear(question[cut:])) == 7


def test_a_sensor_follows_the_gas_slowly_and_refreshes_each_four_seconds() -> None:
    sensor = Senseair(lambda values: None, np.random.default_rng(1), offset=0.0, noise=0.0)
    sensor.step(START, 400.0)
    sensor.step(START + timedelta(seconds=3), 800.0)
    assert sensor.read(4, 3, 1) == [400]
    sensor.step(START + timedelta(seconds=20), 800.0)
    assert sensor.read(4, 3, 1) == [653]


async def test_a_weather_transmitter_answers_its_composite_message(tmp_path: Path, journal: Journal) -> None:
    wxt = Wxt(journal.pen("s", "weather"), np.random.default_rng(1))
    wxt.weather = Weather(
        wind_direction=359.7, wind_speed=2.8, air_temperature=23.0, relative_humidity=30.0, air_pressure=1028.2
    )
    pty = Pty(tmp_path / "weather", RealClock(), wxt.hear)

    def talk() -> tuple[bytes, bytes, bytes]:
        with opened(tmp_path / "weather") as port:
            port.write(b"0\r\n1R0\r\n0")
            first = port.read_until(b"\r\n")
            port.write(b"XX\r\n")
            second = port.read_until(b"\r\n")
            port.write(b"0R0\r\n")
            return first, second, port.read_until(b"\r\n")

    async with running(pty):
        identity, unknown, composite = await asyncio.to_thread(talk)
    assert identity == b"0\r\n"
    assert unknown == b"0TX,Unknown cmd error\r\n"
    head, *fields = composite.decode().strip().split(",")
    assert (head, [field[:3] for field in fields]) == ("0R0", ["Dm=", "Sm=", "Ta=", "Ua=", "Pa="])
    assert fields[0] == "Dm=000D"
    told = [float(field[3:-1]) for field in fields]
    assert told == list(lines(tmp_path / "s", "weather")[0]["values"].values())
    assert told[1:] == pytest.approx([2.8, 23.0, 30.0, 1028.2], abs=2.0)


async def pushed(
    path: Path, push: Callable[[], None], take: Callable[[serial.Serial], bytes], count: int
) -> list[bytes]:
    """Read `count` frames while the instrument goes on pushing, as it does all day."""

    def read() -> list[bytes]:
        with opened(path) as port:
            return [take(port) for _ in range(count)]

    reading = asyncio.create_task(asyncio.to_thread(read))
    async with asyncio.timeout(DEADLINE_S):
        while not reading.done():
            push()
            await asyncio.sleep(0.02)
    return await reading


def to_zero(port: serial.Serial) -> bytes:
    return port.read_until(b"\0")


def bytes_32(port: serial.Serial) -> bytes:
    return port.read(32)


def decoded(data: bytes) -> tuple[tuple[int, ...], dict[int, float]]:
    """A board's frame by the description alone: header fields, values by channel. AssertionError for a bad check."""
    body = cobs.decode(data.removesuffix(b"\0"))
    assert binascii.crc_hqx(body[:-2], 0) == int.from_bytes(body[-2:], "little"), "bad CRC"
    header = struct.unpack_from("<BHHIIB", body)
    values = dict(struct.unpack_from("<Bf", body, 14 + 5 * n) for n in range(header[-1]))
    assert len(body) == 14 + 5 * header[-1] + 2
    return header, values


async def test_a_board_pushes_frames_others_decode(tmp_path: Path, journal: Journal) -> None:
    pty = Pty(tmp_path / "gateway", RealClock(), lambda data: b"")
    board = Board(7, pty, journal.pen("f", "board-07"), QUIET, np.random.default_rng(3), NoFaults(), START)
    moments = iter(START + timedelta(seconds=30 * n) for n in range(1, 2000))
    async with running(pty):
        frames = await pushed(tmp_path / "gateway", lambda: board.step(next(moments), 2.25, 20.0), to_zero, 4)
        await until(lambda: len(lines(tmp_path / "f", "board-07")) >= 4)
    read = [decoded(data) for data in frames]
    headers = [header for header, _ in read]
    assert {(version, number, count) for version, number, _, _, _, count in headers} == {(1, 7, 3)}
    assert [header[3] - headers[0][3] for header in headers] == [0, 1, 2, 3]
    assert [header[4] - headers[0][4] for header in headers] == [0, 30000, 60000, 90000]
    told = lines(tmp_path / "f", "board-07")[:4]
    assert [(line["sequence"], line["values"]["ch4"]) for line in told] == [(h[3], v[1]) for h, v in read]
    assert [line["values"]["battery_voltage"] for line in told] == [v[5] for _, v in read]
    assert {v[1] for _, v in read} == {2.25}


async def test_a_damaged_frame_is_told_but_not_as_values(tmp_path: Path, journal: Journal) -> None:
    pty = Pty(tmp_path / "gateway", RealClock(), lambda data: b"")
    board = Board(
        7, pty, journal.pen("f", "board-07"), QUIET, np.random.default_rng(3), NoFaults(bad_crc_share=1.0), START
    )
    moments = iter(START + timedelta(seconds=30 * n) for n in range(1, 2000))
    async with running(pty):
        (data,) = await pushed(tmp_path / "gateway", lambda: board.step(next(moments), 2.25, 20.0), to_zero, 1)
        await until(lambda: bool(lines(tmp_path / "f", "board-07")))
    with pytest.raises(AssertionError, match="bad CRC"):
        decoded(data)
    first = lines(tmp_path / "f", "board-07")[0]
    assert (first["values"], first["fault"]) == ({}, "bad CRC")


async def test_what_nobody_reads_is_dropped_and_counted(tmp_path: Path, journal: Journal) -> None:
    pty = Pty(tmp_path / "pm", RealClock(), lambda data: b"")
    pm = Plantower(pty, journal.pen("f", "pm"), np.random.default_rng(3))
    moments = iter(START + timedelta(seconds=10 * n) for n in range(2000))
    async with running(pty):
        for _ in range(5):
            pm.step(next(moments))
        assert (pty.dropped, lines(tmp_path / "f", "pm")) == (5, [])
        first = await pushed(tmp_path / "pm", lambda: pm.step(next(moments)), bytes_32, 2)
        before = len(lines(tmp_path / "f", "pm"))
        pm.step(next(moments))  # the reader is gone again
        assert len(lines(tmp_path / "f", "pm")) == before
        again = await pushed(tmp_path / "pm", lambda: pm.step(next(moments)), bytes_32, 1)
    assert all(data.startswith(b"BM\x00\x1c") for data in first + again)


def test_the_published_frame_of_the_plantower_has_our_shape() -> None:
    published = bytes.fromhex("424D001C000400050005000400050005037E00E20017000200000000970002DA")
    ours = frame(4, 5, 5)
    assert len(ours) == len(published) == 32
    assert ours[:16] == published[:16]
    assert sum(ours[:30]) == int.from_bytes(ours[30:])
    assert sum(published[:30]) == int.from_bytes(published[30:])
