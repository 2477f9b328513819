"""Figures of the performance test, against numbers worked by hand and against simulated truth."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.fit.polynomial import Pair
from calibration.fit.york import york as york_line
from calibration.qa.performance.gases import (
    Level,
    detection_limit,
    drift,
    linearity,
    pooled,
    repeatability,
    response,
)
from calibration.qa.performance.limits import TESTS, Limit, Outcome, judge, table
from calibration.qa.performance.reference import comparison, paired, rata

HOUR = 3600.0
DAY = 24 * HOUR


def test_repeatability_is_the_sample_deviation_and_a_detection_limit_three_of_them() -> None:
    found = repeatability([99.0, 100.0, 101.0])
    assert (found.n, found.mean, found.sd, found.percent) == (3, 100.0, 1.0, 1.0)
    assert repeatability([-1.0, 1.0]).percent is None
    assert detection_limit(0.1) == pytest.approx(0.3)


def test_steady_readings_of_several_days_are_pooled_about_their_own_means() -> None:
    found = pooled([[10.0, 11.0, 12.0], [20.0, 21.0, 22.0], [30.0]])
    assert found is not None
    assert (found.n, found.sd, found.mean) == (6, pytest.approx(1.0), pytest.approx(16.0))
    assert pooled([[1.0], [2.0]]) is None


def test_indication_error_of_scale_and_of_gas() -> None:
    """HJ: full scale 200, span gas 160 read as 161.5 is 0.75 % of full scale and 0.94 % of the gas."""
    level = Level(6, 160.0, 161.5)
    assert level.percent_of_scale(200.0) == pytest.approx(0.75)
    assert level.percent_of_gas == pytest.approx(0.9375)
    assert Level(6, 0.0, 1.2).percent_of_gas is None
    assert Level(6, 0.0, 1.2).percent_of_scale(200.0) == pytest.approx(0.60)


def test_linearity_needs_three_amounts_and_tells_the_largest_residual() -> None:
    levels = [Level(3, a, m) for a, m in ((0.0, 0.0), (50.0, 51.0), (100.0, 100.0))]
    found = linearity(levels)
    assert found is not None
    assert (found.slope, found.intercept) == (pytest.approx(1.0), pytest.approx(1 / 3))
    assert found.worst == pytest.approx(2 / 3)
    assert found.r2 == pytest.approx(1 - (2 / 3) / (15002 / 3), rel=1e-3)
    assert linearity(levels[:2]) is None


@pytest.mark.parametrize(("before", "after"), [(0.0, 100.0), (100.0, 0.0), (20.0, -5.0)])
def test_the_response_of_a_first_order_analyzer_behind_a_line(before: float, after: float) -> None:
    """Delay 10 s, time constant 20 s: 10 % after 10 + 20 ln(1/0.9), 90 % after 10 + 20 ln 10."""
    times = [float(t) for t in range(-60, 300)]
    values = [before if t < 10 else after + (before - after) * math.exp(-(t - 10) / 20.0) for t in times]
    found = response(times, values, 0.0, before, after)
    assert found is not None
    assert found.t90_s == pytest.approx(10 + 20 * math.log(10), abs=0.05)
    assert found.lag_s == pytest.approx(10 + 20 * math.log(1 / 0.9), abs=0.1)
    assert found.transit_s == pytest.approx(20 * math.log(9), abs=0.15)
    assert found.rising is (after > before)
    assert response(times[:65], values[:65], 0.0, before, after) is None


def test_drift_over_a_day_and_a_week_is_the_largest_change_of_that_span() -> None:
    readings = [(day * DAY + shift, value) for day, shift, value in (
        (0, 0.0, 1.0), (1, 600.0, 1.4), (2, -600.0, 1.2), (3, 0.0, 2.2), (7, 0.0, 0.5), (8, 0.0, 0.7),
    )]  # fmt: skip
    day, week = drift(readings, DAY), drift(readings, 7 * DAY)
    assert day is not None
    assert week is not None
    assert (day.change, day.second_s, day.pairs) == (pytest.approx(1.0), 3 * DAY, 4)
    assert (week.change, week.pairs) == (pytest.approx(-0.7), 2)
    assert day.percent(200.0) == pytest.approx(0.5)
    assert drift(readings[:1], DAY) is None


def test_relative_accuracy_worked_by_hand() -> None:
    """Nine runs, d of mean 1.0 and standard deviation 0.75; t(0.975, 8) = 2.306."""
    differences = [0.0, 0.5, 1.0, 1.5, 2.0, 0.0, 1.0, 2.0, 1.0]
    pairs = [(100.0, 100.0 - d) for d in differences]
    found = rata(pairs)
    assert found is not None
    assert (found.n, found.difference, found.sd) == (9, pytest.approx(1.0), pytest.approx(0.75))
    assert found.confidence == pytest.approx(2.306 * 0.75 / 3, rel=1e-4)
    assert found.percent == pytest.approx(1.0 + 2.306 * 0.25, rel=1e-4)
    assert found.relative_error == pytest.approx(1.0)
    assert found.biased_low
    assert found.adjustment_factor == pytest.approx(1 + 1.0 / 99.0)
    turned = rata([(b, a) for a, b in pairs])
    assert turned is not None
    assert not turned.biased_low
    assert turned.adjustment_factor == 1.0
    assert rata(pairs[:2]) is None


def test_a_comparison_instrument_is_interpolated_between_neighbours_within_the_tolerance() -> None:
    times, values = [0.0, 30.0, 60.0, 90.0, 400.0, 1000.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    beside_times, beside = [0.0, 60.0, 120.0, 700.0], [10.0, 20.0, 40.0, 50.0]
    assert list(paired(times, values, beside_times, beside, 60.0)) == [
        (10.0, 1.0), (15.0, 2.0), (20.0, 3.0), (30.0, 4.0),
    ]  # fmt: skip
    assert [pair[1] for pair in paired(times, values, beside_times, beside, 25.0)] == [1.0, 3.0]


def test_bias_spread_and_line_of_a_comparison() -> None:
    pairs = [(float(x), 1.05 * x + 2.0) for x in range(10, 60, 5)]
    found = comparison(*columns(pairs), 0.5, 0.5)
    assert found is not None
    assert (found.slope, found.intercept, found.r2) == (pytest.approx(1.05), pytest.approx(2.0), pytest.approx(1.0))
    assert found.errors is not None
    mean = sum(b - a for a, b in pairs) / len(pairs)
    assert found.bias == pytest.approx(mean)
    assert found.rmse**2 == pytest.approx(mean**2 + found.sd**2 * (len(pairs) - 1) / len(pairs))
    flat = comparison([5.0] * 3, [5.1, 5.2, 5.3])
    assert flat is not None
    assert (flat.slope, flat.r2, flat.errors) == (None, None, None)


def test_errors_in_the_reference_flatten_least_squares_and_not_yorks_line() -> None:
    source = random.Random(7)
    truth = [source.uniform(0, 10) for _ in range(2000)]
    pairs = [(t + source.gauss(0, 2), t + source.gauss(0, 0.5)) for t in truth]
    plain, york = comparison(*columns(pairs)), comparison(*columns(pairs), 2.0, 0.5)
    assert plain is not None
    assert york is not None
    assert plain.slope == pytest.approx(8.333 / (8.333 + 4), rel=0.05)
    assert york.slope == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize(("u_x", "u_y"), [(1.0, 1.0), (0.3, 2.0), (4.0, 0.1)])
def test_the_closed_form_is_yorks_line(u_x: float, u_y: float) -> None:
    source = random.Random(11)
    pairs = [(x + source.gauss(0, u_x), 3.0 - 0.8 * x + source.gauss(0, u_y)) for x in range(0, 40)]
    ours = comparison(*columns(pairs), u_x, u_y)
    theirs = york_line([Pair(x, y, u_x, u_y) for x, y in pairs])
    assert ours is not None
    assert (ours.slope, ours.intercept) == (pytest.approx(theirs.slope), pytest.approx(theirs.intercept))
    assert ours.errors == (pytest.approx(theirs.u_slope, rel=1e-6), pytest.approx(theirs.u_intercept, rel=1e-6))


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def outcome(**changes: object) -> Outcome:
    given = {
        "test": "indication-error", "series": "cems.so2", "measurand": "so2", "about": "g", "unit": "mg/m3", "n": 3,
        "figures": {"percent_gas": 3.0, "percent_scale": 2.0, "absolute": 4.0}, "full_scale": 200.0, "mean": 150.0,
    }  # fmt: skip
    return Outcome(**{**given, **changes})  # type: ignore[arg-type]


def test_limits_follow_range_and_concentration_across_units() -> None:
    """286 mg/m3 of SO2 are 100 umol/mol (64.06 g/mol, 22.4 L/mol): from there on the gas counts, not the scale."""
    for scale, basis in ((285.0, "percent_scale"), (287.0, "percent_gas")):
        found = judge(outcome(full_scale=scale), "hj76")
        assert found.limit is not None
        assert found.limit.basis == basis
    figures = {"percent_rata": 12.0, "absolute": -30.0, "percent_error": -10.0}
    for mean, basis, verdict in ((800.0, "percent_rata", "pass"), (300.0, "absolute", "pass"),
                                 (100.0, "percent_error", "pass"), (20.0, "absolute", "fail")):  # fmt: skip
        found = judge(outcome(test="accuracy", mean=mean, figures=figures), "hj76")
        assert found.limit is not None
        assert (found.limit.basis, found.verdict) == (basis, verdict)
        assert not found.limit.verified


def test_a_site_comes_first_and_nothing_is_judged_without_a_limit() -> None:
    own = [Limit("indication-error", "absolute", 3.9, "filing", True, unit="mg/m3")]
    found = judge(outcome(), "hj76", own)
    assert (found.verdict, found.bound) == ("fail", 3.9)
    assert judge(outcome(), None).verdict == "no-limit"
    assert judge(outcome(figures={}, why="few"), "hj76").verdict == "not-tested"
    straight = [Limit("linearity", "r2", 0.999, "filing", True)]
    assert judge(outcome(test="linearity", figures={"r2": 0.9991}), None, straight).verdict == "pass"
    assert judge(outcome(test="linearity", figures={"r2": 0.998}), None, straight).verdict == "fail"


def test_every_row_of_limits_names_a_test_and_a_source() -> None:
    assert {row.test for row in table()} <= set(TESTS)
    assert all(row.source for row in table())
    assert not [row for row in table() if row.verified], "say in docs/qa.md which rows were seen"


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30), st.floats(-100, 100), st.floats(0.1, 50))
def test_a_shift_moves_the_bias_and_nothing_else(values: list[float], shift: float, tolerance: float) -> None:
    times = [60.0 * n for n in range(len(values))]
    pairs = list(paired(times, [v + shift for v in values], times, values, tolerance))
    found = comparison(*columns(pairs))
    assert found is not None
    assert found.n == len(values)
    assert found.bias == pytest.approx(shift, abs=1e-6)
    assert found.sd == pytest.approx(0.0, abs=1e-6)
