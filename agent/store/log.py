"""The one append-only log of a station (design, section 6).

Sequence numbers and Merkle leaves are given in the event loop in the order of the calls; one thread owns the files and
commits groups of records. A value counts as taken when its commit returned; until then nobody is shown it.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from agent.store.head import Head
from agent.store.opening import SetAside, unsalvaged
from agent.store.segment import Place, Record, Segment
from agent.store.segments import Segments
from agent.store.tail import Tail
from agent.store.waiting import COMMIT_RECORDS, One, Waiting
from metrology.clock import Clock
from metrology.periods import iso
from protocols import record
from protocols.tlog import Frontier, leaf_hash
from protocols.tlog_signs import Signs

__all__ = ["Log", "Place", "Record"]

PENDING_BYTES_MAX: Final = 8 * 1024 * 1024
RAW_BYTES_MAX: Final = 6 * 1024 * 1024
CHECKPOINT_RECORDS_MAX: Final = 1_000
SWITCH_S: Final = 0.0005
RETRY_WALL_S: Final = 1.0
LAST_COMMITS_WALL_S: Final = 2.0

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
        signer: Signs,
        commit_s: float = 0.05,
        commit_records: int = COMMIT_RECORDS,
        simulated: bool = False,
        day_offset_s: int = 8 * 3600,
        executor: Executor | None = None,
        on_commit: Callable[[list[Record]], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        """Open or create the log in `folder`; `on_commit` runs in the log's thread after each commit (the index).

        A commit takes at most `commit_records`; where so many wait it does not wait for `commit_s`.

        `on_failure` runs in the event loop after each commit that failed.
        """
        self._clock = clock
        self._station_id = station_id
        # `vkey` verifies its checkpoints, `vkeys` those before too; `places` is how far each uplink is.
        self._signer, self.vkey, self.vkeys = signer, signer.vkey, [signer.vkey]
        self.simulated = simulated
        self.about_clock: Callable[[], Mapping[str, Any]] = dict  # of the clock that dates a record
        if executor is None:
            sys.setswitchinterval(SWITCH_S)  # a thread back from a sync waits no longer than this for the next turn
            executor = ThreadPoolExecutor(1, "log")
        self._executor = executor
        self._on_commit, self._on_failure = on_commit, on_failure
        self._waiting = Waiting(clock, commit_s, commit_records)
        self.hurry = self._waiting.hurry
        self._committed = asyncio.Event()
        self._tail = Tail()
        self._segments = Segments(folder, clock.now(), day_offset_s)
        live = self._segments.live
        self.quarantined = self._segments.quarantined
        self.unsalvaged = unsalvaged(folder)
        self._claimed = 0
        self._salvaging = {lost.epoch: asyncio.Event() for lost in self.unsalvaged}
        self.epoch, self.next_seq = live.epoch, live.next_seq
        self.started = self._assigned = live.next_seq  # the first record of this run
        self.places = live.places()
        self._head = Head(live.frontier, *self._segments.since_checkpoint())

    # -- writing

    def post(self, kind: str, fields: Mapping[str, Any]) -> asyncio.Future[Record]:
        """Queue a record; the future resolves when its commit returned. Bodies beyond all bounds raise RecordError."""
        if self._head.uncovered >= CHECKPOINT_RECORDS_MAX and kind != "checkpoint":
            self.post_checkpoint()
        now = self._clock.now()
        members: dict[str, Any] = {
            **fields, "v": record.VERSION, "epoch": self.epoch, "seq": self._assigned, "kind": kind, "t": iso(now),
            **self.about_clock(),
        }  # fmt: skip
        if self.simulated:
            members["sim"] = True
        body = record.encode(members)
        if len(body) > record.BODY_BYTES_MAX:
            raise record.RecordError(f"{kind} record of {len(body)} bytes exceeds {record.BODY_BYTES_MAX}")
        self._head.add(leaf_hash(body))
        row = Record(self.epoch, self._assigned, kind, body)
        self._assigned += 1
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting.put(One(row, future, self._head.tree, now))
        return future

    def post_checkpoint(self) -> asyncio.Future[Record]:
        """Sign the tree over all records so far; the checkpoint's own sequence number is its size."""
        origin = f"plumeline/{self._station_id}/{self.epoch}"
        return self.post("checkpoint", self._head.checkpoint(origin, self._signer))

    async def append(self, kind: str, fields: Mapping[str, Any]) -> Record:
        """Write a record and wait for its commit."""
        await self.room()
        return await self.post(kind, fields)

    async def room(self) -> None:
        """Wait while more than PENDING_BYTES_MAX are uncommitted: a dead disk stops acquisition, not memory."""
        while self._waiting.size >= PENDING_BYTES_MAX:
            await self._committed.wait()

    @property
    def files(self) -> Segments:
        """The files, for what is done with closed ones; only through `call`, in the log's thread."""
        return self._segments

    @property
    def pending(self) -> int:
        """Records not yet committed."""
        return len(self._waiting)

    @property
    def crowded(self) -> bool:
        """Whether so much waits for the disk that raw has to be left out: the rest belongs to averages and alarms."""
        return self._waiting.size >= RAW_BYTES_MAX

    async def run(self) -> None:
        """Commit for ever; on cancellation commit what is left and close.

        Raises TimeoutError where the disk does not take that within LAST_COMMITS_WALL_S.
        """
        try:
            while True:
                await self._waiting.company()
                await self._commit()
        finally:
            async with asyncio.timeout(LAST_COMMITS_WALL_S):
                while self._waiting:
                    await self._commit()
                await self.call(self._segments.close)

    async def _commit(self) -> None:
        # The batch stays waiting until it is durable: a cancellation meanwhile leaves it to the last commits.
        if not (batch := self._waiting.batch()):
            return
        rows = [one.row for one in batch]
        await self._durably(rows, batch[-1].frontier, batch[-1].at)
        self._tail.keep(rows)
        self.next_seq = rows[-1].seq + 1
        self._waiting.done(batch)
        self._committed.set()
        self._committed = asyncio.Event()

    async def beat(self) -> bool:
        """Whether the disk takes a commit; for a watchdog, while no record is due."""
        return await self.call(self._segments.takes_commits)

    async def _durably(self, rows: list[Record], frontier: Frontier, at: datetime) -> None:
        broken = False
        while True:
            try:
                await self.call(self._write, rows, frontier, at)
            except (apsw.Error, OSError) as error:
                if not broken:
                    logger.error("log: commit failed, will retry each second: %s", error)
                broken = True
                if self._on_failure:
                    self._on_failure(error)
                await self._clock.sleep_wall(RETRY_WALL_S)
                continue
            if broken:
                logger.warning("log: commits work again")
                self.post("event", {"what": "log-recovered", "origin": "log"})
            return

    def _write(self, rows: list[Record], frontier: Frontier, at: datetime) -> None:
        self._segments.write(rows, frontier, at)
        if self._on_commit:
            self._on_commit(rows)

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Run something in the one thread that owns the log and its index; commits wait meanwhile."""
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
        # Who reads an epoch on, to deliver it, must not take for its end what is only not yet salvaged.
        of = self.epoch if epoch is None else epoch
        if (salvaging := self._salvaging.get(of)) is not None:
            await salvaging.wait()
        if of == self.epoch:
            # Behind a commit that failed, the file may hold rows that nobody was told of yet.
            before = self.next_seq if before is None else min(before, self.next_seq)
            if (found := self._tail.read(after, kinds, limit, before)) is not None:
                return found
        return await self.look_up(self._segments.read, after, kinds, limit, before, of)

    async def look_up(self, function: Callable[..., T], *args: object) -> T:
        """As `call`, for what only reads: it waits while a failing disk does not let the file be opened again."""
        broken = False
        while True:
            try:
                return await self.call(function, *args)
            except (apsw.ConnectionClosedError, apsw.CantOpenError, apsw.IOError) as error:
                if not broken:
                    logger.error("log: cannot be read, will retry each second: %s", error)
                broken = True
                await self._clock.sleep_wall(RETRY_WALL_S)

    async def seq_at(self, epoch: int, at: str) -> int:
        """First number of an epoch written at or after a time (ISO text)."""
        return await self.look_up(self._segments.seq_at, epoch, at)

    async def tree_before(self, epoch: int, seq: int) -> Frontier | None:
        """The tree at the start of the file that holds a record, for a proof that it is in a later one."""
        return await self.look_up(self._segments.tree_before, epoch, seq)

    async def epochs(self) -> list[int]:
        """Epochs that have segments here, ascending, and those being salvaged."""
        return sorted({*await self.look_up(self._segments.epochs), *self._salvaging})

    def claim(self, next_seq: int) -> None:
        """A centre holds numbers below `next_seq` of this epoch, more than we have: the next start begins a new one."""
        if next_seq <= self._claimed:
            return
        self._claimed = next_seq
        self.post("event", {"what": "log-behind", "origin": "log", "first": self.next_seq, "until": next_seq})
        self._claiming = asyncio.create_task(self.call(self._segments.claim, next_seq))

    async def adopt(self, made: Path, lost: SetAside) -> Segment:
        """Take a file of salvaged records in the place of the one set aside; gives it, to be closed in our thread."""
        return await self.call(self._segments.adopt, made, lost)

    def salvaged(self, epoch: int) -> None:
        """All that could be salvaged of an epoch is in place: who waits to read it goes on."""
        if (event := self._salvaging.pop(epoch, None)) is not None:
            event.set()

    async def load_place(self, uplink: str) -> Place | None:
        """Where an uplink is, None for a new one."""
        return self.places.get(uplink)

    async def save_place(self, uplink: str, place: Place) -> None:
        """Keep an uplink's place; it may lag behind the truth (cost: a resend) and never leads it."""
        self.places[uplink] = place
        await self.call(self._segments.save_place, uplink, place)
