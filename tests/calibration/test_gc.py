"""Chromatograph peaks bracketed by standards: worked numbers, drift, gaps, bad peaks, honest uncertainty."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.gc.bracket import GcRules, bracket, repeatability
from calibration.gc.peaks import Peak, PeakLimits
from calibration.sequence import Assigned

SCALE = "WMO CH4 X2004A"


def assigned(value: float, u: float = 0.0) -> Assigned:
    return Assigned(value, "nmol/mol", u, SCALE)


def peak(at_s: float, gas: str | None, height: float, **more: float | str | None) -> Peak:
    return Peak(at_s, gas, height, height * 10, 60.0, **more)  # type: ignore[arg-type]


def test_one_standard_on_both_sides() -> None:
    peaks = [peak(0, "R", 1.000e6), peak(600, None, 1.02e6), peak(1200, "R", 1.004e6)]
    (found,) = bracket(peaks, {"R": assigned(1900)}, GcRules())
    assert found.value == pytest.approx(1934.1317, abs=5e-5)
    assert not found.flagged
    assert found.sides == {"R": "both"}


def test_two_standards_give_a_line_and_three_a_parabola() -> None:
    two = [peak(0, "L", 5000), peak(600, None, 7000), peak(1200, "H", 9800)]
    (found,) = bracket(two, {"L": assigned(100), "H": assigned(200)}, GcRules())
    assert found.value == pytest.approx(141.6667, abs=5e-5)
    assert found.flagged
    three = [peak(0, "L", 5000), peak(1, "M", 7500), peak(2, "H", 9900), peak(600, None, 7000)]
    standards = {"L": assigned(100), "M": assigned(150), "H": assigned(200)}
    (found,) = bracket(three, standards, GcRules())
    assert found.value == pytest.approx(139.8299, abs=5e-5)
    (gone,) = bracket(three[1:], standards, GcRules())
    assert gone.value is None
    assert gone.why == "no response of L in reach"


def test_the_response_is_interpolated_in_time_where_it_drifts() -> None:
    peaks = [peak(0, "R", 1000), peak(300, None, 1050), peak(1200, "R", 1200)]
    standards = {"R": assigned(100)}
    assert bracket(peaks, standards, GcRules())[0].value == pytest.approx(100.0)
    assert bracket(peaks, standards, GcRules(between="mean"))[0].value == pytest.approx(100 * 1050 / 1100)


@pytest.mark.parametrize(("kept", "side"), [((0, 1), "before"), ((1, 2), "after")])
def test_a_standard_on_one_side_is_used_and_said(kept: tuple[int, int], side: str) -> None:
    peaks = [peak(0, "R", 1000), peak(600, None, 1100), peak(1200, "R", 1000)]
    (found,) = bracket([peaks[i] for i in kept], {"R": assigned(100)}, GcRules())
    assert found.value == pytest.approx(110.0)
    assert (found.flagged, dict(found.sides)) == (True, {"R": side})


def test_area_and_a_curve() -> None:
    peaks = [peak(0, "R", 1000), peak(600, None, 1100), peak(1200, "R", 1000)]
    rules = GcRules(quantity="area", curve=(0.0, 0.9, 0.1))
    assert bracket(peaks, {"R": assigned(100)}, rules)[0].value == pytest.approx(100 * (0.9 * 1.1 + 0.1 * 1.21))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"baseline": "FF"}, "peak: baseline"),
        ({"baseline": "B"}, "peak: baseline"),
        ({"width_s": 9.0}, "peak: width"),
        ({"flow_mL_min": 3.0}, "peak: flow"),
    ],
)
def test_a_bad_sample_peak_gives_no_value_and_the_reason(bad: dict[str, float | str], why: str) -> None:
    whole: dict[str, float | str] = {"baseline": "BB", "width_s": 5.0, "flow_mL_min": 30.0}
    limits = PeakLimits(width_change=0.2, flow_min_mL_min=20.0)
    peaks = [peak(0, "R", 1000, **whole), peak(600, None, 1000, **{**whole, **bad}), peak(1200, "R", 1000, **whole)]
    (found,) = bracket(peaks, {"R": assigned(100)}, GcRules(limits=limits))
    assert (found.value, found.why) == (None, why)


def test_a_standard_that_stands_out_is_left_out_of_the_bracket() -> None:
    heights = [1000, 1001, 1600, 999, 1000]
    peaks = [peak(1200.0 * i, "R", height) for i, height in enumerate(heights)] + [peak(3000, None, 1000)]
    rules = GcRules(limits=PeakLimits(spread=0.05))
    (found,) = bracket(peaks, {"R": assigned(100)}, rules)
    assert found.value == pytest.approx(100.0, abs=0.11)


def test_standards_that_do_not_fit_together_are_refused() -> None:
    peaks = [peak(0, "R", 1000), peak(600, None, 1000)]
    with pytest.raises(ValueError, match="no assigned value for R"):
        bracket(peaks, {"S": assigned(100)}, GcRules())
    with pytest.raises(ValueError, match="units or scales"):
        bracket(peaks, {"R": assigned(100), "S": Assigned(100, "nmol/mol", 0, "another")}, GcRules())
    with pytest.raises(ValueError, match="one to 3"):
        bracket(peaks, {}, GcRules())


def test_stated_intervals_cover_the_truth() -> None:
    rng = random.Random(11)
    inside = samples = 0
    for _ in range(300):
        error = rng.gauss(0, 1.0)
        slope = rng.uniform(-2e-6, 2e-6)
        peaks = []
        for i in range(41):
            gas = "R" if i % 2 == 0 else None
            truth = (1900 + error) if gas else 1950.0
            peaks.append(peak(1200.0 * i, gas, truth * 500 * (1 + slope * 1200 * i) * rng.gauss(1, 0.001)))
        for found in bracket(peaks, {"R": assigned(1900, 1.0)}, GcRules()):
            assert found.value is not None
            inside += abs(found.value - 1950.0) <= 1.96 * found.budget.total
            samples += 1
    assert 0.92 < inside / samples < 0.97


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=12), st.integers(0, 3))
def test_any_heights_give_a_value_or_a_reason(heights: list[float], kind: int) -> None:
    gases = ["R", None, "S", None]
    peaks = [peak(600.0 * i, gases[(i + kind) % 4], height) for i, height in enumerate(heights)]
    found = bracket(peaks, {"R": assigned(100, 1), "S": assigned(200, 1)}, GcRules())
    assert len(found) == sum(one.gas is None for one in peaks)
    assert all((one.value is None) == (one.why is not None) for one in found)


def test_repeatability_needs_three_injections_and_ignores_drift() -> None:
    two = [peak(0, "R", 1000.0), peak(1, "R", 1100.0)]
    assert repeatability(two, "height") is None
    assert repeatability([*two, peak(2, "R", 1210.0)], "height") == pytest.approx(0.0, abs=1e-12)
