"""Checkpoints that came by HJ 212, held against those that came by MQTT: one tree, whichever way it is shown."""

import base64
from typing import Any, Final

import apsw

from central import keys
from central.events import put_event
from protocols.tlog import Frontier, NoteError, open_checkpoint
from protocols.tlog_carried import Carried, read_carried

LINES_MAX: Final = 100_000


def take_carried(db: apsw.Connection, station_id: str, enrolled: str, mn: str, at: str, line: str) -> None:
    """Judge one line of a logger's log; any other line is passed over."""
    try:
        found = read_carried(line)
    except NoteError as error:
        _accuse(db, station_id, at, {"mn": mn, "line": line, "why": str(error)}, "checkpoint-malformed")
        return
    if found is None:
        return
    owner, _, number = found.origin.removeprefix("plumeline/").rpartition("/")
    epoch = int(number) if number.isdecimal() and len(number) < 10 else -1
    vkey = keys.in_force(db, station_id, enrolled, epoch, found.size)
    why = _refused(found, owner == station_id and epoch >= 0, vkey)
    root = base64.b64encode(found.root).decode()
    verdict = "bad-signature" if why else "alone"
    row = (station_id, epoch, found.size, root, mn, at, line, verdict)
    db.execute("INSERT OR IGNORE INTO carried VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)
    if why:
        detail = {"mn": mn, "line": line, "why": why, "epoch": epoch, "size": found.size}
        _accuse(db, station_id, at, detail, "checkpoint-bad-signature")
        return
    compare(db, station_id, epoch, found.size)


def _refused(found: Carried, own: bool, vkey: str) -> str:
    if not own:
        return f"the line speaks of {found.origin}"
    try:
        open_checkpoint(found.note(vkey.partition("+")[0]), [vkey])
    except NoteError as error:
        return str(error)
    return ""


def compare(db: apsw.Connection, station_id: str, epoch: int, size: int | None = None) -> None:
    """Hold what came by HJ 212 alone so far against what MQTT has brought by now."""
    rows: Any = db.execute(
        "SELECT size, root, mn, at, line FROM carried WHERE station_id = ? AND epoch = ? AND verdict = 'alone'"
        " AND (? IS NULL OR size = ?) LIMIT ?",
        (station_id, epoch, size, size, LINES_MAX),
    ).fetchall()
    tree = db.execute("SELECT frontier FROM witness WHERE station_id = ? AND epoch = ?", (station_id, epoch)).get
    seen = Frontier.from_bytes(tree).size if tree else 0
    for own, root, mn, at, line in rows:
        other: Any = db.execute(
            "SELECT root FROM checkpoint WHERE station_id = ? AND epoch = ? AND size = ? AND verdict IN"
            " ('consistent', 'fork')",
            (station_id, epoch, own),
        ).get
        twin: Any = db.execute(
            "SELECT line FROM carried WHERE station_id = ? AND epoch = ? AND size = ? AND root != ? AND verdict !="
            " 'bad-signature'",
            (station_id, epoch, own, root),
        ).get
        # The log that came by MQTT has gone on beyond, and never had a checkpoint there.
        never = other is None and own < seen
        if other == root and twin is None:
            _settle(db, station_id, epoch, own, root, "agrees")
        elif other is not None or twin is not None or never:
            _settle(db, station_id, epoch, own, root, "fork")
            detail = {"epoch": epoch, "size": own, "mn": mn, "line": line, "by_mqtt": other, "by_hj212": twin}
            _accuse(db, station_id, at, detail, "checkpoint-fork")


def _settle(db: apsw.Connection, station_id: str, epoch: int, size: int, root: str, verdict: str) -> None:
    db.execute(
        "UPDATE carried SET verdict = ? WHERE station_id = ? AND epoch = ? AND size = ? AND root = ?",
        (verdict, station_id, epoch, size, root),
    )


def _accuse(db: apsw.Connection, station_id: str, at: str, detail: dict[str, Any], what: str) -> None:
    put_event(db, f"hj212/{detail['mn']}/{detail.get('size', at)}/{what}", station_id, at, what, detail)
