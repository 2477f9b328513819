"""The chain on small cases whose answer is known by hand; the simulated station is in test_chain_truth."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from calibration.chain.calibrate import calibrate
from calibration.chain.data import AIR, Flag, Minute, Reference, Result, Standard, Tank, Target, notation
from calibration.models.rules import DAY_S, DeclaredTerm, Rule, Rules, Settings
from calibration.models.water import WaterCorrection
from calibration.sequence import Assigned

HOUR = 3600.0
PLAIN = Settings(
    reference="R0",
    standards=("S1", "S2", "S3"),
    cal_flush_s=0.0,
    sample_flush_s=0.0,
    visit_minutes=1,
    coverage=0.01,
    most=9999.99,
)


def assigned(value: float, u: float = 0.01) -> Assigned:
    return Assigned(value, "umol/mol", u, "WMO CO2 X2019")


def tanks(*more: Tank, u: float = 0.01) -> list[Tank]:
    names = {"S1": 380.0, "S2": 400.0, "S3": 420.0}
    return [Reference("R0"), *(Standard(name, assigned(value, u)) for name, value in names.items()), *more]


def worked(value: float = 410.25, at_s: float = 2700.0) -> list[Minute]:
    rows = [(0, "R0", 400.10), (600, "S1", 380.633333333), (1200, "S2", 400.166666667), (1800, "S3", 419.7)]
    rows += [(int(at_s), AIR, value), (3600, "R0", 400.30)]
    return [Minute(float(t), s, v) for t, s, v in sorted(rows)]


def air(result: Result) -> list[tuple[float | None, str]]:
    return [(v.value, notation(v.flags)) for v in result.minutes if v.source == AIR]


def test_the_worked_example() -> None:
    result = calibrate(worked(), tanks(), Rules(base=PLAIN))
    ((value, flags),) = air(result)
    assert value == pytest.approx(410.256410, abs=5e-7)
    assert flags == "..<"
    (response,) = result.responses
    assert response.beta == pytest.approx((400.0, 1.025641026), abs=5e-9)
    assert response.residual_sd == pytest.approx(0.0, abs=1e-9)


def test_ratios_are_taken_of_samples_and_of_standards() -> None:
    rules = Rules(base=replace(PLAIN, operation="ratio"))
    rows = [(0, "R0", 200.0), (600, "S1", 193.8), (1200, "S2", 208.0), (1800, "S3", 222.6), (3600, "R0", 224.0)]
    # A reference that is twice too low and drifts by 4 an interval of 600 s: ratios 0.95, 1, 1.05.
    minutes = [Minute(t, s, v) for t, s, v in rows] + [Minute(4200.0, AIR, 224.0 * 1.02)]
    ((value, _),) = air(calibrate(minutes, tanks(), rules))
    assert value == pytest.approx(408.0, abs=1e-6)


def test_a_value_that_cannot_be_has_none() -> None:
    ((value, flags),) = air(calibrate(worked(20000.0), tanks(), Rules(base=PLAIN)))
    assert value is None
    assert flags == "*.."


def test_no_reference_no_value() -> None:
    minutes = [Minute(0.0, AIR, 400.0), Minute(60.0, "S1", 380.0)]
    ((value, flags),) = air(calibrate(minutes, tanks(), Rules(base=PLAIN)))
    assert (value, flags) == (None, "*..")


def test_a_calibration_out_of_reach_leaves_none() -> None:
    late = [*worked(), Minute(3 * DAY_S, "R0", 400.3), Minute(3 * DAY_S + 60, AIR, 410.0)]
    found = air(calibrate(late, tanks(), Rules(base=PLAIN)))
    assert found[1] == (None, "C..")


def test_a_reference_out_of_reach_leaves_none() -> None:
    rules = Rules(base=replace(PLAIN, max_ref_gap_s=HOUR))
    late = [*worked(), Minute(3600 + 3660.0, AIR, 410.0)]
    assert air(calibrate(late, tanks(), rules))[1] == (None, "*..")


@pytest.mark.parametrize(
    ("drop", "why"),
    [("S2", "expected S1 S2 S3, found S1 S3"), ("last", "does not end with the reference")],
)
def test_an_incomplete_calibration_is_rejected_and_says_why(drop: str, why: str) -> None:
    rows = [m for m in worked() if m.source != drop and not (drop == "last" and m.at_s == 3600)]
    result = calibrate(rows, tanks(), Rules(base=PLAIN))
    assert [one.rejected for one in result.responses] == [why]
    assert ("rejected-calibration", why) in {(f.what, f.text) for f in result.findings}
    assert air(result)[0][0] is None


def test_only_the_last_round_of_a_calibration_counts() -> None:
    first = [Minute(m.at_s - 3600.0, m.source, (m.value or 0) + 7.0) for m in worked() if m.source.startswith("S")]
    rows = [Minute(-3660.0, "R0", 400.1), *first, *worked()]
    result = calibrate(rows, tanks(), Rules(base=replace(PLAIN, loops=2)))
    assert result.responses[0].beta[1] == pytest.approx(1.025641026, abs=1e-6)


def test_nothing_is_interpolated_across_a_new_cylinder() -> None:
    old = replace(tanks()[0], number="A", to_s=3000.0)
    new = replace(tanks()[0], number="B", from_s=3000.0)
    result = calibrate(worked(), [old, new, *tanks()[1:]], Rules(base=PLAIN))
    assert [one.rejected for one in result.responses] == ["does not end with the reference"]


def test_a_break_of_the_rules_cuts_as_a_new_cylinder_does() -> None:
    result = calibrate(worked(), tanks(), Rules([Rule("break", start_s=3000.0)], base=PLAIN))
    assert result.responses[0].rejected == "does not end with the reference"


def test_what_is_dropped_is_told_apart() -> None:
    rules = Rules(base=replace(PLAIN, cal_flush_s=120.0, sample_flush_s=120.0))
    sources = ["R0"] * 4 + [AIR] * 4 + ["elsewhere"] * 2
    minutes = [Minute(60.0 * i, s, 400.0) for i, s in enumerate(sources)]
    minutes[6] = minutes[6]._replace(usable=False)
    minutes[7] = minutes[7]._replace(value=None)
    found = [set(v.flags) for v in calibrate(minutes, tanks(), rules).minutes]
    assert found[:4] == [{Flag.STANDARD}] * 4
    assert found[4:6] == [{Flag.FLUSH}] * 2
    assert found[6:8] == [{Flag.FAULT}, {Flag.NO_VALUE}]
    assert found[8:] == [{Flag.STANDARD}] * 2


def test_wet_minutes_are_dried_and_without_water_there_is_no_value() -> None:
    water = WaterCorrection(-0.012, -2.674e-4, (1e-9, 0.0, 0.0))
    rules = Rules(base=replace(PLAIN, reference=None, standards=("W",), operation="ratio", water_model=water))
    minutes = [Minute(0.0, "W", 400.0, water=0.0), Minute(60.0, AIR, 400.0, water=1.0), Minute(120.0, AIR, 400.0)]
    result = calibrate(minutes, [Standard("W", assigned(400.0))], rules)
    assert result.minutes[1].value == pytest.approx(404.967903, abs=5e-6)
    assert result.minutes[2].flags == {Flag.NO_WATER}
    (hour,) = result.periods
    assert {t.name: t.u for t in hour.budget.terms}["water correction"] == pytest.approx(
        404.968 / (1 - 0.012 - 2.674e-4) * math.sqrt(1e-9), rel=1e-4
    )


def test_an_hour_is_the_weighted_mean_with_the_total_spread() -> None:
    rules = Rules(base=replace(PLAIN, reference=None, standards=("W",), operation="ratio"))
    minutes = [Minute(0.0, "W", 400.0), Minute(60.0, AIR, 400.0, 0.1, 10), Minute(120.0, AIR, 401.0, 0.2, 20),
               Minute(180.0, AIR, 400.5, 0.15, 15)]  # fmt: skip
    (hour,) = calibrate(minutes, [Standard("W", assigned(400.0))], rules).periods
    assert hour.value == pytest.approx(400.611111, abs=5e-7)
    assert hour.sd == pytest.approx(0.429308, abs=5e-7)
    assert (hour.n, hour.minutes) == (45, 3)


def test_declared_terms_hold_in_their_range() -> None:
    terms = (DeclaredTerm("scale", 0.03, source="NOAA"), DeclaredTerm("high", ratio=1e-3, least=450.0))
    (hour,) = calibrate(worked(), tanks(), Rules(base=replace(PLAIN, terms=terms))).periods
    named = {term.name: term for term in hour.budget.terms}
    assert named["scale"].u == 0.03
    assert "high" not in named
    assert named["assigned values"].over_time == "common"


def test_too_few_minutes_make_no_hour() -> None:
    (hour,) = calibrate(worked(), tanks(), Rules(base=replace(PLAIN, coverage=0.5))).periods
    assert not hour.valid
    assert Flag.INCOMPLETE in hour.flags


def test_minutes_out_of_order_and_standards_without_value_are_refused() -> None:
    with pytest.raises(ValueError, match="out of order"):
        calibrate([Minute(60.0, AIR, 1.0), Minute(0.0, AIR, 1.0)], [], Rules())
    with pytest.raises(ValueError, match="S1 has no assigned value"):
        calibrate([], [Standard("S1")], Rules())


def days(count: int, bias: Sequence[tuple[float, float, float]] = (), seed: int = 1) -> list[Minute]:
    """A reference each 6 h, target each 12 h, three standards a day; `bias` is added to the gain about R0."""
    dice = random.Random(seed)
    amounts = {"R0": 400.0, "S1": 380.0, "S2": 400.0, "S3": 420.0, "T1": 430.0}
    rows = []
    for minute in range(count * 1440):
        day, at = minute / 1440, minute % 720
        port = AIR
        if at % 360 < 8:
            port = "R0"
        elif at < 16:
            port = "T1"
        elif minute % 1440 in range(100, 140):
            port = ("R0", "S1", "S2", "S3", "R0")[(minute % 1440 - 100) // 8]
        gain = sum(size for begin, end, size in bias if begin <= day < end)
        true = amounts.get(port, 410.0)
        rows.append(Minute(60.0 * minute, port, true + gain * (true - 400.0) + dice.gauss(0, 0.01)))
    return rows


def controlled(minutes: list[Minute]) -> Result:
    rules = Rules(base=replace(PLAIN, cal_flush_s=120, sample_flush_s=120, visit_minutes=3, coverage=0.5,
                               target_limit=0.1, cal_time_diff_s=8 * DAY_S))  # fmt: skip
    return calibrate(minutes, tanks(Target("T1", assigned(430.0), expires_s=DAY_S)), rules, unit="umol/mol")


def test_from_a_failed_check_nothing_is_valid_until_one_passes() -> None:
    quiet = [m for m in days(6, [(3.2, 4.8, 0.01)]) if not (m.source[0] == "S" and 86400 < m.at_s < 5 * DAY_S)]
    result = controlled(quiet)
    (out,) = [f for f in result.findings if f.what == "out-of-control"]
    assert (round(out.from_s / DAY_S, 1), round(out.to_s / DAY_S, 1)) == (3.5, 5.0)
    assert out.size == pytest.approx(0.3, abs=0.03)
    assert not [p for p in result.periods if p.valid and out.from_s < p.start_s + HOUR <= out.to_s]
    suspect = [p.start_s / DAY_S for p in result.periods if p.valid and Flag.SUSPECT in p.flags]
    assert 2.9 < min(suspect) < 3.1 < 3.4 < max(suspect) < 3.5
    assert all(p.valid for p in result.periods if p.start_s > out.to_s + HOUR)


def test_an_expired_target_is_named_and_its_data_stay() -> None:
    result = controlled(days(2))
    assert [f.about for f in result.findings if f.what == "expired"] == ["T1"]
    assert all(p.valid for p in result.periods)
    assert len(result.checks) == 4
    assert all(abs(check.bias) < 0.03 for check in result.checks)


def test_an_expired_standard_flags_its_values_and_no_more() -> None:
    found = [replace(t, expires_s=DAY_S) if t.name == "S2" else t for t in tanks()]
    result = calibrate(days(2), found, Rules(base=replace(PLAIN, cal_flush_s=120, visit_minutes=3)))
    late = [p for p in result.periods if p.start_s > DAY_S]
    assert all(p.valid and Flag.EXPIRED in p.flags for p in late)
    assert not [p for p in result.periods if p.start_s < DAY_S - HOUR and Flag.EXPIRED in p.flags]


def test_a_jump_of_the_reference_spoils_only_what_lies_between() -> None:
    rows = [m._replace(value=(m.value or 0) + 2.0) if m.at_s >= 2.1 * DAY_S else m for m in days(4)]
    result = controlled(rows)
    (step,) = [f for f in result.findings if f.what == "step"]
    assert step.size == pytest.approx(2.0, abs=0.05)
    assert 2.0 < step.from_s / DAY_S < 2.1 < step.to_s / DAY_S < 2.26
    bad = [p.start_s / DAY_S for p in result.periods if not p.valid]
    assert bad
    assert all(1.99 < one < 2.26 for one in bad)


def test_the_same_twice_is_the_same() -> None:
    assert controlled(days(2)) == controlled(days(2))


def test_brackets_follow_the_tanks() -> None:
    rules = Rules(base=replace(PLAIN, method="bracket", reference=None, operation="subtract", cal_flush_s=120,
                               visit_minutes=3, max_ref_gap_s=DAY_S + HOUR))  # fmt: skip
    found = [t for t in tanks() if isinstance(t, Standard)]
    rows = [
        m._replace(value=(m.value or 0) * 1.001 + m.at_s * 1e-6) for m in days(3) if m.source in {AIR, "S1", "S2", "S3"}
    ]
    result = calibrate(rows, found, rules)
    values = [p.value for p in result.periods if p.value is not None and DAY_S < p.start_s < 2 * DAY_S]
    assert len(values) > 20
    assert all(abs(value - 410.0) < 0.02 for value in values)


def test_a_towers_reference_is_one_of_its_standards() -> None:
    rules = Rules(base=replace(PLAIN, method="bracket", reference="S2", cal_flush_s=120, visit_minutes=3,
                               max_ref_gap_s=DAY_S + HOUR))  # fmt: skip
    found = [t for t in tanks() if isinstance(t, Standard)]
    rows = [m._replace(value=(m.value or 0) * 1.001 + m.at_s * 1e-6) for m in days(3) if m.source not in {"R0", "T1"}]
    result = calibrate(rows, found, rules)
    values = [p.value for p in result.periods if p.value is not None and DAY_S < p.start_s < 2 * DAY_S]
    assert len(values) > 20
    assert all(abs(value - 410.0) < 0.02 for value in values)


def test_a_declared_reference_is_used_without_being_named_and_a_rule_may_forbid_it() -> None:
    named = replace(PLAIN, reference=None)
    assert air(calibrate(worked(), tanks(), Rules(base=named)))[0][0] == pytest.approx(410.256410, abs=5e-7)
    without = Rules([Rule("reference", None)], base=named)
    ((value, _),) = air(calibrate(worked(), tanks(), without))
    assert value == pytest.approx(410.324232, abs=5e-7)


def test_a_single_working_standard_is_enough_without_rules() -> None:
    result = calibrate(
        [Minute(0.0, "W", 400.0), Minute(60.0, AIR, 450.0)],
        [Standard("W", assigned(402.0))],
        Rules(base=Settings(cal_flush_s=0, sample_flush_s=0, visit_minutes=1, coverage=0.01)),
    )
    assert air(result) == [(pytest.approx(452.25), "..<")]


def test_a_wrong_standard_is_found_among_brackets_too() -> None:
    rules = Rules(base=replace(PLAIN, method="bracket", reference=None, cal_flush_s=120, visit_minutes=3,
                               max_ref_gap_s=DAY_S + HOUR))  # fmt: skip
    names = {"S1": 380.0, "S2": 400.3, "S3": 420.0, "S4": 430.0}
    rows = [m._replace(source="S4" if m.source == "T1" else m.source) for m in days(4) if m.source != "R0"]
    result = calibrate(rows, [Standard(name, assigned(value)) for name, value in names.items()], rules)
    (wrong,) = [f for f in result.findings if f.what == "wrong-assigned-value"]
    assert wrong.about == "S2"
    assert wrong.size == pytest.approx(0.3, abs=0.05)
    values = [p.value for p in result.periods if p.value is not None]
    assert all(abs(value - 410.0) < 0.02 for value in values)


@pytest.mark.parametrize("keep", ["leave-out", "keep"])
def test_three_standards_cannot_tell_which_is_wrong(keep: str) -> None:
    names = {"S1": 380.0, "S2": 400.3, "S3": 420.0}
    rows = [m for m in days(4) if m.source != "T1"]
    for place, minute in enumerate(rows):
        day = int(minute.at_s % DAY_S) // 60
        if 124 <= day < 132:
            rows[place] = minute._replace(source="S4", value=430.0 + (minute.value or 0) - 420.0)
        elif 132 <= day < 140:
            rows[place] = minute._replace(source="R0")
    base = replace(PLAIN, standards=("S1", "S2", "S4"), cal_flush_s=120, visit_minutes=3, cal_time_diff_s=8 * DAY_S)
    found = [Reference("R0"), *(Standard(n, assigned(v)) for n, v in names.items()), Standard("S4", assigned(430.0))]
    result = calibrate(rows, found, Rules(base=replace(base, wrong_standard=keep)))  # type: ignore[arg-type]
    # Only that one is, and the uncertainty says so.
    assert "standards-disagree" in {f.what for f in result.findings}
    budget = {t.name: t.u for t in result.periods[30].budget.terms}
    assert budget["assigned values"] > 0.05


def test_the_baseline_of_the_observatories_may_be_asked_for() -> None:
    terms = {}
    for baseline in ("bridge", "noaa"):
        base = replace(PLAIN, cal_flush_s=120, visit_minutes=3, baseline=baseline)
        hours = calibrate(days(3), tanks(), Rules(base=base)).periods
        terms[baseline] = {t.name: t for t in hours[40].budget.terms}["reference between its readings"]
    assert terms["bridge"].source != terms["noaa"].source
    assert terms["noaa"].u > 0.0


def test_a_period_of_a_minute_gives_each_minute_its_budget() -> None:
    minutes = days(1)
    base = replace(PLAIN, cal_flush_s=120, visit_minutes=3)
    found = calibrate(minutes, tanks(), Rules(base=base), period_s=60.0)
    good = [p for p in found.periods if p.valid]
    values = {v.at_s: v.value for v in found.minutes if v.value is not None}
    assert len(good) == len(values)
    assert all(p.value == pytest.approx(values[p.start_s]) for p in good)
    (hour,) = [p for p in calibrate(minutes, tanks(), Rules(base=base)).periods if p.start_s == 4 * HOUR]
    noise = {t.name: t.u for t in hour.budget.terms}["noise"]
    minute = {t.name: t.u for t in good[200].budget.terms}["noise"]
    assert noise == pytest.approx(minute / math.sqrt(hour.minutes), rel=1e-3)
