"""Whatever the scans: made again twice it is the same bytes, and cut off after any hour it comes to the same."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.job import Job
from agent.analysis.plan import ByPlan, Known, Plan
from agent.analysis.recompute import Recomputation
from agent.values.averaging import Averager, SeriesSpec
from calibration.correction import apply
from metrology.periods import HOUR_S, iso
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading, Scan
from protocols.record import averages_fields, encode, scan_fields, scan_of

BEGIN = datetime(2026, 3, 1, 14, tzinfo=UTC)
SPEC = SeriesSpec("gas.co2", "umol/mol", "ghg", "mean", 2.0)
JOB = Job("recompute-x", ("gas.co2",), BEGIN + timedelta(minutes=7), BEGIN + timedelta(hours=3))
KNOWN = Known([
    {"epoch": 1, "seq": n, "kind": "calibration", "what": "coefficients", "id": f"c{n}", "series": "gas.co2",
     "zero": 0.3 * n, "slope": 1.0 + 0.01 * n, "from": iso(BEGIN + timedelta(hours=2 * n - 1))}
    for n in range(3)
])  # fmt: skip
PLAN = Plan.model_validate({"rules": [{"use": "linear"}]})

Records = list[dict[str, Any]]
VALUES = st.one_of(st.none(), st.floats(-1e3, 1e6, allow_nan=False), st.integers(0, 500).map(float))


def station(values: Sequence[float | None], faults: Sequence[bool]) -> Records:
    """What a station writes of a scan every half minute for three hours: the scans and the averages of them."""
    averager, found = Averager([SPEC], BEGIN), list[dict[str, Any]]()

    def put(kind: str, fields: dict[str, Any], at: datetime) -> None:
        found.append({**fields, "kind": kind, "epoch": 1, "seq": 10 + len(found), "t": iso(at)})

    for n in range(361):
        at = BEGIN + timedelta(seconds=30 * n)
        for several in averager.close(at):
            put("average", averages_fields(several), at)
        quality = Quality.of(Mark(Cause.FAULT, "x", at)) if faults[n % len(faults)] else Quality()
        scan = Scan("gas", at, (Reading("gas", "co2", values[n % len(values)], "umol/mol", at, quality),))
        fields = scan_fields(scan)
        put("scan", fields, at)
        for reading in scan_of(fields).readings:
            averager.feed(apply(reading, None))
    return found


def again(records: Records, written: Records, hours: int = 99) -> list[bytes]:
    """Bodies of the revisions of so many hours, beside what was written before."""
    plan = ByPlan(JOB.name, PLAN, KNOWN, ())
    state = Recomputation(JOB, {"gas.co2": SPEC}, 8 * HOUR_S, {"gas": plan})
    made: Records = []
    for fields in records:
        state.take(fields)
        for hour in state.ready():
            if hours > 0:
                kept = [row for row in (*records, *written, *made) if "period_s" in row]
                made += state.finish(hour, kept)
                hours -= 1
    return [encode(row) for row in made]


@settings(max_examples=15, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=9), st.lists(st.booleans(), min_size=1, max_size=5), st.integers(0, 3))
def test_the_same_bytes_every_time_and_after_any_hour(values: list[float | None], faults: list[bool], cut: int) -> None:

    records = station(values, faults)
    whole = again(records, [])
    assert whole or any(faults) or all(value is None for value in values)
    assert again(records, []) == whole
    first = again(records, [], cut)
    assert whole[: len(first)] == first
    rest = again(records, [json.loads(body) for body in first])
    # A day joins hours of both: it is written once, at the end.
    assert sorted([*first, *rest]) == sorted(whole)
    assert again(records, [json.loads(body) for body in whole]) == []
