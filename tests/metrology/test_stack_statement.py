"""The statement of an emission by day, month, quarter and year."""

from datetime import UTC, datetime, timedelta

import pytest

from metrology.budget import Budget, Term
from metrology.stack.hours import Hour, HourState, complete
from metrology.stack.statement import StatementOptions, StatementRow, statement

START = datetime(2025, 12, 31, 16, tzinfo=UTC)  # 1 January in UTC+8
HOUR = timedelta(hours=1)
V, M, S = HourState.VALID, HourState.MISSING, HourState.STOPPED
BUDGET = Budget((Term("kv: reference velocity", 0.5, "common", "test"), Term("x: noise", 1.0, "independent", "test")))


def year(
    missing: set[int] = frozenset(), stopped: set[int] = frozenset(), budget: Budget | None = BUDGET
) -> list[Hour]:  # type: ignore[assignment]
    states = [M if n in missing else S if n in stopped else V for n in range(365 * 24)]
    return [
        Hour(START + n * HOUR, s, 10.0 if s is V else None, budget if s is V else None) for n, s in enumerate(states)
    ]


def rows(found: tuple[StatementRow, ...], period: str) -> dict[str, StatementRow]:
    return {row.key: row for row in found if row.period == period}


def test_a_whole_year_adds_up_at_every_level() -> None:
    found = statement(year(), StatementOptions()).rows
    assert len(rows(found, "day")) == 365
    assert list(rows(found, "month"))[:2] == ["2026-01", "2026-02"]
    assert list(rows(found, "quarter")) == ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]
    (whole,) = rows(found, "year").values()
    assert whole.measured_kg == pytest.approx(87600.0)
    for period in ("day", "month", "quarter"):
        assert sum(row.measured_kg for row in rows(found, period).values()) == pytest.approx(87600.0)
    assert all(row.verdict and row.verdict.valid for row in found if row.period in ("day", "month", "quarter"))
    # The common part adds as it is, the noise does not.
    assert whole.measured_u_kg == pytest.approx((8760**2 * 0.25 + 8760) ** 0.5)


def test_what_is_missing_is_counted_and_judged_where_it_is() -> None:
    # Five hours of 3 January and eight whole days of February.
    february = 31 * 24
    missing = {2 * 24 + n for n in range(5)} | {february + n for n in range(8 * 24)}
    found = statement(year(missing), StatementOptions()).rows
    days, months, quarters = rows(found, "day"), rows(found, "month"), rows(found, "quarter")
    assert days["2026-01-03"].hours.counted == 19
    assert days["2026-01-03"].verdict is not None
    assert not days["2026-01-03"].verdict.valid
    assert months["2026-01"].verdict is not None
    assert months["2026-01"].verdict.found == 30
    assert months["2026-02"].verdict is not None
    assert (months["2026-02"].verdict.found, months["2026-02"].verdict.valid) == (20, False)
    assert quarters["2026-Q1"].capture_percent == pytest.approx(100 * (2160 - 197) / 2160)
    assert quarters["2026-Q1"].verdict is not None
    assert quarters["2026-Q1"].verdict.valid
    assert quarters["2026-Q1"].measured_kg == pytest.approx(10.0 * (2160 - 197))
    assert {row.substituted_hours for row in found} == {0}


def test_substituted_hours_stand_beside_what_was_measured() -> None:
    found = statement(year({100, 101}), StatementOptions(scheme="hj75"))
    (whole,) = rows(found.rows, "year").values()
    assert (whole.substituted_kg, whole.substituted_hours, whole.measured_kg) == (20.0, 2, pytest.approx(87580.0))
    assert [one.start for one in found.substituted] == [START + 100 * HOUR, START + 101 * HOUR]


def test_a_month_that_stood_still_is_not_judged() -> None:
    found = statement(year(stopped=set(range(31 * 24))), StatementOptions()).rows
    assert rows(found, "month")["2026-01"].verdict is None
    assert rows(found, "month")["2026-01"].capture_percent is None
    assert rows(found, "quarter")["2026-Q1"].capture_percent == 100.0


def test_without_all_budgets_there_is_no_uncertainty() -> None:
    hours = [*year()[:10], Hour(START + 10 * HOUR, V, 10.0)]
    (whole,) = rows(statement(hours, StatementOptions(periods=("total",))).rows, "total").values()
    assert whole.measured_u_kg is None


def test_hours_of_which_nothing_is_known_are_missing() -> None:
    known = [Hour(START + n * HOUR, V, 1.0) for n in (0, 3)]
    found = complete(known, START, START + 5 * HOUR)
    assert [hour.state for hour in found] == [V, M, M, V, M]
    assert [hour.start for hour in found] == [START + n * HOUR for n in range(5)]
    assert complete(known, START, START) == known
