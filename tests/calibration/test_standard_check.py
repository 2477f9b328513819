"""The verdict of a standard check."""

import pytest

from calibration.check import standard_check
from calibration.evaluate import Point, SpanPoint, TargetPoint, Window, ZeroPoint
from calibration.qa.rules import CONFIGURED, DEFAULT
from calibration.sequence import Assigned

HJ75 = DEFAULT["regulated"]
STEADY = Window(12, 100.0, 0.1, 0.0)


def found(kind: type[Point], window: Window = STEADY) -> Point:
    return kind("so2", "gas", Assigned(100.0, "mg/m3", 1.0, "GBW(E) 060000"), window, 0.5)


@pytest.mark.parametrize("kind", [ZeroPoint, SpanPoint, TargetPoint])
@pytest.mark.parametrize(
    ("reading", "passed"), [(100.0, True), (105.0, True), (95.0, True), (105.1, False), (94.9, False)]
)
def test_the_table_limits_the_deviation_in_percent_of_full_scale(
    kind: type[Point], reading: float, passed: bool
) -> None:
    result = standard_check(found(kind), reading, 200.0, None, HJ75)
    assert (result.limit, result.rules.rule_set, result.rules.verified) == (5.0, "hj75", False)
    assert "HJ 75-2017" in result.rules.source
    assert result.deviation == pytest.approx(reading - 100.0)
    assert result.passed is passed


def test_a_configured_limit_stands_above_the_table() -> None:
    result = standard_check(found(SpanPoint), 103.0, 200.0, 2.0, HJ75)
    assert (result.limit, result.rules.source, result.passed) == (2.0, CONFIGURED, False)


def test_a_limit_wider_than_that_of_control_moves_it_along() -> None:
    rules = standard_check(found(SpanPoint), 103.0, 200.0, 25.0, HJ75).rules
    assert (rules.passes, rules.out) == (25.0, 25.0)
    assert rules.verdict(24.0) == "pass"


def test_where_a_rule_set_knows_no_limit_that_of_hj_75_stands_in_and_is_named() -> None:
    """The goals for target gases say nothing of sulfur dioxide."""
    result = standard_check(found(TargetPoint), 103.0, 200.0, None, DEFAULT["research"])
    assert (result.limit, result.rules.rule_set) == (5.0, "hj75")


def test_an_unsteady_reading_passes_nothing() -> None:
    assert not standard_check(found(SpanPoint, Window(12, 100.0, 0.6, 0.0)), 100.0, 200.0, 2.0, HJ75).passed
