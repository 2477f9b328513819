"""The station's own daily walk, as the centre hears of it: one that stays out, one that tells another root."""

import base64
import json
from collections.abc import Callable
from typing import Any

from central.challenge import DAY_S, Challenger
from central.store import Store
from central.walked import EVERY_WALL_S
from protocols.tlog_cosign import cosigner_from_seed

Maker = Callable[..., Any]
Rows = Callable[..., list[Any]]
COSIGNER = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre.example/witness")
EVENTS = "SELECT what, detail FROM event WHERE origin = 'centre' ORDER BY what"


class Heard:
    """A station that sends a checkpoint now and then; `now` is the centre's time."""

    def __init__(self, store: Store, log: Any) -> None:
        self.store, self.log, self.now = store, log, 1_800_000_000.0
        store.wall, store._cosigner = lambda: self.now, COSIGNER
        self.challenger = Challenger(store.db, store.stations, lambda: self.now, 0, 24, walk_h=48)

    def days(self, count: int) -> None:
        for _ in range(count):
            self.now += DAY_S
            self.delivered(self.log.scan, self.log.checkpoint)
            self.now += EVERY_WALL_S
            self.challenger.due()

    def delivered(self, *acts: Callable[[], Any]) -> None:
        first = len(self.log.bodies)
        for act in acts:
            act()
        self.store.add([self.log.delivery(first, len(self.log.bodies) - 1)])

    def walked(self, root: str, size: int) -> None:
        part = {"origin": f"plumeline/tower/{self.log.epoch}", "size": size, "root": root}
        said = {"what": "ledger-walked", "origin": "ledger", "records": 1, "count": 0, "parts": [part]}
        self.delivered(lambda: self.log.add("event", **said))


def test_a_station_that_is_heard_and_does_not_walk_is_told_once(store: Store, make_log: Maker, rows: Rows) -> None:
    one = Heard(store, make_log())
    one.days(2)
    assert rows(EVENTS) == []
    one.days(3)
    [(what, detail)] = rows(EVENTS)
    assert (what, json.loads(detail)["walked"]) == ("walk-overdue", False)
    root = base64.b64decode(rows("SELECT root FROM checkpoint WHERE size = 1")[0]).hex()
    one.walked(root, 1)
    one.days(1)
    assert len(rows(EVENTS)) == 1
    one.days(3)
    assert [json.loads(detail)["walked"] for _, detail in rows(EVENTS)] in ([False, True], [True, False])


def test_silence_of_the_whole_station_is_no_accusation(store: Store, make_log: Maker, rows: Rows) -> None:
    one = Heard(store, make_log())
    one.days(1)
    one.now += 30 * DAY_S
    one.challenger.due()
    assert rows(EVENTS) == []


def test_another_root_than_the_witnessed_is_named(store: Store, make_log: Maker, rows: Rows) -> None:
    one = Heard(store, make_log())
    one.days(1)
    one.walked("00" * 32, 1)
    for shape in ("none", [1, None, {"origin": [], "size": "x"}], {}):
        one.delivered(lambda: one.log.add("event", what="ledger-walked", origin="ledger", parts=shape))  # noqa: B023
    one.days(1)
    [(what, detail)] = rows(EVENTS)
    assert (what, json.loads(detail)["size"], json.loads(detail)["walked"]) == ("walk-differs", 1, "00" * 32)
