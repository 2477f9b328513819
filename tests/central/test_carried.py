"""Checkpoints that came by HJ 212: signed by the station's key, and of the tree that came by MQTT."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from central.config import Station
from central.hj212_routes import routes
from central.hj212_rows import add_uploads
from central.store import Store
from metrology.periods import parse_iso
from protocols.hj212.information import information_items, log_text
from protocols.hj212.message import Message, encode, flag_of
from protocols.hj212.profile import Edition
from protocols.record import decode
from protocols.tlog import Signer, make_checkpoint
from protocols.tlog_carried import carried_text

MN = "88888880000001"
NOW = parse_iso("2026-03-01T06:00:00.000Z")
SIGNER = Signer("tower", SigningKey(b"\x07" * 32))
Maker = Callable[..., Any]
Query = Callable[..., list[Any]]
EVENTS = "SELECT what FROM event ORDER BY what"


class Both:
    """A station that is heard by both ways."""

    def __init__(self, store: Store, stations: dict[str, Station], log: Any) -> None:
        self.store, self.stations, self.log = store, stations, log
        self.count = 0
        for _ in range(3):
            log.scan()
        self.note = decode(log.checkpoint())["note"]

    def by_mqtt(self) -> None:
        self.store.add([self.log.delivery(0, len(self.log.bodies) - 1)])

    def by_hj212(self, line: str) -> None:
        self.count += 1
        area = ((("DataTime", f"2026030112{self.count:02}00"),), *information_items({"i21001": line}))
        flag = flag_of(Edition.HJ2017, wants_answer=True)
        message = Message(f"2026030112{self.count:02}00000", "31", "3020", "123456", MN, flag, area)
        add_uploads(self.store, [(routes(self.stations)[MN], replace(message, raw=encode(message)), None)], NOW)


@pytest.fixture
def both(store: Store, stations: dict[str, Station], make_log: Maker) -> Both:
    return Both(store, stations, make_log())


def other(root: bytes = b"\x01" * 32, size: int = 3, signer: Signer = SIGNER, origin: str = "plumeline/tower/0") -> str:
    return log_text(carried_text(make_checkpoint(origin, size, root, signer)))


@pytest.mark.parametrize("mqtt_first", [True, False])
def test_the_same_tree_by_both_ways_agrees(both: Both, rows: Query, mqtt_first: bool) -> None:
    steps = [both.by_mqtt, lambda: both.by_hj212(log_text(carried_text(both.note)))]
    for step in steps if mqtt_first else reversed(steps):
        step()
    assert rows("SELECT size, verdict FROM carried") == [(3, "agrees")]
    assert rows(EVENTS) == []


def test_alone_it_is_kept(both: Both, rows: Query) -> None:
    both.by_hj212(log_text("uplink-up outage_wall_s 3"))
    both.by_hj212(log_text(carried_text(both.note)))
    assert rows("SELECT epoch, size, mn, verdict FROM carried") == [(0, 3, MN, "alone")]
    assert rows("SELECT count(*) FROM hj212_item WHERE name = 'i21001-Info'") == [2]


@pytest.mark.parametrize("mqtt_first", [True, False])
def test_another_tree_shown_to_the_platform_is_a_fork(both: Both, rows: Query, mqtt_first: bool) -> None:
    steps = [both.by_mqtt, lambda: both.by_hj212(other())]
    for step in steps if mqtt_first else reversed(steps):
        step()
    assert rows("SELECT verdict FROM carried") == ["fork"]
    assert rows(EVENTS) == ["checkpoint-fork"]
    detail = json.loads(rows("SELECT detail FROM event")[0])
    assert (detail["line"], detail["by_mqtt"]) == (other(), decode(both.log.bodies[3])["root"])


def test_two_trees_by_hj212_alone_are_a_fork_too(both: Both, rows: Query) -> None:
    both.by_hj212(log_text(carried_text(both.note)))
    both.by_hj212(other())
    assert rows(EVENTS) == ["checkpoint-fork"]


def test_a_checkpoint_that_the_log_never_had_is_a_fork(both: Both, rows: Query) -> None:
    both.by_mqtt()
    both.by_hj212(other(size=2))
    assert rows(EVENTS) == ["checkpoint-fork"]


def test_another_key_another_station_and_rubbish_are_events(both: Both, rows: Query) -> None:
    both.by_hj212(other(signer=Signer("tower", SigningKey(b"\x08" * 32))))
    assert rows(EVENTS) == ["checkpoint-bad-signature"]
    both.by_hj212(other(origin="plumeline/other/0", size=4))
    both.by_hj212("//TLOG1 plumeline/tower/0 3 AAAA AAAA//")
    assert rows(EVENTS) == ["checkpoint-bad-signature", "checkpoint-bad-signature", "checkpoint-malformed"]
