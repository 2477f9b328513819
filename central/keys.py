"""Which key a station's checkpoints are judged by: the enrolled one, and those that followed it, each from a record on.

A new key counts where the one before signed its statement, or a named person took it over (a lost key, new hardware).
What a station alone claims is kept, told, and not believed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import apsw

from central.coverage import settled_through
from central.events import put_event
from metrology.periods import iso
from protocols.mqtt.payload import SEQ_MAX
from protocols.record import decode
from protocols.tlog import NoteError, Verifier
from protocols.tlog_keys import read_rotation

# More keys than a station has in its life; beyond them its statements are not looked at.
KEYS_MAX: Final = 200
VALID: Final = ("enrolled", "rotated", "handover", "confirmed")
SAYS: Final = ("key-rotated", "key-lost", "station-replaced")

Tree = tuple[str, int]


def history(db: apsw.Connection, station_id: str, enrolled: str) -> list[dict[str, Any]]:
    """All keys in the order they came into force, the enrolled one first; `from` is epoch and size.

    `enrolled` is what the configuration says, '' where the station brought its key when it enrolled by a code.
    """
    rows: Any = db.execute(
        "SELECT epoch, size, vkey, how, at, who, reason FROM station_key WHERE station_id = ?"
        " AND how != 'known' ORDER BY epoch, size",
        (station_id,),
    ).fetchall()
    names = ("vkey", "how", "at", "who", "reason")
    found = [{"from": [epoch, size], **dict(zip(names, rest, strict=True))} for epoch, size, *rest in rows]
    first = {"from": [0, 0], "vkey": enrolled, "how": "enrolled", "at": "", "who": "", "reason": ""}
    return [first, *found] if enrolled else found


def in_force(db: apsw.Connection, station_id: str, enrolled: str, epoch: int, size: int) -> str:
    """The key that must have signed the checkpoint of `size` records in `epoch`."""
    row = db.execute(
        f"SELECT vkey FROM station_key WHERE station_id = ? AND (epoch, size) <= (?, ?)"
        f" AND how IN ({', '.join('?' * len(VALID))}) ORDER BY epoch DESC, size DESC LIMIT 1",
        (station_id, epoch, size, *VALID),
    ).fetchone()
    return row[0] if row else enrolled


def newest(db: apsw.Connection, station_id: str, enrolled: str) -> str:
    """The key that came into force last; '' where none is known."""
    return in_force(db, station_id, enrolled, SEQ_MAX, SEQ_MAX)


def enrol(db: apsw.Connection, station_id: str, vkey: str, at: str, who: str) -> None:
    """Take over the first key of a station, which it brought by a code; the caller's transaction."""
    row = (station_id, vkey, at, who, "one-time code")
    db.execute("INSERT INTO station_key VALUES(?, 0, 0, ?, 'enrolled', ?, ?, ?)", row)


def claimed(db: apsw.Connection, station_id: str, epoch: int) -> str | None:
    """The key a station says it has in an epoch, that nobody has confirmed."""
    found: str | None = db.execute(
        "SELECT vkey FROM station_key WHERE station_id = ? AND epoch <= ? AND how = 'claimed'"
        " ORDER BY epoch DESC, size DESC LIMIT 1",
        (station_id, epoch),
    ).get
    return found


def take_key_record(db: apsw.Connection, tree: Tree, seq: int, fields: Mapping[str, Any]) -> None:
    """Note an event of a station about its key; it is judged once all before it has come."""
    if fields.get("what") not in SAYS:
        return
    count = db.execute("SELECT count(*) FROM station_key WHERE station_id = ?", (tree[0],)).get
    if count < KEYS_MAX:
        text = [str(fields.get(name, ""))[:500] for name in ("vkey", "t", "who", "reason")]
        db.execute("INSERT OR IGNORE INTO station_key VALUES(?, ?, ?, ?, 'pending', ?, ?, ?)", (*tree, seq + 1, *text))


def resolve(db: apsw.Connection, tree: Tree, enrolled: str) -> None:
    """Judge what the station says of its key, as far as nothing before it is still on its way."""
    rows: Any = db.execute(
        "SELECT size FROM station_key WHERE station_id = ? AND epoch = ? AND how = 'pending' ORDER BY size", tree
    ).fetchall()
    through = settled_through(db, *tree) if rows else -1
    for (size,) in rows:
        if size - 1 <= through:
            body: Any = db.execute(
                "SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?", (*tree, size - 1)
            ).get
            how = _judged(db, tree, size, decode(body), in_force(db, tree[0], enrolled, tree[1], size))
            db.execute(
                "UPDATE station_key SET how = ? WHERE station_id = ? AND epoch = ? AND size = ?", (how, *tree, size)
            )


def _judged(db: apsw.Connection, tree: Tree, size: int, fields: Mapping[str, Any], former: str) -> str:
    place, at = {"epoch": tree[1], "seq": size - 1}, str(fields["t"])
    try:
        Verifier.from_vkey(str(fields.get("vkey")))
        if fields["what"] == "key-rotated":
            read_rotation(fields, tree[0], former)
            return "rotated"
    except NoteError as error:
        detail = {**place, "why": str(error), "record": dict(fields)}
        put_event(db, f"{tree[1]}/{size - 1}/key-refused", tree[0], at, "key-refused", detail)
        return "refused"
    if former == fields["vkey"]:
        return "known"
    detail = {**place, "vkey": fields["vkey"], "former": fields.get("former")}
    put_event(db, f"{tree[1]}/{size - 1}/key-unconfirmed", tree[0], at, "key-unconfirmed", detail)
    return "claimed"


def accept(
    db: apsw.Connection,
    station_id: str,
    epoch: int,
    vkey: str,
    who: str,
    reason: str,
    wall: float,
    how: str = "confirmed",
) -> None:
    """A person takes a key over, from the beginning of an epoch on; what waited for that is judged anew.

    Raises NoteError for a key that is none.
    """
    Verifier.from_vkey(vkey)
    at = iso(datetime.fromtimestamp(wall, UTC))
    with db:
        db.execute(
            "INSERT OR REPLACE INTO station_key VALUES(?, ?, 0, ?, ?, ?, ?, ?)",
            (station_id, epoch, vkey, how, at, who, reason),
        )
        db.execute(
            "UPDATE checkpoint SET verdict = 'pending' WHERE station_id = ? AND epoch >= ? AND verdict = 'unconfirmed'",
            (station_id, epoch),
        )
        detail = {"vkey": vkey, "epoch": epoch, "how": how, "who": who, "reason": reason}
        put_event(db, f"{epoch}/key-accepted/{vkey}", station_id, at, "key-accepted", detail)
