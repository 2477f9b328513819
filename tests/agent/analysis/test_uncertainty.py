"""Budgets: what is on record by its weight, what is not is named."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.analysis import uncertain
from agent.analysis.trace import Question, Tracer
from agent.analysis.weigh import uncertainty
from agent.history.files import FileSource
from calibration.colocation import Together, colocate, fields_of

BEGIN = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
POINTS = [
    {"role": "zero", "gas": "z", "mean": 10.0, "assigned": 0.0, "uncertainty": 0.0, "sd": 0.3, "n": 9, "stable": True,
     "scale": "s"},
    {"role": "span", "gas": "s", "mean": 110.0, "assigned": 200.0, "uncertainty": 1.0, "sd": 0.6, "n": 9,
     "stable": True, "scale": "s"},
]  # fmt: skip


def test_a_line_through_two_gases_by_monte_carlo() -> None:
    found = uncertain.of_coefficients({"slope": 2.0, "zero": 10.0}, POINTS, 85.0)
    chance = random.Random(1)
    values = []
    for _ in range(20_000):
        r0, r1 = (chance.gauss(one["mean"], one["sd"] / 3) for one in POINTS)
        a0, a1 = (chance.gauss(one["assigned"], one["uncertainty"]) for one in POINTS)
        values.append(a0 + (85.0 - r0) * (a1 - a0) / (r1 - r0))
    mean = math.fsum(values) / len(values)
    sd = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / len(values))
    assert found.budget.total == pytest.approx(sd, rel=0.03)
    assert found.budget.uncertainty.common == pytest.approx(0.75)
    assert found.missing == ()


def test_a_boards_table_by_co_location_is_weighed_by_it() -> None:
    chance = random.Random(4)
    hours = []
    for hour in range(240):
        warm, x = 25 + chance.gauss(0, 5), 2 + chance.gauss(0, 0.2)
        truth = 0.3 + 1.25 * x + 0.02 * (warm - 25) + chance.gauss(0, 0.01)
        hours.append(Together(hour * 3600.0, x, truth, 0.002, warm))
    fit = colocate(hours)
    row = {"id": "a", "chip": "c", "zero": fit.zero, "slope": fit.slope, "temperature": "board_temperature"}
    row |= {"rmse": fit.rmse, "colocation": json.loads(json.dumps(fields_of(fit)))}
    found = uncertain.of_coefficients(row, [], 3.0, {"board_temperature": 45.0})
    assert found == uncertain.Found(fit.budget(3.0, 45.0))
    centre = uncertain.of_coefficients(row, [], 3.0)
    assert centre.budget.total < found.budget.total
    parts = uncertain.parts_of(row, [])
    assert parts is not None
    slow, common = parts(3.0)
    assert slow == pytest.approx(max(fit.rmse, fit.residual_sd))
    assert math.hypot(slow, common) == pytest.approx(centre.budget.total)
    # A row a person typed says nothing of what it is worth.
    assert uncertain.of_coefficients({**POINTS[0], "chip": "c"}, [], 3.0).missing == ("co-location",)


def test_neighbours_that_follow_each_other_count_less() -> None:
    chance = random.Random(2)
    white = [chance.gauss(0, 1) for _ in range(2000)]
    red = [0.0]
    for one in white:
        red.append(0.8 * red[-1] + one)
    assert uncertain.of_scans(white).budget.total == pytest.approx(1 / math.sqrt(2000), rel=0.1)
    # The mean of a first-order series: sd * sqrt((1 + r) / (1 - r) / n), r = 0.8.
    expected = (1 / 0.6) * math.sqrt(9 / 2000)
    assert uncertain.of_scans(red).budget.total == pytest.approx(expected, rel=0.15)
    assert uncertain.of_scans([1.0]).missing == ("noise",)
    steps = uncertain.of_scans([1.0, 2.0, 1.0, 1.0, 2.0] * 5).budget
    assert {term.name: term.u for term in steps.terms}["resolution"] == pytest.approx(1 / math.sqrt(12))


def test_drift_grows_with_the_days_since_the_calibration() -> None:
    checks = [
        {"role": "span", "t": f"2026-03-0{day}T00:00:00.000Z", "stable": True, "corrected": 200.0 + off,
         "assigned": 200.0}
        for day, off in ((1, 0.0), (2, 0.5), (4, -1.0))
    ]  # fmt: skip
    found = uncertain.of_drift(checks, "2026-03-04T00:00:00.000Z", "2026-03-06T00:00:00.000Z")
    assert found.budget.total == pytest.approx(0.5 * 2)
    assert uncertain.of_drift(checks[:1], "2026-03-04T00:00:00.000Z", "2026-03-06T00:00:00.000Z").missing == ("drift",)


async def test_an_hour_on_record_is_weighed_and_what_is_missing_is_named(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = await past()
    await one.calibrate("a", 2.0, 1.01)
    await one.run(62)
    await one.stop()
    found = uncertainty(Tracer(FileSource(one.folder)), Question("ndir.co2", BEGIN + timedelta(minutes=30), 3600))
    names = {term["name"] for term in found["terms"]}
    assert {
        "noise",
        "certificate of zero gas zero",
        "certificate of span gas span",
        "reading of span gas span",
    } <= names
    assert found["missing"] == ["drift"]
    assert found["U"] == pytest.approx(2 * found["u"])
    assert sum(term["share"] for term in found["terms"]) == pytest.approx(1)
    assert [term["u"] for term in found["terms"]] == sorted((term["u"] for term in found["terms"]), reverse=True)
    parts = math.hypot(found["independent"], found["slow"], found["common"])
    assert parts == pytest.approx(found["u"])
    # A cylinder of 0.1 at either end, the air near the lower one.
    assert found["common"] == pytest.approx(0.1, rel=0.1)
    config = tmp_path / "station.hjson"
    config.write_text(json.dumps(one.config.model_dump(mode="json")))
    assert main(["--lang", "zh", "uncertainty", "ndir.co2", "2026-03-01T08:30", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "扩展不确定度" in told
    assert "漂移：没有两次" in told


async def test_of_an_uncorrected_series_without_checks_only_the_readings_are_known(past: Any) -> None:
    one = await past(kind="regulated")
    await one.run(3)
    await one.stop()
    found = uncertainty(Tracer(FileSource(one.folder)), Question("ndir.co2", BEGIN, 60))
    assert [term["name"] for term in found["terms"]] == ["noise", "resolution"]
    assert found["missing"] == ["checks with gas", "certificate of span gas"]
