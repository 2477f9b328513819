"""Where a log is walked: the files of a folder, or a running daemon."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw

from agent.history.daemon import DaemonSource
from agent.history.query import ROWS_MAX
from agent.ledger.findings import Finding, Held, Row
from agent.store.packing import unpack
from agent.store.segment import segment_files, segment_numbers
from agent.store.witness import seen
from host.sqlite import DatabaseRefusedError, open_database
from protocols import record
from protocols.tlog import Frontier


def rows_of_files(folder: Path) -> Iterator[Row | Finding]:
    """Every record in the files of `folder`, in order; a file that cannot be read is a finding.

    The files of a stopped station, or a copy. Raises apsw.BusyError where a daemon holds one, LookupError without any.
    """
    paths = segment_files(folder)
    if not paths:
        raise LookupError(f"{folder}: no log of a station here")
    end = (0, 0)
    for row in rows_of(paths):
        if isinstance(row, Row):
            end = max(end, (row.epoch, (row.seq or 0) + 1))
        yield row
    noted = seen(folder)
    if noted is not None and noted > end:
        yield Finding("log-short", noted.epoch, end[1], {"next": noted.next_seq})


def closed_files(folder: Path) -> list[Path]:
    """Files that a running station no longer writes: all but the newest."""
    return segment_files(folder)[:-1]


def ended_with(path: Path) -> Held:
    """What a walk goes on from behind a file. Where that cannot be read no root is judged before the next epoch."""
    epoch, first = segment_numbers(path)
    try:
        db = open_database(str(path), exclusive=False, read_only=True)
        try:
            tree = Frontier.from_bytes(db.execute("SELECT frontier FROM head").get)
        finally:
            db.close()
    except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError, apsw.SQLError, ValueError, TypeError):
        return Held(epoch, first, broken=True)
    return Held(epoch, tree.size, tree, midway=True)


def rows_of(paths: Iterable[Path]) -> Iterator[Row | Finding]:
    """Every record of these files, in order; a file that cannot be read is a finding."""
    for path in paths:
        epoch, first = segment_numbers(path)
        try:
            yield from _rows(path, epoch, first)
        except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError, apsw.SQLError) as error:
            yield Finding("file-damaged", epoch, first, {"file": path.name, "why": str(error)})


def _rows(path: Path, epoch: int, first: int) -> Iterator[Row | Finding]:
    db = open_database(str(path), exclusive=False, read_only=True)
    try:
        head = db.execute("SELECT next_seq FROM head").fetchone()
        last: Any = None
        for seq, kind, leaf, body in db.execute("SELECT seq, kind, CAST(leaf AS BLOB), body FROM rec ORDER BY seq"):
            last = seq
            # What was kept of a file whose raw was removed has its leaf, and no body.
            yield Row(epoch, seq, unpack(body) or None, leaf, first, kind)
        if head and last is not None and head[0] != last + 1:
            yield Finding("head-differs", epoch, last, {"file": path.name, "next": head[0]})
    finally:
        db.close()


def rows_of_daemon(source: DaemonSource) -> Iterator[Row]:
    """Every record of a running station. Raises RequestError where no daemon answers."""
    told = _deletions(source)
    for epoch in source.epochs():
        after = -1
        while page := source.numbered(epoch, after, record.KINDS, ROWS_MAX):
            for fields in page:
                yield from _removed(told, epoch, after + 1, fields["seq"])
                # The daemon tells members; the canonical body of these is what was hashed, or it was altered.
                yield Row(epoch, fields["seq"], record.encode(fields))
                after = fields["seq"]


def _deletions(source: DaemonSource) -> list[tuple[int, int, int]]:
    """(epoch, first, last) of files whose raw was removed, as the daemon's records tell."""
    found: list[tuple[int, int, int]] = []
    since = ("", -1, -1)
    while page := source.indexed("event", ["raw-deleted"], None, since, "~", ROWS_MAX):
        found += [(one["of_epoch"], one["first"], one["last"]) for one in page]
        since = (page[-1]["t"], page[-1]["epoch"], page[-1]["seq"])
    return found


def _removed(told: list[tuple[int, int, int]], epoch: int, begin: int, end: int) -> Iterator[Row]:
    """Numbers from `begin` to before `end` that a deletion took; their leaves are in the checkpoints."""
    for seq in range(begin, end):
        first = next((one[1] for one in told if one[0] == epoch and one[1] <= seq <= one[2]), None)
        if first is None:
            return
        yield Row(epoch, seq, None, None, first)
