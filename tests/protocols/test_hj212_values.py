"""Values on their way into a data area and back: letters, rounding, units, times."""

from datetime import UTC, datetime, timedelta

import pytest

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from metrology.units import UnitError
from protocols.hj212.factors import decimal, factor
from protocols.hj212.message import Area, Message
from protocols.hj212.times import QnSource, parse_time, render_time
from protocols.hj212.uploads import average_items, read_upload, realtime_item

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)


def average(mean: float | None, quality: Quality | None = None, **changes: object) -> Average:
    at = T0
    fields_of: dict[str, object] = {
        "series": "stack.so2", "unit": "mg/m3", "start": at, "period_s": 60, "n": 60, "valid_fraction": 1.0,
        "mean": mean, "minimum": mean, "maximum": mean, "sd": 0.0, "rule": "hj-stack", "quality": quality or Quality(),
    }  # fmt: skip
    return Average(**(fields_of | changes))  # type: ignore[arg-type]


def test_averages_travel_with_letter_and_decimals_and_without_a_mean_the_letter_alone() -> None:
    so2 = factor("a21026", "stack.so2")
    items, problems = average_items([so2], {"stack.so2": average(35.0049)})
    assert items == ((("a21026-Min", "35.00"), ("a21026-Avg", "35.00"), ("a21026-Max", "35.00"), ("a21026-Flag", "N")),)
    assert problems == []
    fault = Quality.of(Mark(Cause.FAULT, "stack", T0))
    (item,), _ = average_items([so2], {"stack.so2": average(None, fault)})
    assert item == (("a21026-Flag", "D"),)
    (item,), _ = average_items([so2], {"stack.so2": average(1.0, sum=12.5)})
    assert item[0] == ("a21026-Cou", "12.50")
    assert average_items([so2], {"other.so2": average(1.0)}) == ((), [])
    items, problems = average_items([so2], {"stack.so2": average(1.0, unit="degC")})
    assert items == ()
    assert "degC" in problems[0]


@pytest.mark.parametrize(
    ("rule", "fraction", "mean", "causes", "letter"),
    [
        # C.16 to C.18: only the share of normal inputs counts, also for a day of 18 hours that is no valid mean.
        ("hj-stack", 0.75, 35.0, [], "N"),
        ("hj-stack", 0.75, 35.0, [Cause.INCOMPLETE], "N"),
        ("hj-stack", 0.74, 35.0, [], "D"),
        ("hj-stack", 0.5, 35.0, [Cause.CALIBRATION, Cause.INCOMPLETE], "D"),
        ("hj-stack", 0.0, None, [Cause.STOPPED, Cause.INCOMPLETE], "D"),
        ("hj-ambient", 0.74, 35.0, [Cause.INCOMPLETE], "D"),
        ("hj-ambient", 0.1, 35.0, [Cause.CALIBRATION], "C"),
        ("hj-ambient", 0.1, 35.0, [], "N"),
        ("ghg", 0.0, None, [Cause.STOPPED, Cause.INCOMPLETE], "F"),
        ("ghg", 0.0, None, [], "D"),
    ],
)
def test_the_letter_of_a_mean_follows_its_rule(
    rule: str, fraction: float, mean: float | None, causes: list[Cause], letter: str
) -> None:
    quality = Quality.of(*(Mark(cause, "test", T0) for cause in causes))
    made = average(mean, quality, rule=rule, valid_fraction=fraction)
    (item,), _ = average_items([factor("a21026", "stack.so2")], {"stack.so2": made})
    assert item[-1] == ("a21026-Flag", letter)


def test_a_mole_fraction_becomes_mass_only_with_a_stated_state() -> None:
    with pytest.raises(UnitError, match=r"a05001.*state"):
        factor("a05001", "tower.co2_dry")
    co2 = factor("a05001", "tower.co2_dry", state="stack-dry")
    # HJ 212-2017 formula 20: C = x M / 22.4
    assert co2.render(400.0, "umol/mol") == f"{400.0 * 44.01 / 22.4:.3f}"
    assert factor("a05001", "tower.co2_dry", unit="umol/mol", decimals=2).render(412.345, "umol/mol") == "412.35"


def test_rounding_is_half_to_even_without_exponent_or_negative_zero() -> None:
    assert [decimal(x, 0) for x in (0.5, 1.5, 2.5)] == ["0", "2", "2"]
    assert decimal(-0.004, 2) == "0.00"
    assert decimal(1e15, 1) == "1000000000000000.0"
    with pytest.raises(ValueError, match="decimal"):
        decimal(float("nan"), 1)


def test_real_time_values() -> None:
    so2 = factor("a21026", "stack.so2")
    good = Measurement(Reading("stack", "so2", 12.0, "mg/m3", T0), 12.345)
    assert realtime_item(so2, good, silent=False) == (("a21026-Rtd", "12.35"), ("a21026-Flag", "N"))
    assert realtime_item(so2, good, silent=True) == (("a21026-Flag", "B"),)
    lost = Measurement(Reading("stack", "so2", None, "mg/m3", T0), None)
    assert realtime_item(so2, lost, silent=False) == (("a21026-Flag", "D"),)


def test_rows_of_a_foreign_upload_are_read_as_far_as_they_are_numbers() -> None:
    area: Area = (
        (("DataTime", "20260115093400"),),
        (("a1-Rtd", "-.5"), ("a1-Flag", "N")),
        (("a2-Rtd", "n/a"), ("a2-Flag", "D")),
        (("LA-Rtd", "49."),),
    )
    upload = read_upload(Message("2" * 17, "31", "2011", "1", "M", 4, area))
    assert upload.period_s is None
    assert [(row.code, dict(row.values), row.flag) for row in upload.rows] == [
        ("a1", {"Rtd": -0.5}, "N"),
        ("a2", {}, "D"),
        ("LA", {"Rtd": 49.0}, None),
    ]


def test_times_are_utc_plus_8_and_request_numbers_never_repeat() -> None:
    assert render_time(T0) == "20260115093000"
    assert parse_time("20260115093000") == T0
    qns = QnSource()
    stamps = [qns.next(T0 + timedelta(milliseconds=ms)) for ms in (0, 0, 1, 5, 4)]
    assert stamps == [f"20260115093000{ms:03d}" for ms in (0, 1, 2, 5, 6)]
