"""Text instruments on real ptys, asked and heard by the station's own buses; other people's decoders; any bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pynmea2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.config import Bus
from agent.wires.bus import AskedBus, BusSilentError
from agent.wires.bus_stream import StreamBus
from drivers.base import BadAnswer, DriverError, Scan, StreamFault
from drivers.registry import driver, entry, stream_driver
from host.clock import RealClock
from metrology.quality import Cause
from simulation.instruments.clink import CLinkAnalyzer
from simulation.instruments.gmp343 import Gmp343
from simulation.instruments.hessen import Device, HessenLine
from simulation.instruments.licor import Licor
from simulation.instruments.windsonic import START_MESSAGE, WindSonic
from simulation.serve import Pty

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEADLINE_S = 10.0
# What the streaming drivers of this file need to be made at all.
OPTIONS: Mapping[str, dict[str, Any]] = {"lgr_gga": {"clock": 0}}
TEXT_STREAMS = ["gill_windsonic", "lgr_gga", "licor_li850_stream", "nmea_gps", "vaisala_gmp343_run"]


class Told:
    """What a simulated instrument put on the wire, answer by answer."""

    def __init__(self) -> None:
        self.answers: list[dict[str, float]] = []

    def __call__(self, values: Mapping[str, float], **more: object) -> None:
        self.answers.append(dict(values))


def values(scan: Scan) -> dict[str, float]:
    return {reading.measurand: reading.value for reading in scan.readings if reading.value is not None}


def causes(scan: Scan) -> set[Cause]:
    return {cause for reading in scan.readings for cause in reading.quality.causes}


class Station:
    """A bus on one end of a pty, an instrument on the other."""

    def __init__(self, folder: Path, hear: Callable[[bytes], bytes], timeout_s: float = 2.0) -> None:
        self.pty = Pty(folder / "line", RealClock(), hear)
        self.config = Bus.model_validate(
            {"wire": {"kind": "serial", "device": str(folder / "line")}, "protocol": "text", "timeout_s": timeout_s}
        )
        self.bus = AskedBus("line", self.config, RealClock(), lambda what, detail: None)

    async def ask(self, name: str, unit: int | None = None, **options: Any) -> Callable[[], Any]:
        polled = driver(name, instrument="i", unit=unit, options=options)

        async def once() -> Scan:
            (scan,) = await self.bus.run_poll(unit, polled.poll())
            return scan

        return once


@contextlib.asynccontextmanager
async def station(folder: Path, hear: Callable[[bytes], bytes], timeout_s: float = 2.0) -> AsyncIterator[Station]:
    one = Station(folder, hear, timeout_s)
    task = asyncio.create_task(one.pty.run())
    try:
        yield one
    finally:
        one.bus.close()
        task.cancel()
        await asyncio.wait({task})


async def test_a_licor_is_asked(tmp_path: Path) -> None:
    told = Told()
    licor = Licor(told, "LI840")
    async with station(tmp_path, licor.hear) as line:
        ask = await line.ask("licor_li850", root="LI840")
        for licor.co2, licor.h2o in [(412.76, 12.061), (0.0, -0.02)]:
            assert values(await ask()) == pytest.approx(told.answers[-1])
        licor.fields.remove("h2o")
        scan = await ask()
        assert values(scan) == {"co2": 0.0, "gas_temperature": 51.229, "gas_pressure": 98.453}
        assert {tag for tag in scan.status if tag.startswith("cell")} == set()
        # Its cell is switched off in the RS232 group: no value, and nothing wrong with the analyzer.
        licor.fields = ["co2", "h2o"]
        scan = await ask()
        assert values(scan).keys() == {"co2", "h2o_reported"}
        assert causes(scan) == set()
        other = await line.ask("licor_li850", root="LI850")
        with pytest.raises(BadAnswer):
            await other()


async def test_a_probe_is_asked_through_echo_error_and_restart(tmp_path: Path) -> None:
    told = Told()
    probe = Gmp343(told)
    async with station(tmp_path, probe.hear) as line:
        ask = await line.ask("vaisala_gmp343", errors_every=1)
        probe.co2 = 417.3
        assert values(await ask()) == {"co2": 417.3, "gas_temperature": 25.0} == told.answers[-1]
        probe.error = "E12: lamp"
        assert causes(await ask()) == {Cause.FAULT}
        probe.error = ""
        assert causes(await ask()) == set()
        probe.restart()
        assert values(await ask()) == {"co2": 417.3, "gas_temperature": 25.0}
        # A form of other columns is a bad answer, not a value in the wrong place.
        probe.columns = ("CO2RAW", "CO2", "T")
        with pytest.raises(BadAnswer, match="3 numbers instead of 4"):
            await ask()


async def test_a_thermo_analyzer_is_asked_in_both_formats(tmp_path: Path) -> None:
    told = Told()
    analyzer = CLinkAnalyzer(told, "co2", "co2", identity=25)
    async with station(tmp_path, analyzer.hear, 0.5) as line:
        ask = await line.ask("thermo_410i", 25, fault_bits=["0=internal temperature"])
        analyzer.value = 412.3
        assert values(await ask()) == {"co2": 412.3} == told.answers[-1]
        assert analyzer.hear(b"\x99set format 01\r").endswith(b"ok\nsum 0570\r")
        analyzer.mode, analyzer.flags = "zero", 1
        scan = await ask()
        assert causes(scan) == {Cause.CALIBRATION, Cause.FAULT}
        assert scan.status == {"gas_mode": "zero", "flags": "00000001"}
        analyzer.service = True
        with pytest.raises(BadAnswer, match="mode is service"):
            await ask()
        stranger = await line.ask("thermo_410i", 26)
        with pytest.raises(BusSilentError):
            await stranger()


@pytest.mark.parametrize("counts_stx", [True, False])
async def test_a_line_of_gas_analyzers_is_asked(tmp_path: Path, counts_stx: bool) -> None:
    told = Told()
    co = Device(97, {"001": ("co_fraction", 123.4)}, status=1 << 6)
    nox = Device(12, {"001": ("no_fraction", 25.78), "002": ("nox_fraction", -0.05384)}, status=1 << 6)
    hessen = HessenLine(told, [co, nox], counts_stx=counts_stx)
    check = "with STX" if counts_stx else "without STX"
    async with station(tmp_path, hessen.hear, 0.5) as line:
        common: dict[str, Any] = {"profile": "serinus", "told_by": "gas", "block_check": check}
        ask_co = await line.ask("bayern_hessen", 97, channels=["1=co_fraction nmol/mol"], **common)
        ask_nox = await line.ask(
            "bayern_hessen", 12, channels=["1=no_fraction nmol/mol", "2=nox_fraction nmol/mol"], **common
        )
        assert values(await ask_co()) == pytest.approx({"co_fraction": 0.1234})
        assert values(await ask_nox()) == pytest.approx(told.answers[-1])
        # ST is answered by silence; what it did is seen in the next answer.
        text = b"ST012 K"
        assert hessen.hear(b"\x02" + text + b"\x03" + hessen.check(text)) == b""
        assert causes(await ask_nox()) == {Cause.CALIBRATION}
        assert causes(await ask_co()) == set()
        co.failure, co.status = 1 << 3, 0
        scan = await ask_co()
        assert (values(scan), causes(scan)) == ({}, {Cause.FAULT})
        stranger = await line.ask("bayern_hessen", 13, channels=["1=co2 umol/mol"], **common)
        with pytest.raises(BusSilentError):
            await stranger()


async def test_a_thermo_box_of_three_gases_is_asked_without_address(tmp_path: Path) -> None:
    told = Told()
    box = Device(1, {"1": ("no_fraction", 25.78), "2": ("no2_fraction", 5.681), "3": ("nox_fraction", 11.75)}, status=3)
    hessen = HessenLine(told, [box], thermo=True)
    async with station(tmp_path, hessen.hear) as line:
        channels = ["001=no_fraction nmol/mol", "002=no2_fraction nmol/mol", "003=nox_fraction nmol/mol"]
        for frame in ("ETX", "CR"):
            ask = await line.ask("bayern_hessen", channels=channels, profile="thermo", frame=frame)
            assert values(await ask()) == pytest.approx(told.answers[-1])


def test_the_published_block_checks() -> None:
    line = HessenLine(Told(), [])
    assert (line.check(b"DA097"), line.check(b"ST843 K")) == (b"3A", b"52")


async def test_a_windsonic_is_polled(tmp_path: Path) -> None:
    told = Told()
    wind = WindSonic(told)
    async with station(tmp_path, wind.hear) as line:
        ask = await line.ask("gill_windsonic_polled")
        assert values(await ask()) == {"wind_direction": 229, "wind_speed": 2.74} == told.answers[-1]
        wind.speed = 0.03
        scan = await ask()
        assert (values(scan), causes(scan)) == ({"wind_speed": 0.03}, set())
        wind.status = "04"
        assert causes(await ask()) == {Cause.FAULT}


async def heard(line: Station, name: str, lines: list[bytes], **options: Any) -> list[Scan | StreamFault]:
    """What a streaming driver makes of lines that an instrument sends over the pty."""
    stream = stream_driver(name, {0: "i"}, options)
    found: list[Scan | StreamFault] = []
    seen = 0

    async def feed(data: bytes, at: datetime) -> None:
        nonlocal seen
        seen += len(data)
        found.extend(stream.feed(data, at))

    config = line.config.model_copy(update={"protocol": "stream"})
    task = asyncio.create_task(StreamBus("line", config, RealClock(), lambda what, detail: None, feed).run())
    async with asyncio.timeout(DEADLINE_S):
        sent = 0
        for data in lines:
            while not line.pty.send(data):
                await asyncio.sleep(0.01)
            sent += len(data)
            while seen < sent:
                await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    return found


async def test_instruments_that_speak_unasked_are_heard(tmp_path: Path) -> None:
    told = Told()
    wind, licor, probe = WindSonic(told), Licor(told), Gmp343(told)
    cases = [
        ("gill_windsonic", [wind.line()[7:], START_MESSAGE, wind.line(), wind.line()]),
        ("licor_li850_stream", [licor.document()[30:], licor.document(), licor.document()]),
        ("vaisala_gmp343_run", [probe.line()[9:], probe.line(), probe.restart(), probe.line(), probe.line()]),
    ]
    async with station(tmp_path, lambda data: b"") as line:
        for name, lines in cases:
            found = await heard(line, name, lines)
            scans = [one for one in found if isinstance(one, Scan)]
            assert len(scans) >= 2, name
            assert all(values(scan) == pytest.approx(values(scans[0])) for scan in scans)
            assert values(scans[0]) in [pytest.approx(answer) for answer in told.answers]


latitudes = st.floats(-90, 90).map(lambda value: round(value, 5))
longitudes = st.floats(-180, 180).map(lambda value: round(value, 5))


def sentence_angle(value: float, width: int) -> str:
    whole, minutes = divmod(round(abs(value) * 60 * 10**5), 60 * 10**5)
    return f"{whole:0{width}d}{minutes // 10**5:02d}.{minutes % 10**5:05d}"


@given(latitudes, longitudes, st.floats(-100, 8000).map(lambda value: round(value, 1)))
def test_positions_agree_with_an_independent_decoder(latitude: float, longitude: float, height: float) -> None:
    places = (sentence_angle(latitude, 2), "S" if latitude < 0 else "N")
    places += (sentence_angle(longitude, 3), "W" if longitude < 0 else "E")
    sentence = str(
        pynmea2.GGA("GN", "GGA", ("035830.00", *places, "1", "12", "0.6", str(height), "M", "9", "M", "", ""))
    )
    (scan,) = stream_driver("nmea_gps", {0: "i"}, {}).feed(f"{sentence}\r\n".encode(), AT)
    assert isinstance(scan, Scan)
    theirs = pynmea2.parse(sentence)
    assert values(scan) == pytest.approx(
        {"latitude": theirs.latitude, "longitude": theirs.longitude, "altitude": height}, abs=1e-9
    )
    assert values(scan) == pytest.approx({"latitude": latitude, "longitude": longitude, "altitude": height}, abs=2e-7)


@given(st.floats(0, 200).map(lambda value: round(value, 3)), st.floats(0, 359.9).map(lambda value: round(value, 1)))
def test_motion_agrees_with_an_independent_decoder(knots: float, course: float) -> None:
    data = ("035830.00", "A", "3113.36604", "N", "12128.19604", "E", str(knots), str(course), "221126", "", "")
    sentence = str(pynmea2.RMC("GP", "RMC", data))
    (scan,) = stream_driver("nmea_gps", {0: "i"}, {}).feed(f"{sentence}\r\n".encode(), AT)
    assert isinstance(scan, Scan)
    theirs = pynmea2.parse(sentence)
    assert values(scan) == pytest.approx(
        {"ground_speed": theirs.spd_over_grnd * 1852 / 3600, "ground_course": theirs.true_course}
    )


@given(st.floats(0.1, 60).map(lambda value: round(value, 2)), st.integers(0, 359), st.sampled_from("MNK"))
def test_the_wind_sentence_agrees_with_an_independent_decoder(speed: float, direction: int, unit: str) -> None:
    sentence = str(pynmea2.MWV("II", "MWV", (str(direction), "R", str(speed), unit, "A")))
    (scan,) = stream_driver("gill_windsonic", {0: "i"}, {}).feed(f"{sentence}\r\n".encode(), AT)
    assert isinstance(scan, Scan)
    theirs = pynmea2.parse(sentence)
    factor = {"M": 1.0, "N": 1852 / 3600, "K": 1 / 3.6}[theirs.wind_speed_units]
    assert values(scan) == pytest.approx(
        {"wind_direction": float(theirs.wind_angle), "wind_speed": float(theirs.wind_speed) * factor}
    )


@pytest.mark.parametrize("name", TEXT_STREAMS)
@example(data=b"\r\n9999/12/31 23:59:59.000," + b"1," * 22 + b"\r\n" + b"x" * 5000 + b"\n", size=7)
@given(data=st.binary(max_size=300) | st.text("$,*\x02\x03Q019.<li850>/data\r\n AGMRC", max_size=300).map(str.encode),
       size=st.integers(1, 64))  # fmt: skip
def test_no_bytes_stop_a_stream_and_pieces_make_no_difference(name: str, data: bytes, size: int) -> None:
    def fed(size: int) -> list[Scan | StreamFault]:
        stream = stream_driver(name, {0: "i"}, OPTIONS.get(name, {}))
        return [one for i in range(0, len(data), size) for one in stream.feed(data[i : i + size], AT)]

    assert fed(size) == fed(1) == fed(max(len(data), 1))


@pytest.mark.parametrize("name", TEXT_STREAMS)
def test_a_stream_without_ends_keeps_no_more_than_a_line(name: str) -> None:
    stream = stream_driver(name, {0: "i"}, OPTIONS.get(name, {}))
    for _ in range(100):
        assert stream.feed(b"x" * 1000, AT) == []
    assert len(stream._rest) < 5000  # type: ignore[attr-defined]


REFUSED: list[tuple[str, int | None, dict[str, Any], str]] = [
    ("licor_li850", None, {"root": "LI7500"}, "LI850"),
    ("vaisala_gmp343", 100, {}, "0 to 99"),
    ("vaisala_gmp343", None, {"columns": ["T"]}, "CO2 among them"),
    ("thermo_410i", 128, {}, "between 0 and 127"),
    ("thermo_410i", None, {"range": "low range"}, '"high", "low"'),
    ("thermo_410i", None, {"fault_bits": ["flow"]}, "0=internal temperature"),
    ("thermo_410i", None, {"fault_bits": ["32=flow"]}, "bits 0 to 31"),
    ("thermo_48i", None, {"measurand": "co2"}, "co_fraction, co"),
    ("bayern_hessen", 1000, {"channels": ["1=co2 umol/mol"]}, "between 0 and 999"),
    ("bayern_hessen", None, {"channels": ["co2"]}, "001=so2_fraction nmol/mol"),
    ("bayern_hessen", None, {"channels": ["1=co2"]}, "001=so2_fraction nmol/mol"),
    ("bayern_hessen", None, {"channels": []}, "at least one gas"),
    ("bayern_hessen", None, {"channels": ["1=co2 umol/mol", "001=ch4 umol/mol"]}, "each number"),
    ("bayern_hessen", None, {"channels": ["1=co3 umol/mol"]}, "did you mean"),
    ("bayern_hessen", None, {"channels": ["1=so2 nmol/mol"]}, "stated state"),
    ("bayern_hessen", None, {"channels": ["1=co2 umol/mol"], "profile": "horiba"}, "serinus"),
    ("bayern_hessen", None, {"channels": ["1=co2 umol/mol"], "frame": "LF"}, "ETX, CR"),
    ("gill_windsonic_polled", None, {"node": "q"}, "A to Z"),
]


@pytest.mark.parametrize(("name", "unit", "options", "words"), REFUSED)
def test_options_that_cannot_be_are_refused(name: str, unit: int | None, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        driver(name, instrument="i", unit=unit, options=options)


STREAM_REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("lgr_gga", {"clock": 15}, "between -12 and 14"),
    ("lgr_gga", {"clock": 0, "stamp": "iso"}, "yyyy/mm/dd"),
    ("lgr_gga", {"clock": 0, "columns": ["Time", "H2O"]}, "at least one of"),
    ("lgr_gga", {"clock": 0, "cell_torr": ["145", "135"]}, "lower and the upper"),
]


@pytest.mark.parametrize(("name", "options", "words"), STREAM_REFUSED)
def test_options_of_streams_that_cannot_be_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        stream_driver(name, {0: "i"}, options)


@pytest.mark.parametrize("name", TEXT_STREAMS)
def test_a_line_without_addresses_has_one_instrument(name: str) -> None:
    with pytest.raises(DriverError, match="alone on its line"):
        stream_driver(name, {0: "i", 1: "j"}, OPTIONS.get(name, {}))


def test_a_header_names_the_columns_of_an_lgr_analyzer() -> None:
    stream = stream_driver("lgr_gga", {0: "i"}, {"clock": 0, "columns": ["Time", "[CH4]_ppm", "[CO2]_ppm"]})
    lines = b"Time, [CO2]_ppm, [CH4]_ppm, Fit_Flag\r\n"
    row = b"08/15/2025 11:00:03.747, 4.160974e+02, 2.080375e+00, 3\r\n"
    (before, scan) = stream.feed(b"\r\ncut\r\n" + row + lines + row, AT)
    assert isinstance(before, StreamFault)
    assert isinstance(scan, Scan)
    assert values(scan) == {"ch4": 2.080375, "co2": 416.0974}
    assert scan.at == datetime(2025, 8, 15, 11, 0, 3, 747000, tzinfo=UTC)


def test_flags_nobody_explained_are_advised() -> None:
    found = entry("thermo_410i").advise({"fault_bits": []})
    assert [advice.code for advice in found] == ["thermo-no-fault-bits"]
    assert entry("thermo_410i").advise({"fault_bits": ["0=flow"]}) == []
