"""Somebody with root on the station, one act after another: the centre names each with the record it concerns.

What was delivered before is named by the next checkpoint; what is altered at rest by a challenge.
"""

import base64
import json
import shutil
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from agent.store.segment import segment_numbers
from protocols.record import decode, encode
from protocols.tlog import Frontier, leaf_hash, make_checkpoint

Machines = Callable[..., Any]


class Root:
    """Changes files of a machine, hashes beside the bodies included."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine

    def _each(self, act: Callable[[apsw.Connection], Any]) -> None:
        for path in sorted(self.machine.segments.glob("log-*.db"), key=segment_numbers):
            db = apsw.Connection(str(path))
            act(db)
            db.close()

    def put(self, seq: int, **changed: Any) -> int:
        """Another body under a number; gives the number."""
        return self.write(seq, {**decode(self.machine.bodies()[1, seq]), **changed})

    def write(self, seq: int, fields: dict[str, Any]) -> int:
        """A whole body under a number."""
        body = encode(fields)
        row = (body, leaf_hash(body), seq)
        self._each(lambda db: db.execute("UPDATE rec SET body = ?, leaf = ? WHERE seq = ?", row))
        return seq

    def remove(self, first: int, last: int) -> None:
        """Records gone."""
        self._each(lambda db: db.execute("DELETE FROM rec WHERE seq BETWEEN ? AND ?", (first, last)))

    def swap(self, one: int, other: int) -> None:
        """Two records in each other's place, their numbers made to fit."""
        bodies = self.machine.bodies()
        self.write(one, {**decode(bodies[1, other]), "seq": one})
        self.write(other, {**decode(bodies[1, one]), "seq": other})

    def first(self, kind: str, after: int = -1) -> int:
        """Number of a record of a kind."""
        rows = sorted(self.machine.bodies().items())
        return int(next(key[1] for key, body in rows if decode(body)["kind"] == kind and key[1] > after))


@pytest.fixture
async def delivered(machine: Machines, centre: Any) -> Any:
    """Seventy minutes, all at the centre, all in a cosigned tree."""
    made = machine()
    await made.work(70)
    centre.take(made.bodies())
    assert centre.verdicts(1) == ["consistent"]
    assert centre.events() == []
    return made


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("scan", {"values": {"co2": {"x": 1.0, "u": "umol/mol"}}}),
        ("calibration", {"slope": 0.5}),
        ("config", {"document": {"channel_map": {"1": "dust"}}}),
    ],
    ids=["value", "coefficient", "channel-map"],
)
async def test_an_edit_at_rest_is_named_by_a_challenge(
    delivered: Any, centre: Any, kind: str, changed: dict[str, Any]
) -> None:
    root = Root(delivered)
    seq = root.put(root.first(kind), **changed)
    await centre.challenge(delivered, 1, seq + 1)
    assert centre.events() == []
    await centre.challenge(delivered, 1, seq)
    assert centre.events() == [("record-altered-at-rest", seq)]
    detail = json.loads(centre.store.db.execute("SELECT detail FROM event").get)
    assert base64.b64decode(detail["at_rest"]) == delivered.bodies()[1, seq]
    assert leaf_hash(base64.b64decode(detail["witnessed"])).hex() == detail["listed"]


async def test_a_deleted_hour_is_named_by_a_challenge(delivered: Any, centre: Any) -> None:
    root = Root(delivered)
    first = root.first("average")
    root.remove(first, first + 180)
    await centre.challenge(delivered, 1, first + 90)
    assert centre.events() == [("record-missing-at-rest", first + 90)]


async def test_records_in_another_order_are_named_by_a_challenge(delivered: Any, centre: Any) -> None:
    root = Root(delivered)
    one, other = root.first("scan"), root.first("scan", 60)
    root.swap(one, other)
    for seq in (one, other):
        await centre.challenge(delivered, 1, seq)
    assert centre.events() == [("record-altered-at-rest", one), ("record-altered-at-rest", other)]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("average", {"rows": {}}),
        ("calibration", {"zero": 9.0}),
        ("config", {"document": {"channel_map": {"1": "dust"}}}),
    ],
    ids=["value", "coefficient", "channel-map"],
)
async def test_what_is_edited_before_it_is_sent_is_named_by_its_checkpoint(
    machine: Machines, centre: Any, kind: str, changed: dict[str, Any]
) -> None:
    made = machine()
    await made.work(5)
    root = Root(made)
    seq = root.put(root.first(kind), **changed)
    centre.take(made.bodies())
    assert ("record-edited", seq) in centre.events()


async def test_an_edit_that_is_sent_again_is_named_at_once(delivered: Any, centre: Any) -> None:
    root = Root(delivered)
    seq = root.put(root.first("scan"), values={"co2": {"x": 1.0, "u": "umol/mol"}})
    centre.take(delivered.bodies())
    assert ("record-conflict", None) in {(what, None) for what, _ in centre.events()}
    assert ("record-conflict", seq) in centre.events()


async def test_a_log_rolled_back_to_a_backup_is_named_by_the_first_number_used_again(
    machine: Machines, centre: Any
) -> None:
    made = machine()
    await made.work(5)
    backup = made.folder / "backup"
    shutil.copytree(made.segments, backup)
    end = max(made.bodies())[1]
    await made.work(5)
    centre.take(made.bodies())
    shutil.rmtree(made.segments)
    shutil.copytree(backup, made.segments)
    await made.work(6, 380.0)
    centre.take(made.bodies(), (1, end))
    assert ("record-conflict", end + 1) in centre.events()
    assert {"checkpoint-fork", "checkpoint-overlap"} & {what for what, _ in centre.events()}


async def test_a_fork_signed_by_the_stolen_key_is_named_with_both_roots(delivered: Any, centre: Any) -> None:
    async with delivered.running() as log:
        await delivered.minute(log, 400.0)
        forged = Frontier().extend(leaf_hash(b"%d" % n) for n in range(log.next_seq))
        note = make_checkpoint("plumeline/tower-01/1", log.next_seq, forged.root(), delivered.signer)
        honest = log._head.checkpoint("plumeline/tower-01/1", delivered.signer)
        forgery = {"root": base64.b64encode(forged.root()).decode(), "note": note}
        row = await log.append("checkpoint", {**honest, **forgery})
    centre.take(delivered.bodies(), (1, row.seq - 10))
    assert centre.events() == [("checkpoint-fork", row.seq)]
    assert centre.verdicts(1) == ["consistent", "fork"]


async def test_a_log_signed_anew_with_another_key_is_named_and_nothing_of_it_is_cosigned(
    machine: Machines, centre: Any
) -> None:
    honest, forged = machine(), machine("forged", b"f")
    await honest.work(5)
    centre.take(honest.bodies())
    await forged.work(6, 100.0)
    centre.take(forged.bodies())
    names = {what for what, _ in centre.events()}
    assert {"record-conflict", "checkpoint-bad-signature"} <= names
    assert centre.store.db.execute("SELECT count(*) FROM cosignature").get == 1


async def test_silence_instead_of_an_answer_is_named(delivered: Any, centre: Any) -> None:
    with centre.store.db:
        centre.challenger.ask("tower-01", 1, 3)
    centre.now += 25 * 3600
    end = max(delivered.bodies())
    await delivered.work(1)
    centre.take(delivered.bodies(), end)
    centre.challenger.due()
    assert centre.events() == [("challenge-unanswered", 3)]
