"""The centre as witness of a station's ledger: each checkpoint's signature, and that the tree only ever grows.

A checkpoint lists the leaves since the one before it. It is judged once the tree stands at its first leaf; until then,
and while records below it are still on their way, it is pending (a row in the store, nothing in memory). Whatever is
found wrong becomes an event that carries the proof: the signed note and what contradicts it.
"""

import base64
import binascii
import contextlib
from collections.abc import Iterable
from typing import Any, Final

import apsw

from central import beginning, keys
from central.carried import compare
from central.coverage import settled_through
from central.entries import Entry
from central.events import put_event
from central.shapes import CheckpointBody, shape
from protocols.record import decode
from protocols.tlog import (
    Frontier,
    NoteError,
    leaf_hash,
    open_checkpoint,
    parse_checkpoint,
    split_hashes,
    split_note,
)

# Checkpoints judged in one transaction; the rest are judged by the next delivery.
JUDGED_MAX: Final = 50

Tree = tuple[str, int]


def take_checkpoint(db: apsw.Connection, tree: Tree, entry: Entry, body: CheckpointBody, enrolled: str) -> None:
    """Store a new checkpoint: pending if its own statement holds together, else with the verdict and an event."""
    verdict, why = "pending", ""
    first = body.size
    try:
        first = body.size - len(_leaves(body))
        # Whose signature it must bear is known when all before it has come: a record there may bring in another key.
        signed = parse_checkpoint(split_note(body.note)[0])
        if signed.origin != f"plumeline/{tree[0]}/{tree[1]}":
            verdict, why = "bad-signature", f"the note speaks of {signed.origin}"
        elif (signed.size, signed.root) != (body.size, _hash(body.root)) or body.size != entry.seq or first < 0:
            verdict, why = "malformed", "note, size, root, leaves and sequence number do not fit together"
            open_checkpoint(body.note, [keys.in_force(db, tree[0], enrolled, tree[1], entry.seq)])
    except NoteError as error:
        verdict, why = "bad-signature", str(error)
    except ValueError as error:
        verdict, why = "malformed", str(error)
    # Keyed by the record's own seq, which an honest checkpoint's size equals.
    row = (*tree, entry.seq, first, body.root, verdict, body.t)
    db.execute("INSERT OR IGNORE INTO checkpoint VALUES(?, ?, ?, ?, ?, ?, ?)", row)
    if verdict != "pending":
        _accuse(db, tree, entry.seq, body, f"checkpoint-{verdict}", {"why": why})


def _hash(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _leaves(body: CheckpointBody) -> list[bytes]:
    try:
        return split_hashes(base64.b64decode(body.leaves, validate=True))
    except binascii.Error as error:
        raise ValueError(f"leaves: {error}") from error


def _accuse(db: apsw.Connection, tree: Tree, seq: int, body: CheckpointBody, what: str, detail: dict[str, Any]) -> None:
    proof = {"epoch": tree[1], "seq": seq, "size": body.size, "note": body.note, **detail}
    put_event(db, f"{tree[1]}/{seq}/{what}", tree[0], body.t, what, proof)


def _read_tree(db: apsw.Connection, tree: Tree) -> tuple[Frontier, bool]:
    row = db.execute("SELECT frontier, broken FROM witness WHERE station_id = ? AND epoch = ?", tree).fetchone()
    return (Frontier.from_bytes(row[0]), bool(row[1])) if row else (Frontier(), False)


def _write_tree(db: apsw.Connection, tree: Tree, frontier: Frontier, broken: bool) -> None:
    db.execute("INSERT OR REPLACE INTO witness VALUES(?, ?, ?, ?)", (*tree, frontier.to_bytes(), broken))


def _body(db: apsw.Connection, tree: Tree, seq: int) -> CheckpointBody:
    sql = "SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?"
    checked = shape(decode(db.execute(sql, (*tree, seq)).get))
    assert isinstance(checked, CheckpointBody), "a checkpoint row stands only for a record that passed"
    return checked


def judge(db: apsw.Connection, station_id: str, epoch: int, enrolled: str) -> None:
    """Judge what can be judged of the pending checkpoints of an epoch, lowest first, by the keys behind `enrolled`."""
    tree = (station_id, epoch)
    keys.resolve(db, tree, enrolled)
    frontier, broken = _read_tree(db, tree)
    pending: list[Any] = db.execute(
        "SELECT size, first FROM checkpoint WHERE station_id = ? AND epoch = ? AND verdict = 'pending'"
        " ORDER BY size LIMIT ?",
        (*tree, JUDGED_MAX),
    ).fetchall()
    through = settled_through(db, *tree) if pending else -1
    for size, first in pending:
        if first > frontier.size and through < size and not broken:
            continue
        signed = _signed(db, tree, size, enrolled)
        if signed == "":
            frontier, broken = _judge_one(db, tree, size, first, frontier, broken)
        elif through >= size - 1:
            _refuse(db, tree, size, signed)
    compare(db, station_id, epoch)


def _signed(db: apsw.Connection, tree: Tree, size: int, enrolled: str) -> str:
    """Why the signature of a checkpoint is not believed; '' where it is."""
    try:
        open_checkpoint(_body(db, tree, size).note, [keys.in_force(db, tree[0], enrolled, tree[1], size)])
    except NoteError as error:
        return str(error)
    return ""


def _refuse(db: apsw.Connection, tree: Tree, size: int, why: str) -> None:
    """Another key: one that the station claims and nobody has confirmed waits for a person, any other is an event."""
    body, vkey = _body(db, tree, size), keys.claimed(db, *tree)
    with contextlib.suppress(NoteError):
        if vkey is not None:
            open_checkpoint(body.note, [vkey])
            _set_verdict(db, tree, size, "unconfirmed")
            return
    _accuse(db, tree, size, body, "checkpoint-bad-signature", {"why": why})
    _set_verdict(db, tree, size, "bad-signature")


def _set_verdict(db: apsw.Connection, tree: Tree, size: int, verdict: str) -> None:
    db.execute(
        "UPDATE checkpoint SET verdict = ? WHERE station_id = ? AND epoch = ? AND size = ?", (verdict, *tree, size)
    )


def _judge_one(
    db: apsw.Connection, tree: Tree, size: int, first: int, frontier: Frontier, broken: bool
) -> tuple[Frontier, bool]:
    body = _body(db, tree, size)
    leaves = _leaves(body)
    detail: dict[str, Any] = {"witnessed": frontier.size, "first": first}
    # What the signed root follows from is right, whoever says it.
    late = frontier.size == 0 < first and beginning.new_to_us(db, tree, first)
    start = (beginning.told(body.before, first) if late else None) or frontier
    if first < frontier.size:
        # Brought later than what follows it: true or not, it was not witnessed in its time.
        verdict = "unverifiable" if size <= beginning.first_listed(db, tree) else "overlap"
    elif broken:
        verdict = "unverifiable"
    elif first > start.size:
        verdict = "leaves-missing"
    else:
        grown = start.extend(leaves)
        detail["computed"] = base64.b64encode(grown.root()).decode()
        verdict = "consistent" if grown.root() == _hash(body.root) else "fork"
        frontier = grown if verdict == "consistent" else frontier
    broken = broken or verdict in ("fork", "leaves-missing")
    _write_tree(db, tree, frontier, broken)
    if verdict in ("fork", "overlap", "leaves-missing"):
        _accuse(db, tree, size, body, f"checkpoint-{verdict}", detail)
    elif start.size > detail["witnessed"]:
        told = {"epoch": tree[1], "seq": size, "size": size, "note": body.note, **detail}
        put_event(db, f"{tree[1]}/{size}/ledger-begins", tree[0], body.t, "ledger-begins", told)
    _set_verdict(db, tree, size, verdict)
    if verdict in ("consistent", "fork"):
        _check_bodies(db, tree, size, body, first, leaves, range(first, size))
    return frontier, broken


def check_late(db: apsw.Connection, station_id: str, epoch: int, seqs: Iterable[int]) -> None:
    """Hold new records against the leaves of checkpoints that were judged before they came."""
    tree = (station_id, epoch)
    by_size: dict[tuple[int, int], list[int]] = {}
    for seq in seqs:
        row = db.execute(
            "SELECT size, first FROM checkpoint WHERE station_id = ? AND epoch = ? AND size > ? AND first <= ?"
            " AND verdict IN ('consistent', 'fork') ORDER BY size LIMIT 1",
            (*tree, seq, seq),
        ).fetchone()
        if row is not None:
            by_size.setdefault(row, []).append(seq)
    for (size, first), late in by_size.items():
        body = _body(db, tree, size)
        _check_bodies(db, tree, size, body, first, _leaves(body), late)


def _check_bodies(
    db: apsw.Connection,
    tree: Tree,
    size: int,
    checkpoint: CheckpointBody,
    first: int,
    leaves: list[bytes],
    seqs: Iterable[int],
) -> None:
    wanted = set(seqs)
    rows: list[Any] = db.execute(
        "SELECT seq, body FROM record WHERE station_id = ? AND epoch = ? AND seq BETWEEN ? AND ?",
        (*tree, min(wanted, default=0), max(wanted, default=-1)),
    ).fetchall()
    for seq, body in rows:
        found = leaf_hash(body)
        if seq in wanted and found != leaves[seq - first]:
            detail = {
                "epoch": tree[1],
                "seq": seq,
                "listed": leaves[seq - first].hex(),
                "found": found.hex(),
                "checkpoint": size,
                "note": checkpoint.note,
            }
            put_event(db, f"{tree[1]}/{seq}/record-edited", tree[0], checkpoint.t, "record-edited", detail)
