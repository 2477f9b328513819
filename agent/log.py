"""The one append-only log of a station (design, section 6).

Sequence numbers and Merkle leaves are given in the event loop in the order of the calls; one thread owns the files and
commits groups of records. A value counts as taken when its commit returned; until then nobody is shown it.
"""

import asyncio
import base64
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from agent.segment import Place, Record, Segment, segment_name, segment_numbers
from host.sqlite import DatabaseRefusedError
from metrology.clock import Clock
from metrology.periods import DAY_S, iso, parse_iso, period_start
from protocols import record
from protocols.tlog import Frontier, Signer, leaf_hash, make_checkpoint

__all__ = ["Log", "Place", "Record"]

PENDING_MAX: Final = 20_000
TAIL_RECORDS: Final = 500
CHECKPOINT_RECORDS_MAX: Final = 1_000
RETRY_WALL_S: Final = 1.0
VERIFY_RECORDS: Final = 2_000

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Log:
    """The live segment, the closed ones behind it, and the group commit."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        station_id: str,
        signer: Signer,
        commit_s: float = 0.05,
        simulated: bool = False,
        day_offset_s: int = 8 * 3600,
        executor: Executor | None = None,
        on_commit: Callable[[list[Record]], None] | None = None,
    ) -> None:
        """Open or create the log in `folder`; `on_commit` runs in the log's thread after each commit (the index)."""
        self._folder = folder
        self._clock = clock
        self._station_id = station_id
        self._signer = signer
        self._commit_s = commit_s
        self.simulated = simulated
        self._day_offset_s = day_offset_s
        self._executor = executor or ThreadPoolExecutor(1, "log")
        self._on_commit = on_commit
        self._pending: list[tuple[Record, asyncio.Future[Record]]] = []
        self._wake = asyncio.Event()
        self._committed = asyncio.Event()
        self._tail: deque[Record] = deque(maxlen=TAIL_RECORDS)
        self._open()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = sorted(self._folder.glob("log-*.db"))
        self.quarantined: list[str] = []
        while files:
            try:
                self._segment = Segment(files[-1])
                if damaged := self._segment.damaged(VERIFY_RECORDS):
                    self._segment.close()
                    raise apsw.CorruptError(f"leaf hashes of {len(damaged)} records do not hold")
                break
            except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError) as error:
                self._quarantine(files.pop(), error)
        if not files or self.quarantined:
            self._begin_epoch(files)
        self._closed: list[Path] = [path for path in files if path != self._segment.path]
        self.epoch, self.next_seq = self._segment.epoch, self._segment.next_seq
        self._assigned, self._frontier = self.next_seq, self._segment.frontier
        self._places = self._segment.places()
        self._day = self._day_of_segment()
        self._checkpoint_size, self._leaves = self._since_checkpoint()

    def _quarantine(self, path: Path, error: Exception) -> None:
        target = self._folder / "quarantine"
        target.mkdir(exist_ok=True)
        for part in self._folder.glob(path.name + "*"):
            part.rename(target / part.name)
        self.quarantined.append(f"{path.name}: {error}")

    def _begin_epoch(self, files: list[Path]) -> None:
        numbers = [int(path.name.split("-")[1]) for path in [*files, *(self._folder / "quarantine").glob("log-*.db")]]
        epoch = max(numbers, default=0) + 1
        places: dict[str, Place] = self._segment.places() if files else {}
        if files:
            self._segment.close()
        path = self._folder / segment_name(epoch, 0)
        self._segment = Segment.create(path, epoch, 0, Frontier(), places.items())
        files.append(path)

    def _day_of_segment(self) -> datetime:
        last = self._segment.read(self._segment.next_seq - 2, record.KINDS, 1, None)
        at = parse_iso(record.decode(last[0].body)["t"]) if last else self._clock.now()
        return period_start(at, DAY_S, self._day_offset_s)

    def _since_checkpoint(self) -> tuple[int, list[bytes]]:
        """Size of the last checkpoint of this epoch and the leaves after it; closed segments are searched backwards."""
        leaves: list[bytes] = []
        for path in [self._segment.path, *reversed(self._closed)]:
            segment = self._segment if path == self._segment.path else Segment(path, exclusive=False)
            if segment.epoch != self.epoch:
                break
            found = segment.read_last("checkpoint")
            size = int(record.decode(found.body)["size"]) if found else segment.first_seq
            leaves = segment.leaves(size) + leaves
            if segment is not self._segment:
                segment.close()
            if found or size == 0:
                return size, leaves
        return self.next_seq - len(leaves), leaves

    # -- writing

    def post(self, kind: str, fields: Mapping[str, Any]) -> asyncio.Future[Record]:
        """Queue a record; the future resolves when its commit returned. Bodies beyond all bounds raise RecordError."""
        if len(self._leaves) >= CHECKPOINT_RECORDS_MAX and kind != "checkpoint":
            self.post_checkpoint()
        now = self._clock.now()
        members: dict[str, Any] = {
            **fields, "v": record.VERSION, "epoch": self.epoch, "seq": self._assigned, "kind": kind, "t": iso(now),
        }  # fmt: skip
        if self.simulated:
            members["sim"] = True
        body = record.encode(members)
        if len(body) > record.BODY_BYTES_MAX:
            raise record.RecordError(f"{kind} record of {len(body)} bytes exceeds {record.BODY_BYTES_MAX}")
        leaf = leaf_hash(body)
        self._frontier = self._frontier.append(leaf)
        self._leaves.append(leaf)
        row = Record(self.epoch, self._assigned, kind, body)
        self._assigned += 1
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._pending.append((row, future))
        self._wake.set()
        return future

    def post_checkpoint(self) -> asyncio.Future[Record]:
        """Sign the tree over all records so far; the checkpoint's own sequence number is its size."""
        size, root = self._assigned, self._frontier.root()
        note = make_checkpoint(f"plumeline/{self._station_id}/{self.epoch}", size, root, self._signer)
        leaves, self._leaves, self._checkpoint_size = b"".join(self._leaves), [], size
        return self.post(
            "checkpoint",
            {
                "size": size,
                "root": base64.b64encode(root).decode(),
                "note": note,
                "leaves": base64.b64encode(leaves).decode(),
            },
        )

    async def append(self, kind: str, fields: Mapping[str, Any]) -> Record:
        """Write a record and wait for its commit."""
        await self.room()
        return await self.post(kind, fields)

    async def room(self) -> None:
        """Wait while more than PENDING_MAX records are uncommitted: a dead disk stops acquisition, not memory."""
        while len(self._pending) >= PENDING_MAX:
            await self._committed.wait()

    @property
    def live_segment(self) -> Segment:
        """The segment that takes records; for the index, before `run`."""
        return self._segment

    @property
    def pending(self) -> int:
        """Records not yet committed."""
        return len(self._pending)

    async def run(self) -> None:
        """Commit for ever; on cancellation commit what is left and close."""
        try:
            while True:
                await self._wake.wait()
                if self._commit_s:
                    await self._clock.sleep_wall(self._commit_s)
                await self._commit()
        finally:
            while self._pending:
                await self._commit()
            await self._call(self._segment.close)

    async def _commit(self) -> None:
        batch, self._pending, frontier = self._pending, [], self._frontier
        self._wake.clear()
        if not batch:
            return
        rows = [row for row, _ in batch]
        await self._durably(rows, frontier)
        self._tail.extend(rows)
        self.next_seq = rows[-1].seq + 1
        for row, future in batch:
            if not future.done():
                future.set_result(row)
        self._committed.set()
        self._committed = asyncio.Event()

    async def _durably(self, rows: list[Record], frontier: Frontier) -> None:
        broken = False
        while True:
            try:
                await self._call(self._write, rows, frontier)
            except apsw.Error as error:
                # After a failed sync the connection is poisoned: never retry on it (reference of SQLite: fsync).
                if not broken:
                    logger.error("log: commit failed, will retry each second: %s", error)
                broken = True
                await self._clock.sleep_wall(RETRY_WALL_S)
                continue
            if broken:
                logger.warning("log: commits work again")
                self.post("event", {"what": "log-recovered", "origin": "log"})
            return

    def _write(self, rows: list[Record], frontier: Frontier) -> None:
        try:
            self._segment.append(rows, frontier)
        except apsw.Error:
            self._segment.close()
            self._segment = Segment(self._segment.path)
            raise
        if self._on_commit:
            self._on_commit(rows)
        day = period_start(parse_iso(record.decode(rows[-1].body)["t"]), DAY_S, self._day_offset_s)
        if day > self._day:
            self._roll(day)

    def _roll(self, day: datetime) -> None:
        old = self._segment
        path = self._folder / segment_name(old.epoch, old.next_seq)
        self._segment = Segment.create(path, old.epoch, old.next_seq, old.frontier, self._places.items())
        old.seal()
        old.close()
        self._closed.append(old.path)
        self._day = day

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    # -- reading

    async def wait(self, after: int) -> None:
        """Return when a record with a sequence number above `after` is committed in the current epoch."""
        while self.next_seq <= after + 1:
            await self._committed.wait()

    async def read(
        self, after: int, *, kinds: frozenset[str], limit: int, before: int | None = None, epoch: int | None = None
    ) -> list[Record]:
        """Committed records with after < seq (< before), ascending, at most `limit` (and READ_ROWS_MAX)."""
        end = self.next_seq if before is None else min(before, self.next_seq)
        if epoch in (None, self.epoch) and self._tail and self._tail[0].seq <= after + 1:
            found: list[Record] = []
            for row in itertools.islice(self._tail, max(0, after + 1 - self._tail[0].seq), None):
                if row.seq >= end or len(found) >= limit:
                    break
                if row.kind in kinds:
                    found.append(row)
            return found
        return await self._call(self._read, after, kinds, limit, before, self.epoch if epoch is None else epoch)

    def _read(self, after: int, kinds: frozenset[str], limit: int, before: int | None, epoch: int) -> list[Record]:
        found: list[Record] = []
        for first, end, path in self._spans(epoch):
            if end <= after + 1 or (before is not None and first >= before):
                continue
            if path == self._segment.path:
                found += self._segment.read(after, kinds, limit - len(found), before)
            else:
                segment = Segment(path, exclusive=False)
                found += segment.read(after, kinds, limit - len(found), before)
                segment.close()
            if len(found) >= limit:
                break
        return found

    def _spans(self, epoch: int) -> list[tuple[int, int, Path]]:
        """(first, end, file) of the epoch's segments, ascending."""
        named = [(*segment_numbers(path), path) for path in [*self._closed, self._segment.path]]
        firsts = [(first, path) for number, first, path in sorted(named) if number == epoch]
        ends = [first for first, _ in firsts[1:]] + [2**62]
        return [(first, end, path) for (first, path), end in zip(firsts, ends, strict=True)]

    async def epochs(self) -> list[int]:
        """Epochs that have segments here, ascending."""
        return sorted({segment_numbers(path)[0] for path in [*self._closed, self._segment.path]})

    async def load_place(self, uplink: str) -> Place | None:
        """Where an uplink is, None for a new one."""
        return self._places.get(uplink)

    async def save_place(self, uplink: str, place: Place) -> None:
        """Keep an uplink's place; it may lag behind the truth (cost: a resend) and never leads it."""
        self._places[uplink] = place
        await self._call(self._save_place, uplink, place)

    def _save_place(self, uplink: str, place: Place) -> None:
        try:
            self._segment.save_place(uplink, place)
        except apsw.Error as error:
            # Resending is harmless, so the next save is the retry; a broken disk is reported by the commits.
            logger.warning("log: place of %s not saved: %s", uplink, error)
