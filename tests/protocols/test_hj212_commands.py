"""The command table: every layout of every edition can be written, read back and is right; what is wrong is told."""

import csv
from collections.abc import Iterable
from importlib import resources

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.hj212 import Decoder, Frame, Message, Profile, encode
from protocols.hj212.commands import Command, Form, commands
from protocols.hj212.message import REPLY_ST, Area, Item, flag_of
from protocols.hj212.profile import Edition
from protocols.hj212.tables.fields import Field, Kind, fields
from protocols.hj212.tables.forms import Group, Part

MN = {Edition.HJ2005: "GHG20260100001", Edition.HJ2017: "0100B1F2A00002A00000007B"}
TIMES = st.datetimes().map(lambda at: f"{at:%Y%m%d%H%M%S}".rjust(14, "2"))
CODES = st.from_regex("[0-9a-z]{2,6}", fullmatch=True)
TEXT = st.text("0Zz/._:+ 一汉龥", min_size=1, max_size=30).map(str.strip).filter(bool)


def clock(width: int) -> st.SearchStrategy[str]:
    return st.times().map(lambda at: f"{at:%H%M%S}"[:width])


def number(field: Field) -> st.SearchStrategy[str]:
    if field.maximum is not None:
        return st.floats(field.minimum, field.maximum).map(lambda value: f"{value:.2f}")
    return st.floats(-9999, 9999).map(
        lambda value: f"{value:.{min(3, field.longest - 3)}f}"[: field.longest].rstrip(".")
    )


def values(field: Field) -> st.SearchStrategy[str]:
    """Texts that the table allows in a field."""
    if field.allowed:
        return st.sampled_from(sorted(field.allowed))
    match field.kind:
        case Kind.TIME:
            return TIMES
        case Kind.STAMP:
            return st.tuples(TIMES, st.sampled_from(["", "000", "999"])).map("".join)
        case Kind.CLOCK:
            return clock(field.longest)
        case Kind.INTEGER:
            return st.integers(field.minimum, field.maximum).map(str)
        case Kind.NUMBER:
            return number(field)
        case Kind.TEXT:
            return TEXT.map(lambda text: text.encode()[: field.longest].decode("utf-8", "ignore").rstrip())
        case Kind.DIGITS:
            return st.from_regex(f"[0-9]{{{field.shortest},{field.longest}}}", fullmatch=True)
        case _:
            return st.from_regex(f"[0-9A-F]{{{field.shortest},{field.longest}}}", fullmatch=True)


def code_of(placeholder: str) -> st.SearchStrategy[str]:
    if placeholder == "n":
        return st.integers(1, 999).map(str)
    return st.integers(0, 99).map(lambda number: f"a019{number:02d}") if placeholder == "FurnaceId" else CODES


def field_of(table: dict[str, Field], part: Part) -> Field:
    suffix = part.name.casefold().partition("-")[2]
    return next(table[n] for n in (part.name.casefold(), f"{{polid}}-{suffix}", f"{{infoid}}-{suffix}") if n in table)


def how_often(times: str) -> st.SearchStrategy[int]:
    return {"1": st.just(1), "?": st.integers(0, 1), "+": st.integers(1, 3), "*": st.integers(0, 2)}[times]


@st.composite
def sub_values(draw: st.DrawFn, table: dict[str, Field], part: Part, code: str | None) -> list[tuple[str, str]]:
    """A part as often as it may stand; in an item of one code with that code, where it is of the same kind."""
    count = draw(how_often(part.times))
    if code is not None and part.code != "InfoId":
        codes = [code] * count
    else:
        codes = draw(st.lists(code_of(part.code), min_size=count, max_size=count, unique=bool(part.code)))
    names = [part.name.replace(f"{{{part.code}}}", one) for one in codes]
    return [(name, draw(values(field_of(table, part)))) for name in names]


@st.composite
def items(draw: st.DrawFn, table: dict[str, Field], group: Group) -> list[Item]:
    if not group.coded:
        pairs = [pair for part in group.parts for pair in draw(sub_values(table, part, None))]
        return [tuple(pairs)] if len(group.parts) > 1 else [(pair,) for pair in pairs]
    made = []
    for code in draw(st.lists(code_of(group.parts[0].code), min_size=1, max_size=3, unique=True)):
        item = tuple(pair for part in group.parts for pair in draw(sub_values(table, part, code)))
        made.append(item or ((f"{code}-Flag", "N"),))
    return made


@st.composite
def areas(draw: st.DrawFn, command: Command, form: Form) -> Area:
    table = fields(command.edition)
    return tuple(item for group in form.groups for item in draw(items(table, group)))


def every_form() -> list[tuple[Command, Form]]:
    known = [command for edition in Edition for command in commands(edition).values()]
    return [(command, form) for command in known for form in command.forms]


def message_of(command: Command, form: Form, area: Area, qn: str = "20260115093000120") -> Message:
    system = REPLY_ST if command.dialogue == "answer" else min(form.st, default="31")
    flag = flag_of(command.edition, wants_answer=command.dialogue in ("request", "notice", "upload"))
    return Message(qn, system, command.cn, "123456", MN.get(command.edition, MN[Edition.HJ2017]), flag, area)


def name_of(one: Command | Form) -> str:
    return f"{one.edition.value}-{one.cn}-{one.direction}" if isinstance(one, Command) else one.area[:24]


@pytest.mark.parametrize(("command", "form"), every_form(), ids=name_of)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_layout_is_written_read_back_and_right(command: Command, form: Form, data: st.DataObject) -> None:
    message = message_of(command, form, data.draw(areas(command, form)))
    assert command.problem(message) is None
    (frame,) = Decoder(Profile.strict(command.edition.value)).feed(encode(message))
    assert isinstance(frame, Frame)
    assert frame.message == message
    assert frame.deviations == []


def message(cn: str, *pairs: tuple[str, str], system: str = "31") -> Message:
    return Message("20260115093000120", system, cn, "123456", MN[Edition.HJ2017], 5, tuple((pair,) for pair in pairs))


@pytest.mark.parametrize(
    ("cn", "pairs", "expected"),
    [
        ("1062", [("RtdInterval", "29")], "field RtdInterval has the value '29': write a whole number from 30 to 3600"),
        ("1062", [("RtdInterval", "3601")], "RtdInterval"),
        ("1062", [("RtdInterval", "60.0")], "a whole number"),
        ("1062", [], "field RtdInterval is missing: add it"),
        ("1062", [("RtdInterval", "60"), ("RtdInterval", "60")], "field RtdInterval occurs twice: send it once"),
        ("1062", [("MinInterval", "1")], "field MinInterval does not belong here: allowed are RtdInterval"),
        ("1064", [("MinInterval", "7")], "write one of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30"),
        ("1061", [("PolId", "a05001")], "field PolId does not belong here: allowed are none, the data area is empty"),
        ("2051", [("BeginTime", "20260115070000")], "field EndTime is missing"),
        ("2051", [("BeginTime", "20260115070000"), ("EndTime", "20260115250000")], "a time YYYYMMDDhhmmss"),
        ("3011", [("PolId", "a05001"), ("CalibrationType", "0")], "CalibrationType does not belong here"),
        ("3016", [("PolId", "w01018"), ("CstartTime", "250000"), ("Ctime", "2")], "a time of day"),
        ("3021", [("InfoId", "i13007"), ("i13007-Info", "1"), ("i13008-Info", "1")], "occurs 2 times"),
    ],
)
def test_a_wrong_data_area_is_told_with_place_and_remedy(cn: str, pairs: list[tuple[str, str]], expected: str) -> None:
    problem = commands()[cn, "to_station"].problem(message(cn, *pairs))
    assert problem is not None
    assert expected in problem


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((("a05001-Avg", "1.0"),), "field a05001-Flag is missing: add it to its item"),
        ((("a05001-Flag", "N"), ("a19001-Flag", "N")), "give each code an item of its own"),
        ((("a05001-Avg", "1e3"), ("a05001-Flag", "N")), "a decimal number without exponent"),
        ((("a05001-Rtd", "1.0"), ("a05001-Flag", "N")), "field a05001-Rtd does not belong here"),
        ((("a05001-Flag", "NN"),), "letters and digits, 1 long"),
        ((), "at least one is wanted"),
    ],
)
def test_values_by_factor_belong_together(item: Item, expected: str) -> None:
    area = ((("DataTime", "20260115093000"),), *([item] if item else []))
    sent = Message("20260115093000120", "31", "2051", "123456", MN[Edition.HJ2017], 5, area)
    assert expected in (commands()["2051", "to_platform"].problem(sent) or "")


def test_what_peers_send_in_another_order_case_or_with_a_comma_is_right() -> None:
    history = commands()["2041", "to_station"]
    joined = ((("BeginTime", "20260115070000"), ("EndTime", "20260115080000")),)
    assert history.problem(Message("20260115093000120", "31", "2041", "1", MN[Edition.HJ2017], 5, joined)) is None
    assert commands()["1000", "to_station"].problem(message("1000", ("recount", "3"), ("Overtime", "10"))) is None


def test_a_period_or_instant_without_a_value_is_a_letter_alone() -> None:
    for cn in ("2011", "2031", "2051", "2061"):
        sent = message(cn, ("DataTime", "20260115093000"), ("a05001-Flag", "D"))
        assert commands()[cn, "to_platform"].problem(sent) is None


def test_the_layout_follows_the_system_type() -> None:
    table = commands(Edition.HJ2025)["2011", "to_station"]
    ask = [("BeginTime", "20260115070000"), ("EndTime", "20260115080000")]
    assert table.problem(message("2011")) is None
    assert table.problem(message("2011", *ask, system="44")) is None
    assert table.problem(message("2011", *ask)) is not None
    assert "EndTime is missing" in (table.problem(message("2011", ask[0], system="44")) or "")
    assert commands()["2011", "to_station"].problem(message("2011", *ask, system="44")) is not None


def test_a_data_area_is_made_from_values_in_the_order_of_the_table() -> None:
    made = commands()["2051", "to_platform"].area(
        {"02-Flag": "N", "a05001-Flag": "D", "02-Max": "3.0", "02-Avg": "2.0", "DataTime": "20260115093000"}
    )
    assert made == (
        (("DataTime", "20260115093000"),),
        (("02-Avg", "2.0"), ("02-Max", "3.0"), ("02-Flag", "N")),
        (("a05001-Flag", "D"),),
    )
    hours = commands(Edition.HJ2005)["3014", "to_station"].area({"PolId": "101", "CTime": ["04", "16"]})
    assert hours == ((("PolId", "101"), ("CTime", "04"), ("CTime", "16")),)
    parameter = commands()["3021", "to_station"].area({"InfoId": "i13007", "i13007-Info": "1.5", "PolId": "a05001"})
    assert parameter == ((("PolId", "a05001"),), (("InfoId", "i13007"),), (("i13007-Info", "1.5"),))
    assert commands()["2012", "to_station"].area({}) == ()


@pytest.mark.parametrize(("values", "expected"), [({"RtdInterval": "7"}, "1062: field"), ({"Other": "7"}, "Other")])
def test_a_data_area_that_the_table_does_not_allow_is_not_made(values: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        commands()["1062", "to_station"].area(values)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_a_message_says_makes_its_data_area_again(data: st.DataObject) -> None:
    command, form = data.draw(st.sampled_from(every_form()))
    area = data.draw(areas(command, form))
    said: dict[str, list[str]] = {}
    for name, value in (pair for item in area for pair in item):
        said.setdefault(name, []).append(value)
    # Values by name cannot say which item of several each of them stands in.
    assume(all(len(values) == 1 for name, values in said.items() if name.endswith("-Info")))
    made = command.area(said, min(form.st, default="31"))
    assert sorted(pair for item in made for pair in item) == sorted(pair for item in area for pair in item)
    assert command.problem(message_of(command, form, made)) is None


NEW_2025 = {"1001", "1002", "1014", "2013", "2052", "2062", "2111", "3022", "3024", "9015"}
DROPPED_2017 = {"1021", "1022", "1031", "1032", "1041", "1042", "2071", "2072"}


def numbers(edition: Edition, direction: str | None = None) -> set[str]:
    return {cn for cn, way in commands(edition) if direction in (None, way)}


def test_editions_have_their_own_commands() -> None:
    assert numbers(Edition.HJ2025) - numbers(Edition.HJ2017) == NEW_2025
    assert numbers(Edition.HJ2017) - numbers(Edition.HJ2025) == {"3014", "3016", "3017"}
    assert "3015" not in numbers(Edition.HJ2025, "to_station")
    # 1001 was something else in 2005.
    assert numbers(Edition.HJ2005) - numbers(Edition.HJ2017) == {"1001", *DROPPED_2017}
    assert "1001" in numbers(Edition.HJ2005, "to_station") - numbers(Edition.HJ2025, "to_station")


def test_what_a_request_does_to_a_station_is_said() -> None:
    by_effect: dict[str, set[str]] = {}
    for edition in Edition:
        for (cn, way), command in commands(edition).items():
            assert (command.effect == "none") == (way == "to_platform" or command.dialogue == "answer")
            by_effect.setdefault(command.effect, set()).add(cn)
    assert by_effect["link"] == {"1000", "1062", "1064", "2011", "2012", "2021", "2022"}
    history = {"2013", "2031", "2041", "2051", "2052", "2061", "2062", "2071"}
    parameters = {"1011", "1021", "1031", "1041", "1061", "1063", "3017", "3018", "3019", "3020"}
    assert by_effect["read"] == history | parameters
    assert by_effect["station"] >= {
        "1012",
        "1072",
        "1002",
        "1014",
        "3011",
        "3012",
        "3013",
        "3014",
        "3016",
        "3021",
        "3024",
    }


def rows_of(name: str) -> Iterable[dict[str, str]]:
    text = resources.files("protocols.hj212.tables").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_rows_of_one_command_agree_and_every_dialogue_is_whole() -> None:
    for edition in Edition:
        table = commands(edition)
        for (cn, way), command in table.items():
            rows = [row for row in rows_of("commands.csv") if (row["cn"], row["direction"]) == (cn, way)]
            of_edition = [row for row in rows if f"{edition.value}=" in row["editions"]]
            assert len(of_edition) == len(command.forms)
            assert len({(row["dialogue"], row["group"]) for row in of_edition}) == 1
            for form in command.forms:
                assert form.name_en
                assert form.name_zh
                # Data that a request brings come by a row of their own; of one of 2005 the layout was not seen.
                assert not form.returns or (cn, "to_platform") in table or cn == "2071"
