"""The bus doctor on real ptys and TCP ports, with instruments that do not know it; none of them is ever written."""

import asyncio
import base64
import contextlib
import json
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hjson
import numpy as np
import pytest
from peers.lines import METER, STACK, Counting, senseair, unheard

from agent.__main__ import main
from agent.checks.check import check_file
from agent.config_wires import SerialWire
from agent.doctor.asker import Asker
from agent.doctor.identify import Known, within
from agent.doctor.listen import foreign, frame_units, judged
from agent.doctor.places import WAYS, Place, Plan, bus, places
from agent.doctor.probe import probe
from agent.doctor.propose import proposed, text
from agent.doctor.scan import Found, Report, opened, scan, texted
from agent.doctor.signatures import signatures
from agent.wires.wire_serial import SerialPort
from drivers.base import ReadRegisters
from drivers.registry import describe
from host.clock import ManualClock, RealClock
from host.control import Control
from simulation.instruments.clink import CLinkAnalyzer
from simulation.instruments.dlt645 import Dlt645Meter
from simulation.instruments.gas_line import AlicatController, ViciActuator
from simulation.instruments.gmp343 import Gmp343
from simulation.instruments.licor import Licor
from simulation.instruments.registers import Gmp252, Sdm630, StackDevice
from simulation.instruments.small_sensors import MhZ19B, Sds011Sensor, Sps30Sensor
from simulation.instruments.windsonic import WindSonic
from simulation.modbus import HOLDING, ModbusTcp, RtuLine, Unit, crc
from simulation.plantower import frame
from simulation.wxt import Wxt

AT = datetime(2026, 6, 1, tzinfo=UTC)
FIVE = ["eastron_sdm630", "cems_block", "senseair_s8", "senseair_s8", "vaisala_gmp252"]
# An instrument of the test answers within milliseconds; the long patience is for a busy machine.
PLAN = Plan((9600, 19200), ("N", "E"), (1, 2, 3, 4, 240, 254), 0.15, 0.06, False, ("modbus",))
WHOLE = replace(PLAN, timeout_s=0.1, ways=WAYS)


def silent(what: str, done: int, of: int, found: int) -> None:
    """Progress nobody looks at."""


def five() -> dict[int, Counting]:
    """Five instruments of four kinds."""
    devices: dict[int, Unit] = {
        1: Sdm630(METER), 2: StackDevice(STACK, {18: 0}, holes=True), 3: senseair(), 4: senseair(),
        240: Gmp252(unheard),
    }  # fmt: skip
    return {unit: Counting(device) for unit, device in devices.items()}


class Line:
    """A serial line with something at its far end; keeps what was sent to it."""

    def __init__(self, hear: Callable[[bytes], bytes]) -> None:
        self._hear = hear
        self.heard = b""
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)

    def readable(self) -> None:
        data = os.read(self.master, 4096)
        self.heard += data
        os.write(self.master, self._hear(data))

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


@contextlib.contextmanager
def on_a_pty(hear: Callable[[bytes], bytes]) -> Iterator[Line]:
    line = Line(hear)
    loop = asyncio.get_running_loop()
    loop.add_reader(line.master, line.readable)
    try:
        yield line
    finally:
        loop.remove_reader(line.master)
        line.close()


@contextlib.asynccontextmanager
async def speaking(line: Line, said: bytes) -> AsyncIterator[None]:
    """Something that speaks all the time."""

    async def speak() -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(line.master, said)
            await asyncio.sleep(0.01)

    os.set_blocking(line.master, False)
    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


def drivers_of(report: Report) -> list[str | None]:
    return [one.known.driver for one in report.found]


def bare_station(folder: Path) -> dict[str, Any]:
    key = folder / "station.key"
    key.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    key.chmod(0o600)
    place = {"latitude": 31.0, "longitude": 121.0, "height_m": 4, "datum": "WGS-84"}
    return {
        "station": {"id": "scan-01", "network": "examples", "name_zh": "例", "name_en": "Example", "position": place},
        "store": {"path": str(folder / "store"), "quota_GB": 2000},
        "ledger": {"key": {"file": str(key)}},
        "socket": str(folder / "socket"),
    }


def problems(blocks: str, folder: Path) -> list[str]:
    """What `plumeline check` says of a station with the proposed blocks pasted into it."""
    station = folder / "station.hjson"
    station.write_text(json.dumps(bare_station(folder))[:-1] + "\n" + blocks + "}\n", encoding="utf-8")
    return [str(problem) for problem in check_file(station, now=AT).problems]


async def test_five_instruments_of_four_kinds_are_found_and_named_and_nothing_is_written(tmp_path: Path) -> None:
    units = five()
    shown: list[tuple[str, int, int, int]] = []
    with on_a_pty(RtuLine(units).hear) as line:
        report = await scan(Place(line.device), PLAN, lambda *progress: shown.append(progress))
    assert (report.error, report.stopped) == (None, None)
    assert shown[0] == ("9600 8N1 listen", 0, 0, 0)
    assert shown[-2:] == [("9600 8N1 unit 240", 4, 6, 4), ("9600 8N1 unit 254", 5, 6, 5)]
    assert [(one.unit, one.known.driver) for one in report.found] == list(zip(units, FIVE, strict=True))
    assert report.tried == ["9600 8N1"]
    assert report.found[2].known.also == ("senseair_k30",)
    assert report.found[0].known.values["voltage_b"] == pytest.approx(229.9, rel=1e-6)
    assert sum(unit.written for unit in units.values()) == 0
    starts = range(len(line.heard) - 7)
    frames = [line.heard[at : at + 8] for at in starts if crc(line.heard[at : at + 6]) == line.heard[at + 6 : at + 8]]
    assert len(frames) > 20
    assert {asked[1] for asked in frames} == {3, 4}
    # The count would see one.
    assert units[3].write(HOLDING, 31, 7)
    assert units[3].written == 1
    blocks = proposed([(report.place, report.found)])
    assert [one["driver"] for one in blocks["instruments"].values()] == FIVE
    assert set(hjson.loads("{" + text(blocks) + "}")) == {"buses", "instruments"}
    assert problems(text(blocks), tmp_path) == []


async def test_a_master_that_speaks_already_ends_the_scan() -> None:
    question = bytes((9, 3, 0, 0, 0, 2))
    units = five()
    with on_a_pty(RtuLine(units).hear) as line:
        async with speaking(line, question + crc(question)):
            report = await scan(Place(line.device), PLAN, silent)
        assert line.heard == b""
    assert (report.stopped, report.found) == ("other-master", [])
    assert report.heard is not None
    assert "09 03 00 00 00 02" in report.heard


async def test_a_master_that_begins_later_ends_the_scan_unless_the_bus_is_ours() -> None:
    question = bytes((9, 3, 0, 0, 0, 2))
    other = question + crc(question)

    def hear(data: bytes) -> bytes:
        return other

    with on_a_pty(hear) as line:
        report = await scan(Place(line.device), PLAN, silent)
        assert report.stopped == "other-master"
        assert report.found == []
    units = five()
    quiet = RtuLine(units)
    with on_a_pty(lambda data: quiet.hear(data) + other) as line:
        report = await scan(Place(line.device), replace(PLAN, units=(3,), ours=True), silent)
    assert drivers_of(report) == ["senseair_s8"]


async def test_rubbish_on_the_line_ends_the_scan_and_is_shown() -> None:
    with on_a_pty(lambda data: b"") as line:
        async with speaking(line, b"\xf1\x80\x7f"):
            report = await scan(Place(line.device), PLAN, silent)
        assert line.heard == b""
    assert report.stopped == "somebody"
    assert report.heard is not None
    assert "f1 80 7f" in report.heard


@pytest.mark.parametrize(
    ("said", "driver"),
    [
        (frame(3, 5, 7), "plantower_pms"),
        (WindSonic(unheard).line(), "gill_windsonic"),
        (b"$GPGGA,081836,3112.345,N,12127.456,E,1,08,1.0,4.0,M,8.0,M,,*5B\r\n", "nmea_gps"),
        (Licor(unheard).document(), "licor_li850_stream"),
        (Licor(unheard, "li840").document(), "licor_li850_stream"),
        (Gmp343(unheard).line(), "vaisala_gmp343_run"),
    ],
)
async def test_who_speaks_unasked_is_named_and_not_asked(said: bytes, driver: str, tmp_path: Path) -> None:
    with on_a_pty(lambda data: b"") as line:
        async with speaking(line, said):
            report = await scan(Place(line.device), PLAN, silent)
        assert line.heard == b""
    assert drivers_of(report) == [driver]
    assert problems(text(proposed([(report.place, report.found)])), tmp_path) == []


def meter() -> Dlt645Meter:
    return Dlt645Meter(unheard, "000012345678", dict(METER))


def idle() -> ManualClock:
    return ManualClock(AT)


@pytest.mark.parametrize(
    ("hear", "driver", "unit", "options"),
    [
        (lambda: CLinkAnalyzer(unheard, "co2", "co2").hear, "thermo_410i", 0, {}),
        (lambda: CLinkAnalyzer(unheard, "co", "co", 48).hear, "thermo_48i", 48, {}),
        (lambda: Gmp343(unheard).hear, "vaisala_gmp343", None, {}),
        (lambda: Licor(unheard).hear, "licor_li850", None, {"root": "LI850"}),
        (lambda: Licor(unheard, "li840").hear, "licor_li850", None, {"root": "LI840"}),
        (lambda: meter().hear, "dlt645", 1, {"meter": "000012345678"}),
        (lambda: WindSonic(unheard).hear, "gill_windsonic_polled", None, {}),
        (lambda: Wxt(unheard, np.random.default_rng(1)).hear, "vaisala_wxt5xx", 0, {}),
        (lambda: MhZ19B(unheard, idle()).hear, "mhz19", None, {}),
        (lambda: Sds011Sensor(unheard).hear, "sds011", None, {}),
        (lambda: Sps30Sensor(unheard, idle()).hear, "sps30", None, {}),
    ],
)  # fmt: skip
async def test_instruments_that_speak_text_or_frames_are_named(
    hear: Callable[[], Callable[[bytes], bytes]], driver: str, unit: int | None, options: Any, tmp_path: Path
) -> None:
    with on_a_pty(hear()) as line:
        known = await asked(line, driver, unit)
    assert [one.options for one in known] == [options]
    wire = {"kind": "serial", "device": line.device, "baud": 9600, "parity": "N"}
    # What the check reminds of (alarm bits, ranges) is for the site; no block has an error.
    found = [problem for problem in problems(
        text(proposed([(Place(line.device), [Found(wire, "text", unit, known[0])])])), tmp_path
    ) if "error:" in problem]  # fmt: skip
    assert found == []


async def asked(line: Line, driver: str, unit: int | None) -> list[Known]:
    """What the rows of one driver find."""
    wire = {"kind": "serial", "device": line.device}
    async with opened(wire) as opener:
        asker = Asker(opener, bus(wire, "text"), 0.25, ours=False)
        rows = [row for row in signatures("text") if (row.driver, row.unit) == (driver, unit)]
        found = [await texted(row, row.unit, asker) for row in rows]
    return [one for one in found if one is not None]


@pytest.mark.parametrize(
    ("hear", "driver"),
    [
        (lambda: CLinkAnalyzer(unheard, "co2", "co2").hear, "thermo_410i"),
        (lambda: Licor(unheard).hear, "licor_li850"),
        (lambda: meter().hear, "dlt645"),
    ],
)
async def test_an_instrument_is_found_behind_questions_that_are_not_its_own(
    hear: Callable[[], Callable[[bytes], bytes]], driver: str
) -> None:
    with on_a_pty(hear()) as line:
        report = await scan(Place(line.device), WHOLE, silent)
    assert drivers_of(report) == [driver]


@pytest.mark.parametrize(
    ("hear", "driver", "needs"),
    [
        (lambda: AlicatController(unheard).hear, "alicat", ("units",)),
        (lambda: ViciActuator(unheard, RealClock()).hear, "vici", ("positions",)),
    ],
)
async def test_what_only_the_site_can_say_is_named_and_never_guessed(
    hear: Callable[[], Callable[[bytes], bytes]], driver: str, needs: tuple[str, ...]
) -> None:
    with on_a_pty(hear()) as line:
        known = await asked(line, driver, None if driver == "vici" else 1)
    assert [one.needs for one in known] == [needs]
    found = Found({"kind": "serial", "device": line.device}, "text", 1, known[0])
    assert proposed([(Place(line.device), [found])]) == {"buses": {}, "instruments": {}}


@contextlib.asynccontextmanager
async def served(units: Mapping[int, Unit]) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda r, w: _serve(ModbusTcp(units), r, w), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _serve(modbus: ModbusTcp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await modbus(reader, writer)
    writer.close()


async def test_a_gateway_and_a_closed_port() -> None:
    async with served(five()) as port:
        report = await scan(Place("127.0.0.1", port), PLAN, silent)
    assert [one.unit for one in report.found] == [1, 2, 3, 4, 240]
    assert drivers_of(report) == FIVE
    report = await scan(Place("127.0.0.1", port), PLAN, silent)
    assert report.error is not None


async def test_a_unit_nobody_knows_and_its_registers_under_each_order() -> None:
    values = {0: 21.5, 2: 101.325, 4: 0.25, 6: 1234.5}
    device = Counting(StackDevice(values, {}, holes=True))
    with on_a_pty(RtuLine({7: device}).hear) as line:
        plan = replace(PLAN, units=(7,))
        report = await scan(Place(line.device), plan, silent)
        assert drivers_of(report) == [None]
        probed = await probe(report.found[0], plan, 5, ReadRegisters("holding", 0, 8), silent)
    assert probed is not None
    assert [row.values["ABCD"][0] for row in probed.rows] == pytest.approx(list(values.values()), rel=1e-6)
    assert all(row.values["ABCD"][1] for row in probed.rows)
    best = probed.fields()["plausible"]
    assert max(best, key=best.get) == "ABCD"
    assert best["ABCD"] == 4 > best["DCBA"]
    assert device.written == 0
    # 101.325 as an IEEE 754 single is 42CAA666h: of its two registers the second is negative as a signed one.
    singles = {one["address"]: one for one in probed.fields()["singles"]}
    assert singles[2] == {"address": 2, "u16": 0x42CA, "i16": 0x42CA}
    assert singles[3] == {"address": 3, "u16": 0xA666, "i16": 0xA666 - 0x10000}
    assert len(singles) == 8


async def test_a_known_unit_under_each_order_its_times_and_errors() -> None:
    with on_a_pty(RtuLine({240: Gmp252(unheard)}).hear) as line:
        report = await scan(Place(line.device), PLAN, silent)
        probed = await probe(report.found[0], PLAN, 12, None, silent)
    assert probed is not None
    told = probed.fields()
    assert told["plausible"]["CDAB"] == 2 > told["plausible"]["ABCD"]
    assert [row.measurand for row in probed.rows] == ["co2", "probe_temperature"]
    assert told["asked"] == 12
    assert sum(told["response_times"].values()) == 12
    assert told["errors_percent"] == {"no_answer": 0, "garbled": 0, "refused": 0}
    deaf = iter(range(1000))
    quiet = RtuLine({240: Gmp252(unheard)})
    with on_a_pty(lambda data: quiet.hear(data) if next(deaf) % 2 else b"") as line:
        again = type(report.found[0])(report.found[0].wire | {"device": line.device}, "modbus-rtu", 240,
                                      report.found[0].known)  # fmt: skip
        probed = await probe(again, PLAN, 6, None, silent)
    assert probed is not None
    assert probed.errors()["no_answer"] == 50.0


async def test_what_a_unit_says_of_itself_is_told() -> None:
    body = bytes.fromhex("f02b0e0101000003") + b"\x00\x07Vaisala\x01\x06GMP252\x02\x031.2"
    server = b"\xf0\x11\x05GMP2\xff"
    units = RtuLine({240: Gmp252(unheard)})

    def hear(data: bytes) -> bytes:
        said = {0x2B: body, 0x11: server}.get(data[1])
        return units.hear(data) if said is None else said + crc(said)

    with on_a_pty(hear) as line:
        report = await scan(Place(line.device), replace(PLAN, units=(240,)), silent)
    assert drivers_of(report) == ["vaisala_gmp252"]
    assert report.found[0].known.identity == {
        "vendor": "Vaisala", "product": "GMP252", "revision": "1.2", "server_id": "GMP2",
    }  # fmt: skip


def test_the_command_line_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scanned() -> int:
        with on_a_pty(RtuLine({240: Gmp252(unheard)}).hear) as line:
            look = [
                "--units",
                "240",
                "--ask",
                "modbus",
                "--timeout",
                "0.25",
                "--listen",
                "0.05",
                "--socket",
                str(tmp_path / "none"),
            ]
            first = await asyncio.to_thread(main, ["--lang", "en", "scan", line.device, *look])
            told = capsys.readouterr()
            assert "Vaisala GMP252 (vaisala_gmp252)" in told.out
            pasted = told.out.partition("// to be pasted")[2].partition("\n")[2]
            assert problems(pasted, tmp_path) == []
            second = await asyncio.to_thread(main, ["--lang", "en", "probe", line.device, "--json", *look])
            answer = json.loads(capsys.readouterr().out)
            assert answer["probed"][0]["driver"] == "vaisala_gmp252"
            third = await asyncio.to_thread(main, ["--lang", "zh", "probe", line.device, *look])
            assert "CDAB" in capsys.readouterr().out
            return first + second + third

    assert asyncio.run(scanned()) == 0
    assert main(["--lang", "en", "scan", str(tmp_path / "no-port"), "--socket", str(tmp_path / "none")]) == 1
    assert "no-port" in capsys.readouterr().err


async def test_a_port_the_daemon_holds_is_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def status(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"station": {"id": "stack-01"}}

    socket = tmp_path / "socket"
    control = asyncio.create_task(Control(socket, {"status": status}).run())
    with on_a_pty(RtuLine({240: Gmp252(unheard)}).hear) as line:
        held = SerialPort(SerialWire(kind="serial", device=line.device), tmp_path)
        await held.open()
        while not socket.exists():
            await asyncio.sleep(0)
        code = await asyncio.to_thread(main, ["--lang", "en", "scan", line.device, "--socket", str(socket)])
        held.close()
        assert line.heard == b""
    control.cancel()
    assert code == 1
    said = capsys.readouterr().err
    assert "lock" in said
    assert "the daemon of station stack-01" in said


def test_places_and_rows() -> None:
    assert places(["192.0.2.1:4001", "/dev/ttyS9"]) == [Place("192.0.2.1", 4001), Place("/dev/ttyS9")]
    assert [place.port for place in places(["192.0.2.1"])] == [502, 9880, 51020]
    with pytest.raises(ValueError, match="invalid literal"):
        places(["192.0.2.1:x"])
    for way in ("modbus", "text", "stream"):
        for row in signatures(way):
            assert row.source
            assert describe(row.driver).protocol == way
            row.pattern(1)


def test_what_is_foreign() -> None:
    late = bytes((3, 4, 2, 1, 164))
    assert frame_units(late + crc(late)) == [3]
    assert not foreign(late + crc(late), 3, b"")
    assert foreign(late + crc(late), 4, b"")
    assert foreign(b"_Instr_GetStatus\r\n", None, b"")
    assert not foreign(b"_Instr_GetStatus\r\n", None, b"_Instr_GetStatus\r\n")
    assert judged(b"").speaker is None
    assert not within("co2", 1e-30)
    assert within("co2", 0.0)
    assert not within("co2", float("nan"))
