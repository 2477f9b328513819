"""Readers of recorded files, on excerpts of real ones, on what loggers and disks do to them, and on garbage."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.recorded import csv_table, gcwerks_minutes, gcwerks_results, li840a_log, picarro_log
from drivers.recorded.columns import gas_of, measured, water
from drivers.recorded.csv_table import Column, Map
from drivers.recorded.numbers import number
from drivers.recorded.stamps import Reader, StampError, layout, pattern, running, sniffed
from drivers.recorded.text import LINE_BYTES_MAX, lines
from metrology.quality import Cause
from metrology.recorded import FLAGGED, Refused, Row, iso

FILES = Path(__file__).parent / "recorded_files"
READERS = {
    "picarro": picarro_log.read,
    "li840a": li840a_log.read,
    "minutes": gcwerks_minutes.read,
    "results": gcwerks_results.read,
    "csv": lambda found: csv_table.read(found, Map()),
}
PICARRO = "DATE TIME ALARM_STATUS INST_STATUS species MPVPosition CH4 CO2 CO2_dry H2O h2o_reported\n"


def us(text: str) -> int:
    """Microseconds of an ISO time."""
    return round((datetime.fromisoformat(text) - datetime(1970, 1, 1)).total_seconds() * 1e6)  # noqa: DTZ001


def rows(found: Iterable[Row | Refused]) -> list[Row]:
    return [one for one in found if isinstance(one, Row)]


def refused(found: Iterable[Row | Refused]) -> list[tuple[int, str]]:
    return [(one.line, one.why) for one in found if isinstance(one, Refused)]


def file(name: str) -> Iterator:
    return lines([(FILES / name).read_bytes()])


def values(row: Row) -> dict[str, float | None]:
    return {one.species: one.value for one in row.samples}


def test_minutes_have_their_own_counts_and_spreads() -> None:
    found = rows(gcwerks_minutes.read(file("hfd.picarro.1minute.100m.dat")))
    assert len(found) == 10
    assert found[1].at == us("2013-12-04T14:02:30")
    assert [(one.species, one.value, one.sd, one.n) for one in found[1].samples] == [
        ("ch4", 1993.83, 1.555, 19), ("co2", 414.21, 0.109, 19), ("co", 214.28, 4.081, 19),
    ]  # fmt: skip
    assert values(found[0]) == {"ch4": None, "co2": None, "co": None}
    assert {row.gas for row in found} == {""}
    assert {row.port for row in found} == {"10"}


def test_another_type_than_air_is_a_tank() -> None:
    text = (
        (FILES / "hfd.picarro.1minute.100m.dat")
        .read_text()
        .replace("131211 125230       air", "131211 125230       std")
    )
    assert [row.gas for row in rows(gcwerks_minutes.read(lines([text.encode()])))][1:4] == ["", "std", ""]


def test_results_take_the_stamp_of_the_sample_and_reject_flagged_values() -> None:
    found = rows(gcwerks_results.read(file("bilsdale-md.14.C")))
    assert found[0].at == us("2014-01-01T00:13:00")
    n2o, sf6 = found[0].samples
    assert (n2o.species, n2o.value, n2o.cause) == ("n2o", 334.663, FLAGGED)
    assert sf6.cause == FLAGGED
    assert [one.cause for one in found[4].samples] == [None, None]
    assert values(found[4]) == {"n2o": 328.663, "sf6": 8.521}


def test_integration_marks_reject_nothing() -> None:
    found = rows(gcwerks_results.read(file("trinidadhead.01.C")))
    flagged = [(iso(row.at)[11:16], one.species) for row in found for one in row.samples if one.cause == FLAGGED]
    assert ("09:58", "ch4") in flagged
    assert len([one for one in flagged if one[0] == "11:18"]) == 7
    assert {time for time, _ in flagged} == {"09:58", "11:18"}
    assert {one.species for one in found[0].samples} >= {"cfc-12", "ch3ccl3", "co"}


def test_a_li840a_log_has_a_line_of_the_day_above_its_header() -> None:
    found = list(li840a_log.read(file("li840a.txt")))
    assert refused(found) == []
    assert iso(rows(found)[0].at) == "2014-07-15T14:59:57"
    assert values(rows(found)[0]) == {
        "co2(ppm)": 412.35, "h2o(ppt)": 11.204, "h2o(c)": 8.85, "cell_temperature(c)": 51.52,
        "cell_pressure(kpa)": 98.12,
    }  # fmt: skip
    assert water("H2O(ppt)") == "mmol/mol"


def test_files_joined_to_one_repeat_their_headers() -> None:
    for name, read in (("li840a.txt", li840a_log.read), ("hfd.picarro.1minute.100m.dat", gcwerks_minutes.read),
                       ("trinidadhead.01.C", gcwerks_results.read)):  # fmt: skip
        once = (FILES / name).read_bytes()
        found = list(read(lines([once, once])))
        assert refused(found) == [], name
        assert len(rows(found)) == 2 * len(rows(read(lines([once]))))


def test_a_time_of_day_goes_on_after_midnight() -> None:
    text = (
        "2024-03-01 10:00\nSystem_Time_(h:m:s)\tCO2_(umol_mol-1)\n23:59:59\t400.1\n00:00:00\t400.2\n00:00:01\t400.3\n"
    )
    found = rows(li840a_log.read(lines([text.encode()])))
    assert [iso(row.at) for row in found] == ["2024-03-01T23:59:59", "2024-03-02T00:00:00", "2024-03-02T00:00:01"]


@pytest.mark.parametrize(
    "text",
    [
        "Date,Time,CO2 (ppm),H2O (mmol/mol)\n2014-07-15,14:05:08,412.35,11.2\n",
        "Timestamp CO2(ppm) H2O(ppt)\n2014-07-15 14:05:08 412.35 11.2\n",
        "Timestamp\tCO2(ppm)\tH2O(ppt)\n7/15/2014 2:05:08 PM\t412.35\t11.2\n",
        "Date(Y-M-D)\tTime(H:M:S)\tCO2(ppm)\tH2O(ppt)\n2014-07-15  14:05:08  412.35  11.2\n",
        "System_Date_(Y-M-D);System_Time_(h:m:s);CO2_(umol_mol-1);H2O_(mmol_mol-1)\n2014/07/15;14:05:08;412.35;11.2;\n",
        '(2014-07-15)\n"Date(Y-M-D)","Time(H:M:S)","CO2(ppm)","H2O(ppt)"\n"2014-07-15","14:05:08","412.35","11.2"\n',
    ],
)
def test_logs_of_other_programs_versions(text: str) -> None:
    (row,) = list(li840a_log.read(lines([text.encode()])))
    assert isinstance(row, Row)
    assert iso(row.at) == "2014-07-15T14:05:08"
    assert list(values(row).values()) == [412.35, 11.2]


def test_the_bare_wire_of_a_licor_with_stamps_before_it() -> None:
    text = "".join(
        f"2024-03-01 10:00:0{second} <li840><data><celltemp>51.5</celltemp><cellpres>98.1</cellpres>"
        f"<co2>40{second}.5</co2><h2o>9.1</h2o></data></li840>\r\n"
        for second in range(3)
    )
    found = rows(li840a_log.read(lines([text.encode()])))
    assert [values(row)["co2(ppm)"] for row in found] == [400.5, 401.5, 402.5]
    assert iso(found[2].at) == "2024-03-01T10:00:02"


def test_only_fresh_values_of_a_picarro_row_are_given(recorded_data: Path) -> None:
    path = next((recorded_data / "picarro_g2301").glob("*.dat"))
    found = list(picarro_log.read(lines([path.read_bytes()])))
    fresh: dict[str, set[str]] = {}
    for row in rows(found):
        fresh.setdefault(f"{float(row.code):.0f}", set()).update(one.species for one in row.samples)
    assert fresh == {"1": {"co2"}, "2": {"ch4"}, "3": {"co2_dry", "ch4_dry", "h2o", "h2o_reported"}}
    assert {why for _, why in refused(found)} == {"between-ports"}
    assert len(refused(found)) == 8


def test_a_short_picarro_file_follows_the_known_codes() -> None:
    text = PICARRO + "".join(
        f"2020-01-01 00:00:0{second}.000 0 963 {code} 1.0 1.9 400 410 1 1.5\n" for second, code in enumerate((1, 2, 3))
    )
    found = rows(picarro_log.read(lines([text.encode()])))
    # Nothing ever changes in three rows: everything is as good as fresh.
    assert [len(row.samples) for row in found] == [5, 5, 5]
    changing = PICARRO + "".join(
        f"2020-01-01 00:00:0{second}.000 0 963 {code} 1.0 1.{second} 40{second} 41{second} {second} 1.{second}\n"
        for second, code in enumerate((1, 2, 3, 1, 2, 3))
    )
    found = rows(picarro_log.read(lines([changing.encode()])))
    assert [sorted(values(row)) for row in found[3:]] == [["co2"], ["ch4"], ["co2_dry", "h2o", "h2o_reported"]]


def test_a_resampled_log_is_fresh_in_every_row() -> None:
    text = PICARRO + "".join(
        f"2020-01-01 00:00:{at:02d}.000 0 963 {1 + at * 0.37 % 2:.4f} 1.0 1.9{at} 4{at:02d} 41{at} 1 1.5\n"
        for at in range(40)
    )
    found = rows(picarro_log.read(lines([text.encode()])))
    assert {len(row.samples) for row in found} == {5}


def test_alarm_and_warm_up_are_shown_and_leave_the_values() -> None:
    text = PICARRO + (
        "2020-01-01 00:00:00.000 0 963 1 1.0 1.9 400 410 1 1.5\n"
        "2020-01-01 00:00:01.000 4 963 1 1.0 1.9 400 410 1 1.5\n"
        "2020-01-01 00:00:02.000 0 8192 1 1.0 1.9 400 410 1 1.5\n"
    )
    assert [row.notes for row in rows(picarro_log.read(lines([text.encode()])))] == [
        frozenset(), {Cause.FAULT}, {Cause.WARM_UP},
    ]  # fmt: skip


def test_broken_lines_are_named_with_their_place() -> None:
    text = (FILES / "hfd.picarro.1minute.100m.dat").read_bytes().splitlines(keepends=True)
    text[4] = b"131204 140230 air 10 1993.83\n"
    text[5] = text[5].replace(b"131211 125230", b"131311 125230")
    text[6] = b"\0" * 80 + b"\n"
    text[7] = text[7].replace(b"1928.60", b"19#8.60")
    text[-1] = text[-1][:70]
    found = list(gcwerks_minutes.read(lines(text)))
    assert refused(found) == [(5, "columns"), (6, "time"), (7, "zeros"), (8, "value"), (13, "truncated")]
    assert [one.species for one in rows(found)[1].samples] == ["co2", "co"]


def test_a_last_number_that_was_cut_is_refused_where_lines_have_one_width() -> None:
    text = (FILES / "hfd.picarro.1minute.100m.dat").read_bytes().rstrip()[:-1]
    assert refused(gcwerks_minutes.read(lines([text]))) == [(13, "truncated")]
    whole = (FILES / "hfd.picarro.1minute.100m.dat").read_bytes().rstrip(b"\n")
    assert refused(gcwerks_minutes.read(lines([whole]))) == []


def test_line_ends_marks_and_alphabets() -> None:
    text = "时间,CO2,站点\r\n2024-01-01 00:00,400.1,北京\r2024-01-01 00:01,400.2,上海\n\n2024-01-01 00:02,400.3,广州"
    expected = [400.1, 400.2, 400.3]
    declared = Map(columns={"co2": Column()}, time=["时间"])
    for data in (text.encode("gbk"), text.encode("utf-8-sig"), text.encode("utf-16")):
        found = rows(csv_table.read(lines([data]), declared))
        assert [values(row)["co2"] for row in found] == expected
    found = list(lines([b"a\n" + b"x" * (LINE_BYTES_MAX + 70000), b"\nb"]))
    assert [(one.number, one.text) for one in found] == [(1, "a"), (2, None), (3, "b")]


def test_a_campbell_file_has_units_under_its_names() -> None:
    text = (
        '"TOA5","site","CR1000"\n"TIMESTAMP","RECORD","CO2_Avg","CO2_Std","n_CO2"\n"TS","RN","ppm","ppm",""\n'
        '"","","Avg","Std","Tot"\n"2024-01-01 00:05:00",1,400.5,0.2,60\n"2024-01-01 00:10:00",2,"NAN","NAN",0\n'
    )
    declared = Map(columns={"co2_avg": Column(n="n_co2", sd="co2_std")})
    found = list(csv_table.read(lines([text.encode()]), declared))
    assert refused(found) == []
    assert [(one.value, one.sd, one.n) for row in rows(found) for one in row.samples] == [
        (400.5, 0.2, 60),
        (None, None, 1),
    ]


def test_flags_of_a_table_and_what_flows() -> None:
    text = "date;time;co2;qc;gas\n2024-01-01;00:00:00;400,5;ok;AIR\n2024-01-01;00:00:01;401,5;bad;S1\n"
    declared = Map(
        columns={"co2": Column(flag="qc", good=frozenset({"ok"}))}, decimal=",", gas="gas", air=frozenset({"air"})
    )  # fmt: skip
    found = rows(csv_table.read(lines([text.encode()]), declared))
    assert [(row.gas, row.samples[0].value, row.samples[0].cause) for row in found] == [
        ("", 400.5, None), ("s1", 401.5, FLAGGED),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-08-31 17:18:40.948", "2015-08-31T17:18:40.948"),
        ("2015/8/1T07:05", "2015-08-01T07:05:00"),
        ("2015年8月1日 07:05:09", "2015-08-01T07:05:09"),
        ("131127 154230", "2013-11-27T15:42:30"),
        ("20131127 1542", "2013-11-27T15:42:00"),
        ("2015-08-31 12:00:01 PM", "2015-08-31T12:00:01"),
        ("2015-08-31 24:00", "2015-09-01T00:00:00"),
        ("2015-08-31", "2015-08-31T00:00:00"),
    ],
)
def test_stamps_of_many_layouts(text: str, expected: str) -> None:
    assert iso(sniffed(text)(text)[0]) == expected


def test_zones_orders_and_running_numbers() -> None:
    assert sniffed("2020-01-01T00:00:00+08:00")("2020-01-01T00:00:00+08:00") == (
        us("2020-01-01T00:00:00"),
        8 * 3600 * 10**6,
    )
    assert iso(Reader(layout("dmy"))("03/04/20 01:02")[0]) == "2020-04-03T01:02:00"
    assert iso(Reader(pattern("%Y %j %H"))("2020 60 05")[0]) == "2020-02-29T05:00:00"
    assert iso(running("epoch_s")("1441041520.949")[0]) == "2015-08-31T17:18:40.949"
    assert iso(running("excel")("43831.5")[0]) == "2020-01-01T12:00:00"
    assert iso(running("matlab")("737791.25")[0]) == "2020-01-01T06:00:00"
    assert iso(running("decimal_year")("2020.5")[0]) == "2020-07-02T00:00:00"
    for wrong in ("2020-13-01 00:00", "2020-02-30", "03/04/2020 00:00", "2020-01-01 25:00", "yesterday", ""):
        with pytest.raises(StampError):
            sniffed(wrong)
    for wrong in ("%Y-%m", "%Q", "%H:%M", "%Y %Y-%m-%d"):
        with pytest.raises(StampError):
            pattern(wrong)


def test_numbers_and_the_words_for_none() -> None:
    for word in ("NaN", "", "-999.99", "-9999", "n/a", "NAN", "inf", "-", "1.#QNAN"):
        assert number(word) is None
    assert number("1.5E+002") == 150.0
    for word in ("1_0", "12a", "0x10", "1,5"):
        with pytest.raises(ValueError, match=word):
            number(word)


def test_which_columns_are_measurements() -> None:
    taken = (
        "CO2",
        "CH4_dry",
        "h2o_reported",
        "12CO2",
        "Delta_Raw_iCO2",
        "CO2(ppm)",
        "CavityPressure",
        "cell_temperature(c)",
        "co_sync",
    )
    left = ("species", "MPVPosition", "ALARM_STATUS", "solenoid_valves", "CO2_Absorption", "ch4_splinemax", "co2_std",
            "JULIAN_DAYS", "OutletValve", "coefficient", "Record No", "n2o_flag")  # fmt: skip
    assert [name for name in taken if not measured(name)] == []
    assert [name for name in left if measured(name)] == []
    assert gas_of("HP_Delta_iCH4_Raw") == "ch4"


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([
    b"DATE TIME species CO2", b"2020-01-01 00:00:00 1 400", b"date time type port C stdev N", b"- - - - co2 co2 co2",
    b"200101 000000 air 1 400 1 9", b"Date(Y-M-D)\tTime(H:M:S)\tCO2(ppm)", b"<li840><co2>4</co2></li840>", b"time,co2",
    b"yyyy mm dd hh mi co2 flag", b"2020 01 01 00 00 1 --", b"9999-99-99 99:99:99 1 1e999", b"2020-01-01,nan",
    b"- co2 co2 co2", b"\xff\xfe",
])), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.sampled_from(sorted(READERS)))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_line_of_garbage_raises(parts: list[bytes], end: bytes, name: str) -> None:
    for one in READERS[name](lines([end.join(parts)])):
        assert isinstance(one, Row | Refused)


@given(st.lists(st.integers(0, 600), max_size=12), st.sampled_from(["li840a.txt", "bilsdale-md.14.C"]))
@settings(max_examples=60, deadline=None)
def test_pieces_make_no_difference(cuts: list[int], name: str) -> None:
    data = (FILES / name).read_bytes().replace(b"\n", b"\r\n")
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    assert list(lines(pieces)) == list(lines([data]))


LOG = "DATE TIME EPOCH_TIME species CO2 N2O\n"


def test_a_malformed_time_of_day_gives_way_to_the_analyzers_unix_time() -> None:
    text = LOG + (
        "2021-05-07 02:01:14.100 1620345674.100 47 510.1 0.33\n"
        "2021-05-07 22:30 1620345675.170 47 510.2 0.34\n"
        "2021-05-07 01:16.2 1620345676.200 47 510.3 0.35\n"
    )
    found = rows(picarro_log.read(lines([text.encode()])))
    assert [iso(one.at) for one in found] == [
        "2021-05-07T02:01:14.100", "2021-05-07T02:01:15.170", "2021-05-07T02:01:16.200",
    ]  # fmt: skip
    assert [one.offset for one in found] == [us("1970-01-01T02:00")] * 3


def test_codes_of_an_unknown_model_are_fresh_where_nothing_was_learnt() -> None:
    (only,) = rows(picarro_log.read(lines([(LOG + "2021-05-07 02:01:14.1 1620345674.1 47 510.1 0.33\n").encode()])))
    assert values(only) == {"co2": 510.1, "n2o": 0.33}


def test_stamps_in_parts_and_empty_cells_at_the_end_of_a_row() -> None:
    text = (
        "Site Year Month Day Hour Minute co2 Stdev NbPoints Flag Auto Manual\n"
        "TTA 2011 03 29 23 59 -999.990 -9.990 0 N  \n"
        "TTA 2011 3 30 8 5 401.645 0.087 13 U  \n"
    )
    declared = Map(columns={"co2": Column("nbpoints", "stdev", "flag", frozenset("UOR"))})
    found = list(csv_table.read(lines([text.encode()]), declared))
    assert refused(found) == []
    assert [iso(one.at) for one in rows(found)] == ["2011-03-29T23:59:00", "2011-03-30T08:05:00"]
    assert [(one.value, one.n, one.sd, one.cause) for row in rows(found) for one in row.samples] == [
        (None, 1, None, FLAGGED), (401.645, 13, 0.087, None),
    ]  # fmt: skip
    days = rows(csv_table.read(lines([b"#Site;Year;Month;Day;co\nMHD;2018;03;01;155.1\n"]), Map()))
    assert [(iso(one.at), values(one)) for one in days] == [("2018-03-01T00:00:00", {"co": 155.1})]
