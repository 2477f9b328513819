"""Where the ledger of an epoch begins here: at 0, or at the first checkpoint of an uplink that was added later.

Such a checkpoint says itself what tree its leaves were added to; the signed root follows from that tree and no other.
"""

import base64
import contextlib

import apsw

from protocols.record import decode
from protocols.tlog import Frontier

Tree = tuple[str, int]


def first_listed(db: apsw.Connection, tree: Tree) -> int:
    """The first number that a believed checkpoint lists: nothing below it was witnessed here."""
    lowest = "SELECT min(first) FROM checkpoint WHERE station_id = ? AND epoch = ? AND verdict = 'consistent'"
    return int(db.execute(lowest, tree).get or 0)


def tree_at(db: apsw.Connection, tree: Tree) -> Frontier:
    """The tree that the first believed checkpoint continues."""
    first = first_listed(db, tree)
    body = db.execute(
        "SELECT body FROM record JOIN checkpoint USING (station_id, epoch) WHERE station_id = ? AND epoch = ?"
        " AND seq = size AND first = ? AND verdict = 'consistent' ORDER BY size LIMIT 1",
        (*tree, first),
    ).get
    found = told(str(decode(body).get("before", "")), first) if first and isinstance(body, bytes) else None
    return found or Frontier()


def new_to_us(db: apsw.Connection, tree: Tree, first: int) -> bool:
    """Whether nothing before a number of an epoch was ever brought here, of no earlier epoch either.

    Only then may a station begin in the middle: one that is known here is held to all of it.
    """
    before = "SELECT 1 FROM record WHERE station_id = ? AND (epoch < ? OR epoch = ? AND seq < ?) LIMIT 1"
    return db.execute(before, (*tree, tree[1], first)).fetchone() is None


def told(before: str, first: int) -> Frontier | None:
    """The tree of `first` leaves that a checkpoint says it continues; None where its words make no sense."""
    with contextlib.suppress(ValueError):
        found = Frontier.from_bytes(base64.b64decode(before, validate=True))
        return found if found.size == first else None
    return None
