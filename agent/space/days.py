"""The closed files of a running log: which days they hold, and what proves each of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from agent.space.proof import Root
from agent.store.log import Log
from agent.store.segment import KEPT, Segment
from agent.store.segments import Segments
from metrology.periods import parse_iso
from protocols import record

CHECKPOINT: Final = frozenset({"checkpoint"})
# What an instrument with a memory hands over lies in the file of the day it was written.
LATE: Final = timedelta(hours=2)
# A checkpoint comes at least once in 1000 records, a cosigned one soon after.
AFTER_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Day:
    """A closed file that still holds raw: its numbers, and the times between which its records were written."""

    path: Path
    epoch: int
    first: int
    next_seq: int
    since: datetime
    until: datetime


class Days:
    """Files are looked into once; `closed` and `root` run where the log's own thread is."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[Path, Day | None] = {}

    async def closed(self) -> list[Day]:
        """Closed days with raw, oldest first."""
        paths = await self._log.call(lambda: self._log.files.closed)
        for gone in self._known.keys() - set(paths):
            del self._known[gone]
        for path in paths:
            if path not in self._known:
                self._known[path] = await self._log.call(_day, path)
        return [day for path in paths if (day := self._known[path]) is not None]

    async def root(self, day: Day, size: int | None = None) -> Root | None:
        """What proves a day: by the first checkpoint behind it, or the one of a `size`; None where nothing does."""
        return await self._log.call(_root, self._log.files, day, size)


def _day(path: Path) -> Day | None:
    """None for what was kept of a file, and for one without a record."""
    if path.name.startswith(KEPT):
        return None
    segment = Segment(path, exclusive=False)
    try:
        first = segment.read(segment.first_seq - 1, record.KINDS, 1, None)
        last = segment.read(segment.next_seq - 2, record.KINDS, 1, None)
        if not first or not last:
            return None
        times = sorted(parse_iso(row.fields["t"]) for row in (first[0], last[0]))
        return Day(path, segment.epoch, segment.first_seq, segment.next_seq, times[0] - LATE, times[1])
    finally:
        segment.close()


def _root(files: Segments, day: Day, size: int | None) -> Root | None:
    before = files.tree_before(day.epoch, day.first)
    found = files.read(
        (size or day.next_seq) - 1, CHECKPOINT, 1, None if size is None else size + 1, day.epoch
    )  # fmt: skip
    if before is None or not found:
        return None
    fields = found[0].fields
    if not 0 <= fields["size"] - day.next_seq <= AFTER_MAX:
        return None
    after = files.leaves(day.epoch, day.next_seq, fields["size"])
    told = {name: fields[name] for name in ("seq", "size", "root", "note")}
    return Root(before, tuple(after), told)
