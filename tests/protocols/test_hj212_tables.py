"""The lists of HJ 212: whole, in both languages, each row with edition and evidence; what they say of a code."""

import csv
from importlib import resources
from typing import get_args

import pytest

from metrology.measurand import catalogue
from metrology.quality import LETTERS, Cause
from protocols.hj212.commands import ExeRtn, QnRtn
from protocols.hj212.frame import Reason
from protocols.hj212.message import CP_MAX, SEGMENT_MAX
from protocols.hj212.profile import Edition, Leniency
from protocols.hj212.tables import lists
from protocols.hj212.tables.fields import Kind, all_fields, fields, header_fields
from protocols.hj212.tables.lookup import codes, explain
from protocols.hj212.tables.rows import EVIDENCE, editions

FILES = sorted(file.name for file in resources.files("protocols.hj212.tables").iterdir() if file.name.endswith(".csv"))
ROWS = {
    name: list(csv.DictReader((resources.files("protocols.hj212.tables") / name).read_text("utf-8").splitlines()))
    for name in FILES
}


@pytest.mark.parametrize("name", [name for name in FILES if name != "notes_zh.csv"])
def test_every_row_has_both_names_an_edition_and_a_known_evidence(name: str) -> None:
    assert len(ROWS[name]) >= 7
    for row in ROWS[name]:
        assert None not in row, row
        assert row["name_en"].isascii(), row
        assert any("\u4e00" <= sign <= "\u9fff" for sign in row["name_zh"]) or row["name_zh"] in ("pH值",), row
        words = [*editions(row.get("editions", "")).values(), *filter(None, [row.get("evidence")])]
        assert words or name in ("leniencies.csv", "frame_errors.csv"), row
        assert set(words) <= EVIDENCE.keys()


@pytest.mark.parametrize("name", FILES)
def test_what_was_read_in_the_standard_names_its_clause(name: str) -> None:
    for row in ROWS[name]:
        if "2017=std2017" in row.get("editions", "") and "clauses" in row:
            assert "2017 " in row["clauses"], row


def test_no_row_of_2025_claims_to_be_read_in_its_text() -> None:
    for rows in ROWS.values():
        for row in rows:
            assert editions(row.get("editions", "")).get(Edition.HJ2025, "inferred") in ("code2025", "inferred", "own")


def test_the_lists_are_whole() -> None:
    sizes = {
        "pollutants": len([one for one in lists.pollutants() if one.editions]),
        "process": len(lists.process_factors()),
        "info": len(lists.info_codes()),
        "system types": len([one for one in lists.system_types() if Edition.HJ2017 in one.editions]),
        "new system types": len([one for one in lists.system_types() if list(one.editions) == [Edition.HJ2025]]),
    }
    assert sizes == {"pollutants": 196, "process": 145, "info": 42, "system types": 20, "new system types": 2}


def test_codes_of_one_list_are_unique_but_for_those_the_standard_prints_twice() -> None:
    for found, twice in (
        ([one.code for one in lists.pollutants()], set()),
        ([one.code_2005 for one in lists.pollutants() if one.code_2005], set()),
        ([one.code for one in lists.process_factors()], {"e701xx", "g119xx"}),
        ([one.code for one in lists.info_codes()], set()),
        ([one.name for one in lists.timers()], set()),
    ):
        assert {code for code in found if found.count(code) > 1} == twice


def test_return_codes_are_those_of_the_sessions() -> None:
    for table, name in ((QnRtn, "QnRtn"), (ExeRtn, "ExeRtn")):
        ours = {value for key, value in vars(table).items() if key.isupper()}
        assert {one.value for one in lists.return_codes() if one.field == name} == ours


def test_letters_are_those_of_the_catalogue_of_causes() -> None:
    of_2017 = {flag.letter: flag for flag in lists.flags(Edition.HJ2017)}
    assert set(of_2017) == {"N", *(letter for letter, _ in LETTERS)}
    assert [letter for letter, _ in LETTERS] == sorted(
        (letter for letter in of_2017 if letter != "N"), key=lambda letter: of_2017[letter].order or 0
    )
    for letter, causes in LETTERS:
        assert Cause(of_2017[letter].cause) in causes
    assert {flag.letter for flag in lists.flags(Edition.HJ2005) if flag.family == "source"} == set("PFCMTDSN")
    assert all(flag.cause == "" or Cause(flag.cause) for flag in lists.flags())


def test_names_of_leniencies_and_of_reasons_are_those_of_the_decoder() -> None:
    assert {name for name, _, _ in lists.leniencies()} == set(Leniency)
    assert {name for name, _, _ in lists.frame_errors()} == set(get_args(Reason))


def test_limits_are_those_of_the_codec() -> None:
    maxima = {timer.name: timer.maximum for timer in lists.timers()}
    assert (maxima["segment_length"], maxima["cp_length"]) == (str(SEGMENT_MAX), str(CP_MAX))


def test_our_measurands_have_codes_of_the_table_and_a_unit_of_their_own_where_it_is_doubtful() -> None:
    table = {one.code: one for one in lists.pollutants()}
    for row in catalogue().values():
        if row.hj212_code is not None:
            printed = table[row.hj212_code]
            assert printed.unit == row.hj212_unit or "per platform" in printed.notes, row.id
    assert table["a05002"].notes.startswith("doubtful")
    assert catalogue()["co"].hj212_code == "a21005"
    assert catalogue()["n2o"].hj212_code is None


@pytest.mark.parametrize(
    ("name", "good", "wrong"),
    [
        ("OverTime", ["1", "99"], ["0", "100", "", "1.0", "-1", "\u0663"]),
        ("SystemTime", ["20260115093501"], ["2026011509350", "20261315093501", "20260115093501000"]),
        ("CstartTime", ["000000", "235959"], ["240000", "0000", "ab0000"]),
        ("Stime", ["1", "120"], ["0", "121", "00001"]),
        ("{PolId}-Rtd", ["-0.5", "7", ".5", "181500.0"], ["", "1e3", "nan", "1,0", "--1"]),
        ("{PolId}-Flag", ["N", "9"], ["", "NN", "\u4e00"]),
        ("NewPW", ["a1B2c3", "1"], ["1234567", "", "12 456"]),
        ("SB{n}-RS", ["0", "5"], ["6", "x"]),
        ("SB{n}-RT", ["24", "0.5", "23.75"], ["24.01", "-1"]),
        ("{InfoId}-Info", ["//" + "x" * 889 + "//"], ["", "x" * 894]),
    ],
)
def test_a_field_takes_what_the_table_says(name: str, good: list[str], wrong: list[str]) -> None:
    field = fields()[name.casefold()]
    assert [value for value in good if not field.accepts(value)] == []
    assert [value for value in wrong if field.accepts(value)] == []
    assert field.wanted


def test_fields_follow_their_edition() -> None:
    assert not fields()["overtime"].accepts("300")
    assert fields(Edition.HJ2005)["overtime"].accepts("300")
    assert not fields(Edition.HJ2005)["sb{n}-rs"].accepts("2")
    assert "newpw" not in fields(Edition.HJ2005)
    assert {"sk", "newsk"} & fields().keys() == set()
    assert "newsk" in fields(Edition.HJ2025)
    widths = {edition: header_fields(edition)["MN"].longest for edition in Edition}
    assert list(widths.values()) == [14, 24, 24]
    assert [edition for edition in Edition if "RF" in header_fields(edition)] == [Edition.HJ2025]
    assert {field.kind for field in all_fields()} == set(Kind)


@pytest.mark.parametrize(
    ("code", "edition", "expected"),
    [
        ("9011", None, {("command", "9011")}),
        ("1001", Edition.HJ2025, {("command", "1001")}),
        ("a05001", None, {("pollutant", "a05001")}),
        ("30", None, {("pollutant", "a05001")}),
        ("A05002", None, {("pollutant", "a05002")}),
        ("N2O", None, {("pollutant", "-")}),
        ("N", Edition.HJ2017, {("flag", "N")}),
        ("QnRtn 3", None, {("return_code", "QnRtn 3")}),
        ("exertn=100", None, {("return_code", "ExeRtn 100")}),
        ("100", None, {("return_code", "QnRtn 100"), ("return_code", "ExeRtn 100")}),
        ("ST 31", None, {("system_type", "31")}),
        ("31", None, {("system_type", "31"), ("pollutant", "a20057")}),
        ("RtdInterval", None, {("field", "RtdInterval"), ("timer", "RtdInterval")}),
        ("ZsAvg", None, {("field", "{PolId}-ZsAvg")}),
        ("e10102", None, {("process", "e101xx")}),
        ("i33312", None, {("info", "i3331x")}),
        ("i12001", None, {("info", "i12001")}),
        ("request_timeout_ADSL", None, {("timer", "request_timeout_ADSL")}),
        ("modbus_crc", None, {("leniency", "modbus_crc")}),
        ("crc", None, {("frame_error", "crc")}),
        ("newsk", Edition.HJ2017, set()),
        ("nothing", None, set()),
        ("", None, set()),
    ],
)
def test_a_code_is_explained(code: str, edition: Edition | None, expected: set[tuple[str, str]]) -> None:
    entries = explain(code, edition)
    # What belongs to no edition is a vendor's, and is told beside the edition's own.
    assert {(entry.kind, entry.code) for entry in entries} == expected
    assert all(edition is None or not entry.editions or edition in entry.editions for entry in entries)


def test_every_remark_is_there_in_both_languages_and_none_is_left_over() -> None:
    translated = {row["en"]: row["zh"] for row in ROWS["notes_zh.csv"]}
    assert all(translated.values())
    assert len(translated) == len(ROWS["notes_zh.csv"])
    columns = ("notes", "advice", "process", "device", "family", "dialogue", "place")
    used = {row[name] for rows in ROWS.values() for row in rows for name in columns if row.get(name)}
    used |= {value for info in lists.info_codes() for value in info.values.values()}
    assert set(translated) - used == {
        "source set", "ambient set", "vendor set", "station to platform", "platform to station",
    }  # fmt: skip
    for entry in (entry for code in codes() for entry in explain(code)):
        assert bool(entry.notes) == bool(entry.notes_zh)


def test_every_code_has_an_explanation() -> None:
    known = codes()
    assert len(known) > 500
    assert [code for code in known if not explain(code)] == []


def test_an_explanation_names_its_source_and_how_sure_it_is() -> None:
    (entry,) = explain("3024")
    assert (entry.source, entry.evidence, entry.editions) == ("2025 C61", "2025=code2025", {2025})
    assert "data area PolId:1" in entry.notes
    assert "数据区 PolId:1" in entry.notes_zh
    (co2,) = explain("a05001")
    assert (co2.unit, co2.source) == ("mg/m3", "2017 B.2")
