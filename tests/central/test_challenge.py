"""The centre asks for records at rest: what was altered after it was delivered is proven, silence is told."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from central.challenge import DAY_S, OPEN_MAX, TICK_WALL_S, Challenger
from central.store import Store
from protocols.mqtt.messages import Challenged
from protocols.record import decode, encode
from protocols.tlog import leaf_hash

Maker = Callable[..., Any]
Rows = Callable[..., list[Any]]


class Asking:
    """A store with a log of eleven records under two checkpoints, and one who asks."""

    def __init__(self, store: Store, log: Any) -> None:
        self.store, self.log, self.now = store, log, 1000.0
        self.drawn = random.Random(7)
        for _ in range(2):
            for _ in range(4):
                log.scan()
            log.checkpoint()
        log.scan()
        store.add([log.delivery(0, 10)])
        self.challenger = Challenger(store.db, store.stations, lambda: self.now, 1440, 24, self.drawn)

    def answer(self, seq: int, body: bytes | None = None, **more: Any) -> None:
        told = base64.b64encode(body).decode() if body is not None else None
        self.challenger.take(Challenged(station_id="tower", epoch=0, seq=seq, body=told, **more))


@pytest.fixture
def asking(store: Store, make_log: Maker) -> Asking:
    return Asking(store, make_log())


EVENTS = "SELECT what, detail FROM event ORDER BY what"


def test_every_record_behind_a_checkpoint_is_asked_for_sometime_and_no_other(asking: Asking, rows: Rows) -> None:
    asked = set()
    for _ in range(200):
        asking.now += TICK_WALL_S
        for station_id, question in asking.challenger.due():
            assert station_id == "tower"
            asked.add(question.seq)
            asking.answer(question.seq, asking.log.bodies[question.seq])
    assert asked == set(range(9))
    assert rows(EVENTS) == []
    assert set(rows("SELECT verdict FROM challenge")) == {"intact"}


def test_an_open_question_is_asked_again_and_there_are_few_of_them(asking: Asking) -> None:
    for _ in range(60):
        asking.now += TICK_WALL_S
        asking.challenger.due()
    assert asking.store.db.execute("SELECT count(*) FROM challenge").get == OPEN_MAX
    asking.now += 600
    assert len(asking.challenger.due()) == OPEN_MAX


def test_what_was_altered_at_rest_is_an_event_with_both_bodies(asking: Asking, rows: Rows) -> None:
    honest = asking.log.bodies[3]
    forged = encode({**decode(honest), "instrument": "other"})
    asking.challenger.ask("tower", 0, 3)
    asking.answer(3, forged)
    asking.answer(3, honest)  # too late
    [(what, detail)] = rows(EVENTS)
    told = json.loads(detail)
    assert what == "record-altered-at-rest"
    assert (told["seq"], told["listed"], told["found"]) == (3, leaf_hash(honest).hex(), leaf_hash(forged).hex())
    assert base64.b64decode(told["at_rest"]) == forged
    assert base64.b64decode(told["witnessed"]) == honest
    assert told["checkpoint"] == 4
    assert "plumeline/tower/0" in told["note"]
    assert rows("SELECT verdict FROM challenge") == ["altered"]


def test_a_deletion_is_an_answer_only_where_its_record_is_here(asking: Asking, rows: Rows) -> None:
    asking.challenger.ask("tower", 0, 2)
    asking.answer(2, gone=(0, 11))
    assert rows("SELECT verdict FROM challenge") == ["open"]
    asking.log.add("event", what="raw-deleted", origin="space", of_epoch=0, first=0, last=3)
    asking.store.add([asking.log.delivery(11, 11)])
    asking.answer(2, gone=(0, 11))
    assert rows("SELECT verdict FROM challenge") == ["gone"]
    asking.challenger.ask("tower", 0, 5)
    asking.answer(5, gone=(0, 11))  # tells of others
    assert rows("SELECT verdict FROM challenge ORDER BY seq") == ["gone", "open"]
    asking.answer(5)
    assert rows("SELECT what FROM event WHERE origin = 'centre'") == ["record-missing-at-rest"]


def test_silence_counts_only_where_the_station_is_heard(asking: Asking, rows: Rows) -> None:
    asking.challenger._chance = 0.0
    asking.challenger.ask("tower", 0, 2)
    asking.now += DAY_S + TICK_WALL_S
    asking.challenger.due()
    assert rows(EVENTS) == []
    asking.store.wall = lambda: asking.now
    asking.log.scan()
    asking.store.add([asking.log.delivery(11, 11)])
    asking.challenger.due()
    assert rows("SELECT what FROM event") == ["challenge-unanswered"]


def test_what_was_never_asked_is_no_answer(asking: Asking, rows: Rows) -> None:
    asking.answer(3, b"{}")
    assert rows(EVENTS) == []
