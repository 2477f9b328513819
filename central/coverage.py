"""Which sequence numbers of a station have been handed over, kept in the store with the records themselves."""

import apsw

from protocols.mqtt.coverage import Coverage


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
