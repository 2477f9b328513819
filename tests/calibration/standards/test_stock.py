"""Litres, consumption and weeks from pressures."""

from datetime import UTC, datetime, timedelta

import pytest

from calibration.standards.stock import Pressure, bar, consumption, litres, stock
from metrology.units import UnitError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def pressures(*rows: tuple[float, float]) -> list[Pressure]:
    return [Pressure(BEGIN + timedelta(days=day), value) for day, value in rows]


def test_litres_by_the_ideal_gas() -> None:
    assert litres(150.0, 10.0) == pytest.approx(1480.4, abs=0.1)
    assert litres(-0.1, 10.0) == 0.0


def test_consumption_and_weeks_until_the_reserve() -> None:
    found = stock(pressures((0, 100.0), (10, 95.0), (20, 90.0)), 40.0, 20.0)
    assert found.bar_per_day == pytest.approx(0.5)
    assert found.litres_per_day == pytest.approx(0.5 * 40 / 1.01325)
    assert found.usable_litres == pytest.approx(70 * 40 / 1.01325)
    assert found.weeks_left == pytest.approx(20.0)


def test_a_refill_begins_anew_and_old_pressures_do_not_count() -> None:
    assert consumption(pressures((0, 50.0), (5, 40.0), (10, 120.0), (20, 118.0))) == pytest.approx(0.2)
    assert consumption(pressures((0, 200.0), (200, 100.0), (220, 98.0))) == pytest.approx(0.1)


@pytest.mark.parametrize("rows", [[], [(0.0, 50.0)], [(0.0, 50.0), (0.5, 49.0)]])
def test_too_little_says_nothing(rows: list[tuple[float, float]]) -> None:
    found = stock(pressures(*rows), 10.0, 20.0)
    assert (found.bar_per_day, found.weeks_left) == (None, None)


def test_nothing_consumed_lasts_without_end_and_no_volume_gives_no_litres() -> None:
    found = stock(pressures((0, 50.0), (10, 50.2)), None, 20.0)
    assert (found.bar_per_day, found.weeks_left, found.litres) == (0.0, None, None)


def test_gauges_in_other_units() -> None:
    assert (bar(100, "bar"), bar(10000, "kPa")) == (100, 100)
    assert bar(1450.377, "psi") == pytest.approx(100, abs=1e-4)
    assert bar(10, "MPa") == pytest.approx(100)
    with pytest.raises(UnitError):
        bar(1, "degC")
