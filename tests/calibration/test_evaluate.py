from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy import api

from calibration.drift import drift, drift_percent
from calibration.evaluate import FitError, Point, Sample, SpanPoint, TargetPoint, ZeroPoint, doubts, point, two_point
from calibration.evaluate import window as window_of
from calibration.qa.rules import DEFAULT
from calibration.sequence import Assigned, Cylinder, Injection, Role
from metrology.units import UnitError

HJ75 = DEFAULT["regulated"]


def found(
    role: Role, assigned: float, values: list[float], stdev_max: float | None = None, unit: str = "umol/mol"
) -> Point:
    gas = Cylinder(role, "N", "cert", date(2027, 1, 1), {"co2": Assigned(assigned, "umol/mol", 0.1, "WMO CO2 X2019")})
    limits_ = {} if stdev_max is None else {"co2": stdev_max}
    injection = Injection(gas, "p", {"co2": role}, 0, 60, limits_)
    return point(injection, "co2", [Sample(float(n), value, unit) for n, value in enumerate(values)])


def zero(assigned: float, *values: float, stdev_max: float | None = None) -> ZeroPoint:
    one = found("zero", assigned, list(values), stdev_max)
    assert isinstance(one, ZeroPoint)
    return one


def span(assigned: float, *values: float) -> SpanPoint:
    one = found("span", assigned, list(values))
    assert isinstance(one, SpanPoint)
    return one


def test_statistics_of_a_window() -> None:
    result = window_of([Sample(t, v, "ppm") for t, v in [(0, 1.0), (30, 2.0), (60, 3.0)]])
    assert (result.n, result.mean, result.sd, result.slope_per_min) == (3, 2.0, 1.0, 2.0)
    assert window_of([]) == window_of([])
    assert window_of([]).mean is None
    one = window_of([Sample(0, 5.0, "ppm")])
    assert (one.n, one.mean, one.sd, one.slope_per_min) == (1, 5.0, None, None)
    same_time = window_of([Sample(0, 5.0, "ppm"), Sample(0, 6.0, "ppm")])
    assert same_time.slope_per_min is None


def test_two_points_against_the_reference_vector() -> None:
    """Readings 400 and 600 on 402 and 604: slope 1.01, offset -2; 450 becomes 452.5."""
    fit = two_point(zero(402, 400, 400), span(604, 600, 600))
    assert fit.slope == pytest.approx(1.01, abs=1e-12)
    assert -fit.zero * fit.slope == pytest.approx(-2.0, abs=1e-9)
    assert (450 - fit.zero) * fit.slope == pytest.approx(452.5, abs=1e-9)


@given(
    low=st.floats(0, 400), width=st.floats(10, 2000), gain=st.floats(0.5, 2), offset=st.floats(-50, 50)
)  # fmt: skip
def test_a_fit_undoes_any_linear_instrument(low: float, width: float, gain: float, offset: float) -> None:
    def indicated(true: float) -> float:
        return true * gain + offset

    fit = two_point(zero(low, *[indicated(low)] * 2), span(low + width, *[indicated(low + width)] * 2))
    true = low + width / 3
    assert (indicated(true) - fit.zero) * fit.slope == pytest.approx(true, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("zero_values", "span_values", "why"),
    [
        ([], [600, 600], "no usable reading"),
        ([400], [600, 600], "unstable"),
        ([400, 400], [400, 400], "do not differ"),
        ([400, 410], [600, 600], "unstable"),
    ],
)
def test_points_that_define_no_line(zero_values: list[float], span_values: list[float], why: str) -> None:
    with pytest.raises(FitError, match=why):
        two_point(zero(402, *zero_values, stdev_max=1.0), span(604, *span_values))


def test_stability_is_by_the_limit_inclusive() -> None:
    assert zero(0, 1, 2, 3, stdev_max=1.0).stable
    assert not zero(0, 1, 2, 3, stdev_max=0.99).stable


def test_a_fit_far_off_needs_a_person() -> None:
    assert doubts(two_point(zero(0, 1, 1), span(200, 201, 201)), 200) == []
    assert "slope" in doubts(two_point(zero(0, 0, 0), span(200, 150, 150)), 200)[0]
    assert "offset" in doubts(two_point(zero(0, 20, 20), span(200, 220, 220)), 200)[0]


def test_a_target_gas_cannot_be_fitted(tmp_path: Path) -> None:
    """Kept by type: the checker refuses the call."""
    assert isinstance(found("target", 421.3, [421, 421]), TargetPoint)
    program = tmp_path / "fits_target.py"
    program.write_text(
        "from calibration.evaluate import SpanPoint, TargetPoint, two_point\n"
        "def f(t: TargetPoint, s: SpanPoint) -> None:\n    two_point(t, s)\n"
    )
    out, _, code = api.run(["--strict", str(program)])
    assert code == 1
    assert 'has incompatible type "TargetPoint"; expected "ZeroPoint"' in out


def test_certificate_and_readings_in_different_units() -> None:
    converted = found("span", 0.4, [400.0, 400.0], unit="nmol/mol")
    assert converted.assigned.value == pytest.approx(400.0)
    assert converted.assigned.unit == "nmol/mol"
    with pytest.raises(UnitError, match="molar mass"):
        found("span", 400, [1.0], unit="mg/m3")


def test_drift_against_the_reference_vector() -> None:
    """R 200: zero read 1.2 is 0.60 %, span 160 read 161.5 is 0.75 %."""
    assert drift_percent([1.2], 0.0, 200) == pytest.approx(0.60)
    assert drift_percent([161.5], 160.0, 200) == pytest.approx(0.75)
    assert drift_percent([0.5, -2.0, 1.0], 0.0, 100) == pytest.approx(-2.0)
    with pytest.raises(ValueError, match="above 0"):
        drift_percent([1.0], 0.0, 0.0)


@pytest.mark.parametrize(
    ("reading", "verdict"), [(5.0, "pass"), (-5.0, "pass"), (5.2, "adjust"), (10.0, "adjust"), (10.2, "out-of-control")]
)
def test_zero_drift_is_judged_by_a_limit_that_says_it_is_unverified(reading: float, verdict: str) -> None:
    result = drift(zero(0, reading, reading), 200, HJ75)
    assert result.verdict == verdict
    assert result.rules is not None
    assert not result.rules.verified
    assert "HJ 75" in result.rules.source


def test_span_drift_may_be_larger_before_it_is_out_of_control() -> None:
    assert drift(span(160, 178, 178), 200, HJ75).verdict == "adjust"
    assert drift(span(160, 181, 181), 200, HJ75).verdict == "out-of-control"
