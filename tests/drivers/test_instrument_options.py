"""What a configuration may not say of an instrument, and what arbitrary bytes do to a driver."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Ask, BadAnswer, DriverError, ReadRegisters, Registers, Text
from drivers.dlt645 import frame
from drivers.registry import driver
from drivers.sps30 import shdlc
from metrology.reading import Scan

AT = datetime(2026, 1, 2, tzinfo=UTC)
UNITS = ["gas_pressure=psi", "gas_temperature=degC", "volume_flow=L/min", "mass_flow=L/min", "flow_setpoint=L/min"]
LOOP = {"channels": ["so2=0:0..200"], "counts": "0..20000 = 0..20"}


@pytest.mark.parametrize(
    ("name", "unit", "options", "words"),
    [
        ("alicat", 1, {"units": []}, "say the unit of gas_pressure"),
        ("alicat", 1, {"units": [*UNITS[:4], "flow_setpoint=scfm"]}, "units: flow_setpoint: no conversion from scfm"),
        ("alicat", 1, {"units": [*UNITS, "total=L/min"]}, "column in units"),
        ("alicat", 1, {"units": UNITS, "columns": ["gas"]}, "at least one of"),
        ("alicat", 1, {"units": UNITS, "columns": ["mass_flow", "mass_flow"]}, "each column once"),
        ("alicat", 27, {"units": UNITS}, "1 is A, 26 is Z"),
        ("bronkhorst", 3, {}, "needs the option full_scale"),
        ("bronkhorst", 3, {"full_scale": 0}, "above 0"),
        ("bronkhorst", 3, {"full_scale": 1, "unit": "slm"}, "no conversion from slm"),
        ("bronkhorst", 3, {"full_scale": 1, "kind": "valve"}, "controller"),
        ("bronkhorst", 129, {"full_scale": 1}, "0 to 128"),
        ("dlt645", 1, {"meter": "12345"}, "12 digits"),
        ("dlt645", 1, {"meter": "12345678901F"}, "12 digits"),
        ("dlt645", 1, {"meter": "123456789012", "read": ["voltage"]}, "did you mean 'voltages'"),
        ("dlt645", 1, {"meter": "123456789012", "read": ["voltages", "voltage_a"]}, "none twice"),
        ("dlt645", 1, {"meter": "123456789012", "read": []}, "at least one item"),
        ("sds011", None, {"id": "A1"}, "four hexadecimal digits"),
        ("sds011", None, {"id": "none"}, "four hexadecimal digits"),
        ("vici", None, {}, "needs the option positions"),
        ("vici", None, {"positions": 1}, "2 to 100"),
        ("vici", None, {"positions": 10, "id": "AB"}, "0 to 9 and A to Z"),
        ("ma_modbus", 1, {**LOOP, "channels": []}, "each channel once"),
        ("ma_modbus", 1, {**LOOP, "channels": ["so2=0:0..200", "no=0:0..200"]}, "each channel once"),
        ("ma_modbus", 1, {**LOOP, "channels": ["so2=32:0..200"]}, "from 0 to 31"),
        ("ma_modbus", 1, {**LOOP, "channels": ["so3=0:0..200"]}, "did you mean 'so2'"),
        ("ma_modbus", 1, {**LOOP, "channels": ["so2=0..200"]}, 'write "so2=0:0..200 mg/m3"'),
        ("ma_modbus", 1, {**LOOP, "channels": ["so2=0:0..2.0.0"]}, "no number"),
        ("ma_modbus", 1, {**LOOP, "channels": ["so2=0:5..5"]}, "range of so2 is empty"),
        ("ma_modbus", 1, {**LOOP, "channels": ["o2=0:0..25 kPa"]}, "no conversion from kPa"),
        ("ma_modbus", 1, {**LOOP, "counts": "0..20000"}, "write two numbers and their currents"),
        ("ma_modbus", 1, {**LOOP, "counts": "0..0 = 4..20"}, "write two numbers and their currents"),
        ("ma_modbus", 1, {**LOOP, "counts": "a..b = 4..20"}, "no number"),
        ("ma_modbus", 1, {**LOOP, "table": "coil"}, "do not fit"),
        ("ma_modbus", 1, {**LOOP, "base_address": 65535, "channels": ["so2=1:0..200"]}, "beyond the registers"),
        ("ma_modbus", 1, {**LOOP, "fault_below_mA": 4.5}, "lie between them"),
        ("ma_adam", 256, {"channels": ["so2=0:0..200"]}, "0 to 255"),
        ("ma_adam", 1, {"channels": ["so2=8:0..200"]}, "from 0 to 7"),
    ],
)
def test_options_that_cannot_be(name: str, unit: int | None, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        driver(name, instrument="i", unit=unit, options=options)


ASKED = [
    driver("alicat", instrument="i", unit=1, options={"units": UNITS}),
    driver("bronkhorst", instrument="i", unit=3, options={"full_scale": 1}),
    driver("dlt645", instrument="i", unit=1, options={"meter": "A" * 12}),
    driver("ma_adam", instrument="i", unit=1, options={"channels": ["so2=0:0..200"]}),
    driver("mhz19", instrument="i", unit=None, options={}),
    driver("sds011", instrument="i", unit=None, options={}),
    driver("senseair_ram", instrument="i", unit=None, options={}),
    driver("sps30", instrument="i", unit=None, options={}),
    driver("vici", instrument="i", unit=None, options={"positions": 10}),
]
# Bytes that begin frames of these protocols, so that the search meets halves of them.
SIGNS = [b"\x68", b"\x16", b"\xff\x86", b"\xaa\xc0", b"\xab", b"\x7e", b"\x7d", b"\x00\x03", b"\xfe\x44", b"A +1.0",
         b" ", b">+1.0", b"\r", b"\n", b":0603", b"CP", b"03", b"\x91", b"\xd1", b"\x00" * 6]  # fmt: skip


def told(polled: Any, came: bytes) -> list[Scan] | None:
    """The scans made of an answer to the first question; None where it is no answer, or more is asked."""
    questions = polled.poll()
    step = next(questions)
    assert isinstance(step, Ask)
    whole = next((came[:n] for n in range(len(came) + 1) if step.complete(came[:n])), None)
    if whole is None:
        return None
    try:
        questions.send(Text(whole, AT))
    except BadAnswer:
        return None
    except StopIteration as end:
        return list(end.value)
    return None


@pytest.mark.parametrize("polled", ASKED, ids=lambda polled: type(polled).__name__)
@given(pieces=st.lists(st.one_of(st.sampled_from(SIGNS), st.binary(max_size=12)), max_size=12))
def test_arbitrary_bytes_are_no_answer_or_scans(polled: Any, pieces: list[bytes]) -> None:
    assert all(scan.instrument == "i" for scan in told(polled, b"".join(pieces)) or [])


@given(control=st.sampled_from([0x91, 0xB1, 0xD1]), data=st.binary(max_size=20), rest=st.binary(max_size=6))
def test_any_data_in_a_right_frame_of_a_meter(control: int, data: bytes, rest: bytes) -> None:
    energy = driver("dlt645", instrument="i", unit=1, options={"meter": "A" * 12, "read": ["combined_energy"]})
    for content in (data, bytes(4) + rest):
        scans = told(energy, frame(bytes(6), control, content))
        values = [reading.value for scan in scans or [] for reading in scan.readings]
        assert all(value is None or abs(value) < 10**6 for value in values)


@given(state=st.integers(0, 255), data=st.one_of(st.binary(max_size=48), st.binary(min_size=40, max_size=40)))
def test_any_data_in_a_right_frame_of_a_particle_sensor(state: int, data: bytes) -> None:
    sensor = driver("sps30", instrument="i", unit=None, options={})
    for scan in told(sensor, shdlc(bytes((0, 3, state, len(data))) + data)) or []:
        assert all(reading.value is None or math.isfinite(reading.value) for reading in scan.readings)
        assert all(value is None or math.isfinite(value) for value in scan.status.values())


@given(words=st.lists(st.integers(0, 65535), min_size=4, max_size=4))
def test_any_registers_of_a_module_of_floats_give_readings(words: list[int]) -> None:
    options = {**LOOP, "channels": ["so2=0:0..200", "o2=1:0..25"], "counts": "0..20 = 0..20", "type": "f32"}
    questions = driver("ma_modbus", instrument="i", unit=1, options=options).poll()
    assert next(questions) == ReadRegisters("input", 0, 4)
    with pytest.raises(StopIteration) as end:
        questions.send(Registers(tuple(words), AT))
    (scan,) = end.value.value
    for reading in scan.readings:
        assert (reading.value is None) == ("fault" in reading.quality.causes)
