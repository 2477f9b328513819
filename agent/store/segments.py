"""The files of a log: one live segment, the closed ones behind it, damaged ones in quarantine.

Everything after the construction is called from the one thread that owns the log.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path

import apsw

from agent.store.head import tree_behind
from agent.store.opening import RESTORED, Opened, SetAside, open_newest
from agent.store.segment import Place, Record, Segment, segment_name, segment_numbers, sync_folder
from agent.store.witness import Witness
from metrology.periods import DAY_S, parse_iso, period_start
from protocols import record
from protocols.tlog import Frontier

logger = logging.getLogger(__name__)


class Segments:
    """`live` takes the records; a day of the station that ends closes it and begins the next."""

    def __init__(self, folder: Path, now: datetime, day_offset_s: int) -> None:
        """Open the newest file that holds what it says, or begin an epoch; `now` dates an empty one.

        `quarantined` says which files were set aside and why.
        """
        self._folder = folder
        self._day_offset_s = day_offset_s
        folder.mkdir(parents=True, exist_ok=True)
        opened = open_newest(folder)
        self.quarantined = opened.set_aside
        self._witness = Witness(folder)
        self._closed = opened.closed
        self.live = opened.live or self._begin_epoch(opened)
        self._day = self._day_of_live(now)

    def _begin_epoch(self, opened: Opened) -> Segment:
        epoch = opened.epoch_max + 1
        places: dict[str, Place] = {}
        if opened.before is not None:
            places = opened.before.places()
            opened.before.close()
        begun = Segment.create(self._folder / segment_name(epoch, 0), epoch, 0, Frontier(), places.items())
        (self._folder / RESTORED).unlink(missing_ok=True)
        return begun

    def _day_of_live(self, now: datetime) -> datetime:
        last = self.live.read(self.live.next_seq - 2, record.KINDS, 1, None)
        at = parse_iso(record.decode(last[0].body)["t"]) if last else now
        return period_start(at, DAY_S, self._day_offset_s)

    def since_checkpoint(self) -> tuple[Frontier | None, list[bytes]]:
        """The tree at the last checkpoint of the live epoch, None where nobody knows it, and the leaves after it."""
        leaves: list[bytes] = []
        for path in [self.live.path, *reversed(self._closed)]:
            segment = self.live if path == self.live.path else Segment(path, exclusive=False)
            if segment.epoch != self.live.epoch:
                segment.close()
                break
            found = segment.read_last("checkpoint")
            fields = record.decode(found.body) if found else {"size": segment.first_seq}
            leaves = segment.leaves(int(fields["size"])) + leaves
            if segment is not self.live:
                segment.close()
            if found:
                return tree_behind(fields) or self._tree_at(int(fields["size"])), leaves
            if segment.first_seq == 0:
                return Frontier(), leaves
        return None, leaves

    def _tree_at(self, size: int) -> Frontier | None:
        """The tree over the first `size` records of the live epoch, from where the file of the last of them begins."""
        tree = self.tree_before(self.live.epoch, size)
        return None if tree is None else tree.extend(self.leaves(self.live.epoch, tree.size, size))

    def write(self, rows: list[Record], frontier: Frontier, at: datetime) -> None:
        """Commit rows, the last written `at`. Raises apsw.Error, after which the same rows can be given again."""
        try:
            self.live.append(rows, frontier)
        except apsw.Error:
            self._reopen()
            raise
        sync = any(row.kind == "checkpoint" for row in rows)
        self._witness.committed(self.live.epoch, self.live.next_seq, at, sync=sync)
        day = period_start(at, DAY_S, self._day_offset_s)
        # A clock that was years ahead must not leave all that comes in one file.
        if day > self._day or self._day - day > timedelta(days=1):
            self._roll(day)

    def close(self) -> None:
        """End; the live file takes records again when it is opened anew."""
        self._witness.close()
        self.live.close()

    def takes_commits(self) -> bool:
        """Whether the disk takes a commit, tried without a record."""
        try:
            self.live.touch()
        except apsw.Error as error:
            logger.error("log: the disk takes no commit: %s", error)
            with suppress(apsw.Error):
                self._reopen()
            return False
        return True

    def _reopen(self) -> None:
        """After a failed write the connection is poisoned, and what it shows is not what is durable."""
        with suppress(apsw.ConnectionClosedError):
            self.live.abandon()
        self.live = Segment.reopened(self.live.path)

    def _roll(self, day: datetime) -> None:
        old = self.live
        path = self._folder / segment_name(old.epoch, old.next_seq)
        self.live = Segment.create(path, old.epoch, old.next_seq, old.frontier, old.places().items())
        try:
            old.seal()
        except apsw.Error as error:
            # The day is complete without it; only its write-ahead file stays beside it.
            logger.warning("log: %s not sealed: %s", old.path.name, error)
        old.close()
        self._closed.append(old.path)
        self._day = day

    def read(self, after: int, kinds: frozenset[str], limit: int, before: int | None, epoch: int) -> list[Record]:
        """Committed records of an epoch with after < seq (< before), ascending, over all its files."""
        found: list[Record] = []
        for first, end, path in self._spans(epoch):
            if end <= after + 1 or (before is not None and first >= before):
                continue
            if path == self.live.path:
                found += self.live.read(after, kinds, limit - len(found), before)
            else:
                segment = Segment(path, exclusive=False)
                found += segment.read(after, kinds, limit - len(found), before)
                segment.close()
            if len(found) >= limit:
                break
        return found

    def _spans(self, epoch: int) -> Iterator[tuple[int, int, Path]]:
        """(first, end, file) of the epoch's segments, ascending; nothing for an epoch without files."""
        named = [(*segment_numbers(path), path) for path in [*self._closed, self.live.path]]
        firsts = [(first, path) for number, first, path in sorted(named) if number == epoch]
        ends = [first for first, _ in firsts[1:]] + [2**62]
        return ((first, end, path) for (first, path), end in zip(firsts, ends, strict=False))

    def seq_at(self, epoch: int, at: str) -> int:
        """First number of an epoch written at or after `at`."""
        with ExitStack() as opened:
            segments = []
            for _, _, path in self._spans(epoch):
                segments.append(self.live if path == self.live.path else Segment(path, exclusive=False))
                if segments[-1] is not self.live:
                    opened.callback(segments[-1].close)
            return seq_at(segments, at)

    def tree_before(self, epoch: int, seq: int) -> Frontier | None:
        """The tree where the file that holds a record begins; None where the file before that is not here."""
        spans = list(self._spans(epoch))
        found = next((one for one in spans if one[0] <= seq < one[1]), None)
        if found is None or found[0] == 0:
            return Frontier() if found else None
        before = next((path for _, end, path in spans if end == found[0]), None)
        if before is None:
            return None
        segment = Segment(before, exclusive=False)
        frontier, complete = segment.frontier, segment.frontier.size == segment.next_seq
        segment.close()
        # What was salvaged with holes has no tree that goes on.
        return frontier if complete else None

    def leaves(self, epoch: int, start: int, end: int) -> list[bytes]:
        """Leaf hashes of an epoch with start <= seq < end, over all its files."""
        found: list[bytes] = []
        for first, until, path in self._spans(epoch):
            if until <= start or first >= end:
                continue
            segment = self.live if path == self.live.path else Segment(path, exclusive=False)
            found += segment.leaves(start, end)
            if segment is not self.live:
                segment.close()
        return found

    @property
    def closed(self) -> list[Path]:
        """Files that take no more records, oldest first."""
        return list(self._closed)

    def replace(self, old: Path, kept: Path) -> None:
        """Let `kept` stand for a closed file from now on, and remove that; again after a power cut."""
        self._closed = [kept if path == old else path for path in self._closed]
        remove(old)

    def epochs(self) -> list[int]:
        """Epochs that have segments here, ascending."""
        return sorted({segment_numbers(path)[0] for path in [*self._closed, self.live.path]})

    def claim(self, next_seq: int) -> None:
        """Numbers of this epoch below `next_seq` are known elsewhere: keep that for the next start."""
        self._witness.committed(self.live.epoch, next_seq, self._day, sync=True)

    def adopt(self, made: Path, lost: SetAside) -> Segment:
        """Take a file of salvaged records in the place of the one set aside; gives it, opened, to be closed."""
        path = self._folder / lost.name
        made.replace(path)
        sync_folder(self._folder)
        if path not in self._closed:
            self._closed.append(path)
        return Segment(path, exclusive=False)

    def save_place(self, uplink: str, place: Place) -> None:
        """Keep an uplink's place."""
        try:
            self.live.save_place(uplink, place)
        except apsw.Error as error:
            # Resending is harmless, so the next save is the retry; a broken disk is reported by the commits.
            logger.warning("log: place of %s not saved: %s", uplink, error)


def seq_at(segments: Sequence[Segment], at: str) -> int:
    """First number of one epoch written at or after `at`, by bisection; 0 in an empty epoch.

    A record of a clock that was not believed counts as written with the next that was: rather one too many than one
    too few. Else the clock is taken to have gone forward: across a step back the answer is one of the possible ones.
    """
    filled = [segment for segment in segments if segment.next_seq > segment.first_seq]
    if not filled:
        return 0
    end = filled[-1].next_seq

    def found(seq: int) -> tuple[bool, str]:
        # Where raw was removed, the next record that is there tells the time.
        later = (one.read(seq - 1, record.KINDS, 1, None) for one in filled if seq < one.next_seq)
        fields = next((rows[0].fields for rows in later if rows), {"t": "~"})
        return fields.get("clk") != "R", str(fields["t"])

    def written(seq: int) -> str:
        believed, told = found(seq)
        if believed:
            return told
        ahead = 1
        while seq + ahead < end and not found(seq + ahead)[0]:
            ahead *= 2
        between = range(seq + ahead // 2, min(seq + ahead, end))
        return found(between.start + bisect_left(between, True, key=lambda one: found(one)[0]))[1]

    numbers = range(filled[0].first_seq, end)
    return filled[0].first_seq + bisect_left(numbers, at, key=written)


def remove(path: Path) -> None:
    """Unlink a file of the log, its companions first, durably."""
    for part in sorted(path.parent.glob(path.name + "*"), reverse=True):
        part.unlink()
    sync_folder(path.parent)
