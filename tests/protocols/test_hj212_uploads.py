"""Data areas as a station makes them and a platform reads them, in all editions and with codes of any kind."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from protocols.hj212 import Message
from protocols.hj212.commands import commands
from protocols.hj212.factors import factor
from protocols.hj212.information import (
    LOG_BYTES_MAX,
    UnitState,
    check_items,
    identity_items,
    information_items,
    log_text,
    plain_text,
    read_information,
    read_units,
    restart_items,
    run_time_items,
    state_items,
)
from protocols.hj212.message import Area, area_text
from protocols.hj212.profile import Edition
from protocols.hj212.uploads import UploadError, average_items, read_upload, realtime_item, time_item

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
SO2 = factor("a21026", "stack.so2", converted="stack.so2_zs")
MN = "0100B1F2A00002A00000007B"


def message(cn: str, area: Area, edition: Edition = Edition.HJ2017) -> Message:
    return Message("20260115093000120", "31", cn, "123456", MN, edition.version << 2 | 1, area)


def average(series: str, mean: float | None, *causes: Cause, rule: str = "ghg") -> Average:
    quality = Quality.of(*(Mark(cause, "test", T0) for cause in causes))
    return Average(series, "mg/m3", T0, 60, 12, 1.0, mean, mean, mean, 0.0, rule, quality)


def measured(series: str, value: float | None, *causes: Cause) -> Measurement:
    instrument, _, measurand = series.partition(".")
    quality = Quality.of(*(Mark(cause, "test", T0) for cause in causes))
    return Measurement(Reading(instrument, measurand, value, "mg/m3", T0, quality), value)


def test_values_at_reference_oxygen_go_beside_the_measured_ones() -> None:
    averages = {"stack.so2": average("stack.so2", 57.196), "stack.so2_zs": average("stack.so2_zs", 60.419)}
    (item,), problems = average_items([SO2], averages)
    assert problems == []
    assert dict(item) == {
        "a21026-Min": "57.20", "a21026-Avg": "57.20", "a21026-Max": "57.20",
        "a21026-ZsMin": "60.42", "a21026-ZsAvg": "60.42", "a21026-ZsMax": "60.42", "a21026-Flag": "N",
    }  # fmt: skip
    assert commands()["2051", "to_platform"].problem(message("2051", (time_item(T0), item))) is None
    now = realtime_item(SO2, measured("stack.so2", 57.196), silent=False, converted=measured("stack.so2_zs", 60.419))
    assert now == (("a21026-Rtd", "57.20"), ("a21026-ZsRtd", "60.42"), ("a21026-Flag", "N"))
    silent = realtime_item(SO2, measured("stack.so2", 57.2), silent=True, converted=measured("stack.so2_zs", 60.4))
    assert silent == (("a21026-Flag", "B"),)


def test_without_the_converted_series_there_are_no_such_values() -> None:
    (item,), _ = average_items([SO2], {"stack.so2": average("stack.so2", 57.196)})
    assert not [name for name, _ in item if "Zs" in name]


@pytest.mark.parametrize(
    ("cause", "letters"),
    [
        (Cause.COMMUNICATION, "DBB"),
        (Cause.STOPPED, "FFF"),
        (Cause.CALIBRATION, "CCC"),
        (Cause.SUBSTITUTED, "SSS"),
    ],
)
def test_a_letter_that_2005_does_not_have_is_sent_as_a_fault(cause: Cause, letters: str) -> None:
    sent = [realtime_item(SO2, measured("stack.so2", None, cause), edition, silent=False)[-1][1] for edition in Edition]
    assert "".join(sent) == letters
    periods = [average_items([SO2], {"stack.so2": average("stack.so2", None, cause)}, edition) for edition in Edition]
    assert "".join(items[0][-1][1] for items, _ in periods) == letters


@pytest.mark.parametrize("code", ["a05001", "02", "S01", "LA", "xCO2"])
def test_an_upload_is_read_by_any_code(code: str) -> None:
    area: Area = (time_item(T0), ((f"{code}-rtd", "1.5"), (f"{code}-ZSRTD", "2.5"), (f"{code}-FLAG", "N")))
    upload = read_upload(message("2011", area, Edition.HJ2005))
    assert (upload.period_s, upload.data_time) == (None, T0)
    (row,) = upload.rows
    assert (row.code, row.flag, row.values) == (code, "N", {"Rtd": 1.5, "ZsRtd": 2.5})


def test_what_is_no_number_is_left_out() -> None:
    pairs = (
        ("a01-SampleTime", "20260115093000"), ("a01-Rtd", "1e3"), ("a01-EFlag", "12"), ("a01-Ori", "7"),
    )  # fmt: skip
    (row,) = read_upload(message("2011", (time_item(T0), pairs))).rows
    assert row.values == {}
    assert row.flag is None


@pytest.mark.parametrize(
    ("cn", "minute_s", "period_s"),
    [("2051", 60, 60), ("2051", 600, 600), ("2061", 600, 3600), ("2031", 60, 86400), ("2111", 60, 300)],
)
def test_the_period_follows_the_command(cn: str, minute_s: int, period_s: int) -> None:
    assert read_upload(message(cn, (time_item(T0),)), minute_s=minute_s).period_s == period_s


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("20260115093000", True),
        ("20260115093000123", True),
        ("2026011509300012", False),
        ("20261315093000", False),
        ("", False),
    ],
)
def test_a_time_with_milliseconds_is_read_a_wrong_one_is_not(text: str, taken: bool) -> None:
    area = ((("DataTime", text),),)
    if taken:
        assert read_upload(message("2051", area)).data_time == T0
    else:
        with pytest.raises(UploadError):
            read_upload(message("2051", area))


def test_states_of_treatment_units() -> None:
    units = {1: UnitState.RUNNING, 2: UnitState.OFF, 12: UnitState.MAINTENANCE}
    area = (time_item(T0), *state_items(units))
    assert area_text(area[1:]) == "SB1-RS=1;SB2-RS=0;SB12-RS=3"
    assert commands()["2021", "to_platform"].problem(message("2021", area)) is None
    assert read_units(area) == {1: 1, 2: 0, 12: 3}
    assert area_text(state_items(units, Edition.HJ2005)) == "SB1-RS=1;SB2-RS=0;SB12-RS=0"


def test_hours_of_treatment_units() -> None:
    area = (time_item(T0), *run_time_items({1: 23.996, 2: 0.5}))
    assert area_text(area[1:]) == "SB1-RT=24.00;SB2-RT=0.50"
    assert commands()["2041", "to_platform"].problem(message("2041", area)) is None
    assert read_units(area) == {1: 24.0, 2: 0.5}
    assert read_units(((("SB1-RT", "many"), ("SBX-RT", "1"), ("PolId", "a")),)) == {}


def test_a_start_an_identity_and_a_check_are_as_the_tables_want_them() -> None:
    made = {
        "2081": restart_items(T0 - timedelta(hours=1)),
        "2062": check_items(SO2, 101.26, 100.0, "mg/m3", passed=True),
        "3019": identity_items("a21026", "SN/2041-77 \u6c49"),
    }
    assert area_text(made["2081"]) == "RestartTime=20260115083000"
    assert area_text(made["2062"]) == "a21026-SampleRd=101.26;a21026-StandardValue=100.00;a21026-ResultType=1"
    assert area_text(made["3019"]) == "PolId=a21026;a21026-SN=SN204177"
    for cn, items in made.items():
        sent = message(cn, (time_item(T0), *items), Edition.HJ2025)
        assert commands(Edition.HJ2025)[cn, "to_platform"].problem(sent) is None


def test_an_identity_without_letters_or_digits_is_still_one() -> None:
    assert area_text(identity_items("a21026", "\u6c49")) == "PolId=a21026;a21026-SN=0"
    assert len(identity_items("a21026", "7" * 60)[1][0][1]) == 24


def test_station_information_is_read_as_it_was_written() -> None:
    area = (time_item(T0), *information_items({"i13007": "1.5", "i11001": log_text("a;b//c")}, "a21026"))
    assert commands()["3020", "to_platform"].problem(message("3020", area)) is None
    told = read_information(message("3020", area))
    assert told.pol_id == "a21026"
    assert told.values == {"i13007": "1.5", "i11001": "a；b/c"}
    assert read_information(message("3020", information_items({"i22001": "0"}))).pol_id is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("valve 3 open", "//valve 3 open//"),
        ("a;b,c=d&&e##f", "//a；b，c＝d＆＆e＃＃f//"),
        ("  two\r\n lines\t", "//two lines//"),
        ("http://x//", "//http:/x//"),
        ("", "//-//"),
        ("///", "//-//"),
    ],
)
def test_a_log_line_has_no_sign_that_separates(text: str, written: str) -> None:
    assert log_text(text) == written


@given(st.text())
def test_any_text_can_be_a_log_line_and_a_value(text: str) -> None:
    line = log_text(text)
    size = len(line.encode("utf-8")) - 4
    assert 1 <= size <= LOG_BYTES_MAX
    area = (time_item(T0), (("i11001-Info", line),), (("i13009-Info", plain_text(text)),))
    assert area_text(area)
    assert commands()["3020", "to_platform"].problem(message("3020", (time_item(T0), (("i11001-Info", line),)))) is None


def test_a_long_log_line_is_cut_between_characters() -> None:
    assert log_text("\u6c49" * 400) == "//" + "\u6c49" * (LOG_BYTES_MAX // 3) + "//"


def test_codes_units_and_decimals_are_the_platforms_own() -> None:
    n2o = factor("x00301", "tower.n2o", unit="umol/mol", decimals=3)
    assert n2o.render(0.33812, "umol/mol") == "0.338"
    ambient_co = factor("a21005", "air.co")
    assert (ambient_co.unit, ambient_co.render(0.8125, "mg/m3")) == ("mg/m3", "0.812")
    methane = factor("a05002", "tower.ch4", state="ambient-298K")
    assert methane.render(2.0, "umol/mol") == "1.3112"
