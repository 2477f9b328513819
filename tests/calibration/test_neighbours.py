"""Micro-sensors against each other: what is found, and what must not be, over many simulated fortnights."""

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.neighbours import BLOCK_H, Finding, Survey, survey
from calibration.robust import autocorrelation, median, quantile, spread, theil_sen
from simulation.drifting import Weeks, hourly, name

END = 14 * 24
LIMIT = 0.1
numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


@given(st.lists(numbers, min_size=4, max_size=40, unique=True), numbers, numbers)
def test_a_straight_line_is_found_exactly_and_its_interval_holds_it(x: list[float], slope: float, level: float) -> None:
    line = theil_sen(x, [level + slope * at for at in x], 2.576)
    assert line is not None
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    assert line.low <= line.slope <= line.high
    assert line.at(x[0]) == pytest.approx(level + slope * x[0], rel=1e-6, abs=1e-2)


@given(st.lists(numbers, min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_lie_within_and_the_median_splits(values: list[float], share: float) -> None:
    assert min(values) <= quantile(values, share) <= max(values)
    middle = median(values)
    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2
    assert spread(values) >= 0
    assert 0 <= autocorrelation(values) <= 0.9


def test_a_quarter_of_strange_values_moves_no_slope_far() -> None:
    x = [float(at) for at in range(40)]
    y = [0.5 * at + (100.0 if at % 4 == 0 else 0.01 * (-1) ** at) for at in x]
    line = theil_sen(x, y, 2.576)
    assert line is not None
    assert line.slope == pytest.approx(0.5, abs=0.05)
    assert theil_sen([1.0] * 9, y[:9], 2.576) is None
    assert theil_sen(x[:3], y[:3], 2.576) is None


def test_sens_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    held, rng = 0, random.Random(7)
    for _ in range(200):
        x = [float(at) for at in range(30)]
        line = theil_sen(x, [0.1 * at + rng.gauss(0, 1) for at in x], 1.96)
        assert line is not None
        held += line.low <= 0.1 <= line.high
    assert 180 <= held <= 200


def judged(weeks: Weeks, reference: bool = False) -> tuple[Survey, dict[str, Finding]]:
    boards, true = hourly(weeks)
    found = survey(boards, LIMIT, 24 * weeks.days, true if reference else None)
    return found, {one.board: one for one in found.findings}


SEEDS = range(60)


@pytest.mark.parametrize(("drift", "least"), [(0.1, 0.9), (-0.1, 0.85), (0.2, 1.0)])
def test_a_board_that_drifts_beside_a_source_is_found_and_the_others_are_left(drift: float, least: float) -> None:
    hit = strangers = 0
    wrong = []
    for seed in SEEDS:
        _, found = judged(Weeks(seed, drift={name(0): drift}, plume=2.0))
        one = found.pop(name(0))
        hit += one.verdict == "drifting"
        strangers += sum(other.verdict != "ok" for other in found.values())
        if one.proposal:
            wrong.append(abs((one.offset or 0.0) - 2 * drift))
    assert hit >= least * len(SEEDS)
    assert strangers <= 0.01 * 7 * len(SEEDS)
    assert quantile(wrong, 0.85) < 0.1


@pytest.mark.parametrize("plume", [0.0, 0.5, 2.0])
def test_a_source_beside_a_board_is_no_drift(plume: float) -> None:
    accused = sum(one.verdict != "ok" for seed in SEEDS for one in judged(Weeks(seed, plume=plume))[1].values())
    assert accused <= 0.01 * 8 * len(SEEDS)


def test_a_gain_is_told_and_undone() -> None:
    for seed in range(10):
        weeks = Weeks(seed, gain={name(2): 1.5}, plume=1.0)
        boards, true = hourly(weeks)
        one = {found.board: found for found in survey(boards, LIMIT, END).findings}[name(2)]
        assert one.verdict == "drifting"
        assert one.proposal is not None
        better = [
            (boards[name(2)][hour] - one.proposal.zero) * one.proposal.slope - true[hour]
            for hour in boards[name(2)] if hour % 24 in (12, 3)
        ]  # fmt: skip
        assert abs(median(better)) < 0.1


def test_nothing_is_proposed_where_the_consensus_is_doubtful() -> None:
    drift = {name(0): 0.3}
    two, _ = judged(Weeks(1, boards=2, drift=drift))
    assert (two.doubt, [one.proposal for one in two.findings]) == ("few-boards", [None, None])
    half, _ = judged(Weeks(1, boards=4, drift={name(0): 0.3, name(1): 0.3}))
    assert half.doubt == "no-majority"
    assert all(one.proposal is None for one in half.findings)
    together, _ = judged(Weeks(1, drift={name(number): 0.3 for number in range(8)}), reference=True)
    assert together.doubt == "reference-differs"
    assert together.reference is not None
    assert together.reference.verdict == "drifting"
    alone, _ = judged(Weeks(1, drift={name(number): 0.3 for number in range(8)}))
    assert alone.doubt is None, "what all boards share only a reference shows"
    good, found = judged(Weeks(1, drift=drift), reference=True)
    assert good.doubt is None
    assert found[name(0)].proposal is not None
    boards, _ = hourly(Weeks(1, drift=drift))
    assert survey(boards, LIMIT, END, {0: 2.0}).doubt == "reference-short"
    assert survey({}, LIMIT, END).doubt == "few-boards"
    restless, _ = judged(Weeks(1), False)
    noisy = {board: _noisy(hours, 0.3, board) for board, hours in boards.items()}
    assert restless.doubt is None
    assert survey(noisy, LIMIT, END).doubt == "restless"


def _noisy(hours: Mapping[int, float], size: float, seed: str) -> dict[int, float]:
    rng = random.Random(seed)
    return {hour: value + rng.gauss(0, size) for hour, value in hours.items()}


def test_stuck_noisy_and_silent_boards_are_told_apart() -> None:
    boards, _ = hourly(Weeks(3, plume=2.0))
    boards[name(1)] = dict.fromkeys(boards[name(1)], 2.0)
    boards[name(2)] = _noisy(boards[name(2)], 1.0, "noise")
    boards[name(3)] = {hour: value for hour, value in boards[name(3)].items() if hour < 60}
    found = {one.board: one for one in survey(boards, LIMIT, END).findings}
    verdicts = [found[name(number)].verdict for number in range(5)]
    assert verdicts == ["ok", "faulty", "faulty", "not-enough-data", "ok"]
    assert all(one.proposal is None for one in found.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.floats(-5, 5), st.sampled_from([0.5, 2.0, 10.0]))
def test_verdicts_do_not_depend_on_where_the_scale_begins_or_on_the_unit(seed: int, shift: float, scale: float) -> None:
    weeks = Weeks(seed, boards=5, days=8, drift={name(1): 0.25}, plume=1.0)
    boards, _ = hourly(weeks)
    other = {board: {hour: scale * value + shift for hour, value in hours.items()} for board, hours in boards.items()}
    here, there = survey(boards, LIMIT, 192), survey(other, scale * LIMIT, 192)
    assert [one.verdict for one in here.findings] == [one.verdict for one in there.findings]
    for one, same in zip(here.findings, there.findings, strict=True):
        if one.drift_per_week is not None and same.drift_per_week is not None:
            assert math.isclose(scale * one.drift_per_week, same.drift_per_week, rel_tol=1e-6, abs_tol=1e-6)


def test_hours_before_the_first_count_like_others() -> None:
    boards, _ = hourly(Weeks(4, drift={name(0): 0.2}))
    days = 1000 * BLOCK_H
    moved = {board: {hour + days: value for hour, value in hours.items()} for board, hours in boards.items()}
    assert survey(boards, LIMIT, END).findings == survey(moved, LIMIT, END + days).findings
