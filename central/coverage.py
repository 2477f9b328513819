"""Which sequence numbers of a station have been handed over: inclusive ranges, merged, a bounded number of them."""

from dataclasses import dataclass
from typing import Final

import apsw

# A range beyond this number is not kept: it stays unacknowledged and comes again once older holes are closed.
RANGES_MAX: Final = 1000
# The acknowledgement names the oldest holes; the next one names the rest.
MISSING_MAX: Final = 100

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything meant for us up to `through` is committed (-1: nothing); `missing` are the holes above it."""

    through: int
    missing: tuple[Range, ...]


def receipt(ranges: list[Range]) -> Receipt:
    """Receipt for merged, ascending ranges."""
    through = ranges[0][1] if ranges and ranges[0][0] == 0 else -1
    above = [r for r in ranges if r[0] > through]
    ends = [through, *(end for _, end in above)]
    holes = [(end + 1, start - 1) for end, (start, _) in zip(ends, above, strict=False)]
    return Receipt(through, tuple(holes[:MISSING_MAX]))


def read_ranges(db: apsw.Connection, station_id: str, epoch: int) -> list[Range]:
    """All ranges of an epoch, ascending."""
    return list(
        db.execute(
            "SELECT from_seq, to_seq FROM coverage WHERE station_id = ? AND epoch = ? ORDER BY from_seq",
            (station_id, epoch),
        )
    )


def cover(db: apsw.Connection, station_id: str, epoch: int, first: int, last: int) -> None:
    """Add first..last, joined with the ranges it overlaps or touches; beyond RANGES_MAX the newest range is dropped."""
    key = (station_id, epoch)
    touching = db.execute(
        "SELECT min(from_seq), max(to_seq) FROM coverage"
        " WHERE station_id = ? AND epoch = ? AND from_seq <= ? AND to_seq >= ?",
        (*key, last + 1, first - 1),
    ).fetchone()
    if touching is not None and touching[0] is not None:
        first, last = min(first, touching[0]), max(last, touching[1])
    db.execute(
        "DELETE FROM coverage WHERE station_id = ? AND epoch = ? AND from_seq BETWEEN ? AND ?", (*key, first, last)
    )
    db.execute("INSERT INTO coverage VALUES(?, ?, ?, ?)", (*key, first, last))
    db.execute(
        "DELETE FROM coverage WHERE station_id = ? AND epoch = ? AND from_seq IN (SELECT from_seq FROM coverage"
        " WHERE station_id = ? AND epoch = ? ORDER BY from_seq LIMIT -1 OFFSET ?)",
        (*key, *key, RANGES_MAX),
    )
