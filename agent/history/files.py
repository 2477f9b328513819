"""The files of a station whose daemon is stopped, opened to read: nothing is made, moved or repaired."""

import base64
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import apsw

from agent.history.query import ROWS_MAX, Statement, indexed, newest
from agent.store.index import INDEXED, SCHEMA, entry
from agent.store.packing import unpack
from agent.store.segment import Record, Segment, place_fields, segment_files
from agent.store.segments import seq_at
from host.history import Fields
from host.sqlite import DatabaseRefusedError, open_database
from protocols import record
from protocols.tlog import Frontier


def read_segments(folder: Path) -> list[Segment]:
    """The log's files in `folder`, by epoch and number, without those a power cut left empty. Raises apsw.Error."""
    opened = [Segment(path, exclusive=False) for path in segment_files(folder)]
    return [segment for segment in opened if segment.begun]


class FileSource:
    """A `Source` over the log and the station database of a stopped station.

    What the database lacks (it is derived, and may lag or be gone) is read from the log into memory. Raises apsw.Error
    where a file cannot be read, and LookupError where there is no log.
    """

    def __init__(self, store: Path, vkey: str | None = None) -> None:
        self._segments = read_segments(store / "segments")
        if not self._segments:
            raise LookupError(f"{store}: no log of a station here")
        self._vkey = vkey
        later = apsw.Connection(":memory:")
        later.execute(SCHEMA)
        self._databases = [later]
        built = (0, 0)
        try:
            kept = open_database(str(store / "station.db"), exclusive=False, read_only=True)
        except (apsw.Error, DatabaseRefusedError):
            pass  # made anew at the next start; the log has it all
        else:
            built = kept.execute("SELECT epoch, next_seq FROM built").fetchone() or built
            self._databases.append(kept)
        rows = (entry(row) for row in self._from(*built))
        with later:
            later.executemany("INSERT OR REPLACE INTO entry VALUES(?, ?, ?, ?, ?, ?, ?)", rows)

    def _from(self, epoch: int, seq: int) -> Iterator[Record]:
        """Indexed kinds in the log from a number on."""
        for segment in self._segments:
            if segment.epoch < epoch:
                continue
            after = seq - 1 if segment.epoch == epoch else -1
            while rows := segment.read(after, INDEXED, ROWS_MAX, None):
                yield from rows
                after = rows[-1].seq

    def _found(self, statement: Statement) -> list[Fields]:
        return [record.decode(unpack(body)) for db in self._databases for (body,) in db.execute(*statement)]

    def indexed(
        self,
        kind: str,
        what: Collection[str],
        period_s: int | None,
        since: tuple[str, int, int],
        until: str,
        limit: int,
    ) -> list[Fields]:
        """See `host.history.Source`."""
        return sorted(self._found(indexed(kind, what, period_s, since, until, limit)), key=_place)[:limit]

    def newest(self, kind: str, what: Collection[str], before: str) -> Fields | None:
        """See `host.history.Source`."""
        return max(self._found(newest(kind, what, before)), key=_place, default=None)

    def numbered(self, epoch: int, after: int, kinds: Collection[str], limit: int) -> list[Fields]:
        """See `host.history.Source`."""
        found: list[Fields] = []
        for segment in self._segments:
            if segment.epoch == epoch and segment.next_seq > after + 1 and len(found) < limit:
                rows = segment.read(after, frozenset(kinds), limit - len(found), None)
                found += [row.fields for row in rows]
        return found

    def seq_at(self, epoch: int, at: str) -> int:
        """See `host.history.Source`."""
        return seq_at([one for one in self._segments if one.epoch == epoch], at)

    def epochs(self) -> list[int]:
        """See `host.history.Source`."""
        return sorted({segment.epoch for segment in self._segments})

    def tree_before(self, epoch: int, seq: int) -> str | None:
        """See `host.history.Ledger`."""
        own = [one for one in self._segments if one.epoch == epoch]
        holder = next((one for one in own if one.first_seq <= seq < one.next_seq), None)
        frontier = Frontier() if holder and holder.first_seq == 0 else None
        if holder and frontier is None:
            frontier = next((one.frontier for one in own if one.next_seq == holder.first_seq), None)
        return base64.b64encode(frontier.to_bytes()).decode() if frontier else None

    def delivered(self) -> dict[str, Fields]:
        """See `host.history.Ledger`."""
        return {name: place_fields(place) for name, place in self._segments[-1].places().items()}

    def vkey(self) -> str | None:
        """See `host.history.Ledger`."""
        return self._vkey


def _place(fields: Fields) -> tuple[Any, ...]:
    return (fields["start"] if fields["kind"] == "average" else fields["t"], fields["epoch"], fields["seq"])
