"""Which sequence numbers of a station have been handed over, kept in the store with the records themselves."""

from collections.abc import Mapping
from typing import Any, Final

import apsw

from protocols.mqtt.coverage import Coverage
from protocols.mqtt.payload import SEQ_MAX

# Records of a station that were refused for good. Beyond it what waits for a number goes on waiting.
SET_ASIDE_MAX: Final = 1_000


def read_coverage(db: apsw.Connection, station_id: str, epoch: int) -> Coverage:
    """Coverage of one epoch; nothing where nothing came."""
    rows = db.execute(
        "SELECT from_seq, to_seq FROM coverage WHERE station_id = ? AND epoch = ? ORDER BY from_seq",
        (station_id, epoch),
    )
    return Coverage(tuple((int(first), int(last)) for first, last in rows))


def write_coverage(db: apsw.Connection, station_id: str, epoch: int, before: Coverage, after: Coverage) -> None:
    """Change the stored coverage from `before` to `after`."""
    key = (station_id, epoch)
    gone, new = set(before.spans) - set(after.spans), set(after.spans) - set(before.spans)
    db.executemany(
        "DELETE FROM coverage WHERE station_id = ? AND epoch = ? AND from_seq = ?", ((*key, first) for first, _ in gone)
    )
    db.executemany("INSERT INTO coverage VALUES(?, ?, ?, ?)", ((*key, *span) for span in new))


def take_set_aside(db: apsw.Connection, station_id: str, fields: Mapping[str, Any]) -> int | None:
    """Note that an event of a station says which record it was refused for good over MQTT; the epoch of that record."""
    match fields:
        case {"what": "uplink-set-aside", "record": {"epoch": int(epoch), "seq": int(seq)}} if "cn" not in fields:
            if not (0 <= epoch <= SEQ_MAX and 0 <= seq <= SEQ_MAX):
                return None
            count = db.execute("SELECT count(*) FROM set_aside WHERE station_id = ?", (station_id,)).get
            if count < SET_ASIDE_MAX:
                row = (station_id, epoch, seq, str(fields.get("reason", ""))[:500])
                db.execute("INSERT OR IGNORE INTO set_aside VALUES(?, ?, ?, ?)", row)
            return epoch
    return None


def read_set_aside(db: apsw.Connection, station_id: str, epoch: int) -> dict[int, str]:
    """Numbers of an epoch that the station says were refused for good, each with the reason; ascending."""
    sql = "SELECT seq, reason FROM set_aside WHERE station_id = ? AND epoch = ? ORDER BY seq"
    return {int(seq): str(reason) for seq, reason in db.execute(sql, (station_id, epoch))}


def settled_through(db: apsw.Connection, station_id: str, epoch: int) -> int:
    """Highest number up to which nothing is still on its way: each is held, or refused for good as its station says."""
    coverage = read_coverage(db, station_id, epoch)
    if coverage.through == coverage.highest:
        return coverage.through
    aside = [(seq, seq) for seq in read_set_aside(db, station_id, epoch)]
    return Coverage.of([*coverage.spans, *aside]).through
