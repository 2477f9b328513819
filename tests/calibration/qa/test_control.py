"""Out of control: what opens an interval, what ends it, what is suspect before it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.qa.checks import sd_in_control
from calibration.qa.control import Control, Finding, out_of_control, standing
from calibration.qa.drifts import drift_points, largest
from calibration.qa.rules import RULE_SETS, Policy, Row, table
from metrology.periods import iso

START = datetime(2026, 3, 1, tzinfo=UTC)
SERIES = "cems.so2"
SPAN_GAS = 160.0


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


class Diary:
    """Calibration records as a station writes them; full scale 200 mg/m3, zero gas 0, span gas 160."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.records: list[dict[str, Any]] = []
        self.at = START

    def put(self, what: str, **members: Any) -> dict[str, Any]:
        row = {"kind": "calibration", "epoch": 1, "seq": len(self.records), "t": iso(self.at), "what": what, **members}
        self.records.append(row)
        return row

    def run(
        self, at: float, zero: float | None = 0.0, span: float | None = 0.0, stable: bool = True, finished: bool = True,
        adopt: bool = False, path: str | None = None,
    ) -> None:  # fmt: skip
        """One run; `zero` and `span` are how far the readings lie from the gases, in percent of full scale."""
        self.at = hour(at)
        run = f"daily-{iso(self.at)}"
        for role, percent, assigned in (("zero", zero, 0.0), ("span", span, SPAN_GAS)):
            if percent is None:
                continue
            rules = self.policy.judgement("so2", role, 200.0, assigned, "mg/m3")  # type: ignore[arg-type]
            self.put(
                "drift", run=run, series=SERIES, role=role, gas=role, reading=assigned + 2 * percent,
                assigned=assigned, span=200.0, unit="mg/m3", stable=stable, path=path,
                **({"rules": rules.fields()} if rules else {}),
            )  # fmt: skip
        if adopt:
            self.put("coefficients", run=run, series=SERIES, id=f"{run}.{SERIES}")
        self.put("run-finished" if finished else "run-aborted", run=run)


def diary(rule_set: str = "hj75", **policy: Any) -> Diary:
    return Diary(Policy(rule_set, **policy))


def test_hj_75_is_invalid_from_the_failed_check_and_suspect_back_to_the_last_good_one() -> None:
    book = diary()
    book.run(0, 0.5, -1.0)
    book.run(24, 1.0, 11.0)
    book.run(48, 1.0, 12.0)
    book.run(50, 0.0, 0.0)
    (found,) = out_of_control(book.records)
    assert (found.series, found.start, found.end, found.suspect_from) == (SERIES, hour(24), hour(50), hour(0))
    assert [(one.check.role, one.check.at, one.reason) for one in found.why] == [
        ("span", hour(24), "limit"), ("span", hour(48), "limit"),
    ]  # fmt: skip
    assert found.why[0].check.record == (1, 4)
    assert found.restored == (1, len(book.records) - 1)
    assert not found.verified
    hours = [standing([found], SERIES, hour(n), hour(n + 1)) for n in range(-2, 53)]
    assert hours == ["good"] * 2 + ["suspect"] * 24 + ["out"] * 26 + ["good"] * 3
    assert standing([found], "cems.nox", hour(30), hour(31)) == "good"


def test_what_failed_through_the_whole_line_must_be_good_through_it() -> None:
    """A leak in the sampling line is not mended by a good reading at the analyzer."""
    book = diary()
    book.run(0, path="line")
    book.run(24, 0.0, 11.0, path="line")
    book.run(25, path="analyzer")
    book.run(26)
    assert [one.end for one in out_of_control(book.records)] == [None]
    book.run(27, path="line")
    assert [one.end for one in out_of_control(book.records)] == [hour(27)]
    book.run(48, 6.0, 0.0, path="analyzer")
    book.run(49, path="line")
    assert [one.end for one in out_of_control(book.records)] == [hour(27), hour(49)]


def test_where_no_good_check_is_known_all_earlier_time_is_suspect() -> None:
    book = diary()
    book.run(24, 6.0, 0.0)
    book.run(48)
    (found,) = out_of_control(book.records)
    assert (found.suspect_from, found.unchecked_before) == (None, True)
    assert standing([found], SERIES, hour(-1000), hour(-999)) == "suspect"
    assert standing([found], SERIES, hour(50), hour(51)) == "good"


def test_a_gas_that_was_never_good_has_the_other_gases_for_witness() -> None:
    book = diary()
    book.run(0, 0.0, None)
    book.run(24, 0.0, 11.0)
    (found,) = out_of_control(book.records)
    assert (found.suspect_from, found.unchecked_before) == (hour(0), False)


def test_a_failure_that_is_not_out_of_control_opens_nothing_and_ends_nothing() -> None:
    book = diary()
    book.run(0, 3.0, 3.0)
    assert out_of_control(book.records) == []
    book.run(24, 6.0, 0.0)
    book.run(48, 4.0, 0.0)
    (found,) = out_of_control(book.records)
    assert (found.start, found.end, found.suspect_from) == (hour(24), None, None)
    book.run(72, 2.0, 0.0)
    assert [one.end for one in out_of_control(book.records)] == [hour(72)]


def test_each_gas_that_failed_must_be_read_well_again() -> None:
    book = diary()
    book.run(0)
    book.run(24, 6.0, 11.0)
    book.run(25, None, 0.0)
    book.run(26, 6.0, None)
    assert [one.end for one in out_of_control(book.records)] == [None]
    book.run(27, 0.0, None)
    assert [one.end for one in out_of_control(book.records)] == [hour(27)]


def test_an_unsteady_reading_an_aborted_run_and_an_adjustment_alone_bring_nothing_back() -> None:
    book = diary()
    book.run(0, 6.0)
    book.run(1, 0.0, stable=False)
    book.run(2, 0.0, finished=False)
    book.put("adjustment", series=SERIES, who="li", reason="new filter")
    assert [one.end for one in out_of_control(book.records)] == [None]
    book.run(3)
    assert [one.end for one in out_of_control(book.records)] == [hour(3)]


def test_a_research_series_is_in_control_again_by_its_new_coefficients() -> None:
    book = diary("wmo")
    book.run(0)
    book.run(24, 6.0, 0.0, adopt=True)
    (found,) = out_of_control(book.records)
    assert (found.start, found.end, found.suspect_from) == (hour(24), hour(24), hour(0))
    assert standing([found], SERIES, hour(5), hour(6)) == "suspect"


def test_procedure_1_back_dates_a_single_large_drift_and_counts_repeated_ones_from_the_fifth() -> None:
    book = diary("40cfr60")
    book.run(0)
    book.run(24, 10.5)
    book.run(30)
    (found,) = out_of_control(book.records)
    assert (found.start, found.end, found.suspect_from) == (hour(0), hour(30), None)
    book = diary("40cfr60")
    for day in range(7):
        book.run(24 * day, 0.0 if day == 0 else 6.0)
    (found,) = out_of_control(book.records)
    assert (found.start, found.suspect_from, found.why[0].reason) == (hour(120), hour(0), "repeated")
    broken = diary("40cfr60")
    for day in range(9):
        broken.run(24 * day, 0.0 if day == 4 else 6.0)
    assert out_of_control(broken.records) == []


def test_qal3_alarms_for_drift_with_an_adjustment_and_loses_control_with_precision() -> None:
    sd = {("so2", "zero"): 2.0}
    book = diary("en14181", sd=sd)
    control, found = Control(), []
    for day, percent in enumerate((0.2, 1.0, 1.3, 0.9, 1.6, 1.2)):
        book.run(24 * day, percent, None)
    for fields in book.records:
        found += [one for one in control.take(fields) if isinstance(one, Finding)]
    assert [one.verdict for one in found] == ["pass"] * 5 + ["adjust"]
    assert found[-1].adjust_by == pytest.approx(-0.840 * 2.0, abs=1e-3)
    assert control.open == {}
    book.put("adjustment", series=SERIES, who="li", reason="zero")
    for day, percent in enumerate((0.0, 2.5, -2.0), 7):
        book.run(24 * day, percent, None)
    (interval,) = out_of_control(book.records)
    assert (interval.start, interval.why[0].reason) == (hour(24 * 9), "precision")


@pytest.mark.parametrize(("chart", "alarms"), [("shewhart", [3]), ("ewma", [6, 7])])
def test_other_charts_ask_for_an_adjustment_and_lose_no_control(chart: Any, alarms: list[int]) -> None:
    """In units of s: a single reading of 3.2 is Shewhart's, a lasting shift of 1.4 is EWMA's."""
    deviations = (
        [0.0, -1.0, 0.0, 3.2, 1.4, 1.4, 1.4, 1.4] if chart == "shewhart" else [0.0, 0.0, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4]
    )
    book = diary("en14181", sd={("so2", "zero"): 2.0}, chart=chart)
    for day, deviation in enumerate(deviations):
        book.run(24 * day, deviation, None)
    control = Control()
    found = [one for row in book.records for one in control.take(row) if isinstance(one, Finding)]
    assert [day for day, one in enumerate(found) if one.verdict == "adjust"] == alarms
    assert all(one.adjust_by is not None and one.adjust_by < 0 for one in found if one.verdict == "adjust")
    assert control.open == {}


def test_the_deviation_for_a_chart_comes_from_twenty_good_checks() -> None:
    book = diary()
    for day in range(19):
        book.run(24 * day, 1.0 if day % 2 else -1.0, None)
    checks = [one.check for one in drift_points(book.records)]
    assert sd_in_control(checks, SERIES, "zero") is None
    book.run(24 * 19, 20.0, None)
    book.run(24 * 20, 1.0, None)
    checks = [one.check for one in drift_points(book.records)]
    assert sd_in_control(checks, SERIES, "zero") == pytest.approx(2.0), "1 % of 200, the failed check left out"


def test_without_a_standard_deviation_qal3_judges_nothing() -> None:
    book = diary("en14181")
    book.run(0, 50.0, 50.0)
    assert out_of_control(book.records) == []


def test_a_record_of_an_older_version_is_judged_as_it_was() -> None:
    book = diary("none")
    book.run(0, 5.5, 0.0)
    (found,) = out_of_control(book.records)
    rules = found.why[0].check.rules
    assert rules is not None
    assert (rules.rule_set, rules.out) == ("hj75", 10.0)


def test_an_interval_names_a_bounded_number_of_its_failed_checks() -> None:
    book = diary()
    for day in range(100):
        book.run(24 * day, 6.0, None)
    (found,) = out_of_control(book.records)
    assert len(found.why) == 20
    assert (found.why[0].check.at, found.why[-1].check.at) == (hour(0), hour(24 * 99))


runs = st.lists(
    st.tuples(st.floats(-12, 12), st.floats(-12, 12), st.booleans(), st.booleans(), st.booleans()), max_size=12
)


@given(runs, st.sampled_from(RULE_SETS), st.integers(0, 60))
def test_the_fold_gives_the_same_wherever_it_is_cut(runs: list[Any], rule_set: str, cut: int) -> None:
    """A daemon that takes records one by one, and a report that reads all of them later, agree at every record."""
    book = diary(rule_set, sd={("so2", "zero"): 1.0, ("so2", "span"): 2.0})
    for number, (zero, span, stable, finished, adopt) in enumerate(runs):
        book.run(number, zero, span, stable, finished, adopt)
    control = Control()
    for fields in book.records[:cut]:
        list(control.take(fields))
    still = {one.series: one for one in out_of_control(book.records[:cut]) if one.end is None}
    assert still == control.open
    whole = out_of_control(book.records)
    assert whole == out_of_control(list(book.records))
    assert all(one.end is None or one.start <= one.end for one in whole)
    assert all(one.suspect_from is None or one.suspect_from < one.start for one in whole)
    assert all(one.end is not None for one in whole[:-1])


@given(st.lists(st.tuples(st.floats(-15, 15), st.floats(-15, 15)), min_size=1, max_size=15))
def test_no_hour_after_a_check_that_is_out_of_control_is_good_until_a_good_one(
    drifts: list[tuple[float, float]],
) -> None:
    book = diary()
    for number, (zero, span) in enumerate(drifts):
        book.run(24 * number, zero, span)
    found = out_of_control(book.records)
    out: set[str] = set()
    for number, (zero, span) in enumerate(drifts):
        for role, size, limit in (("zero", abs(zero), 5.0), ("span", abs(span), 10.0)):
            if size > limit + 1e-9:
                out.add(role)
            elif size <= 2.5 - 1e-9:
                out.discard(role)
        expected = {"out"} if out else {"good", "suspect"}
        assert standing(found, SERIES, hour(24 * number + 5), hour(24 * number + 6)) in expected


def points(book: Diary) -> Iterator[tuple[Any, ...]]:
    for one in drift_points(book.records):
        yield one.phase, *(None if v is None else round(v, 9) for v in (one.certified, one.adjusted, one.day, one.week))


def test_drift_against_the_certificate_and_against_the_last_adjusted_reading() -> None:
    """The latter is small where the analyzer was adjusted badly, the former shows it."""
    book = diary()
    book.run(0, 1.0, None)
    book.run(24, 1.5, None)
    book.put("adjustment", series=SERIES, who="li", reason="zero")
    book.run(25, 0.5, None)
    for day in range(2, 10):
        book.run(25 + 24 * (day - 1), 0.5 + 0.1 * day, None)
    found = list(points(book))
    assert found[:3] == [
        ("as-found", 1.0, None, None, None), ("as-found", 1.5, 0.5, 0.5, None), ("as-left", 0.5, None, None, None),
    ]  # fmt: skip
    assert found[3] == ("as-found", 0.7, 0.2, 0.2, None)
    assert found[-1] == ("as-found", 1.4, 0.9, 0.1, 0.7)
    worst = largest(drift_points(book.records))
    assert worst[SERIES, "zero"].certified == pytest.approx(1.5)


def test_the_table_names_a_source_for_every_limit_and_a_limit_for_every_common_gas() -> None:
    assert {row.rule_set for row in table()} == set(RULE_SETS)
    assert all(row.source for row in table())
    unverified = [row for row in table() if not row.verified]
    assert unverified == list(table()), "say in docs/qa.md which rows were seen"
    for rule_set in RULE_SETS:
        for role in ("zero", "span"):
            found = Policy(rule_set, sd={("so2", role): 1.0}).judgement("so2", role, 200.0, 0.0, "mg/m3")
            assert found is not None
            assert found.passes is not None


def test_rows_of_a_range_and_of_a_band_of_concentration_and_of_the_site() -> None:
    low = Row("configuration", ("so2",), "span", "filing 7", True, scale_to=100.0, unit="mg/m3", pass_absolute=4.0)
    band = Row("configuration", ("so2",), "span", "filing 8", True, assigned_to_percent=30.0, pass_percent=1.0)
    policy = Policy("hj75", (low, band))
    for scale, assigned, passes in ((100.0, 80.0, 4.0), (200.0, 60.0, 2.0), (200.0, 160.0, 5.0)):
        found = policy.judgement("so2", "span", scale, assigned, "mg/m3")
        assert found is not None
        assert found.passes == pytest.approx(passes)


def test_of_a_percentage_and_an_amount_the_wider_counts_and_units_follow_the_reading() -> None:
    velocity = Policy("hj75").judgement("stack_velocity", "zero", 20.0, 0.0, "m/s")
    assert velocity is not None
    assert (velocity.passes, velocity.out) == (0.9, pytest.approx(1.8))
    carbon = Policy("40cfr75").judgement("co2", "span", 200_000.0, 100_000.0, "umol/mol")
    assert carbon is not None
    assert (carbon.passes, carbon.out) == (pytest.approx(5000.0), pytest.approx(10_000.0))
    target = Policy("wmo").judgement("ch4_dry", "target", 10.0, 2.0, "umol/mol")
    assert target is not None
    assert (target.warn, target.passes, target.out) == (pytest.approx(0.002), pytest.approx(0.005), None)
    assert [target.verdict(d) for d in (0.001, -0.003, 0.006)] == ["pass", "warning", "adjust"]
    assert Policy("wmo").judgement("so2", "target", 200.0, 100.0, "mg/m3") is None
