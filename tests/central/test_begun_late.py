"""A centre that an uplink was added for within an epoch: what it asks for, proves and holds against a station."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.beginning import first_listed
from central.challenge import DAY_S, TICK_WALL_S, Challenger
from central.history import StoreSource
from central.queries import open_reader
from central.store import Store
from host.history import History
from host.reports.proofs import ledger_of
from protocols.record import decode

Maker = Callable[..., Any]
Rows = Callable[..., list[Any]]
EVENTS = "SELECT what FROM event ORDER BY what"


def begin(store: Store, log: Any, first: int, last: int | None = None) -> None:
    store.add([log.delivery(first, len(log.bodies) - 1 if last is None else last, prev=-1)])


def verdicts(rows: Rows) -> list[tuple[int, str]]:
    return [tuple(row) for row in rows("SELECT size, verdict FROM checkpoint ORDER BY size")]


def test_only_what_was_witnessed_is_asked_for_at_rest(store: Store, minutes: Any, rows: Rows) -> None:
    begin(store, minutes, 30)
    now = [1000.0]
    challenger = Challenger(store.db, store.stations, lambda: now[0], 1440, 24, random.Random(3))
    asked = set()
    for _ in range(400):
        now[0] += TICK_WALL_S
        asked |= {question.seq for _, question in challenger.due()}
        store.db.execute("UPDATE challenge SET verdict = 'intact'")
    assert asked == set(range(20, 62))
    now[0] += 2 * DAY_S
    challenger.due()
    assert "challenge-unanswered" not in rows(EVENTS)


def test_what_came_before_afterwards_takes_nothing_from_what_was_cosigned(
    store: Store, minutes: Any, rows: Rows
) -> None:
    """An uplink under another name that begins earlier, as the handbook lets people do."""
    begin(store, minutes, 30)
    was = verdicts(rows)
    assert was == [(41, "consistent"), (62, "consistent")]
    begin(store, minutes, 0, 29)
    assert verdicts(rows) == [(20, "unverifiable"), *was]
    assert rows(EVENTS) == ["ledger-begins"]
    assert first_listed(store.db, ("tower", 0)) == 20


def test_a_report_of_the_centre_proves_what_lies_behind_the_beginning(
    tmp_path: Path, stations: Any, minutes: Any
) -> None:
    store = Store(str(tmp_path / "store.db"), stations, lambda: 0.0)
    begin(store, minutes, 30)
    begin(store, minutes, 0, 9)
    held = [
        seq for seq in (*range(10), *range(30, len(minutes.bodies))) if decode(minutes.bodies[seq])["kind"] == "average"
    ]
    wanted = {(0, seq): minutes.bodies[seq] for seq in held}
    told = ledger_of(History(StoreSource(open_reader(str(tmp_path / "store.db")), "tower")), wanted)
    store.close()
    assert told is not None
    assert set(told["records"]) == {f"0-{seq}" for seq in held if 30 <= seq < 62}


@pytest.mark.parametrize("earlier", [False, True])
def test_a_station_that_is_known_may_begin_no_epoch_in_the_middle(
    store: Store, make_log: Maker, rows: Rows, earlier: bool
) -> None:
    if earlier:
        former = make_log()
        former.scan()
        store.add([former.delivery(0, 0)])
    later = make_log(epoch=1)
    for _ in range(2):
        for _ in range(5):
            later.scan()
        later.checkpoint()
    begin(store, later, 6)
    found = verdicts(rows)
    assert found == [(11, "leaves-missing" if earlier else "consistent")]
    assert rows(EVENTS) == ["checkpoint-leaves-missing" if earlier else "ledger-begins"]
