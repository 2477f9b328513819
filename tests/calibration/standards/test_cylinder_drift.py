"""Drift of certified values over time: worked cases, numpy as the other party, and what is common to certificates."""

import math
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from calibration.fit.student import t_quantile
from calibration.standards.drift import DAYS_PER_YEAR, Certified, drift_fit, parts_on, total
from calibration.standards.value import Value

FIRST = date(2020, 3, 1)


def certified(days: int, value: float, u: float, measured: float | None = None, **more: object) -> Certified:
    found = Value(value, "umol/mol", u, "WMO CO2 X2019", measured, **more)  # type: ignore[arg-type]
    return Certified(FIRST + timedelta(days=days), found, f"certificate {days} {value}")


def by_numpy(history: list[Certified], degree: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients low to high, unscaled covariance, and the weighted mean date."""
    sigma = np.array([one.value.u for one in history])
    days = np.array([one.day.toordinal() for one in history], dtype=float)
    centre = np.average(days, weights=sigma**-2)
    found, covariance = np.polyfit((days - centre) / DAYS_PER_YEAR, [one.value.value for one in history], degree,
                                   w=1 / sigma, cov="unscaled")  # fmt: skip
    return found[::-1], covariance[::-1, ::-1], centre


CASES = {
    # A tank whose CO2 rises a little each year, one that bends, one that only scatters.
    "linear": [(0, 400.00, 0.03, 0.01), (400, 400.11, 0.03, 0.02), (900, 400.21, 0.03, 0.01),
               (1500, 400.35, 0.03, 0.01)],
    "quadratic": [(0, 400.0, 0.02, 0.01), (365, 400.4, 0.02, 0.01), (730, 401.6, 0.02, 0.01), (1100, 403.7, 0.02, 0.03),
                  (1500, 406.9, 0.02, 0.01)],
    "mean": [(0, 400.02, 0.03, 0.02), (300, 399.97, 0.03, 0.02), (800, 400.01, 0.03, 0.02), (1400, 400.0, 0.03, 0.02)],
}  # fmt: skip


@pytest.mark.parametrize("model", CASES)
def test_the_highest_significant_model_is_kept_and_numpy_finds_the_same(model: str) -> None:
    history = [certified(*row) for row in CASES[model]]
    fit = drift_fit(history)
    degree = ("mean", "linear", "quadratic").index(model)
    assert fit.model == model
    beta, covariance, centre = by_numpy(history, degree)
    assert fit.centre == pytest.approx(centre, abs=1e-6)
    assert fit.beta == pytest.approx(beta, rel=1e-9)
    assert np.array(fit.covariance) == pytest.approx(covariance, rel=1e-7)
    day = FIRST + timedelta(days=1700)
    at = np.array([((day.toordinal() - centre) / DAYS_PER_YEAR) ** power for power in range(degree + 1)])
    assert fit.value(day) == pytest.approx(beta @ at, rel=1e-12)
    assert fit.u(day) == pytest.approx(math.sqrt(at @ covariance @ at), rel=1e-7)
    # Every model above the one kept was tried and failed its own test.
    for test in fit.tested[:-1] if model != "mean" else fit.tested:
        assert test.ratio <= test.threshold
    assert total(parts_on(history, fit, day)) == pytest.approx(fit.u(day), rel=1e-9)


def test_thresholds_are_those_of_student() -> None:
    fit = drift_fit([certified(*row) for row in CASES["mean"]])
    assert [(test.model, round(test.threshold, 3)) for test in fit.tested] == [("quadratic", 12.706), ("linear", 4.303)]
    assert t_quantile(0.975, 10) == pytest.approx(2.228, abs=5e-4)


def test_two_certificates_have_no_degree_of_freedom_and_need_a_ratio_of_two() -> None:
    # s(b) of a line through two points with equal u is u sqrt(2) over the time between.
    for step, model in ((2.01, "linear"), (1.99, "mean")):
        fit = drift_fit([certified(0, 400.0, 0.1), certified(500, 400.0 + step * 0.1 * math.sqrt(2), 0.1)])
        assert (fit.model, fit.tested[0].threshold) == (model, 2.0)
        assert fit.tested[0].ratio == pytest.approx(step)


def test_three_distinct_dates_never_give_a_parabola() -> None:
    rows = [(0, 400.0), (0, 400.001), (500, 402.0), (1000, 409.0), (1000, 409.001)]
    fit = drift_fit([certified(day, value, 0.01) for day, value in rows])
    assert fit.model == "linear"
    assert [test.model for test in fit.tested] == ["linear"]


@pytest.mark.parametrize("rows", [[(0, 400.0)], [(0, 400.0), (0, 401.0)], [(0, 400.0), (300, 400.0), (900, 400.0)]])
def test_one_date_or_one_value_is_a_mean(rows: list[tuple[int, float]]) -> None:
    fit = drift_fit([certified(day, value, 0.05) for day, value in rows])
    assert (fit.model, fit.tested) == ("mean", ())
    assert fit.value(FIRST) == pytest.approx(sum(value for _, value in rows) / len(rows))
    assert fit.u(FIRST) == pytest.approx(0.05 / math.sqrt(len(rows)))


def test_a_repeat_spread_stands_in_where_the_measurement_has_no_uncertainty() -> None:
    one, other = certified(0, 400.0, 0.03, 0.04), certified(0, 400.0, 0.03, repeat_sd=0.04)
    assert one.value.u == other.value.u == pytest.approx(0.05)
    assert certified(0, 400.0, 0.03, 0.0, repeat_sd=0.04).value.u == pytest.approx(0.03), "known to be nothing"


def test_certificates_without_uncertainty_weigh_the_same_and_a_single_one_stays_exact() -> None:
    assert drift_fit([certified(0, 0.0, 0.0)]).u(FIRST) == pytest.approx(0.0, abs=1e-12)
    assert drift_fit([certified(0, 1.0, 0.0), certified(0, 3.0, 0.0)]).value(FIRST) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no certificate"):
        drift_fit([])


def test_what_certificates_share_does_not_average_out() -> None:
    shared = {"scale WMO CO2 X2019": 0.03}
    history = [certified(day, 400.0 + 0.01 * day, 0.05, shares=shared) for day in (0, 400, 800, 1200)]
    fit = drift_fit(history)
    day = FIRST + timedelta(days=600)
    alone = math.sqrt(0.05**2 - 0.03**2)
    weights = fit.weights(day)
    assert math.fsum(weights) == pytest.approx(1.0)
    assert total(parts_on(history, fit, day)) == pytest.approx(
        math.hypot(0.03, alone * math.sqrt(math.fsum(one * one for one in weights)))
    )
    assert total(parts_on(history, fit, day)) > fit.u(day)


def test_the_order_of_certificates_makes_no_difference() -> None:
    history = [certified(*row) for row in CASES["quadratic"]]
    fits = [drift_fit(history[k:] + history[:k]) for k in range(len(history))]
    for one, other in pairwise(fits):
        assert one.beta == pytest.approx(other.beta, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "u"), [(1e300, 0.1), (420.0, 1e300), (420.0, 5e-324), (float("nan"), 0.1), (1.0, -1.0)]
)
def test_numbers_that_no_certificate_states_are_refused(value: float, u: float) -> None:
    with pytest.raises(ValueError, match="numbers of a certificate"):
        certified(0, value, u)
