"""What the centre cosigns: every checkpoint it believes, once, and nothing behind a fork."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from central.config import Station
from central.cosigning import newest
from central.coverage import read_set_aside
from central.events import put_event
from central.queries import checkpoints
from central.store import Store
from protocols.record import decode
from protocols.tlog import Frontier, Signer, leaf_hash, make_checkpoint
from protocols.tlog_cosign import WitnessKey, cosigned_at, cosigner_from_seed

Maker = Callable[..., Any]
COSIGNER = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre.example/witness")
KEY = WitnessKey.from_vkey(COSIGNER.vkey)


@pytest.fixture
def witness(tmp_path: Path, stations: dict[str, Station]) -> Iterator[Store]:
    made = Store(str(tmp_path / "witness.db"), stations, lambda: 1700000000.9, COSIGNER)
    yield made
    made.close()


def lines(store: Store) -> dict[int, str]:
    rows: list[Any] = store.db.execute("SELECT size, line FROM cosignature").fetchall()
    return dict(rows)


def deliver(store: Store, log: Any, first: int = 0) -> None:
    store.add([log.delivery(first, len(log.bodies) - 1)])


def test_each_believed_checkpoint_has_one_cosignature_over_its_own_text(witness: Store, make_log: Maker) -> None:
    log = make_log()
    notes = {}
    for _ in range(3):
        log.scan()
        checkpoint = decode(log.checkpoint())
        notes[checkpoint["size"]] = checkpoint["note"]
        deliver(witness, log)
    found = lines(witness)
    assert sorted(found) == sorted(notes) == [1, 3, 5]
    assert all(cosigned_at(notes[size] + line, KEY) == 1700000000 for size, line in found.items())
    seen = newest(witness.db, "tower", 0)
    assert seen is not None
    assert (seen.size, seen.line) == (5, found[5])
    assert {"verdict": "cosigned", "count": 3, "size": 5} in checkpoints(witness.db, "tower")
    deliver(witness, log)
    assert lines(witness) == found


def test_nothing_behind_a_fork_is_cosigned(witness: Store, make_log: Maker) -> None:
    log = make_log()
    log.scan()
    log.checkpoint()
    log.scan()
    forked = Frontier().extend(leaf_hash(b"other %d" % n) for n in range(3))
    signer = Signer("tower", SigningKey(b"\x07" * 32))
    note = make_checkpoint("plumeline/tower/0", 3, forked.root(), signer)
    log.checkpoint(root=base64.b64encode(forked.root()).decode(), note=note)
    log.scan()
    log.checkpoint()
    deliver(witness, log)
    assert sorted(lines(witness)) == [1]


def test_a_long_backlog_is_answered_for_its_newest(witness: Store, make_log: Maker) -> None:
    log = make_log()
    for _ in range(120):
        log.checkpoint()
    deliver(witness, log)
    for _ in range(3):
        witness.add([log.delivery(119, 119)])
    assert max(lines(witness)) == 119


def test_without_a_key_nothing_is_cosigned(store: Store, make_log: Maker) -> None:
    log = make_log()
    log.checkpoint()
    deliver(store, log)
    assert lines(store) == {}
    assert newest(store.db, "tower", 0) is None


def test_a_store_of_the_version_before_gets_the_table(tmp_path: Path, stations: dict[str, Station]) -> None:
    path = str(tmp_path / "old.db")
    old = Store(path, stations, lambda: 0.0)
    for table in ("cosignature", "challenge", "station_key", "carried", "enrolment_code", "certificate", "set_aside"):
        old.db.execute(f"DROP TABLE {table}")
    for name, detail in (
        ("mqtt", {"record": {"epoch": 1, "seq": 7}, "reason": "no text"}),
        ("hj212", {"record": {"epoch": 1, "seq": 8}, "reason": "busy", "cn": "2051"}),
        ("none", {"reason": "nothing named"}),
    ):
        put_event(old.db, name, "tower", "2026-03-01T00:00:00.000Z", "uplink-set-aside", detail, "uplink a")
    old.db.pragma("user_version", 2)
    old.close()
    again = Store(path, stations, lambda: 0.0, COSIGNER)
    assert lines(again) == {}
    assert read_set_aside(again.db, "tower", 1) == {7: "no text"}
    again.close()
