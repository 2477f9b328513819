"""Target gases against the goals."""

import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.qa.checks import Check
from calibration.qa.goals import histogram, target_bias

START = datetime(2026, 3, 1, tzinfo=UTC)


def target(hour: float, reading: float, *, stable: bool = True, series: str = "crds.co2_dry") -> Check:
    at = START + timedelta(hours=hour)
    return Check(at, (1, int(hour)), "r", series, "target", "T1", reading, 420.0, 500.0, "umol/mol", stable, None)


def test_bias_repeatability_and_the_share_within_the_goals() -> None:
    deviations = [0.04, 0.15, 0.25, -0.04]
    rows = [target(12 * n, 420.0 + d) for n, d in enumerate(deviations)]
    (found,) = target_bias([*rows, target(99, 500.0, stable=False)])
    assert (found.n, found.bias, found.goal, found.extended) == (4, pytest.approx(0.1), 0.1, 0.2)
    assert found.sd == pytest.approx(statistics.stdev(deviations))
    assert found.standard_error == pytest.approx(statistics.stdev(deviations) / 2)
    assert (found.within_goal, found.within_extended) == (0.5, 0.75)
    assert [(day.day, round(value, 6)) for day, value in found.worst] == [(2, 0.105), (1, 0.095)]
    assert found.rules is not None
    assert not found.rules.verified
    (south,) = target_bias(rows, "wmo-south")
    assert (south.goal, south.within_goal) == (0.05, 0.5)


def test_a_gas_without_a_goal_has_a_bias_and_no_verdict() -> None:
    (found,) = target_bias([target(0, 421.0, series="cems.so2")])
    assert (found.bias, found.sd, found.goal, found.within_goal) == (1.0, None, None, None)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_a_histogram_holds_every_value_once(values: list[float]) -> None:
    found = histogram(values)
    assert sum(count for _, count in found) == len(values)
    assert found[0][0] == min(values)
