"""The station database: an index over the log that can be thrown away and rebuilt from the segments at any time.

It answers what the daemon asks of the past: averages of a span, the newest coefficients, events, calibration runs.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from agent.store.packing import pack, unpack
from agent.store.segment import CACHE_KiB, Record, Segment, segment_files, segment_numbers, sync_folder
from agent.store.segments import Segments
from host.sqlite import DatabaseRefusedError, adopt_schema, open_database
from protocols import record

SCHEMA_VERSION: Final = 2  # bodies are packed
SCHEMA: Final = """
CREATE TABLE built(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER, next_seq INTEGER);
CREATE TABLE entry(epoch INTEGER, seq INTEGER, kind TEXT, what TEXT, at TEXT, period_s INTEGER, body BLOB,
                   PRIMARY KEY(epoch, seq)) WITHOUT ROWID;
CREATE INDEX entry_kind ON entry(kind, what, at);
CREATE INDEX entry_period ON entry(period_s, at) WHERE period_s IS NOT NULL;
"""
# In memory, and only once the file took something not: a view of the table's own name, which reading finds first.
ASIDE: Final = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE IF NOT EXISTS late(epoch, seq, kind, what, at, period_s, body, UNIQUE(epoch, seq));
CREATE TEMP VIEW IF NOT EXISTS entry AS SELECT * FROM main.entry AS e WHERE NOT EXISTS
    (SELECT 1 FROM late WHERE late.epoch = e.epoch AND late.seq = e.seq) UNION ALL SELECT * FROM late;
"""
ASIDE_ROWS_MAX: Final = 20_000
INDEXED: Final = frozenset({"average", "calibration", "event", "config", "gap"})
CATCH_UP_ROWS: Final = 500

logger = logging.getLogger(__name__)


class Index:
    """Owned by the log's thread; `add` is the log's `on_commit`."""

    def __init__(self, path: Path, segments: Path, files: Segments) -> None:
        """Open the index, or make it anew where it is damaged, and catch up with the log's files."""
        self._path = path
        self._segments = segments
        self._files = files
        self._holes = False
        try:
            self._db = self._opened()
            self._catch_up()
        except (apsw.Error, DatabaseRefusedError) as error:
            if not _damaged(error):
                raise
            self._make_anew(error)

    def _make_anew(self, error: Exception) -> None:
        logger.warning("station database is made anew from the log: %s", error)
        self._remove()
        self._db = self._opened()
        try:
            self._catch_up()
        except apsw.Error:
            # Closed, and removed by the next try: half an index would answer as if that were all.
            self._db.close()
            raise

    def _remove(self) -> None:
        for part in self._path.parent.glob(self._path.name + "*"):
            part.unlink()

    def _opened(self) -> apsw.Connection:
        made = not self._path.exists()
        if made:
            # A write-ahead file alone holds but the last pages of a database that is lost; it must not come back.
            self._remove()
            sync_folder(self._path.parent)
        connection = open_database(str(self._path), exclusive=True, read_only=False)
        adopt_schema(connection, SCHEMA, SCHEMA_VERSION)
        # Derived data: a power cut may cost the last rows here, and the next start reads them from the log again.
        connection.pragma("synchronous", "NORMAL")
        connection.pragma("cache_size", -CACHE_KiB)
        if made:
            sync_folder(self._path.parent)
        return connection

    def _catch_up(self) -> None:
        row = self._db.execute("SELECT epoch, next_seq FROM built").fetchone()
        epoch, next_seq = row or (0, 0)
        if epoch is None or next_seq is None:
            raise apsw.CorruptError("how far it was built is gone")
        paths = segment_files(self._segments)
        for path, later in zip(paths, [*paths[1:], None], strict=False):
            # Of five years of days only the last few are opened: the next one's name tells where a file ends.
            if segment_numbers(path)[0] < epoch or (later and segment_numbers(later) <= (epoch, next_seq)):
                continue
            segment = self._files.live if path == self._files.live.path else Segment(path, exclusive=False)
            after = next_seq - 1 if segment.epoch == epoch else -1
            while rows := segment.read(after, record.KINDS, CATCH_UP_ROWS, None):
                self.add(rows)
                after = rows[-1].seq
            if segment is not self._files.live:
                segment.close()

    def add(self, rows: Iterable[Record]) -> None:
        """Index committed records; repeats are harmless. A failure here costs nothing that the log does not hold.

        After one, `built` stays where it is, so that the next start reads what is missing from the log.
        """
        rows = list(rows)
        entries = [entry(row) for row in rows if row.kind in INDEXED]
        if not entries:
            # Scans alone are no reason to write: a start after a crash reads at most those of a minute again.
            return
        built = (rows[-1].epoch, rows[-1].seq + 1)
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO main.entry VALUES(?, ?, ?, ?, ?, ?, ?)", entries)
                if not self._holes:
                    self._db.execute("INSERT OR REPLACE INTO built VALUES(1, ?, ?)", built)
        except apsw.Error as error:
            self._holes = True
            logger.warning("station database: %s; the next start completes it from the log", error)
            self._keep_aside(entries)

    def _keep_aside(self, entries: list[tuple[object, ...]]) -> None:
        """Have answers know what the file does not take: a start on a full disk would write its minutes twice."""
        try:
            self._db.execute(ASIDE)
            self._db.executemany("INSERT OR REPLACE INTO late VALUES(?, ?, ?, ?, ?, ?, ?)", entries)
            self._db.execute("DELETE FROM late WHERE rowid <= (SELECT max(rowid) FROM late) - ?", (ASIDE_ROWS_MAX,))
        except apsw.Error as error:
            logger.warning(
                "station database: %s; nothing is known of %d rows until the next start", error, len(entries)
            )

    def adopt(self, segment: Segment) -> None:
        """Index a closed file of an earlier epoch; repeats are harmless. How far the log is indexed stays as it is."""
        after = -1
        while rows := segment.read(after, INDEXED, CATCH_UP_ROWS, None):
            after = rows[-1].seq
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO main.entry VALUES(?, ?, ?, ?, ?, ?, ?)", [entry(row) for row in rows]
                )

    def averages(self, period_s: int, since: str, until: str) -> Iterator[dict[str, Any]]:
        """Average records with since <= start < until (ISO times), oldest first, decoded as they are asked for."""
        bodies = self.bodies(
            "SELECT body FROM entry WHERE period_s = ? AND at >= ? AND at < ? ORDER BY at, epoch, seq",
            (period_s, since, until),
        )
        return map(record.decode, bodies)

    def starts(self, period_s: int, after: str, until: str, limit: int) -> list[str]:
        """Starts (ISO times) of the periods with after < start <= until, oldest first, each once."""
        rows = self._rows(
            "SELECT DISTINCT at FROM entry WHERE period_s = ? AND at > ? AND at <= ? ORDER BY at LIMIT ?",
            (period_s, after, until, limit),
        )
        return [at for (at,) in rows]

    def told(self, kind: str, whats: Iterable[str], after: str, until: str, limit: int) -> list[dict[str, Any]]:
        """Records of a kind and of these `what` written after < t <= until, oldest first, about `limit` of them.

        Those of one instant come together, so that the next page can begin after the last of this one.
        """
        whats = tuple(whats)
        found = self._told(kind, whats, after, until, limit)
        if len(found) >= limit:
            last = found[limit - 1][0]
            whole = [row for row in found if row[0] < last]
            found = whole or self._told(kind, whats, after, last, -1)
        return [record.decode(unpack(row[-1])) for row in found]

    def _told(self, kind: str, whats: Iterable[str], after: str, until: str, limit: int) -> list[tuple[Any, ...]]:
        return sorted(
            row
            for what in whats
            for row in self._rows(
                "SELECT at, epoch, seq, body FROM entry WHERE kind = ? AND what = ? AND at > ? AND at <= ?"
                " ORDER BY at LIMIT ?",
                (kind, what, after, until, limit),
            )
        )

    def last_average(self, period_s: int, since: str, until: str) -> dict[str, Any] | None:
        """The one of these that starts last."""
        bodies = self.bodies(
            "SELECT body FROM entry WHERE period_s = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT 1",
            (period_s, since, until),
        )
        return record.decode(bodies[0]) if bodies else None

    def last(self, epoch: int, seq: int) -> dict[str, Any] | None:
        """The newest record that is indexed of those before this number."""
        bodies = self.bodies(
            "SELECT body FROM entry WHERE (epoch, seq) < (?, ?) ORDER BY epoch DESC, seq DESC LIMIT 1", (epoch, seq)
        )
        return record.decode(bodies[0]) if bodies else None

    def newest(self, kind: str, what: str | None, limit: int) -> list[dict[str, Any]]:
        """Newest records of a kind (and of one `what`), newest first."""
        bodies = self.bodies(
            "SELECT body FROM entry WHERE kind = ?1 AND (?2 IS NULL OR what = ?2)"
            " ORDER BY epoch DESC, seq DESC LIMIT ?3",
            (kind, what, limit),
        )
        return [record.decode(body) for body in bodies]

    def bodies(self, statement: str, values: tuple[object, ...]) -> list[bytes]:
        """Bodies that a query of one column finds."""
        return [unpack(body) for (body,) in self._rows(statement, values)]

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """What a query finds. A page that shows its damage only now costs a rebuild, and never the start."""
        try:
            return list(self._db.execute(statement, values))
        except apsw.Error as error:
            if not _damaged(error):
                raise
            self._db.close()
            try:
                self._make_anew(error)
                return list(self._db.execute(statement, values))
            except (apsw.Error, DatabaseRefusedError) as again:
                # A new file that is damaged at once is the disk's doing: who asked waits for a better one.
                self._db.close()
                raise apsw.IOError(f"the station database cannot be made anew: {again}") from again

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _damaged(error: Exception) -> bool:
    """Whether the file is at fault, not the disk. Behind a short read it is shorter than its write-ahead file says."""
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHORT_READ
    return isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.ConnectionClosedError | DatabaseRefusedError)


def entry(row: Record) -> tuple[object, ...]:
    """One indexed row; averages are found by their start, everything else by the time of writing."""
    fields = record.decode(row.body)
    at = fields["start"] if row.kind == "average" else fields["t"]
    return row.epoch, row.seq, row.kind, fields.get("what"), at, fields.get("period_s"), pack(row.body)
