"""The verdict of a standard check."""

import pytest

from calibration.check import CONFIGURED, standard_check
from calibration.drift import limits
from calibration.evaluate import Point, SpanPoint, TargetPoint, Window, ZeroPoint
from calibration.sequence import Assigned

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
    result = standard_check(found(kind), reading, 200.0, None)
    row = limits()["zero" if kind is ZeroPoint else "span"]
    assert (result.limit, result.source, result.verified) == (row.pass_percent * 2, row.source, row.verified)
    assert result.deviation == pytest.approx(reading - 100.0)
    assert result.passed is passed


def test_a_configured_limit_stands_above_the_table() -> None:
    result = standard_check(found(SpanPoint), 103.0, 200.0, 2.0)
    assert (result.limit, result.source, result.passed) == (2.0, CONFIGURED, False)


def test_an_unsteady_reading_passes_nothing() -> None:
    assert not standard_check(found(SpanPoint, Window(12, 100.0, 0.6, 0.0)), 100.0, 200.0, 2.0).passed
