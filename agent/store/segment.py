"""One file of the log: records of every kind, the head with the Merkle frontier, and the uplinks' places.

A segment lives for one day of the station and is then closed; the next begins with the frontier and places of the
last. All calls come from the one thread that owns the log.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from agent.store.packing import pack, unpack
from host.sqlite import adopt_schema, open_database
from protocols import record
from protocols.tlog import Frontier, leaf_hash

# 2: bodies are packed (`packing`). A file of 1 stays one, and takes bodies as they are.
SCHEMA_VERSION: Final = 2
PACKED_SINCE: Final = 2
SCHEMA: Final = """
CREATE TABLE rec(seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, leaf BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER, first_seq INTEGER, next_seq INTEGER,
                  frontier BLOB, closed INTEGER);
CREATE TABLE place(uplink TEXT PRIMARY KEY, document TEXT NOT NULL);
"""
READ_ROWS_MAX: Final = 500
KEPT: Final = "kept-"
# Pages of a file kept in memory: it is written at its end and read from the tail in memory; SQLite's 2 MB buy nothing.
CACHE_KiB: Final = 256
# A commit writes whole pages, the head's among them: with small ones a second's scan costs 500 bytes of disk traffic
# for each of its 20 readings instead of 830 (`tools/bench storage`).
PAGE_BYTES: Final = 1024


Raw = tuple[int, str, bytes, bytes]


class LogShortError(Exception):
    """The disk lost what it had committed, while we run: only a start can go on from there, with a new epoch."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies in the log; `body` is the canonical line that is hashed and sent."""

    epoch: int
    seq: int
    kind: str
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """Members of the body, decoded anew at each call."""
        return record.decode(self.body)


@dataclass(frozen=True, slots=True)
class Place:
    """How far an uplink is: everything it selects up to `through` is acknowledged, and the ranges in `above` too."""

    epoch: int
    through: int
    above: tuple[tuple[int, int], ...] = ()


def segment_name(epoch: int, first_seq: int) -> str:
    """File name that sorts by epoch, then by first sequence number."""
    return f"log-{epoch:04d}-{first_seq:012d}.db"


def kept_name(epoch: int, first_seq: int) -> str:
    """Name of what stays of a file whose raw was removed: every leaf hash, and every record but the raw."""
    return f"{KEPT}{epoch:04d}-{first_seq:012d}.db"


def segment_files(folder: Path) -> list[Path]:
    """The files of a log by epoch and first number; what was kept of one stands for it once the file is gone."""
    found = {segment_numbers(path): path for path in folder.glob(f"{KEPT}*.db")}
    found |= {segment_numbers(path): path for path in folder.glob("log-*.db")}
    return [found[numbers] for numbers in sorted(found)]


def segment_numbers(path: Path) -> tuple[int, int]:
    """(epoch, first seq) of a segment's file name."""
    _, epoch, first_seq = path.stem.split("-")
    return int(epoch), int(first_seq)


class Segment:
    """An open segment file. Errors are apsw.Error, and DatabaseRefusedError for a foreign file."""

    def __init__(self, path: Path, *, exclusive: bool = True, fold: bool = True, still: bool = False) -> None:
        """Without `fold` the end leaves the write-ahead file until `fold` is called; `still`: nobody writes it."""
        self.path = path
        self._db = open_database(
            f"{path.absolute().as_uri()}?immutable=1" if still else str(path),
            exclusive=exclusive,
            read_only=not exclusive,
            fold=fold,
            page_bytes=PAGE_BYTES,
        )
        self._db.pragma("cache_size", -CACHE_KiB)
        if exclusive:
            adopt_schema(self._db, SCHEMA, SCHEMA_VERSION)
        self._pack = pack if self._db.pragma("user_version") >= PACKED_SINCE else bytes
        head = self._db.execute("SELECT epoch, first_seq, next_seq, frontier FROM head").fetchone()
        self.epoch: int
        self.first_seq: int
        self.next_seq: int
        self.epoch, self.first_seq, self.next_seq, frontier = head or (0, 0, 0, None)
        self.frontier = Frontier.from_bytes(frontier) if frontier else Frontier()

    @property
    def begun(self) -> bool:
        """False for a file that a power cut left before its first commit: it holds nothing."""
        return self.epoch > 0

    @classmethod
    def create(
        cls, path: Path, epoch: int, first_seq: int, frontier: Frontier, places: Iterable[tuple[str, Place]]
    ) -> "Segment":
        """Make a new segment that goes on from `frontier`; the folder's entry is made durable too.

        What an attempt that failed left under the name is removed: it may show what was never durable.
        """
        for part in path.parent.glob(path.name + "*"):
            part.unlink()
        segment = cls(path)
        segment.epoch, segment.first_seq, segment.next_seq, segment.frontier = epoch, first_seq, first_seq, frontier
        with segment._db:
            segment._db.execute(
                "INSERT OR REPLACE INTO head VALUES(1, ?, ?, ?, ?, 0)",
                (epoch, first_seq, first_seq, frontier.to_bytes()),
            )
            for uplink, place in places:
                segment._put_place(uplink, place)
        sync_folder(path.parent)
        return segment

    def append(self, rows: list[Record], frontier: Frontier) -> None:
        """Commit rows and the frontier behind the last of them; rows that are committed already are left out.

        Raises LogShortError where rows before them are missing that were committed.
        """
        new = [row for row in rows if row.seq >= self.next_seq]
        if not new:
            return
        if new[0].seq != self.next_seq:
            raise LogShortError(f"{self.path.name} ends before {self.next_seq}; numbers below {new[0].seq} were there")
        with self._db:
            self._db.executemany(
                "INSERT INTO rec VALUES(?, ?, ?, ?)",
                ((row.seq, row.kind, leaf_hash(row.body), self._pack(row.body)) for row in new),
            )
            self._db.execute("UPDATE head SET next_seq = ?, frontier = ?", (new[-1].seq + 1, frontier.to_bytes()))
        self.next_seq, self.frontier = new[-1].seq + 1, frontier

    def touch(self) -> None:
        """Commit without a record: the disk takes writes."""
        with self._db:
            # Another value each time: SQLite writes no page whose bytes stay as they are. Closed is 1, and no other.
            self._db.execute("UPDATE head SET closed = -1 - closed")

    def read(self, after: int, kinds: frozenset[str], limit: int, before: int | None) -> list[Record]:
        """Give records with after < seq (< before), ascending, of the wanted kinds, at most READ_ROWS_MAX of them."""
        marks = ",".join("?" * len(kinds))
        end = self.next_seq if before is None else before
        cursor = self._db.execute(
            # A body whose raw was removed is empty.
            f"SELECT seq, kind, body FROM rec WHERE seq > ? AND seq < ? AND kind IN ({marks}) AND length(body) > 0"
            " ORDER BY seq LIMIT ?",
            (after, end, *sorted(kinds), min(limit, READ_ROWS_MAX)),
        )
        return [Record(self.epoch, seq, kind, unpack(body)) for seq, kind, body in cursor]

    def raw(self, after: int, end: int, limit: int) -> list[Raw]:
        """Rows with after < seq < end as they lie in the file, ascending, at most `limit`."""
        rows = "SELECT seq, kind, leaf, body FROM rec WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?"
        return list(self._db.execute(rows, (after, end, limit)))

    def read_last(self, kind: str) -> Record | None:
        """Newest record of a kind in this segment."""
        row = self._db.execute("SELECT seq, body FROM rec WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind,)).fetchone()
        return Record(self.epoch, row[0], kind, unpack(row[1])) if row else None

    def leaves(self, start: int, end: int = 2**62) -> list[bytes]:
        """Leaf hashes from `start` on, below `end`, in order."""
        numbers = "SELECT CAST(leaf AS BLOB) FROM rec WHERE seq >= ? AND seq < ? ORDER BY seq"
        rows = self._db.execute(numbers, (start, end))
        return [leaf for (leaf,) in rows]

    def places(self) -> dict[str, Place]:
        """All uplinks' places."""
        return {name: _place(document) for name, document in self.place_documents()}

    def place_documents(self) -> list[tuple[str, str]]:
        """The same as they lie in the file."""
        return list(self._db.execute("SELECT uplink, document FROM place"))

    def save_place(self, uplink: str, place: Place) -> None:
        """Keep a place durably."""
        with self._db:
            self._put_place(uplink, place)

    def _put_place(self, uplink: str, place: Place) -> None:
        document = json.dumps(place_fields(place))
        self._db.execute("INSERT OR REPLACE INTO place VALUES(?, ?)", (uplink, document))

    def damaged(self, last: int) -> list[int]:
        """Sequence numbers among the newest `last` records whose body no longer gives its leaf hash."""
        cursor = self._db.execute("SELECT seq, leaf, body FROM rec WHERE seq >= ?", (self.next_seq - last,))
        return [seq for seq, leaf, body in cursor if body != b"" and leaf_hash(unpack(body)) != leaf]

    def walk(self) -> Iterator[tuple[int, str, bytes, bytes]]:
        """(seq, kind, leaf, body) of every record, in order; the body of raw that was removed is empty."""
        rows = self._db.execute("SELECT seq, kind, CAST(leaf AS BLOB), body FROM rec ORDER BY seq")
        return ((seq, kind, leaf, unpack(body)) for seq, kind, leaf, body in rows)

    def abandon(self) -> None:
        """Close after a failed write, without another."""
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db.close()

    @classmethod
    def reopened(cls, path: Path) -> "Segment":
        """The file after a failed write, with all that it shows made durable by new writes. Raises apsw.Error.

        A failed sync leaves its frames in the page cache, marked clean: SQLite shows them, another sync of the same
        file says well, and a power cut takes them (Rebello et al., USENIX ATC 2020). Folding writes them elsewhere.
        """
        segment = cls(path, fold=False)
        try:
            segment._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            segment.fold()
        except apsw.Error:
            segment.abandon()
            raise
        return segment

    def fold(self) -> None:
        """Let the end of the connection fold the write-ahead file into the database."""
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def seal(self) -> None:
        """Close the day: no more records; the WAL is folded into the file."""
        with self._db:
            self._db.execute("UPDATE head SET closed = 1")
        self._db.pragma("wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def place_fields(place: Place) -> dict[str, Any]:
    """A place as it is kept, and told."""
    return {"epoch": place.epoch, "through": place.through, "above": place.above}


def _place(document: str) -> Place:
    fields = json.loads(document)
    return Place(fields["epoch"], fields["through"], tuple((a, b) for a, b in fields["above"]))


def sync_folder(folder: Path) -> None:
    """Make creations and renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
