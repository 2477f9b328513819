"""Validity of periods, totals, and the layer of substituted hours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.budget import Budget, Term
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average
from metrology.stack.hours import Hour, HourState, hour_of, total, total_with_uncertainty
from metrology.stack.substitution import percentile, quarter_of, rule_for, rules, substitute
from metrology.stack.validity import capture_percent, judge, judge_month, judge_quarter, rule

# 00:00 of 1 January in UTC+8.
START = datetime(2025, 12, 31, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
V, M, X, S = HourState.VALID, HourState.MISSING, HourState.OUT_OF_CONTROL, HourState.STOPPED


def record(plan: list[tuple[HourState, float | None]]) -> list[Hour]:
    return [Hour(START + n * HOUR, state, amount) for n, (state, amount) in enumerate(plan)]


def valid(count: int, amount: float = 10.0) -> list[tuple[HourState, float | None]]:
    return [(V, amount)] * count


def test_an_invalid_hour_never_has_an_amount() -> None:
    for state in (M, X, S):
        with pytest.raises(ValueError, match="amount"):
            Hour(START, state, 1.0)
    with pytest.raises(ValueError, match="amount"):
        Hour(START, V)
    with pytest.raises(ValueError, match="number"):
        Hour(START, V, float("nan"))


def test_levels_are_judged_by_their_rule_and_show_it() -> None:
    assert [judge("minute", n).valid for n in (11, 12)] == [False, True]
    assert [judge("hour", n).valid for n in (44, 45)] == [False, True]
    assert [judge("day", n).valid for n in (19, 20)] == [False, True]
    assert [judge_month(n, 3).valid for n in (24, 25)] == [False, True]
    assert [judge_month(n, 2).valid for n in (22, 23)] == [False, True]
    assert rule("hour").of == 60
    assert rule("hour").verified
    assert not rule("month").verified


def test_capture_leaves_out_the_hours_the_source_stood_still() -> None:
    hours = record([*valid(75), *[(M, None)] * 20, *[(X, None)] * 5, *[(S, None)] * 300])
    assert capture_percent(hours) == 75.0
    verdict = judge_quarter(hours)
    assert verdict is not None
    assert verdict.valid
    assert capture_percent(record([(S, None)])) is None
    assert judge_quarter([]) is None


def test_a_total_says_what_it_counts_and_what_is_missing() -> None:
    hours = record([*valid(3), (M, None), (X, None), (S, None)])
    hours.append(Hour(START + 6 * HOUR, V, 5.0, suspect=True))
    found = total(hours)
    assert (found.amount, found.counted, found.missing, found.out_of_control, found.stopped) == (35.0, 4, 1, 1, 1)
    assert (found.suspect, found.ran, found.complete) == (1, 6, False)
    assert total(record([*valid(2), (S, None)])).complete
    budget = Budget((Term("x", 3.0, "common", "test"),))
    summed = total_with_uncertainty([Hour(START + n * HOUR, V, 1.0, budget) for n in (1, 0)])
    assert (summed.value, summed.total_u) == (2.0, 6.0)


def average(amount: float | None, *causes: Cause, period_s: int = 3600) -> Average:
    quality = Quality.of(*(Mark(cause, "test", START) for cause in causes))
    n = 0 if Cause.STOPPED in causes else 60
    return Average("main.co2_rate", "kg/h", START, period_s, n, 1.0, 10.0, 9.0, 11.0, 0.1, "hj-stack", quality, amount)


def test_an_hour_follows_from_its_average() -> None:
    assert hour_of(average(10.0), suspect=True) == Hour(START, V, 10.0, suspect=True)
    assert hour_of(average(None, Cause.INCOMPLETE)).state is M
    assert hour_of(average(None, Cause.INCOMPLETE, Cause.STOPPED, Cause.COMMUNICATION)).state is S
    begun = replace(average(None, Cause.INCOMPLETE, Cause.STOPPED), n=5)
    assert hour_of(begun).state is M
    failed = hour_of(average(None, Cause.INCOMPLETE, Cause.OUT_OF_CONTROL), last_passed=START - HOUR)
    assert (failed.state, failed.last_passed) == (X, START - HOUR)
    # An amount beside a cause that makes it invalid is none.
    assert hour_of(average(10.0, Cause.FAULT)).amount is None
    with pytest.raises(ValueError, match="no hour"):
        hour_of(average(10.0, period_s=60))


def test_the_percentile_is_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 721)]
    assert percentile(values, 90) == 648.0
    assert percentile(values, 95) == 684.0
    assert percentile([3.0, 1.0], 50) == 1.0
    assert percentile([3.0, 1.0], 0) == 1.0
    assert percentile([7.0], 100) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_hj75_takes_the_greatest_of_180_hours_for_a_short_gap_and_of_720_for_a_long_one() -> None:
    # 99 kg stands 200 hours before the gap: outside 180 hours, inside 720.
    before = [(V, 99.0), *valid(198), (V, 20.0)]
    for gap, rule_name, amount, count in ((24, "hj75-90-short", 20.0, 180), (25, "hj75-90-long", 99.0, 200)):
        hours = record([*before, *[(M, None)] * gap, *valid(400)])
        filled = substitute(hours, "hj75")
        assert len(filled) == gap
        assert {(one.rule, one.amount, one.count, one.gap_hours) for one in filled} == {(rule_name, amount, count, gap)}
        assert filled[0].look_back == (hours[200 - count].start, hours[199].start)
        assert not filled[0].verified


def test_hj75_looks_further_back_where_less_was_captured_and_leaves_the_rest_to_a_person() -> None:
    hours = record([(V, 99.0), *valid(799), *[(M, None)] * 200])
    assert capture_percent(hours) == 80.0
    assert {(one.rule, one.amount, one.wanted) for one in substitute(hours, "hj75")} == {("hj75-75", 99.0, 2160)}
    poor = substitute(record([*valid(100), *[(M, None)] * 100]), "hj75")
    assert {(one.rule, one.amount) for one in poor} == {("hj75-by-hand", None)}


def test_hours_out_of_control_look_back_from_the_last_passed_check() -> None:
    hours = record([*valid(100, 10.0), *valid(20, 50.0)])
    passed = START + 100 * HOUR
    hours += [Hour(START + n * HOUR, X, last_passed=passed) for n in range(120, 125)]
    hours += [Hour(START + n * HOUR, M) for n in range(125, 127)]
    hours += [Hour(START + n * HOUR, V, 10.0) for n in range(127, 300)]
    filled = substitute(hours, "hj75")
    assert [one.amount for one in filled] == [10.0] * 5 + [50.0] * 2
    assert [one.gap_hours for one in filled] == [5] * 5 + [2] * 2


def test_a_stop_neither_ends_a_gap_nor_counts_in_it() -> None:
    hours = record([*valid(500), *[(M, None)] * 20, *[(S, None)] * 10, *[(M, None)] * 5, *valid(5)])
    filled = substitute(hours, "hj75")
    assert len(filled) == 25
    assert {one.gap_hours for one in filled} == {25}
    assert {one.rule for one in filled} == {"hj75-90-long"}


def test_the_quarter_is_the_calendars_at_utc_8() -> None:
    assert quarter_of(START) == (2026, 0)
    assert quarter_of(START - HOUR) == (2025, 3)
    # A gap over the turn of the quarter: each hour by the capture rate of its own.
    hours = [Hour(START + n * HOUR, V if n < -4 or n > 2 else M, 10.0 if n < -4 or n > 2 else None)
             for n in range(-400, 20)]  # fmt: skip
    assert [one.rule for one in substitute(hours, "hj75")] == ["hj75-90-short"] * 4 + ["hj75-75"] * 3


def test_part_75_by_hand() -> None:
    # 97 % available, 20 hours missing: the mean of the hours beside.
    hours = record([*valid(647, 10.0), (V, 30.0), *[(M, None)] * 20, (V, 40.0)])
    assert {(o.rule, o.amount) for o in substitute(hours, "part75")} == {("part75-95-short", 35.0)}
    # 30 hours: the greater of that and the 90th percentile of 720 hours; 80 of them lie at 60.
    high = record([*valid(560, 10.0), *valid(80, 60.0), *[(M, None)] * 30, (V, 10.0)])
    (one,) = {(o.rule, o.amount, o.count) for o in substitute(high, "part75")}
    assert one == ("part75-95-long", 60.0, 640)
    # An hour that is still missing has no hour after it: nothing is made up.
    assert substitute(record([*valid(100), (M, None)]), "part75")[0].amount is None


@pytest.mark.parametrize(
    ("availability", "gap", "name"),
    [(95.0, 24, "part75-95-short"), (95.0, 25, "part75-95-long"), (94.9, 8, "part75-90-short"),
     (90.0, 9, "part75-90-long"), (89.9, 1, "part75-80"), (79.9, 1, "part75-potential")],
)  # fmt: skip
def test_the_edges_of_part_75(availability: float, gap: int, name: str) -> None:
    assert rule_for("part75", availability, gap).name == name
    assert rule_for("part75", availability, gap).verified


def test_part_75_takes_the_maximum_potential_value_below_80_percent() -> None:
    hours = record([*valid(70), *[(M, None)] * 30])
    assert {o.amount for o in substitute(hours, "part75", maximum_potential_kg=77.0)} == {77.0}
    assert {o.amount for o in substitute(hours, "part75")} == {None}


def test_every_rule_has_a_source() -> None:
    assert all(one.source for scheme in ("hj75", "part75") for one in rules(scheme))


STATES = st.lists(st.sampled_from([V, V, V, M, X, S]), min_size=1, max_size=120)


@settings(deadline=None)
@given(STATES, st.sampled_from(["hj75", "part75"]), st.data())
def test_substitution_covers_what_has_no_amount_and_nothing_else(
    states: list[HourState], scheme: str, data: st.DataObject
) -> None:
    hours = record([(s, data.draw(st.floats(0, 1e4)) if s is V else None) for s in states])
    before = list(hours)
    filled = substitute(hours, scheme)  # type: ignore[arg-type]
    assert hours == before
    assert [one.start for one in filled] == [hour.start for hour in hours if hour.state in (M, X)]
    measured = [hour.amount for hour in hours if hour.amount is not None]
    for one in filled:
        assert one.count <= one.wanted or one.wanted == 0
        assert one.amount is None or min(measured) <= one.amount <= max(measured)
        if one.look_back:
            assert one.look_back[1] < one.start
