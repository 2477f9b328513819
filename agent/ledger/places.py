"""Where a log is walked: the files of a folder, or a running daemon."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw

from agent.history.daemon import DaemonSource
from agent.history.query import ROWS_MAX
from agent.ledger.walk import Finding, Row
from agent.store.segment import segment_numbers
from agent.store.witness import seen
from host.sqlite import DatabaseRefusedError, open_database
from protocols import record


def rows_of_files(folder: Path) -> Iterator[Row | Finding]:
    """Every record in the files of `folder`, in order; a file that cannot be read is a finding.

    The files of a stopped station, or a copy. Raises apsw.BusyError where a daemon holds one, LookupError without any.
    """
    paths = sorted(folder.glob("log-*.db"), key=segment_numbers)
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
    return sorted(folder.glob("log-*.db"), key=segment_numbers)[:-1]


def rows_of(paths: Iterable[Path]) -> Iterator[Row | Finding]:
    """Every record of these files, in order; a file that cannot be read is a finding."""
    for path in paths:
        epoch, first = segment_numbers(path)
        try:
            yield from _rows(path, epoch)
        except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError, apsw.SQLError) as error:
            yield Finding("file-damaged", epoch, first, {"file": path.name, "why": str(error)})


def _rows(path: Path, epoch: int) -> Iterator[Row | Finding]:
    db = open_database(str(path), exclusive=False, read_only=True)
    try:
        head = db.execute("SELECT next_seq FROM head").fetchone()
        last: Any = None
        for seq, leaf, body in db.execute("SELECT seq, leaf, body FROM rec ORDER BY seq"):
            last = seq
            yield Row(epoch, seq, body, leaf)
        if head and last is not None and head[0] != last + 1:
            yield Finding("head-differs", epoch, last, {"file": path.name, "next": head[0]})
    finally:
        db.close()


def rows_of_daemon(source: DaemonSource) -> Iterator[Row]:
    """Every record of a running station. Raises RequestError where no daemon answers."""
    for epoch in source.epochs():
        after = -1
        while page := source.numbered(epoch, after, record.KINDS, ROWS_MAX):
            for fields in page:
                # The daemon tells members; the canonical body of these is what was hashed, or it was altered.
                yield Row(epoch, fields["seq"], record.encode(fields))
            after = page[-1]["seq"]
