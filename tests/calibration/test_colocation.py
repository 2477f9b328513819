"""Micro-sensors beside a reference: the truth found again, terms only where they are, honest intervals."""

import math
import random

import numpy as np
import pytest

from calibration.colocation import Together, colocate
from calibration.fit.linear import FitError


def side_by_side(
    seed: int, days: int = 14, k_T: float = 0.0, k_RH: float = 0.0, noise: float = 1.0, memory: float = 0.0
) -> list[Together]:
    """Hours of a sensor with reference = 5 + 1.25 x + k_T (T - 25) + k_RH (RH - 50) + an error with memory."""
    rng = random.Random(seed)
    error, hours = 0.0, []
    for hour in range(days * 24):
        temperature = 22 + 6 * math.sin(2 * math.pi * hour / 24) + rng.gauss(0, 2)
        humidity = 60 - 15 * math.sin(2 * math.pi * hour / 24 + 0.5) + rng.gauss(0, 5)
        truth = 40 + 20 * math.sin(hour / 17) + rng.gauss(0, 5)
        error = memory * error + math.sqrt(1 - memory**2) * rng.gauss(0, noise)
        indication = (truth - error - 5 - k_T * (temperature - 25) - k_RH * (humidity - 50)) / 1.25
        hours.append(Together(hour * 3600.0, indication, truth, 0.5, temperature, humidity))
    return hours


def test_the_truth_is_found_with_both_terms_and_agrees_with_numpy() -> None:
    hours = side_by_side(1, k_T=0.8, k_RH=-0.3)
    found = colocate(hours)
    assert {term.measurand for term in found.terms} == {"temperature", "humidity"}
    design = np.array([[1, h.indication, (h.temperature or 0) - 25, (h.humidity or 0) - 50] for h in hours])
    beta = np.linalg.lstsq(design, np.array([h.reference for h in hours]), rcond=None)[0]
    assert found.beta == pytest.approx(tuple(beta), rel=1e-9)
    assert found.slope == pytest.approx(1.25, abs=0.05)
    assert found.zero == pytest.approx(-5 / 1.25, abs=2)
    assert found.residual_sd == pytest.approx(1.0, rel=0.1)
    assert found.rmse == pytest.approx(1.0, rel=0.15)
    one = hours[7]
    assert found.correct(one.indication, one.temperature, one.humidity) == pytest.approx(one.reference, abs=4)


def test_terms_that_are_not_there_are_seldom_found() -> None:
    found = sum(len(colocate(side_by_side(seed)).terms) for seed in range(60))
    assert found <= 2 * 60 * 0.10


def test_intervals_cover_also_where_neighbouring_hours_err_alike() -> None:
    inside = 0
    for seed in range(120):
        found = colocate(side_by_side(1000 + seed, memory=0.7), conditions=())
        u = math.sqrt(found.covariance[1][1])
        inside += abs(found.slope - 1.25) <= 1.96 * u
    assert 0.88 <= inside / 120 <= 0.99
    assert found.budget(40.0).terms[0].over_time == "slow"
    assert found.budget(40.0).total >= found.residual_sd


def test_a_missing_condition_is_said() -> None:
    found = colocate(side_by_side(3, k_T=0.8))
    with pytest.raises(ValueError, match="temperature"):
        found.correct(40.0)


@pytest.mark.parametrize(
    ("hours", "why"),
    [
        (side_by_side(1, days=3), "3 days"),
        ([Together(h.at_s, 1.0, h.reference, 0.5) for h in side_by_side(1)], "do not determine"),
        ([Together(h.at_s, -h.indication, h.reference, 0.5) for h in side_by_side(1)], "does not follow"),
        (side_by_side(2, days=5, memory=0.99), "independent hours"),
    ],
)
def test_data_that_prove_nothing_are_refused(hours: list[Together], why: str) -> None:
    with pytest.raises(FitError, match=why):
        colocate(hours)
