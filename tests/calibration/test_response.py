"""The response from one run: York's line through gases with certificates, and what keeps it from being adopted."""

from dataclasses import replace

import pytest

from calibration.evaluate import FitError, SpanPoint, TargetPoint, Window, ZeroPoint
from calibration.fit.polynomial import Pair
from calibration.fit.york import york
from calibration.response import curve, doubts_of, is_curve
from calibration.sequence import Assigned

SCALE = "WMO CO2 X2019"


def span(name: str, reading: float, assigned: float, u: float = 0.02, sd: float = 0.05, n: int = 25) -> SpanPoint:
    return SpanPoint("co2", name, Assigned(assigned, "umol/mol", u, SCALE), Window(n, reading, sd, 0.0), None)


FOUR = [span("a", 379.9, 380.3), span("b", 419.7, 420.1), span("c", 460.4, 460.7), span("d", 500.1, 500.6)]


def test_a_line_through_four_gases_is_york_s_with_errors_of_the_mean_and_of_the_certificate() -> None:
    found = curve(FOUR, 1)
    line = york([Pair(one.reading, one.assigned.value, 0.05 / 5, 0.02) for one in FOUR])
    assert found.fit.beta == pytest.approx((line.intercept, line.slope), rel=1e-8)
    assert found.fit.covariance[1][1] ** 0.5 == pytest.approx(line.u_slope, rel=1e-6)
    assert found.model == "linear"
    assert doubts_of(found, 1000.0, None) == []
    fields = found.fields({"a": "A1", "b": "B2", "c": "C3", "d": "D4"})
    assert [row["number"] for row in fields["points"]] == ["A1", "B2", "C3", "D4"]
    assert [row["residual"] for row in fields["points"]] == pytest.approx(
        [one.assigned.value - found.fit.correct(one.reading) for one in FOUR]
    )


def test_a_parabola_is_told_from_its_points() -> None:
    points = [span(str(x), x, 1.5 + 0.98 * x + 4e-5 * x * x) for x in (300.0, 380.0, 430.0, 520.0)]
    found = curve(points, 2)
    assert found.model == "quadratic"
    assert found.fit.beta == pytest.approx((1.5, 0.98, 4e-5), rel=1e-6)
    # The slope at 520 is 1.0216, at 300 it is 1.004: both within what is adopted without a person.
    assert doubts_of(found, 1000.0, None) == []


def test_two_gases_make_no_curve_however_often_they_came() -> None:
    assert not is_curve([FOUR[0], FOUR[1], FOUR[0], FOUR[1]])
    assert is_curve(FOUR[:3])


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([replace(FOUR[0], window=Window(3, 380.0, None, None)), *FOUR[1:]], "unstable"),
        ([replace(FOUR[0], doubt="not steady after 300 s"), *FOUR[1:]], "not steady after 300 s"),
        ([replace(FOUR[0], assigned=Assigned(380.0, "umol/mol", 0.1, "WMO CO2 X2007")), *FOUR[1:]], "different scales"),
        ([replace(FOUR[0], assigned=Assigned(380.0, "nmol/mol", 0.1, SCALE)), *FOUR[1:]], "umol/mol"),
        ([span(one.cylinder, 400.0, one.assigned.value) for one in FOUR], "different x"),
    ],
)
def test_points_that_make_no_curve_say_why(points: list[SpanPoint], why: str) -> None:
    with pytest.raises(FitError, match=why):
        curve(points, 1)


def test_a_gas_free_of_what_is_measured_is_zero_on_every_scale() -> None:
    zero = ZeroPoint("co2", "n2", Assigned(0.0, "umol/mol", 0.1, "GBW(E) 060000"), Window(20, 0.2, 0.05, 0.0), None)
    assert curve([zero, *FOUR], 1).fit.beta[1] == pytest.approx(1.0, abs=0.01)


def test_certificates_without_an_uncertainty_still_make_a_line() -> None:
    points = [replace(one, assigned=replace(one.assigned, uncertainty=0.0)) for one in FOUR]
    assert curve(points, 1).fit.beta[1] == pytest.approx(curve(FOUR, 1).fit.beta[1], abs=1e-3)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([span("a", 380.0, 380.0), span("b", 420.0, 440.0), span("c", 460.0, 500.0)], "slope 1.5"),
        ([span("a", 380.0, 440.0), span("b", 420.0, 480.0), span("c", 460.0, 520.0)], "offset at the lowest gas is 6"),
        ([span("a", 380.0, 380.0), span("b", 420.0, 440.0), span("c", 460.0, 460.0)], "gas b lies 13"),
    ],
)
def test_a_curve_that_needs_a_person_says_why(points: list[SpanPoint], why: str) -> None:
    assert any(why in one for one in doubts_of(curve(points, 1), 1000.0, None))


def test_a_site_s_own_limit_for_residuals_holds() -> None:
    found = curve(FOUR, 1)
    worst = max(abs(one) for one in found.fit.residuals)
    assert doubts_of(found, 1000.0, worst * 1.01) == []
    assert len(doubts_of(found, 1000.0, worst * 0.99)) == 1


def test_a_target_is_no_point_of_a_curve_by_its_type() -> None:
    assert not issubclass(TargetPoint, ZeroPoint | SpanPoint)
