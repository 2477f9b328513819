"""Records into the store: any order, any cut and any repeat give the same rows and the same acknowledgement."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.entries import Delivery, Entry
from central.store import DEAD_LETTERS_MAX, Store
from protocols.mqtt.coverage import SPANS_MAX, Coverage
from protocols.record import RecordError, decode

Maker = Callable[..., Any]
Query = Callable[..., list[Any]]


@pytest.fixture
def story(make_log: Maker) -> Any:
    """A log with something of every kind."""
    log = make_log()
    log.add("config", sha256="ab" * 32, document={}, version="1")
    log.add("gap", **{"from": log_time(0), "to": log_time(9), "reason": "not running"})
    for index in range(4):
        log.scan(400.0 + index / 3, *(["stale"] if index == 2 else []))
    for index in range(3):
        log.minute(index, 400.1 + index / 7)
    log.checkpoint()
    log.minute(1, 402.5, 1)
    log.minute(2, None, 1, "incomplete")
    log.add("calibration", what="coefficients", run="r1", id="c1", series="gas.co2", zero=0.1, slope=1.01)
    log.add("event", what="power", origin="ups", volts=11.5)
    log.scan(None, "communication")
    log.checkpoint()
    return log


def log_time(second: int) -> str:
    return f"2026-03-01T03:59:{second:02d}.000Z"


def all_until(last: int) -> Coverage:
    return Coverage(((0, last),))


def deliver(store: Store, log: Any, first: int, last: int, prev: int | None = None) -> Coverage:
    delivery = log.delivery(first, last, prev)
    return store.add([delivery])[delivery.tree]


def test_a_record_of_each_kind_gives_its_rows(store: Store, story: Any, rows: Query) -> None:
    receipt = deliver(store, story, 0, 15)
    assert receipt == all_until(15)
    assert rows("SELECT count(*), min(committed_wall) FROM record") == [(16, 1000.0)]
    assert rows("SELECT body FROM record ORDER BY seq") == story.bodies
    assert rows("SELECT value, causes FROM raw ORDER BY seq")[2:] == [
        (400.0 + 2 / 3, "stale"),
        (401.0, ""),
        (None, "communication"),
    ]
    assert rows("SELECT start, revision, mean, via FROM average WHERE start LIKE '%04:01%' ORDER BY revision") == [
        ("2026-03-01T04:01:00.000Z", 0, 400.1 + 1 / 7, "mqtt"),
        ("2026-03-01T04:01:00.000Z", 1, 402.5, "mqtt"),
    ]
    assert rows("SELECT value, causes FROM latest WHERE source = 'scan'") == [(None, "communication")]
    assert rows("SELECT minutes, mean FROM hour") == [(2, pytest.approx((400.1 + 402.5) / 2))]
    assert rows("SELECT what, run FROM calibration") == [("coefficients", "r1")]
    assert rows("SELECT from_at, reason FROM gap") == [(log_time(0), "not running")]
    assert rows("SELECT sha256 FROM config") == ["ab" * 32]
    assert rows("SELECT size, verdict FROM checkpoint ORDER BY size") == [(9, "consistent"), (15, "consistent")]
    (what, origin, detail) = rows("SELECT what, origin, detail FROM event")[0]
    assert (what, origin, json.loads(detail)) == ("power", "ups", {"volts": 11.5})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_cuts_and_repeats_change_nothing(
    data: st.DataObject, story: Any, make_store: Maker, whole: Callable[[Store], Any]
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 15))))
    other = sorted(data.draw(st.sets(st.integers(1, 15))))
    parts = [(a, b - 1) for line in (cuts, other) for a, b in zip([0, *line], [*line, 16], strict=True)]
    sent = data.draw(st.permutations(parts))
    straight, shuffled = make_store(":memory:"), make_store(":memory:")
    deliver(straight, story, 0, 15)
    for first, last in sent:
        receipt = deliver(shuffled, story, first, last)
    assert receipt == all_until(15)
    assert whole(shuffled) == whole(straight)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seqs=st.lists(st.integers(0, 30), min_size=1, max_size=30), data=st.data())
def test_the_acknowledgement_names_exactly_the_holes(
    seqs: list[int], data: st.DataObject, make_store: Maker, make_log: Maker
) -> None:
    log = make_log()
    for _ in range(31):
        log.scan()
    store, covered = make_store(":memory:"), set[int]()
    for seq in seqs:
        prev = data.draw(st.integers(-1, seq - 1))
        receipt = deliver(store, log, seq, seq, prev)
        covered |= set(range(prev + 1, seq + 1))
    through = next(n for n in range(-1, 32) if n + 1 not in covered)
    missing = {n for a, b in receipt.holes(receipt.highest) for n in range(a, b + 1)}
    assert receipt.through == through
    assert missing == set(range(through + 1, max(covered) + 1)) - covered


def test_a_hole_is_told_from_a_record_never_meant_for_the_centre(store: Store, make_log: Maker) -> None:
    log = make_log()
    for _ in range(10):
        log.scan()
    assert deliver(store, log, 4, 4, prev=1).spans == ((2, 4),)
    assert deliver(store, log, 0, 0).spans == ((0, 0), (2, 4))
    assert deliver(store, log, 1, 1).spans == ((0, 4),)
    assert deliver(store, log, 9, 9).spans == ((0, 4), (9, 9))


def test_epochs_and_stations_are_counted_apart(store: Store, make_log: Maker) -> None:
    first, second, other = make_log(), make_log(epoch=1), make_log("plain")
    for log in (first, second, other):
        log.scan()
    assert deliver(store, first, 0, 0) == deliver(store, second, 0, 0) == deliver(store, other, 0, 0) == all_until(0)
    assert store.db.execute("SELECT count(*) FROM record").get == 3


def test_more_holes_than_the_bound_are_not_acknowledged_and_come_again(store: Store, make_log: Maker) -> None:
    log, size = make_log(), 2 * SPANS_MAX + 10
    for _ in range(size):
        log.scan()
    store.add([log.delivery(seq, seq) for seq in range(1, size, 2)])
    assert store.db.execute("SELECT count(*), max(to_seq) FROM coverage").fetchone() == (SPANS_MAX, 2 * SPANS_MAX - 1)
    assert deliver(store, log, 0, size - 1) == all_until(size - 1)


def test_another_body_under_the_same_number_is_an_event_with_both(store: Store, make_log: Maker, rows: Query) -> None:
    log, rewritten = make_log(), make_log()
    log.scan(400.0)
    rewritten.scan(399.0)
    deliver(store, log, 0, 0)
    assert deliver(store, rewritten, 0, 0) == all_until(0)
    assert rows("SELECT body FROM record") == log.bodies
    assert rows("SELECT value FROM raw") == [400.0]
    assert rows("SELECT what, json_array_length(detail, '$.bodies') FROM event") == [("record-conflict", 2)]


def test_members_that_make_no_sense_leave_an_event_and_the_record(store: Store, make_log: Maker, rows: Query) -> None:
    log = make_log()
    log.add("scan", instrument="gas", at="yesterday", values={})
    log.add("average", start=log_time(0), period_s=60, rows={"gas.co2": {"u": 1}})
    log.add("event", what=["no", "text"])
    assert deliver(store, log, 0, 2) == all_until(2)
    assert rows("SELECT count(*) FROM record") == [3]
    assert rows("SELECT what FROM event") == ["record-unreadable"] * 3


hostile = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.just("2026-03-01T04:00:00Z"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "u", "q", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = [
    "instrument", "at", "values", "start", "period_s", "rows", "what", "run", "origin", "sha256", "version", "from",
    "to", "reason", "size", "root", "note", "leaves",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["scan", "average", "calibration", "event", "config", "checkpoint", "gap"]),
    members=st.dictionaries(st.sampled_from(NAMES), hostile),
)
def test_no_content_of_a_body_stops_the_store(kind: str, members: dict[str, Any], make_store: Maker) -> None:
    fields = {**members, "v": 1, "epoch": 0, "seq": 0, "kind": kind, "t": "2026-03-01T04:00:00.000Z"}
    body = json.dumps(fields).encode()
    try:
        delivery = Delivery("tower", 0, -1, (Entry.of(body, decode(body)),))
    except RecordError:
        return
    store = make_store(":memory:")
    assert store.add([delivery]) == {("tower", 0): all_until(0)}
    assert store.db.execute("SELECT body FROM record").get == body


def test_dead_letters_are_counted_by_content_and_bounded(store: Store, rows: Query) -> None:
    for _ in range(3):
        store.put_dead_letter("mqtt", "plumeline/v1/net/tower/up/scan", "not JSON\x00", b"\x00rubbish")
    assert rows("SELECT count, reason, bytes FROM dead_letter") == [(3, "not JSON�", b"\x00rubbish")]
    for number in range(DEAD_LETTERS_MAX + 5):
        store.put_dead_letter("mqtt", "topic", "why", b"%d" % number)
    assert rows("SELECT count(*) FROM dead_letter") == [DEAD_LETTERS_MAX]


def test_what_was_committed_is_there_after_opening_again(
    make_store: Maker, story: Any, tmp_path: Path, whole: Callable[[Store], Any]
) -> None:
    first = make_store("again.db")
    deliver(first, story, 0, 7)
    first.close()
    second = make_store("again.db")
    assert deliver(second, story, 8, 15) == all_until(15)
    straight = make_store()
    deliver(straight, story, 0, 15)
    assert whole(second) == whole(straight)
