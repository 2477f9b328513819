"""What stays of a closed file of the log when its raw is removed: all leaf hashes, and every record but the scans.

The file is a segment like any other, only that the bodies of its scans are empty: history, index, uplinks and the walk
read it as they read the rest.
"""

import os
from pathlib import Path
from typing import Final

from agent.store.packing import pack
from agent.store.segment import PAGE_BYTES, SCHEMA, SCHEMA_VERSION, CACHE_KiB, Segment, kept_name, sync_folder
from host.sqlite import adopt_schema, open_database

RAW: Final = frozenset({"scan"})


def kept_path(path: Path, epoch: int, first: int) -> Path:
    """Where the kept file of a segment lies."""
    return path.with_name(kept_name(epoch, first))


def make_kept(path: Path) -> Path:
    """Write the kept file of a closed segment, whole and durable, under its name; gives that.

    A process that ends on the way leaves a `.part`, which the next try overwrites. Raises apsw.Error, OSError.
    """
    source = Segment(path, exclusive=False)
    made = kept_path(path, source.epoch, source.first_seq)
    partial = made.with_suffix(".part")
    for part in partial.parent.glob(partial.name + "*"):
        part.unlink()
    try:
        _copy(source, partial)
    finally:
        source.close()
    handle = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    partial.replace(made)
    sync_folder(made.parent)
    return made


def _copy(source: Segment, partial: Path) -> None:
    db = open_database(str(partial), exclusive=True, read_only=False, page_bytes=PAGE_BYTES)
    try:
        db.pragma("synchronous", "OFF")  # all of it is made durable at once, before it has its name
        db.pragma("cache_size", -CACHE_KiB)
        adopt_schema(db, SCHEMA, SCHEMA_VERSION)
        rows = ((seq, kind, leaf, b"" if kind in RAW else pack(body)) for seq, kind, leaf, body in source.walk())
        with db:
            db.executemany("INSERT INTO rec VALUES(?, ?, ?, ?)", rows)
            head = (source.epoch, source.first_seq, source.next_seq, source.frontier.to_bytes())
            db.execute("INSERT INTO head VALUES(1, ?, ?, ?, ?, 1)", head)
            db.executemany("INSERT INTO place VALUES(?, ?)", source.place_documents())
        db.pragma("wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
