"""What a damaged file of the log still holds, copied into a file of its own by leaf hash.

    python -m agent.store.salvage DAMAGED TARGET EPOCH FIRST [UNTIL]

A process of its own: it reads whatever the damage left, may take its time and its memory, and may fail alone. Prints
one JSON object: how many records were kept, and which numbers are missing.
"""

import base64
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from agent.store.packing import pack, unpack
from agent.store.pages import Images, Row, rows, sound
from agent.store.segment import PAGE_BYTES, SCHEMA, SCHEMA_VERSION, CACHE_KiB, Record
from host.sqlite import adopt_schema, open_database
from protocols import record
from protocols.tlog import HASH_BYTES, Frontier, leaf_hash, split_hashes

# Ranges are told; a file damaged in more places than this is told as one range from the first to the last.
RANGES_MAX: Final = 200
_BATCH: Final = 100
_INSERT: Final = "INSERT INTO rec VALUES(?, ?, ?, ?)"


def salvage(damaged: Path, target: Path, epoch: int, first: int, until: int | None) -> dict[str, Any]:
    """Make `target`, a closed segment of what `damaged` still holds, in place of one left unfinished.

    Gives `kept` (how many), `first`, `until` (behind the last number known) and `lost` (ranges, both ends included).
    Where a body and its leaf hash differ, the body is taken if a checkpoint of the same file gives its hash; of two
    bodies under one number the one a checkpoint gives, else the later. Raises OSError and apsw.Error.
    """
    for part in target.parent.glob(target.name + "*"):
        part.unlink()
    images = Images(damaged)
    db = open_database(str(target), exclusive=True, read_only=False, page_bytes=PAGE_BYTES)
    try:
        db.pragma("synchronous", "OFF")  # `_close` makes all of it durable at once
        db.pragma("cache_size", -CACHE_KiB)
        adopt_schema(db, SCHEMA, SCHEMA_VERSION)
        db.execute("CREATE TABLE other(seq INTEGER, leaf BLOB, kind TEXT, body BLOB, PRIMARY KEY(seq, leaf))")
        _read(db, images, epoch, first)
        _judge(db)
        return _close(db, epoch, first, until)
    finally:
        db.close()
        images.close()


def _read(db: apsw.Connection, images: Images, epoch: int, first: int) -> None:
    found = rows(images)
    while batch := list(itertools.islice(found, _BATCH)):
        with db:
            for row in batch:
                _take(db, row, epoch, first)


def _take(db: apsw.Connection, row: Row, epoch: int, first: int) -> None:
    leaf = leaf_hash(row.body)
    known = db.execute("SELECT leaf FROM rec WHERE seq = ?", (row.seq,)).fetchone()
    if known == (leaf,):
        return
    whole = sound(row, epoch) if row.seq >= first else None
    if whole is None:
        return
    if leaf != row.leaf or known is not None:
        db.execute("INSERT OR IGNORE INTO other VALUES(?, ?, ?, ?)", (row.seq, leaf, whole.kind, pack(row.body)))
        if leaf != row.leaf or not _later(db, whole):
            return
        db.execute("INSERT OR IGNORE INTO other SELECT seq, leaf, kind, body FROM rec WHERE seq = ?", (row.seq,))
        db.execute("DELETE FROM rec WHERE seq = ?", (row.seq,))
    db.execute(_INSERT, (row.seq, whole.kind, leaf, pack(row.body)))


def _later(db: apsw.Connection, whole: Record) -> bool:
    body = db.execute("SELECT body FROM rec WHERE seq = ?", (whole.seq,)).get
    return str(whole.fields.get("t")) > str(record.decode(unpack(body)).get("t"))


def _judge(db: apsw.Connection) -> None:
    """Let the checkpoints decide: each holds the leaf hashes of the records before it."""
    bodies = [unpack(body) for (body,) in db.execute("SELECT body FROM rec WHERE kind = 'checkpoint' ORDER BY seq")]
    with db:
        for seq, leaf in (one for body in bodies for one in _vouched(record.decode(body))):
            if db.execute("SELECT leaf FROM rec WHERE seq = ?", (seq,)).fetchone() == (leaf,):
                continue
            found = db.execute("SELECT kind, body FROM other WHERE seq = ? AND leaf = ?", (seq, leaf)).fetchone()
            db.execute("DELETE FROM rec WHERE seq = ?", (seq,))
            if found:
                db.execute(_INSERT, (seq, found[0], leaf, found[1]))


def _vouched(fields: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    leaves = base64.b64decode(fields["leaves"])
    start = int(fields["size"]) - len(leaves) // HASH_BYTES
    return enumerate(split_hashes(leaves), start)


def _close(db: apsw.Connection, epoch: int, first: int, until: int | None) -> dict[str, Any]:
    last = db.execute("SELECT max(seq) FROM rec").get
    kept = db.execute("SELECT count(*) FROM rec").get
    next_seq = first if last is None else last + 1
    end = max(next_seq, until or 0)
    lost = _holes(db, first, end)
    # With holes before it no tree can go on from here, and none needs to: its epoch is over.
    frontier = _tree(db).to_bytes() if first == 0 and not lost else None
    with db:
        db.execute("DROP TABLE other")
        db.execute("INSERT INTO head VALUES(1, ?, ?, ?, ?, 1)", (epoch, first, next_seq, frontier))
    db.pragma("synchronous", "FULL")
    db.pragma("wal_checkpoint(TRUNCATE)")
    return {"kept": kept, "first": first, "until": end, "lost": lost}


def _tree(db: apsw.Connection) -> Frontier:
    return Frontier().extend(leaf for (leaf,) in db.execute("SELECT leaf FROM rec ORDER BY seq"))


def _holes(db: apsw.Connection, first: int, end: int) -> list[tuple[int, int]]:
    holes, expected = [], first
    for (seq,) in db.execute("SELECT seq FROM rec UNION ALL SELECT ? ORDER BY seq", (end,)):
        if seq > expected:
            holes.append((expected, seq - 1))
        expected = seq + 1
    return holes if len(holes) <= RANGES_MAX else [(holes[0][0], holes[-1][1])]


def main(arguments: list[str]) -> None:
    """See above."""
    os.nice(10)
    damaged, target, epoch, first, *until = arguments
    end = int(until[0]) if until else None
    print(json.dumps(salvage(Path(damaged), Path(target), int(epoch), int(first), end)))


if __name__ == "__main__":
    main(sys.argv[1:])
