"""Register maps: decoding, blocks, options of a site, what a table may not say."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import tables
from drivers.base import BadAnswer, DriverError, ReadRegisters, Registers, Step
from drivers.register_map import RegisterMapDriver, Span, joined, raw, scaled
from drivers.register_table import Register, RegisterMap
from drivers.registry import driver
from metrology.measurand import catalogue
from metrology.reading import Scan

AT = datetime(2026, 1, 2, tzinfo=UTC)


def decoded(words: tuple[int, ...], place: Register) -> float:
    return scaled(raw(words, place), place)


def register(**fields: Any) -> Register:
    return Register.model_validate(
        {"measurand": "co2", "unit": "umol/mol", "table": "holding", "address": 0, "type": "f32"} | fields
    )


def table(*registers: Register, largest_gap: int = 2, largest_block: int = 10, **more: Any) -> RegisterMap:
    return RegisterMap.model_validate(
        {
            "maker": "m", "model": "x", "manual": {"title": "t", "revision": "r", "page": "p"}, "evidence": "src",
            "largest_gap": largest_gap, "largest_block": largest_block,
            "registers": [one.model_dump() for one in registers], **more,
        }
    )  # fmt: skip


class Unit:
    """A Modbus unit with some registers; refuses a read that touches any other."""

    def __init__(self, words: dict[int, int], longest: int = 125) -> None:
        self.words = words
        self.longest = longest
        self.asked: list[tuple[int, int]] = []

    def poll(self, polled: Any) -> list[Scan]:
        questions = polled.poll()
        step = next(questions)
        while True:
            try:
                step = self._answer(questions, step)
            except StopIteration as end:
                return list(end.value)

    def _answer(self, questions: Any, step: Step) -> Step:
        assert isinstance(step, ReadRegisters)
        wanted = range(step.address, step.address + step.count)
        self.asked.append((step.address, step.count))
        if step.count > self.longest:
            return questions.throw(BadAnswer("exception 3", modbus_exception=3))  # type: ignore[no-any-return]
        if not self.words.keys() >= set(wanted):
            return questions.throw(BadAnswer("exception 2", modbus_exception=2))  # type: ignore[no-any-return]
        return questions.send(Registers(tuple(self.words[i] for i in wanted), AT))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("order", "wire"), [("ABCD", "41F47AE1"), ("CDAB", "7AE141F4"), ("BADC", "F441E17A"), ("DCBA", "E17AF441")]
)
def test_word_orders(order: str, wire: str) -> None:
    words = struct.unpack(">HH", bytes.fromhex(wire))
    assert decoded(words, register(word_order=order)) == pytest.approx(30.56, rel=1e-7)


@pytest.mark.parametrize(
    ("kind", "words", "scale", "value"),
    [
        ("u16", (0xFFFF,), 1, 65535.0),
        ("i16", (0xFFFF,), 1, -1.0),
        ("i16", (0x0181,), 0.1, 38.5),
        ("u16", (3,), 0.1, 0.3),
        ("u32", (1, 0), 1, 65536.0),
        ("i32", (0xFFFF, 0xFFFE), 0.01, -0.02),
    ],
)
def test_integers_are_scaled_exactly(kind: str, words: tuple[int, ...], scale: float, value: float) -> None:
    assert decoded(words, register(type=kind, scale=scale)) == value


@given(
    st.lists(st.tuples(st.sampled_from(["holding", "input"]), st.integers(0, 300), st.integers(1, 2)), max_size=40),
    st.integers(0, 10),
    st.integers(2, 125),
)
def test_blocks_hold_every_value_whole_and_stay_small(raw: list[Any], gap: int, most: int) -> None:
    spans = [Span(*one) for one in raw]
    blocks = joined(spans, gap, most)
    assert all(block.count <= most for block in blocks)
    for span in spans:
        assert any(b.table == span.table and b.address <= span.address and span.end <= b.end for b in blocks)
    assert len(blocks) <= len(spans)


def test_neighbours_are_read_together_up_to_the_largest_gap() -> None:
    spans = [Span("holding", a, 2) for a in (0, 2, 6, 11)]
    assert joined(spans, 2, 125) == [Span("holding", 0, 8), Span("holding", 11, 2)]
    assert joined(spans, 2, 4) == [Span("holding", 0, 4), Span("holding", 6, 2), Span("holding", 11, 2)]


def test_a_status_bit_flags_all_values_or_those_it_names() -> None:
    status = [{"name": "status", "table": "holding", "address": 4, "bits": [
        {"bit": 0, "cause": "fault", "meaning": "fault"},
        {"bit": 1, "cause": "calibration", "meaning": "gas", "of": ["ch4"]},
    ]}]  # fmt: skip
    polled = RegisterMapDriver(
        table(register(type="u16"), register(type="u16", address=2, measurand="ch4"), status=status), "i"
    )
    for word, expected in ((0, [[], []]), (1, [["fault"], ["fault"]]), (2, [[], ["calibration"]])):
        (scan,) = Unit({0: 400, 1: 0, 2: 2, 3: 0, 4: word}).poll(polled)
        assert [sorted(r.quality.causes) for r in scan.readings] == expected
    with pytest.raises(ValueError, match="no register holds"):
        table(register(type="u16"), status=status)


def read(polled: RegisterMapDriver, words: dict[int, int]) -> dict[str, Any]:
    (scan,) = Unit(words).poll(polled)
    return {r.measurand: (r.value, sorted(r.quality.causes)) for r in scan.readings} | {"status": dict(scan.status)}


def test_a_code_flags_where_it_is_the_word_and_nowhere_else() -> None:
    status = [{"name": "mode", "table": "holding", "address": 1, "codes": [
        {"code": 2, "cause": "calibration", "meaning": "zero gas"}, {"code": 3, "cause": "maintenance", "meaning": "m"},
    ]}]  # fmt: skip
    polled = RegisterMapDriver(table(register(type="u16"), status=status), "i")
    for word, causes in ((0, []), (2, ["calibration"]), (3, ["maintenance"]), (6, [])):
        assert read(polled, {0: 400, 1: word}) == {"co2": (400, causes), "status": {"mode": word}}


def test_a_status_word_of_32_bits_or_of_single_bits() -> None:
    status = [
        {"name": "errors", "table": "holding", "address": 1, "type": "u32", "word_order": "CDAB", "bits": [
            {"bit": 16, "cause": "fault", "meaning": "lamp"}]},
        {"name": "alarms", "table": "discrete", "address": 7, "count": 3, "bits": [
            {"bit": 2, "cause": "maintenance", "meaning": "door"}]},
    ]  # fmt: skip
    questions = RegisterMapDriver(table(register(type="u16"), status=status), "i").poll()
    assert next(questions) == ReadRegisters("discrete", 7, 3)
    assert questions.send(Registers((1, 0, 1), AT)) == ReadRegisters("holding", 0, 3)
    with pytest.raises(StopIteration) as end:
        questions.send(Registers((400, 0, 1), AT))
    (scan,) = end.value.value
    assert scan.status == {"errors": 1 << 16, "alarms": 0b101}
    assert scan.readings[0].quality.causes == {"fault", "maintenance"}


def test_a_value_above_the_range_the_instrument_tells_is_out_of_range() -> None:
    top = {"table": "holding", "address": 1, "type": "u16"}
    so2 = register(measurand="so2", unit="mg/m3", type="i16", stated="umol/mol", full_scale=top)
    polled = RegisterMapDriver(table(so2), "i")
    ppm = 64.06 / 22.4
    for raw_value, causes in ((100, []), (101, ["out_of_range"])):
        found = read(polled, {0: raw_value, 1: 100})
        assert found["so2"] == (pytest.approx(raw_value * ppm), causes)
        assert found["status"] == {"so2_full_scale": pytest.approx(100 * ppm)}


def test_raw_numbers_that_mean_no_value() -> None:
    none = {"raw": -32768, "cause": "warm_up", "meaning": "no value yet"}
    polled = RegisterMapDriver(table(register(type="i16", offset=-5, scale=0.1, invalid=[none])), "i")
    assert read(polled, {0: 0x8000})["co2"] == (None, ["warm_up"])
    assert read(polled, {0: 450})["co2"] == (40.0, [])


def test_a_unit_that_cannot_become_the_catalogues_is_refused() -> None:
    with pytest.raises(ValueError, match="no conversion from Pa to umol/mol"):
        register(stated="Pa")
    with pytest.raises(ValueError, match="name of its own"):
        table(register(), status=[{"name": "co2", "table": "holding", "address": 9}])


def test_a_refused_gap_is_left_out_from_then_on() -> None:
    polled = RegisterMapDriver(
        table(register(type="u16"), register(type="u16", address=2, measurand="ch4")), "i"
    )  # fmt: skip
    unit = Unit({0: 400, 2: 2})
    for _ in range(2):
        (scan,) = unit.poll(polled)
        assert [r.value for r in scan.readings] == [400, 2]
    assert unit.asked == [(0, 3), (0, 1), (2, 1), (0, 1), (2, 1)]


def test_a_block_too_long_for_the_unit_is_halved_from_then_on() -> None:
    measurands = ["co2", "ch4", "so2", "nox", "co", "no", "no2", "hcl"]
    polled = RegisterMapDriver(
        table(*[
            register(type="u16", address=at, measurand=name, unit=catalogue()[name].unit)
            for at, name in enumerate(measurands)
        ]),
        "i",
    )  # fmt: skip
    unit = Unit({at: 10 + at for at in range(8)}, longest=3)
    for _ in range(2):
        (scan,) = unit.poll(polled)
        assert [r.value for r in scan.readings] == [10, 11, 12, 13, 14, 15, 16, 17]
    halves = [(0, 2), (2, 2), (4, 2), (6, 2)]
    assert unit.asked == [(0, 8), (0, 4), (0, 2), (2, 2), (4, 4), (4, 2), (6, 2), *halves]


def test_a_value_longer_than_the_unit_allows_is_an_error() -> None:
    with pytest.raises(BadAnswer, match="exception 3"):
        Unit({0: 1, 1: 2}, longest=1).poll(RegisterMapDriver(table(register()), "i"))


@pytest.mark.parametrize("code", [None, 1, 4, 6])
def test_other_exceptions_do_not_take_a_block_apart(code: int | None) -> None:
    polled = RegisterMapDriver(table(register(), register(address=4, measurand="ch4")), "i")
    for _ in range(2):
        questions = polled.poll()
        assert next(questions) == ReadRegisters("holding", 0, 6)
        with pytest.raises(BadAnswer, match="busy"):
            questions.throw(BadAnswer("busy", modbus_exception=code))


def test_a_value_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(BadAnswer, match="exception 2"):
        Unit({0: 1}).poll(RegisterMapDriver(table(register()), "i"))


def test_an_answer_of_another_length_is_refused() -> None:
    questions = RegisterMapDriver(table(register()), "i").poll()
    next(questions)
    with pytest.raises(BadAnswer, match="1 registers instead of 2"):
        questions.send(Registers((1,), AT))


def steps(options: dict[str, Any]) -> list[ReadRegisters]:
    """What the block asks when every answer is zero."""
    questions = driver("cems_block", instrument="i", unit=1, options=options).poll()
    asked = [next(questions)]
    try:
        while True:
            assert isinstance(asked[-1], ReadRegisters)
            asked.append(questions.send(Registers((0,) * asked[-1].count, AT)))
    except StopIteration:
        return [step for step in asked if isinstance(step, ReadRegisters)]


def test_a_site_sets_the_addresses_of_a_generic_block() -> None:
    assert steps({}) == [ReadRegisters("holding", 0, 19)]
    assert steps({"base_address": 1000, "table": "input"}) == [ReadRegisters("input", 1000, 19)]
    assert steps({"addresses": ["status=100"]}) == [ReadRegisters("holding", 0, 18), ReadRegisters("holding", 100, 1)]


def test_a_site_sets_the_word_order() -> None:
    polled = driver("cems_block", instrument="i", unit=1, options={"word_order": "CDAB"})
    (scan,) = Unit({i: (0x7AE1, 0x41F4)[i % 2] for i in range(19)}).poll(polled)
    assert scan.readings[0].value == pytest.approx(30.56, rel=1e-7)


def test_a_site_says_what_the_device_has_and_how() -> None:
    options = {
        "only": ["so2", "static_pressure", "status"], "addresses": ["so2=3", "static_pressure=4", "status=5"],
        "types": ["so2=i16", "static_pressure=i16"], "scales": ["so2=0.1"],
        "units": ["so2=umol/mol", "static_pressure=kPa"],
    }  # fmt: skip
    polled = driver("cems_block", instrument="i", unit=1, options=options)
    unit = Unit({3: 1000, 4: 0xFFFF, 5: 4})
    (scan,) = unit.poll(polled)
    assert unit.asked == [(3, 3)]
    assert [(r.measurand, r.value) for r in scan.readings] == [
        ("so2", pytest.approx(100 * 64.06 / 22.4)), ("static_pressure", -1000.0)
    ]  # fmt: skip
    assert [sorted(r.quality.causes) for r in scan.readings] == [["calibration"], []]
    assert polled.measurands == {"so2": "mg/m3", "static_pressure": "Pa"}


def test_what_a_bit_says_of_values_the_device_lacks_is_not_said_of_others() -> None:
    polled = driver("cems_block", instrument="i", unit=1, options={"only": ["dust", "status"]})
    words = dict.fromkeys(range(8, 19), 0)
    for word, causes in ((4, []), (2, ["maintenance"])):  # calibration concerns the gases
        (scan,) = Unit(words | {18: word}).poll(polled)
        assert [sorted(r.quality.causes) for r in scan.readings] == [causes]
        assert scan.status == {"status": word}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ["so3"]}, "did you mean 'so2'"),
        ({"only": ["status"]}, "do not fit"),
        ({"types": ["so2=f64"]}, "do not fit"),
        ({"scales": ["so2=a tenth"]}, "no number"),
        ({"units": ["so2=kPa"]}, "do not fit"),
        ({"units": ["so2=ppm", "so2=ppb"]}, "each name once"),
        ({"addresses": ["so3=1"]}, "did you mean 'so2'"),
        ({"addresses": ["so2=0x10"]}, 'write "so2=100"'),
        ({"addresses": ["so2=70000"]}, "do not fit"),
        ({"word_order": "big"}, "do not fit"),
        ({"table": "coil"}, "do not fit"),
        ({"base_adress": 1}, "did you mean 'base_address'"),
        ({"base_address": "1"}, "is a whole number"),
        ({"base_address": True}, "is a whole number"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        driver("cems_block", instrument="i", unit=1, options=options)


MAP = """{
  maker: "m", model: "x", manual: { title: "t", revision: "r", page: "p" }, evidence: "src"
  largest_gap: 0, largest_block: 2
  registers: [{ measurand: "co2", unit: "umol/mol", table: "input", address: 3, type: "i16" }]
}"""


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ('type: "i16"', 'type: "i16", type: "u16"', "duplicate key 'type'"),
        ('type: "i16"', 'type: "i16", factor: 2', "factor"),
        ('unit: "umol/mol"', 'unit: "ppm"', "kept in umol/mol"),
        ('measurand: "co2"', 'measurand: "co9"', "not in the measurand catalogue"),
        ('evidence: "src"', 'evidence: "sure"', "evidence"),
        ('address: 3, type: "i16" }', 'address: 3, type: "i16" }, { measurand: "co2", unit: "umol/mol", '
         'table: "input", address: 4, type: "i16" }', "one register only"),
        ('address: 3, type: "i16" }', 'address: "0x10", type: "i16" }', "address"),
        ("address: 3", "address: 0x10", "Expecting value"),
    ],
)  # fmt: skip
def test_a_table_is_read_strictly(wrong: str, right: str, words: str) -> None:
    assert tables.parse(MAP, RegisterMap).registers[0].address == 3
    with pytest.raises(ValueError, match=words):
        tables.parse(MAP.replace(wrong, right), RegisterMap)
