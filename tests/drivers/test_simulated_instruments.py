"""Drivers against simulated instruments that know neither driver nor map: what is read is what was journalled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from drivers.base import Answer, Ask, BadAnswer, PolledDriver, ReadRegisters, Registers, Step, Text
from drivers.registry import driver
from host.clock import ManualClock
from metrology.reading import Scan
from simulation.instruments.dlt645 import Dlt645Meter
from simulation.instruments.gas_line import AlicatController, BronkhorstController, ViciActuator
from simulation.instruments.registers import Gmp252, InputModule, Sdm630, StackDevice
from simulation.instruments.small_sensors import K30Memory, MhZ19B, Sds011Sensor, Sps30Sensor
from simulation.modbus import DISCRETE, HOLDING, INPUT, RtuLine, Unit, crc
from simulation.senseair import ANY_ADDRESS, Senseair

AT = datetime(2026, 1, 2, tzinfo=UTC)
FUNCTIONS = {"holding": HOLDING, "input": INPUT, "discrete": DISCRETE}
PHASES = {"voltage_a": 231.4, "voltage_b": 229.9, "voltage_c": 230.0}
CURRENTS = {"current_a": 12.345, "current_b": -0.5, "current_c": 0.0}
METER = {**PHASES, **CURRENTS, "active_energy": 123456.78, "active_power": -3.1415, "power_factor": 0.987,
         "mains_frequency": 49.98}  # fmt: skip


@dataclass
class Book:
    """Keeps what an instrument says it answered."""

    values: dict[str, float] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, float], **more: object) -> None:
        self.values |= values


class Wire:
    """Carries questions to an instrument byte by byte, and its answers back byte by byte; silence is no answer."""

    def __init__(self, hear: Callable[[bytes], bytes], unit: int = 1) -> None:
        self._hear = hear
        self._unit = unit

    def poll(self, polled: PolledDriver) -> list[Scan]:
        questions = polled.poll()
        step = next(questions)
        while True:
            try:
                try:
                    answer = self._answer(step)
                except BadAnswer as error:
                    step = questions.throw(error)
                else:
                    step = questions.send(answer)
            except StopIteration as end:
                return list(end.value)

    def _answer(self, step: Step) -> Answer:
        if isinstance(step, ReadRegisters):
            return self._registers(step)
        assert isinstance(step, Ask)
        came = self._said(step.data)
        whole = next((came[:n] for n in range(1, len(came) + 1) if step.complete(came[:n])), None)
        if whole is None:
            raise BadAnswer(f"no answer in {came!r}")
        return Text(whole, AT)

    def _said(self, question: bytes) -> bytes:
        return b"".join(self._hear(question[i : i + 1]) for i in range(len(question)))

    def _registers(self, step: ReadRegisters) -> Answer:
        question = bytes((self._unit, FUNCTIONS[step.table])) + step.address.to_bytes(2) + step.count.to_bytes(2)
        came = self._said(question + crc(question))
        assert crc(came[:-2]) == came[-2:]
        if came[1] & 0x80:
            raise BadAnswer(f"exception {came[2]}", modbus_exception=came[2])
        words = came[3:-2]
        return Registers(tuple(int.from_bytes(words[i : i + 2]) for i in range(0, len(words), 2)), AT)


def rtu(device: Unit, unit: int = 1) -> Wire:
    return Wire(RtuLine({unit: device}).hear, unit)


def made(name: str, address: int | None = 1, **options: Any) -> PolledDriver:
    return driver(name, instrument="i", unit=address, options=options)


def values(scans: list[Scan]) -> dict[str, float | None]:
    return {reading.measurand: reading.value for scan in scans for reading in scan.readings}


def causes(scans: list[Scan]) -> dict[str, list[str]]:
    return {r.measurand: sorted(r.quality.causes) for scan in scans for r in scan.readings if r.quality.causes}


ALICAT_UNITS = ["gas_pressure=psi", "gas_temperature=degC", "volume_flow=L/min", "mass_flow=L/min",
                "flow_setpoint=L/min"]  # fmt: skip


def started_sps(book: Book) -> Callable[[bytes], bytes]:
    sensor = Sps30Sensor(book, ManualClock(AT))
    sensor.measuring = True
    return sensor.hear


@pytest.mark.parametrize(
    ("build", "polled"),
    [
        (lambda book: RtuLine({240: Gmp252(book)}).hear, made("vaisala_gmp252", 240)),
        (lambda book: Dlt645Meter(book, "000012345678", dict(METER)).hear, made("dlt645", meter="000012345678")),
        (lambda book: Dlt645Meter(book, "000012345678", dict(METER), 0).hear,
         made("dlt645", meter="AAAAAAAAAAAA", read=["voltage_a", "current_a", "mains_frequency"])),
        (lambda book: AlicatController(book, "C").hear, made("alicat", 3, units=ALICAT_UNITS)),
        (lambda book: BronkhorstController(book).hear, made("bronkhorst", 3, full_scale=500, unit="mL/min")),
        *((lambda book, style=style: ViciActuator(book, ManualClock(AT), style=style).hear,
           made("vici", None, positions=10)) for style in ("short", "long", "echo")),
        (lambda book: ViciActuator(book, ManualClock(AT), device="7").hear, made("vici", 7, positions=10, id="7")),
        (lambda book: Sds011Sensor(book).hear, made("sds011", None)),
        (lambda book: Sds011Sensor(book).hear, made("sds011", None, id="A160")),
        (started_sps, made("sps30", None)),
        (lambda book: K30Memory(book).hear, made("senseair_ram", 254)),
    ],
)  # fmt: skip
def test_what_is_read_is_what_the_instrument_says_it_answered(
    build: Callable[[Book], Callable[[bytes], bytes]], polled: PolledDriver
) -> None:
    book = Book()
    scans = Wire(build(book), 240).poll(polled)
    assert len(scans) == 1
    assert values(scans) == {name: pytest.approx(value, rel=1e-12) for name, value in book.values.items()}
    assert set(book.values) == set(polled.measurands)
    assert causes(scans) == {}


def test_a_probe_that_is_not_warm_and_one_with_holes_in_its_registers() -> None:
    probe = Gmp252(Book())
    probe.ready = probe.answers_across_gaps = False
    wire, polled = rtu(probe, 240), made("vaisala_gmp252", 240)
    scans = wire.poll(polled)
    assert values(scans)["co2"] is None
    assert causes(scans) == {"co2": ["fault", "warm_up"]}
    probe.ready = True
    assert causes(wire.poll(polled)) == {}


def test_a_meter_answers_behind_the_echo_of_the_question_and_refuses_what_it_lacks() -> None:
    meter = Dlt645Meter(Book(), "000012345678", {"active_energy": 1.0, "voltage_a": 230.1})
    meter.echoes = True
    wire = Wire(meter.hear)
    scans = wire.poll(made("dlt645", meter="000012345678", read=["active_energy", "voltages"]))
    assert values(scans) == {"active_energy": 1.0, "voltage_a": None, "voltage_b": None, "voltage_c": None}
    assert causes(scans) == {name: ["fault"] for name in PHASES}
    assert scans[0].status == {"meter": "000012345678"}
    with pytest.raises(BadAnswer, match="no answer"):
        wire.poll(made("dlt645", meter="000012345679"))


@pytest.mark.parametrize("name", ["senseair_k30", "senseair_s8"])
def test_a_low_cost_co2_sensor_by_its_registers(name: str) -> None:
    book = Book()
    sensor = Senseair(book, np.random.default_rng(1))
    sensor.step(AT, 420.0)
    scans = rtu(sensor, ANY_ADDRESS).poll(made(name, ANY_ADDRESS))
    assert values(scans) == book.values
    assert abs(book.values["co2"] - 426) < 10


def test_a_three_phase_meter_on_modbus() -> None:
    scans = rtu(Sdm630(METER)).poll(made("eastron_sdm630"))
    assert values(scans) == {name: pytest.approx(value, rel=1e-6) for name, value in METER.items()}


@pytest.mark.parametrize(("counts", "line"), [("microamperes", "0..20000 = 0..20"), ("parts", "0..65535 = 4..20")])
def test_loops_of_a_module(counts: str, line: str) -> None:
    module = InputModule(counts)
    wire = rtu(module)
    polled = made("ma_modbus", channels=["so2=1:0..200", "stack_temperature=6:-50..350"], counts=line)
    module.currents_mA[1], module.currents_mA[6] = 12.0, 20.0
    assert values(wire.poll(polled)) == {"so2": pytest.approx(100, abs=0.01), "stack_temperature": 350.0}
    module.currents_mA[1] = 0.0
    expected = {"so2": ["fault"]} if counts == "microamperes" else {}
    assert causes(wire.poll(polled)) == expected, "a module that counts from 4 mA cannot show a broken loop"


STACK = [
    ("cems_gas", {2 * i: 10.5 + i for i in range(8)} | {20 + 2 * i: 100.0 for i in range(8)}, {40: 0, 41: 0}),
    ("cems_flow", {0: 120.5, 2: -350.0, 4: 118.0}, {6: 0}),
    ("cems_thermal_flow", {0: 12.5, 2: 118.0, 40: 40.0}, {4: 0}),
    ("cems_humidity", {0: 12.5, 2: 118.0, 20: 40.0}, {4: 0}),
    ("cems_wet_oxygen", {0: 7.25, 2: 8.25, 4: 118.0}, {6: 0}),
    ("cems_dust", {0: 4.5, 20: 50.0}, {2: 0}),
]


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize(("name", "floats", "words"), STACK, ids=[name for name, _, _ in STACK])
def test_devices_at_a_stack(name: str, floats: dict[int, float], words: dict[int, int], holes: bool) -> None:
    device = StackDevice(floats, words, holes=holes)
    wire, polled = rtu(device), made(name)
    scans = wire.poll(polled)
    assert list(values(scans).values()) == [floats[place] for place in sorted(floats)][: len(polled.measurands)]
    assert causes(scans) == {}
    device.words = dict.fromkeys(words, 1)
    assert set(causes(wire.poll(polled))) == set(polled.measurands), "bit 0, code 1: all values are flagged"


def test_a_held_valve_and_a_flow_above_the_range() -> None:
    device = AlicatController(Book())
    wire, polled = Wire(device.hear), made("alicat", units=ALICAT_UNITS)
    device.words = ["MOV"]
    assert causes(wire.poll(polled)) == {"mass_flow": ["out_of_range"]}
    device.words = []
    device.hear(b"AHC\r")
    scans = wire.poll(polled)
    assert values(scans)["mass_flow"] == 0.0
    assert set(causes(scans)) == set(polled.measurands)


def test_a_flow_below_zero_and_a_node_that_is_not_there() -> None:
    device = BronkhorstController(Book())
    device.percent = -0.5
    wire = Wire(device.hear)
    assert values(wire.poll(made("bronkhorst", 3, full_scale=2)))["mass_flow"] == -0.01
    with pytest.raises(BadAnswer, match="no answer"):
        wire.poll(made("bronkhorst", 4, full_scale=2))


async def test_a_co2_sensor_shows_a_fixed_value_until_it_is_warm() -> None:
    clock = ManualClock(AT)
    sensor = MhZ19B(Book(), clock)
    wire, polled = Wire(sensor.hear), made("mhz19", None, range=2000)
    assert values(wire.poll(polled)) == {"co2": 410.0}
    await clock.advance(180)
    assert values(wire.poll(polled)) == {"co2": 544.0}
    sensor.co2 = 2000
    assert causes(wire.poll(polled)) == {"co2": ["out_of_range"]}


async def test_a_valve_that_travels_is_silent_and_a_stuck_one_tells_where_it_is() -> None:
    clock = ManualClock(AT)
    valve = ViciActuator(Book(), clock)
    wire, polled = Wire(valve.hear), made("vici", None, positions=10)
    valve.hear(b"GO04\r")
    with pytest.raises(BadAnswer, match="no answer"):
        wire.poll(polled)
    await clock.advance(1)
    assert values(wire.poll(polled)) == {"valve_position": 4.0}
    valve.stuck = True
    valve.hear(b"GO09\r")
    assert values(wire.poll(polled)) == {"valve_position": 4.0}


async def test_an_idle_particle_sensor_is_started_and_gives_nothing_twice() -> None:
    clock = ManualClock(AT)
    sensor = Sps30Sensor(Book(), clock)
    wire, polled = Wire(sensor.hear), made("sps30", None)
    scans = wire.poll(polled)
    assert set(values(scans).values()) == {None}
    assert causes(scans) == {name: ["warm_up"] for name in polled.measurands}
    assert list(values(wire.poll(polled)).values()) == sensor.mass
    assert wire.poll(polled) == []
    await clock.advance(1)
    sensor.error = True
    assert causes(wire.poll(polled)) == {name: ["fault"] for name in polled.measurands}


def test_a_particle_sensor_that_also_speaks_unasked_and_one_asleep() -> None:
    sensor = Sds011Sensor(Book())
    sensor.active = True
    wire, polled = Wire(sensor.hear), made("sds011", None)
    assert values(wire.poll(polled)) == {"pm2_5": 12.3, "pm10": 26.1}
    sensor.asleep = True
    with pytest.raises(BadAnswer, match="no answer"):
        wire.poll(polled)


def test_answers_are_stamped_when_they_came() -> None:
    (scan,) = Wire(K30Memory(Book()).hear).poll(made("senseair_ram", 254))
    assert scan.at - AT == timedelta(0)
