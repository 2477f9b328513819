"""Quality letters, and where periods are cut."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.quality import GOOD, MORE, ORIGINS_MAX, Cause, Mark, Quality, few, letter
from metrology.statistics import Moments, circular_mean, combine_circular, merge

AT = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(0, 4_102_444_800_000_000).map(
    lambda us: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)
)


@pytest.mark.parametrize(("causes", "flag"), [
    ((), "N"),
    ((Cause.STALE,), "N"),
    ((Cause.CALIBRATION, Cause.MAINTENANCE), "C"),
    ((Cause.RECOVERY,), "C"),
    ((Cause.FLUSH,), "M"),
    ((Cause.FAULT, Cause.CALIBRATION), "D"),
    ((Cause.COMMUNICATION, Cause.FAULT), "B"),
    ((Cause.STOPPED, Cause.COMMUNICATION), "F"),
    ((Cause.OUT_OF_RANGE,), "T"),
    ((Cause.OUT_OF_CONTROL,), "D"),
    ((Cause.OUT_OF_CONTROL, Cause.CALIBRATION, Cause.OUT_OF_RANGE), "D"),
])  # fmt: skip
def test_the_letter_is_that_of_the_weightiest_cause(causes: tuple[Cause, ...], flag: str) -> None:
    assert letter(causes) == flag


marks = st.sets(
    st.builds(Mark, st.sampled_from([Cause.FAULT, Cause.COMMUNICATION]), st.integers(0, 40).map(str), st.just(AT))
)


@given(marks, marks)
def test_few_origins_stand_for_many_whatever_they_are_gathered_from(some: set[Mark], others: set[Mark]) -> None:
    whole = few(some | others)
    assert few(few(some) | few(others)) == few(whole) == whole
    for cause in (Cause.FAULT, Cause.COMMUNICATION):
        all_of, kept = ({one.origin for one in of if one.cause is cause} for of in (some | others, whole))
        assert len(kept) <= ORIGINS_MAX + 1
        assert kept - {MORE} <= all_of
        assert (MORE in kept) == (len(all_of) > ORIGINS_MAX)
        if len(all_of) <= ORIGINS_MAX:
            assert kept == all_of


def test_doubt_leaves_a_value_valid_and_a_fault_does_not() -> None:
    doubtful = Quality.of(Mark(Cause.CLOCK_DOUBTFUL, "clock", AT))
    assert GOOD.valid
    assert doubtful.valid
    assert not (doubtful | Quality.of(Mark(Cause.FAULT, "status", AT))).valid
    assert not Quality.of(Mark(Cause.OUT_OF_CONTROL, "check:r", AT)).valid


def test_days_are_cut_at_midnight_of_china_and_hours_in_utc() -> None:
    at = datetime(2026, 5, 4, 16, 0, 0, tzinfo=UTC)
    assert period_start(at, DAY_S) == at
    assert period_start(at - timedelta(seconds=1), DAY_S) == at - timedelta(days=1)
    assert period_start(at + timedelta(minutes=59), HOUR_S) == at
    assert period_start(at, DAY_S, day_offset_s=0) == datetime(2026, 5, 4, tzinfo=UTC)


@given(moments, st.sampled_from([MINUTE_S, HOUR_S, DAY_S]))
def test_a_moment_lies_in_its_period(at: datetime, period_s: int) -> None:
    start = period_start(at, period_s)
    assert start <= at < start + timedelta(seconds=period_s)
    assert period_start(start, period_s) == start


@given(moments)
def test_times_keep_their_millisecond(moment: datetime) -> None:
    at = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_iso(iso(at)) == at


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        parse_iso("2026-01-01T00:00:00")


values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@given(st.lists(values, min_size=1, max_size=6))
def test_weighted_merge_is_the_statistics_of_everything(groups: list[list[float]]) -> None:
    found = merge([Moments.of(group) for group in groups], weighted=True)
    everything = np.concatenate([np.array(group) for group in groups])
    assert found.n == len(everything)
    assert found.mean == pytest.approx(everything.mean(), rel=1e-9, abs=1e-9)
    if len(everything) > 1:
        assert found.sd == pytest.approx(everything.std(ddof=1), rel=1e-6, abs=1e-6)


@given(st.floats(0, 359.9), st.floats(1, 25))
def test_direction_and_its_spread_do_not_depend_on_north(centre: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    degrees = ((centre + rng.normal(0, spread, 4000)) % 360).tolist()
    found = circular_mean(degrees)
    assert found.mean is not None
    assert found.sd is not None
    assert abs((found.mean - centre + 180) % 360 - 180) < 2
    assert found.sd == pytest.approx(spread, rel=0.1)


def test_meander_between_parts_is_in_the_spread_of_the_whole() -> None:
    parts = [Moments(60, 350.0, None, None, 5.0), Moments(60, 10.0, None, None, 5.0)]
    found = combine_circular(parts)
    assert found.mean == pytest.approx(0.0, abs=1e-9)
    assert found.sd == pytest.approx(np.hypot(5.0, 10.05), rel=0.01)
