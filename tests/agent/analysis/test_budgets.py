"""Averages of corrected series say what they are uncertain by, where the calibration's points are on record."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.values.budgets import indication
from calibration.correction import Coefficients, of_curve
from metrology.periods import iso

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def rows(one: Any) -> list[dict[str, Any]]:
    found = one.index.averages(60, iso(BEGIN), iso(BEGIN.replace(hour=5)))
    return [row["rows"]["ndir.co2"] for row in found]


async def test_a_mean_is_weighed_by_its_scatter_its_calibration_and_its_cylinders(past: Any) -> None:
    one = await past()
    await one.run(3)
    await one.calibrate("a", 2.0, 1.0)
    await one.run(5)
    before, *_, after = rows(one)
    assert "unc" not in before
    independent, slow, common = after["unc"]
    assert independent == pytest.approx(after["sd"] / after["n"] ** 0.5)
    # Points of 402 and 604, each read with sd 0.2 of 12 and certified with 0.1: by their distance from the value.
    part = (after["mean"] - 402) / 202
    spread = ((1 - part) ** 2 + part**2) ** 0.5
    assert common == pytest.approx(0.1 * spread)
    assert slow == pytest.approx(0.2 / 12**0.5 * spread)


async def test_after_a_restart_it_is_known_again_and_without_points_nothing_is_said(past: Any) -> None:
    one = await past()
    await one.calibrate("a", 2.0, 1.0)
    await one.run(3)
    await one.stop()
    one.open()
    await one.begin()
    await one.run(3)
    assert all("unc" in row for row in rows(one)[:1] + rows(one)[-1:])
    fields = {"what": "coefficients", "id": "x", "run": "none", "series": "ndir.co2", "zero": 0.0, "slope": 1.0,
              "from": iso(one.clock.now()), "replaces": None}  # fmt: skip
    await one.log.append("calibration", fields)
    one.intake.coefficients["ndir.co2"] = Coefficients("x", "ndir.co2", 0.0, 1.0, one.clock.now())
    await one.run(3)
    assert rows(one)[-1]["cal"] == ["x"]
    assert "unc" not in rows(one)[-1]


@pytest.mark.parametrize("value", [-3.0, 0.0, 412.7, 5e4])
def test_the_indication_behind_a_value(value: float) -> None:
    line = Coefficients("a", "s", 2.0, 1.05, BEGIN)
    assert line.correct(indication(line, value)) == pytest.approx(value)
    parabola = of_curve("a", "s", (1.0, 0.98, 1e-6), BEGIN)
    assert parabola.correct(indication(parabola, value)) == pytest.approx(value, abs=1e-6)
