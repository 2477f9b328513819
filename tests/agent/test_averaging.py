"""Averages: the rules of each kind of series, order, restart, and numpy as the referee."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values.averaging import Averager, Rule, SeriesSpec, several_minutes
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading

START = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)  # 00:00 UTC+8


def spec(rule: Rule, expected: float = 60, averaging: str = "mean") -> SeriesSpec:
    return SeriesSpec("a.co2", "umol/mol", rule, averaging, expected)  # type: ignore[arg-type]


def measurement(at: datetime, value: float | None, *causes: Cause) -> Measurement:
    quality = Quality(frozenset(Mark(cause, "test", at) for cause in causes))
    reading = Reading("a", "co2", value, "umol/mol", at, quality)
    return Measurement(reading, value)


def fill(averager: Averager, start: datetime, count: int, value: float = 1.0, *causes: Cause) -> None:
    for i in range(count):
        averager.feed(measurement(start + timedelta(seconds=i * 60 / count), value + i, *causes))


@pytest.mark.parametrize(("rule", "count", "valid"), [
    ("hj-stack", 12, True), ("hj-stack", 11, False),
    ("hj-ambient", 45, True), ("hj-ambient", 44, False),
    ("ghg", 1, True), ("ghg", 0, False),
])  # fmt: skip
def test_a_minute_is_valid_from_the_number_of_readings_its_rule_asks(rule: Rule, count: int, valid: bool) -> None:
    averager = Averager([spec(rule)], START)
    fill(averager, START, count)
    [[average]] = averager.close(START + timedelta(minutes=1))
    assert (average.n, average.valid) == (count, valid)
    assert (Cause.INCOMPLETE in average.quality.causes) is not valid


@given(st.lists(st.floats(-1e4, 1e4), min_size=12, max_size=60))
def test_minute_statistics_are_those_of_numpy(values: list[float]) -> None:
    averager = Averager([spec("hj-stack")], START)
    for i, value in enumerate(values):
        averager.feed(measurement(START + timedelta(seconds=i), value))
    [[average]] = averager.close(START + timedelta(minutes=1))
    assert average.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)
    assert average.sd == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
    assert (average.minimum, average.maximum) == (min(values), max(values))


def test_stale_repeats_and_flagged_readings_stay_out() -> None:
    averager = Averager([spec("ghg")], START)
    averager.feed(measurement(START, 5.0))
    averager.feed(measurement(START + timedelta(seconds=1), 5.0, Cause.STALE))
    averager.feed(measurement(START + timedelta(seconds=2), 900.0, Cause.CALIBRATION))
    [[average]] = averager.close(START + timedelta(minutes=1))
    assert (average.n, average.mean) == (1, 5.0)


def test_an_invalid_minute_shows_why() -> None:
    averager = Averager([spec("hj-stack")], START)
    fill(averager, START, 60, 1.0, Cause.CALIBRATION)
    [[average]] = averager.close(START + timedelta(minutes=1))
    assert average.mean is None
    assert average.quality.causes == {Cause.CALIBRATION, Cause.INCOMPLETE}


def hour(rule: Rule, minutes: list[tuple[int, float]]) -> Average:
    averager = Averager([spec(rule)], START)
    for i, (count, value) in enumerate(minutes):
        for k in range(count):
            averager.feed(measurement(START + timedelta(minutes=i, seconds=k), value))
    return averager.close(START + timedelta(hours=1))[-1][0]


def test_an_hj_hour_is_the_plain_mean_of_valid_minutes_and_a_ghg_hour_is_weighted() -> None:
    minutes = [(60, 10.0)] * 30 + [(20, 40.0)] * 30
    stack, ghg = hour("hj-stack", minutes), hour("ghg", minutes)
    assert (stack.n, stack.mean) == (60, 25.0)
    assert (ghg.n, ghg.mean) == (2400, (60 * 30 * 10 + 20 * 30 * 40) / 2400)
    everything = [10.0] * 1800 + [40.0] * 600
    assert ghg.sd == pytest.approx(np.std(everything, ddof=1))


@pytest.mark.parametrize(("minutes", "valid"), [(45, True), (44, False)])
def test_an_hour_needs_45_minutes_and_shows_its_mean_all_the_same(minutes: int, valid: bool) -> None:
    average = hour("ghg", [(30, 7.0)] * minutes)
    assert (average.valid, average.mean, average.n) == (valid, 7.0, 30 * minutes)


def test_a_day_is_cut_at_midnight_of_china() -> None:
    averager = Averager([spec("hj-stack", 12)], START)
    closed: list[list[Average]] = []
    for i in range(24 * 60):
        fill(averager, START + timedelta(minutes=i), 12)
        closed += averager.close(START + timedelta(minutes=i + 1))
    days = [group[0] for group in closed if group[0].period_s == 86400]
    assert [(d.start, d.n, d.valid) for d in days] == [(START, 24, True)]


def test_no_period_goes_out_twice_when_stamps_go_back() -> None:
    averager = Averager([spec("hj-stack")], START)
    fill(averager, START, 60)
    averager.close(START + timedelta(minutes=1))
    fill(averager, START, 60)
    assert averager.late == 60
    assert averager.close(START + timedelta(minutes=1)) == []


def test_a_restart_in_the_middle_of_an_hour_gives_the_same_hour() -> None:
    whole = Averager([spec("ghg")], START)
    for i in range(60):
        fill(whole, START + timedelta(minutes=i), 20, i)
    groups = whole.close(START + timedelta(hours=1))
    first = [average for group in groups[:25] for average in group]
    resumed = Averager([spec("ghg")], START)
    resumed.restore(first)
    assert resumed.closed_until == START + timedelta(minutes=25)
    for i in range(25, 60):
        fill(resumed, START + timedelta(minutes=i), 20, i)
    assert resumed.close(START + timedelta(hours=1))[-1] == groups[-1]


def test_a_long_stop_writes_no_flood_of_empty_minutes_but_closes_the_open_hour() -> None:
    averager = Averager([spec("ghg")], START)
    for i in range(50):
        fill(averager, START + timedelta(minutes=i), 20)
    averager.close(START + timedelta(minutes=50))
    groups = averager.close(START + timedelta(days=3))
    hours = [g[0] for g in groups if g[0].period_s == 3600 and g[0].mean is not None]
    assert [(h.start, h.n) for h in hours] == [(START, 1000)]
    assert len(groups) < 200


def test_direction_is_averaged_as_unit_vectors_across_north() -> None:
    averager = Averager([spec("ghg", 60, "circular")], START)
    for i, degrees in enumerate([350.0, 10.0] * 20):
        averager.feed(measurement(START + timedelta(seconds=i), degrees))
    [[average]] = averager.close(START + timedelta(minutes=1))
    assert average.mean is not None
    assert min(average.mean, 360 - average.mean) == pytest.approx(0, abs=1e-9)
    assert average.sd == pytest.approx(10.0, rel=0.02)


def test_a_first_start_takes_what_an_instrument_kept_from_before_it() -> None:
    averager = Averager([spec("ghg")], START, resumed=False)
    fill(averager, START - timedelta(minutes=3), 30)
    groups = averager.close(START + timedelta(minutes=1))
    assert (groups[0][0].start, groups[0][0].n) == (START - timedelta(minutes=3), 30)
    assert averager.late == 0
    fill(averager, START - timedelta(minutes=3), 30)
    assert averager.late == 30


@pytest.mark.parametrize(("rule", "valid", "mean"), [
    ("hj-stack", 4, 2.5), ("hj-stack", 3, 2.0), ("ghg", 4, 3.0),
])  # fmt: skip
def test_several_minutes_make_one_mean_by_the_rule_of_the_series(rule: Rule, valid: int, mean: float) -> None:
    """Minutes of 1, 2, 3, 4 with 10, 20, 30, 40 readings: three quarters of five must be valid."""
    averager = Averager([spec(rule)], START)
    for n in range(valid):
        for i in range(10 * (n + 1) if rule == "ghg" else 12):
            averager.feed(measurement(START + timedelta(minutes=n, seconds=i), float(n + 1)))
    minutes = [average for [average] in averager.close(START + timedelta(minutes=5))]
    joined = several_minutes(minutes, START, 5)
    weighted = [1.0] * 10 + [2.0] * 20 + [3.0] * 30 + [4.0] * 40
    expected = float(np.mean(weighted)) if rule == "ghg" else mean
    assert joined.mean == pytest.approx(expected)
    assert (joined.period_s, joined.valid, joined.valid_fraction) == (300, valid == 4, valid / 5)


def test_a_rate_has_an_amount_where_its_period_is_valid_and_a_day_that_of_its_valid_hours() -> None:
    rate = SeriesSpec("stack1.so2_rate", "kg/h", "hj-stack", "mean", 60.0)
    averager = Averager([rate], START)
    for hour in range(24):
        # Hour 5 has 44 valid minutes, all others 60; minute 0 of hour 6 has 11 readings.
        for minute in range(44 if hour == 5 else 60):
            for second in range(11 if (hour, minute) == (6, 0) else 12):
                at = START + timedelta(hours=hour, minutes=minute, seconds=second)
                reading = Reading("stack1", "so2_rate", 18.0 + hour, "kg/h", at)
                averager.feed(Measurement(reading, reading.value))
    closed = [average for several in averager.close(START + timedelta(days=1)) for average in several]
    minutes = {one.start: one for one in closed if one.period_s == 60}
    hours = [one for one in closed if one.period_s == 3600]
    (day,) = [one for one in closed if one.period_s == 86400]
    assert minutes[START].sum == pytest.approx(18.0 / 60)
    assert minutes[START + timedelta(hours=6)].sum is None
    assert hours[5].sum is None
    assert hours[5].mean is not None
    assert hours[6].sum == pytest.approx(24.0)
    assert day.n == 23
    assert day.sum == pytest.approx(sum(18.0 + hour for hour in range(24) if hour != 5))
    assert all(one.sum is None for one in closed if one.mean is None)
