import math

import pytest

from calibration.evaluate import Sample
from calibration.sequence import Stability
from calibration.stability import Settling

LIMITS = Stability(30.0, 60.0, {"co2": 0.1}, {"co2": 0.5})


def settled_at(values: list[float], limits: Stability = LIMITS, every_s: float = 5.0) -> float | None:
    """The first instant at which nothing is restless, of readings that begin with the gas."""
    settling = Settling(limits, 0.0)
    for n, value in enumerate(values):
        settling.take("co2", Sample(n * every_s, value, "umol/mol"))
        if not settling.restless(n * every_s):
            return n * every_s
    return None


@pytest.mark.parametrize("tau_s", [10.0, 30.0, 60.0])
def test_an_exponential_flush_settles_when_its_slope_says_so(tau_s: float) -> None:
    at = settled_at([400.0 + 50.0 * math.exp(-n * 5.0 / tau_s) for n in range(400)])
    assert at is not None
    # The mean slope of the window then is 0.1 per minute: what is left of the step is of that size.
    window = 50.0 * (math.exp(-(at - 60.0) / tau_s) - math.exp(-at / tau_s))
    assert 0.02 < window < 1.0
    assert at >= 60.0


def test_nothing_counts_before_the_least_time_and_a_whole_window() -> None:
    assert settled_at([400.0] * 100) == 60.0
    assert settled_at([400.0] * 100, Stability(90.0, 60.0, {"co2": 0.1}, {})) == 90.0


@pytest.mark.parametrize(
    "values",
    [
        [400.0 + 0.02 * n for n in range(200)],
        [400.0 + (1.0 if n % 2 else -1.0) for n in range(200)],
        [math.nan] * 200,
        [400.0, 400.0],
    ],
    ids=["slope", "spread", "no number", "too few"],
)
def test_what_slopes_scatters_or_is_absent_never_settles(values: list[float]) -> None:
    assert settled_at(values) is None


def test_each_measurand_with_a_limit_must_be_there() -> None:
    settling = Settling(Stability(0.0, 30.0, {"co2": 1.0}, {"ch4": 1.0}), 0.0)
    for n in range(20):
        settling.take("co2", Sample(n * 5.0, 400.0, "umol/mol"))
    assert list(settling.restless(95.0)) == ["ch4"]
    for n in range(20):
        settling.take("ch4", Sample(n * 5.0, 2.0, "umol/mol"))
    assert settling.restless(95.0) == {}


def test_readings_of_before_do_not_count() -> None:
    settling = Settling(LIMITS, 100.0)
    for n in range(21):
        settling.take("co2", Sample(n * 5.0, 400.0, "umol/mol"))
    assert "1 readings" in settling.restless(160.0)["co2"]
