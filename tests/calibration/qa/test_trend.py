"""Trends of checks."""

import pytest

from calibration.qa.trend import mann_kendall, ols, trend

DAYS = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
VALUES = [0.0, 0.11, 0.19, 0.32, 0.40, 0.52, 2.0]


def test_one_strange_value_moves_least_squares_and_not_the_robust_slope() -> None:
    found = trend(DAYS, VALUES)
    assert found.robust is not None
    assert found.least_squares is not None
    assert found.robust.slope == pytest.approx(0.106667, abs=5e-7)
    assert found.least_squares.slope == pytest.approx(0.251071, abs=5e-7)
    assert (found.kendall.s, found.kendall.z) == (21, pytest.approx(3.0038, abs=5e-5))
    assert found.kendall.p == pytest.approx(0.00267, abs=1e-5)
    assert found.robust.low < found.robust.slope < found.robust.high
    assert found.least_squares.low < 0.11 < found.least_squares.high


def test_ties_and_no_trend() -> None:
    """Ties lessen the variance: of 1, 1, 2, 2 it is (156 - 36) / 18 with S = 4."""
    found = mann_kendall([1.0, 1.0, 2.0, 2.0])
    assert (found.s, found.z) == (4, pytest.approx(3 / (120 / 18) ** 0.5))
    assert mann_kendall([1.0, 1.0, 1.0]) == mann_kendall([2.0, 2.0, 2.0])
    assert mann_kendall([5.0] * 4).p == 1.0


def test_an_interval_of_least_squares() -> None:
    """Of (0,1),(1,1),(2,3),(3,3): slope 0.8, residual variance 0.4, t(0.975, 2) 4.303."""
    found = ols([0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 3.0, 3.0])
    assert found is not None
    assert found.slope == pytest.approx(0.8)
    assert found.high - found.slope == pytest.approx(4.3027 * (0.8 / 2 / 5) ** 0.5, rel=1e-4)


def test_too_few_values_say_so() -> None:
    with pytest.raises(ValueError, match="3 are needed"):
        trend([0.0, 1.0], [1.0, 2.0])
    assert trend([0.0, 1.0, 2.0], [1.0, 2.0, 4.0]).robust is None
    assert ols([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
