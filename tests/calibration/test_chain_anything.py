"""Whatever minutes come, the chain gives an answer: a value exactly where nothing forbids it, and never a crash."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.chain.calibrate import calibrate
from calibration.chain.data import AIR, INVALID, Minute, Reference, Standard, Target
from calibration.models.rules import DAY_S, Rules, Settings
from calibration.sequence import Assigned


def gas(value: float, u: float) -> Assigned:
    return Assigned(value, "umol/mol", u, "WMO CO2 X2019")


rows = st.lists(
    st.tuples(
        st.sampled_from([60.0, 60.0, 60.0, 600.0, 7200.0, 90000.0]),
        st.sampled_from([AIR, AIR, "R0", "S1", "S2", "S3", "T1", "elsewhere"]),
        st.one_of(st.none(), st.just(400.0), st.floats(-10.0, 1000.0), st.just(math.nan)),
        st.sampled_from([None, 0.0, 1.0]),
        st.booleans(),
    ),
    max_size=80,
)
variants = st.builds(
    Settings,
    operation=st.sampled_from(["subtract", "ratio"]),
    method=st.sampled_from(["response", "bracket"]),
    degree=st.sampled_from([1, 2]),
    fit=st.sampled_from(["york", "weighted"]),
    response_from=st.sampled_from(["mean", "linear", "nearest", "previous"]),
    baseline=st.sampled_from(["bridge", "noaa"]),
    water=st.sampled_from(["none", "rella-co2"]),
    visit_minutes=st.just(1),
    cal_flush_s=st.sampled_from([0.0, 60.0]),
    sample_flush_s=st.sampled_from([0.0, 60.0]),
    target_limit=st.sampled_from([None, 0.1]),
    cal_time_diff_s=st.just(30 * DAY_S),
    coverage=st.just(0.01),
)


@settings(max_examples=150, deadline=None)
@given(rows, variants, st.booleans(), st.sampled_from([0.0, 0.01]))
def test_whatever_comes(
    given_rows: list[tuple[float, str, float | None, float | None, bool]], base: Settings, reference: bool, u: float
) -> None:
    at_s, minutes = 0.0, []
    for gap, source, value, water, usable in given_rows:
        at_s += gap
        minutes.append(Minute(at_s, source, value, water=water, usable=usable))
    tanks = [Standard(f"S{i}", gas(380.0 + 20 * i, u), expires_s=1e5) for i in range(1, 4)]
    found = calibrate(
        minutes,
        [*([Reference("R0")] if reference else []), *tanks, Target("T1", gas(410.0, u))],
        Rules(base=replace(base)),
    )
    assert len(found.minutes) == len(minutes)
    for value in found.minutes:
        assert (value.value is None) == bool(value.flags & INVALID)
        assert value.value is None or math.isfinite(value.value)
    for period in found.periods:
        assert not period.valid or math.isfinite(period.budget.total)
