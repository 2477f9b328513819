"""The centre as witness: what a station may not do to its ledger unseen."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from central.store import Store
from protocols.record import decode, encode
from protocols.tlog import Frontier, Signer, leaf_hash, make_checkpoint

Maker = Callable[..., Any]
Query = Callable[..., list[Any]]
EVENTS = "SELECT what FROM event ORDER BY what"


def deliver(store: Store, log: Any, first: int = 0, last: int | None = None) -> None:
    last = len(log.bodies) - 1 if last is None else last
    store.add([log.delivery(first, last)])


def fill(log: Any, count: int, value: float = 400.0) -> None:
    for _ in range(count):
        log.scan(value)


@pytest.fixture
def long_log(make_log: Maker) -> Any:
    """Three checkpoints, at 5, 11 and 14."""
    log = make_log()
    for count in (5, 5, 2):
        fill(log, count)
        log.checkpoint()
    return log


def test_an_honest_ledger_is_consistent(store: Store, long_log: Any, rows: Query) -> None:
    deliver(store, long_log)
    assert rows("SELECT size, first, verdict FROM checkpoint ORDER BY size") == [
        (5, 0, "consistent"),
        (11, 5, "consistent"),
        (14, 11, "consistent"),
    ]
    assert rows(EVENTS) == []


def test_a_checkpoint_over_nothing_is_consistent(store: Store, make_log: Maker, rows: Query) -> None:
    log = make_log()
    log.checkpoint()
    fill(log, 3)
    log.checkpoint()
    deliver(store, log)
    assert rows("SELECT size, verdict FROM checkpoint ORDER BY size") == [(0, "consistent"), (4, "consistent")]


def test_a_checkpoint_waits_for_those_before_it(store: Store, long_log: Any, rows: Query) -> None:
    deliver(store, long_log, 9, 14)
    assert rows("SELECT verdict FROM checkpoint") == ["pending", "pending"]
    deliver(store, long_log, 0, 8)
    assert rows("SELECT verdict FROM checkpoint") == ["consistent"] * 3


@pytest.mark.parametrize("late", [False, True], ids=["before-its-checkpoint", "after-its-checkpoint"])
def test_an_edited_body_is_an_event(store: Store, long_log: Any, rows: Query, late: bool) -> None:
    long_log.bodies[3] = encode({**decode(long_log.bodies[3]), "instrument": "other"})
    if late:
        deliver(store, long_log, 0, 2)
        deliver(store, long_log, 4)
        deliver(store, long_log, 3, 3)
    else:
        deliver(store, long_log)
    assert rows(EVENTS) == ["record-edited"]
    detail = json.loads(rows("SELECT detail FROM event")[0])
    assert (detail["seq"], detail["checkpoint"], detail["found"]) == (3, 5, leaf_hash(long_log.bodies[3]).hex())
    assert rows("SELECT verdict FROM checkpoint") == ["consistent"] * 3


def test_a_dropped_leaf_is_an_event(store: Store, make_log: Maker, rows: Query) -> None:
    log = make_log()
    fill(log, 5)
    log.checkpoint()
    fill(log, 4)
    log.listed += 1  # the leaf of the checkpoint's own record is left out
    log.checkpoint()
    fill(log, 2)
    log.checkpoint()
    deliver(store, log)
    assert rows("SELECT verdict FROM checkpoint ORDER BY size") == ["consistent", "leaves-missing", "unverifiable"]
    assert rows(EVENTS) == ["checkpoint-leaves-missing"]


def begin_late(store: Store, log: Any, first: int) -> None:
    """As an uplink does that was added later: nothing before is meant for this centre."""
    store.add([log.delivery(first, len(log.bodies) - 1, prev=-1)])


@pytest.mark.parametrize(("first", "known"), [(1, []), (5, []), (6, [5]), (9, [5]), (11, [5])])
def test_an_uplink_added_within_an_epoch_is_witnessed_from_there_on(
    store: Store, long_log: Any, rows: Query, first: int, known: list[int]
) -> None:
    begin_late(store, long_log, first)
    sizes = [size for size in (5, 11, 14) if size not in known]
    assert rows("SELECT size, verdict FROM checkpoint ORDER BY size") == [(size, "consistent") for size in sizes]
    assert rows(EVENTS) == ["ledger-begins"] * bool(known)
    assert rows("SELECT json_extract(detail, '$.first') FROM event") == known
    late = [entry.seq for entry in long_log.delivery(first, 13).entries]
    assert rows("SELECT count(*) FROM record")[0] == len(late) + 1


def test_a_beginning_that_the_signed_root_does_not_follow_from_is_a_fork(
    store: Store, long_log: Any, rows: Query
) -> None:
    other = Frontier().extend(leaf_hash(b"%d" % n) for n in range(5))
    long_log.bodies[11] = encode({**decode(long_log.bodies[11]), "before": base64.b64encode(other.to_bytes()).decode()})
    begin_late(store, long_log, 6)
    assert rows("SELECT verdict FROM checkpoint ORDER BY size") == ["fork", "unverifiable"]


@pytest.mark.parametrize("before", ["", "AAAA", "?", base64.b64encode(Frontier().to_bytes()).decode()])
def test_a_beginning_that_says_nothing_of_what_lies_before_is_not_believed(
    store: Store, long_log: Any, rows: Query, before: str
) -> None:
    long_log.bodies[11] = encode({**decode(long_log.bodies[11]), "before": before})
    begin_late(store, long_log, 6)
    assert rows("SELECT verdict FROM checkpoint ORDER BY size") == ["leaves-missing", "unverifiable"]


def test_what_came_before_a_beginning_is_not_left_unproven(store: Store, long_log: Any, rows: Query) -> None:
    """A station cannot pass over a checkpoint of records that the centre holds by calling the next one its first."""
    long_log.bodies[5] = encode({**decode(long_log.bodies[5]), "root": "AAAA"})
    deliver(store, long_log)
    assert rows("SELECT verdict FROM checkpoint ORDER BY size") == ["malformed", "leaves-missing", "unverifiable"]


def test_a_forked_history_is_an_event_that_holds_both_roots(store: Store, make_log: Maker, rows: Query) -> None:
    log = make_log()
    fill(log, 5)
    log.checkpoint()
    fill(log, 3)
    forked = Frontier().extend(leaf_hash(b"other %d" % n) for n in range(9))
    note = make_checkpoint("plumeline/tower/0", 9, forked.root(), _signer())
    log.checkpoint(root=base64.b64encode(forked.root()).decode(), note=note)
    deliver(store, log)
    assert rows("SELECT verdict FROM checkpoint ORDER BY size") == ["consistent", "fork"]
    assert rows(EVENTS) == ["checkpoint-fork"]
    detail = json.loads(rows("SELECT detail FROM event")[0])
    assert detail["note"] == note
    assert detail["computed"] == base64.b64encode(Frontier().extend(map(leaf_hash, log.bodies[:9])).root()).decode()


def _signer(seed: bytes = b"\x07" * 32) -> Signer:
    return Signer("tower", SigningKey(seed))


FORGER = _signer(b"\x08" * 32)


def test_a_log_rolled_back_and_written_anew_is_an_event(store: Store, make_log: Maker, rows: Query) -> None:
    honest, again = make_log(), make_log()
    for log, value in ((honest, 400.0), (again, 390.0)):
        fill(log, 4)
        fill(log, 4, value)
        log.checkpoint()
    fill(again, 3)
    again.listed = 6  # it forgot that it had committed to eight
    again.checkpoint()
    deliver(store, honest)
    deliver(store, again, 9)
    deliver(store, again, 4, 8)
    assert rows(EVENTS) == ["checkpoint-overlap", *["record-conflict"] * 5]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"note": "no note"}, "checkpoint-bad-signature"),
        ({"note": make_checkpoint("plumeline/tower/0", 5, b"\x01" * 32, FORGER)}, "checkpoint-bad-signature"),
        ({"note": make_checkpoint("plumeline/other/0", 5, b"\x01" * 32, _signer())}, "checkpoint-bad-signature"),
        ({"note": make_checkpoint("plumeline/tower/0", 5, b"\x01" * 32, _signer())}, "checkpoint-malformed"),
        ({"size": 4}, "checkpoint-malformed"),
        ({"leaves": "AAAA"}, "checkpoint-malformed"),
        ({"leaves": "?"}, "checkpoint-malformed"),
        ({"leaves": base64.b64encode(b"\x00" * 320).decode()}, "checkpoint-malformed"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_believed_is_an_event(
    store: Store, make_log: Maker, rows: Query, changed: dict[str, Any], what: str
) -> None:
    log = make_log()
    fill(log, 5)
    log.checkpoint(**changed)
    deliver(store, log)
    assert rows(EVENTS) == [what]
    assert rows("SELECT verdict FROM checkpoint") == [what.removeprefix("checkpoint-")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_verdicts_do_not_depend_on_order(
    data: st.DataObject, make_log: Maker, make_store: Maker, whole: Callable[[Store], Any]
) -> None:
    log = make_log()
    for _ in range(4):
        fill(log, 3)
        log.listed -= data.draw(st.integers(-1, min(1, log.listed)))
        log.checkpoint()
    edited = data.draw(st.integers(0, 15))
    if edited % 4 != 3:
        log.bodies[edited] = encode({**decode(log.bodies[edited]), "instrument": "other"})
    straight, shuffled = make_store(":memory:"), make_store(":memory:")
    deliver(straight, log)
    for seq in data.draw(st.permutations(range(len(log.bodies)))):
        deliver(shuffled, log, seq, seq)
    assert whole(shuffled) == whole(straight)


def test_fifty_late_checkpoints_and_more_are_all_judged(store: Store, make_log: Maker, rows: Query) -> None:
    log = make_log()
    log.scan()
    for _ in range(120):
        log.checkpoint()
    for seq in range(120, 0, -1):
        deliver(store, log, seq, seq)
    deliver(store, log, 0, 0)
    for _ in range(2):
        deliver(store, log, 0, 0)
    assert rows("SELECT DISTINCT verdict FROM checkpoint") == ["consistent"]
