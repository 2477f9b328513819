"""Plateaus of tank gas: found in simulated recordings, not found where there are none."""

import dataclasses
import math
import random

import pytest

from calibration.recorded.plateaus import BINS_MAX, Plateau, Plateaus
from metrology.quality import Cause
from metrology.recorded import MINUTE, SECOND, Row, Sample
from simulation.plateau_truth import CASES, Case, recording, score

BY_NAME = {case.name: case for case in CASES}


def search(rows: list[Row], *, typed: bool = False) -> list[Plateau]:
    found = Plateaus(typed=typed)
    plateaus = [one for row in rows for one in found.add(row)]
    plateaus += found.end()
    assert found.count * len({one.species for one in plateaus}) == len(plateaus)
    return plateaus


def of_co2(plateaus: list[Plateau]) -> list[tuple[float, float, float]]:
    return [(one.start / 1e6, one.end / 1e6, one.mean) for one in plateaus if one.species == "co2_dry"]


# Rates over many seeds are measured by tools/bench plateaus; two seeds of each case keep the tests fast.
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tanks_are_found_and_their_means_are_right(case: Case) -> None:
    for seed in (101, 102):
        rows, truth = recording(case, seed)
        result = score(truth, of_co2(search(rows)))
        assert result.tanks >= 3
        assert result.found >= 0.8 * result.tanks
        assert result.false <= 2
        assert max(map(abs, result.bias)) < max(0.05, case.noise[0])


def test_air_alone_has_no_tank_in_it() -> None:
    for seed in range(4):
        rows, _ = recording(dataclasses.replace(BY_NAME["default"], tanks=()), seed)
        assert search(rows) == []


def test_wet_gas_is_no_tank() -> None:
    rows = [
        Row(at * SECOND, [Sample("co2", 400.0 + 50 * (at // 600 % 2) + at % 7 * 0.01), Sample("h2o_reported", 1.8)])
        for at in range(6000)
    ]
    assert search(rows) == []
    dry = [Row(row.at, [row.samples[0], Sample("h2o_reported", 0.002)]) for row in rows]
    assert len(of_co2([one._replace(species="co2_dry") for one in search(dry) if one.species == "co2"])) == 10


def test_where_the_file_says_what_flows_nothing_else_is_looked_at() -> None:
    rows = [
        Row(
            at * MINUTE, [Sample("co2", 400.0 + at % 3 * 0.01 + (80.0 * 0.2**place if gas else 0.0), 19, 0.05)], gas=gas
        )
        for at in range(300)
        for place, gas in [(at % 100 - 40, "std" if 40 <= at % 100 < 60 else "")]
    ]
    found = search(rows, typed=True)
    assert len(found) == 3
    assert all(one.n % 19 == 0 and one.n >= 19 * 12 for one in found)
    assert all(abs(one.mean - 400.01) < 0.01 for one in found)
    assert [one.start // MINUTE >= 44 for one in found] == [True] * 3
    assert search([Row(row.at, row.samples) for row in rows], typed=True) == []


def test_a_constant_series_has_no_plateau_and_a_steps_of_constants_do() -> None:
    assert search([Row(at * SECOND, [Sample("co2", 400.0)]) for at in range(2000)]) == []
    steps = [Row(at * SECOND, [Sample("co2", 100.0 * (at // 500))]) for at in range(2000)]
    assert [round(one.mean) for one in search(steps)] == [0, 100, 200, 300]


def test_a_long_recording_is_searched_in_parts() -> None:
    rows, truth = recording(dataclasses.replace(BY_NAME["rows of minutes"], hours=24.0 * 16), 5)
    assert len(rows) > BINS_MAX
    result = score(truth, of_co2(search(rows)))
    assert result.found == result.tanks
    assert result.false == 0


def test_nothing_comes_of_nothing() -> None:
    assert search([]) == []
    assert search([Row(0, [])]) == []
    assert search([Row(0, [Sample("co2", 400.0)])]) == []


def test_inlets_of_a_tower_are_no_tanks_however_steady() -> None:
    levels = {"1": (400.0, 402.0, 405.0, 401.0), "2": (410.0, 412.5, 409.0, 411.0), "3": (430.0,) * 4}
    rows = [
        Row((turn * 1800 + place * 600 + at) * SECOND, [Sample("co2", level + at % 5 * 0.01)], port=port)
        for turn in range(4)
        for place, port in enumerate(levels)
        for level in levels[port][turn : turn + 1]
        for at in range(600)
    ]
    found = search(rows)
    assert [round(one.mean) for one in found] == [430] * 4


def test_a_valve_that_never_turns_hides_no_tank() -> None:
    rows, truth = recording(BY_NAME["default"], 7)
    for row in rows:
        row.port = "0"
    result = score(truth, of_co2(search(rows)))
    assert (result.found, result.false) == (result.tanks, 0)


def test_tanks_that_come_by_way_of_an_inlets_port_are_told_by_their_dryness() -> None:
    rows, truth = recording(BY_NAME["default"], 8)
    for row in rows:
        row.port = "1" if row.at // (10 * MINUTE) % 2 else "2"
    result = score(truth, of_co2(search(rows)))
    assert result.found >= 0.9 * result.tanks
    assert result.false <= result.tanks


def flow(parts: list[tuple[float, float, int]], *, constant: float = 25.0, seed: int = 1, step: int = 2) -> list[Row]:
    """Rows of gases one after the other: amount of CO2, percent of water, length in s; flushed, with noise of 0.05."""
    draw = random.Random(seed)
    shown, wet, rows, at = parts[0][0], parts[0][1], [], 0
    for amount, water, length in parts:
        for _ in range(length // step):
            shown += (amount - shown) * (1 - math.exp(-step / constant))
            wet += (water - wet) * (1 - math.exp(-step / constant / 2))
            own = draw.gauss(0, 0.5 if water > 0.5 else 0.0)
            samples = [Sample("co2_dry", shown + own + draw.gauss(0, 0.05)), Sample("h2o_reported", wet)]
            rows.append(Row(at * SECOND, samples))
            at += step
    return rows


def test_tanks_a_little_apart_are_told_one_from_the_other_though_no_air_is_between() -> None:
    found = of_co2(search(flow([(420, 1.5, 3600), (424.0, 0, 900), (425.2, 0, 900), (426, 0, 900), (422, 1.5, 1800)])))
    assert [round(start / 900) for start, _, _ in found] == [4, 5, 6]
    for (start, end, mean), right in zip(found, (424.0, 425.2, 426.0), strict=True):
        assert end - start > 600
        assert abs(mean - right) < 0.02


def test_a_tank_ends_where_water_comes_back_though_the_air_has_its_amount() -> None:
    ((start, end, mean),) = of_co2(search(flow([(415, 1.5, 3600), (421.0, 0, 1200), (421.1, 1.5, 3600)])))
    assert start > 3600
    assert end < 3600 + 1200 + 10
    assert abs(mean - 421.0) < 0.02


def test_tanks_may_be_most_of_a_recording_and_begin_it() -> None:
    parts = [(390.0, 0.0, 1200), (420.0, 0.0, 1200), (460.0, 0.0, 1200), (425.0, 1.5, 1800)] * 2
    found = of_co2(search(flow(parts)))
    assert [round(mean, 1) for _, _, mean in found] == [390, 420, 460] * 2
    assert found[0][0] < 10


def test_the_flush_is_that_of_the_gas_before_and_not_of_a_greater_step_before_that() -> None:
    found = of_co2(search(flow([(430, 1.5, 1800), (380, 0, 600), (420, 0, 600), (500, 0, 600), (430, 1.5, 1800)])))
    assert [round(mean) for _, _, mean in found] == [380, 420, 500]
    assert all(end - start > 360 for start, end, _ in found)


def test_of_minutes_said_to_be_of_a_tank_the_whole_tail_of_the_flush_is_left_out() -> None:
    draw = random.Random(3)
    rows = []
    for at in range(600):
        place = at % 120 - 60
        gas = "std" if 0 <= place < 20 else ""
        tail = 35.0 * math.exp(-2.4 * place) * (1 - math.exp(-2.4)) / 2.4 if gas else 30 + draw.gauss(0, 1.5)
        rows.append(Row(at * MINUTE, [Sample("co2", 390.0 + tail + draw.gauss(0, 0.012), 18, 0.05)], gas=gas))
    found = search(rows, typed=True)
    assert len(found) == 5
    for one in found:
        assert abs(one.mean - 390.0) < 4 * 0.012 / math.sqrt(one.n / 18)
        assert 10 * 18 <= one.n <= 18 * 18


def test_a_plateau_begins_with_the_first_value_that_counts() -> None:
    rows = [
        Row(
            at * SECOND, [Sample("co2", 400.0 + at % 3 * 0.01, cause=Cause.FLUSH if at % 1200 < 300 else None)],
            gas="std" if at >= 1200 else "",
        )
        for at in range(2400)
    ]  # fmt: skip
    (found,) = search(rows, typed=True)
    assert (found.start // SECOND, found.end // SECOND, found.n) == (1500, 2399, 900)


def test_a_flat_part_of_a_slow_flush_is_no_plateau() -> None:
    rows, truth = recording(BY_NAME["flush of 120 s"], 8)
    result = score(truth, of_co2(search(rows)))
    assert (result.found, result.false) == (result.tanks, 0)
    assert max(map(abs, result.bias)) < 0.05
