import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.fit.odr import odr
from calibration.fit.polynomial import FitError, Pair, fit, mend
from calibration.fit.student import chi_square_quantile, t_quantile
from calibration.fit.york import york

# Pearson's data with York's weights, as printed in York 1966 and York et al. 2004.
X = [0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4]
Y = [5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5]
WX = [1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1]
WY = [1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500]
PEARSON = [Pair(x, y, a**-0.5, b**-0.5) for x, y, a, b in zip(X, Y, WX, WY, strict=True)]


def test_york_gives_the_published_line() -> None:
    line = york(PEARSON)
    assert round(line.intercept, 10) == 5.4799102240
    assert round(line.slope, 10) == -0.4805334074
    assert (round(line.u_intercept, 7), round(line.u_slope, 7)) == (0.2949707, 0.0579850)
    assert round(line.covariance, 7) == -0.0164725
    assert (round(line.s, 7), line.dof) == (11.8663532, 8)


def test_gauss_newton_gives_yorks_line_and_covariance() -> None:
    found = fit(PEARSON)
    assert [round(one, 10) for one in found.beta] == [5.4799102240, -0.4805334074]
    assert round(math.sqrt(found.covariance[0][0]), 7) == 0.2949707
    assert round(found.covariance[0][1], 7) == -0.0164725
    assert found.chi_square == pytest.approx(11.8663532, abs=1e-7)


def test_plain_lines_of_the_same_data() -> None:
    weighted = fit(PEARSON, errors_in_x=False)
    assert [round(one, 7) for one in weighted.beta] == [6.1001093, -0.6108130]
    plain = fit([Pair(x, y, 0.0, 1.0) for x, y in zip(X, Y, strict=True)])
    assert [round(one, 7) for one in plain.beta] == [5.7611852, -0.5395773]


@pytest.mark.parametrize("degree", [1, 2])
def test_the_library_agrees(degree: int) -> None:
    beta, covariance = odr(PEARSON, degree)
    found = fit(PEARSON, degree)
    assert found.beta == pytest.approx(beta, rel=1e-4)
    for row, other in zip(found.covariance, covariance, strict=True):
        assert row == pytest.approx(other, rel=1e-4)


def test_covariance_is_that_of_assigned_values_and_that_of_readings() -> None:
    found = fit(PEARSON, 2)
    for whole, y, x in zip(found.covariance, found.from_y, found.from_x, strict=True):
        assert [a + b for a, b in zip(y, x, strict=True)] == pytest.approx(whole, rel=1e-8)


def test_correlated_errors_change_the_line() -> None:
    assert york(PEARSON, [0.5] * 10).slope != york(PEARSON).slope


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3, unique=True).filter(
        lambda x: min(abs(a - b) for a in x for b in x if a is not b) > 1.0
    ),
    st.floats(-500, 500),
    st.floats(0.5, 2.0),
    st.floats(-1e-3, 1e-3),
    st.floats(-5e3, 5e3),
)
def test_points_on_a_curve_give_the_curve_wherever_it_lies(
    x: list[float], a: float, b: float, c: float, shift: float
) -> None:
    def curve(at: float) -> float:
        return a + b * at + c * at * at

    found = fit([Pair(one + shift, curve(one), 0.0, 0.1) for one in x], 2)
    for one in x:
        assert found.correct(one + shift) == pytest.approx(curve(one), abs=1e-4)
    assert found.residual_sd == 0.0
    assert found.dof == 0


@pytest.mark.parametrize(
    ("pairs", "degree", "why"),
    [
        ([Pair(1, 1, 0, 1)], 1, "1 points for 2"),
        ([Pair(1, 1, 0, 1), Pair(1, 2, 0, 1), Pair(1, 3, 0, 1)], 1, "different x"),
        ([Pair(1, 1, 0, 1), Pair(2, math.nan, 0, 1)], 1, "finite"),
        ([Pair(1, 1, 0, 0), Pair(2, 2, 0, 1)], 1, "uncertainty"),
        ([Pair(1, 1, 0, 1), Pair(2, 2, 0, 1)], 2, "2 points for 3"),
        ([Pair(1, 1, 0, 1), Pair(2, 2, 0, 1)], 3, "degree 3"),
    ],
)
def test_what_gives_no_fit_says_why(pairs: list[Pair], degree: int, why: str) -> None:
    with pytest.raises(FitError, match=why):
        fit(pairs, degree)


def test_york_refuses_what_is_without_error() -> None:
    with pytest.raises(FitError, match="both"):
        york([Pair(1, 1, 0, 1), Pair(2, 2, 0, 1)])


def test_zero_uncertainties_are_mended() -> None:
    assert mend([0.0, 2.0, 4.0], [1, 1, 1], 0.1) == [3.0, 2.0, 4.0]
    assert mend([0.0, 0.0, 0.0], [-19.5, 0.0, 400.0], 0.01) == [0.0195, 0.01, 0.4]


def test_quantiles() -> None:
    printed = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
    assert [round(t_quantile(0.975, dof), 3) for dof in range(1, 11)] == printed
    assert t_quantile(0.025, 5) == -t_quantile(0.975, 5)
    assert t_quantile(0.975, 1e6) == pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-5)
    # Abramowitz and Stegun 1964, table 26.8.
    assert [round(chi_square_quantile(0.95, dof), 3) for dof in (1, 2, 10, 30)] == [3.841, 5.991, 18.307, 43.773]
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(1.0, 3)
