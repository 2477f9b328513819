"""A disk that fails: nothing is called committed that is not, what was committed stays, and all goes on after."""

import asyncio
import base64
import itertools
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.store.log import Log, Record
from agent.store.segment import Segment
from host.clock import RealClock
from protocols import record
from protocols.tlog import Frontier, leaf_hash, open_checkpoint, signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")


class Disk(apsw.VFS):
    """The machine's own files, with faults: `write` and `sync` are asked before each, and raise where they fail.

    With `forgets`, a failed sync takes back what was written since the last good one, as Linux file systems may.
    """

    def __init__(self) -> None:
        self.base = apsw.vfs_names()[0]
        super().__init__("faulty", self.base, makedefault=True)
        self.write: Callable[[], None] = lambda: None
        self.sync: Callable[[], None] = lambda: None
        self.forgets = False
        self.read_only = False
        self.unsynced: dict[str, list[tuple[int, bytes, int]]] = defaultdict(list)

    def xOpen(self, name: Any, flags: list[int]) -> "File":  # noqa: N802
        if self.read_only and flags[0] & apsw.SQLITE_OPEN_READWRITE:
            # What the system's own does where the file system refuses to open for writing.
            flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            flags[0] |= apsw.SQLITE_OPEN_READONLY
        return File(self, name, flags)


class File(apsw.VFSFile):
    """One of its files."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        if self.disk.read_only:
            raise apsw.IOError
        self.disk.write()
        size = self.xFileSize()
        before = self.xRead(min(len(data), size - offset), offset) if offset < size else b""
        self.disk.unsynced[self.name].append((offset, before, size))
        super().xWrite(bytes(data), offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        try:
            self.disk.sync()
        except apsw.Error:
            for offset, before, size in reversed(self.disk.unsynced.pop(self.name, []) if self.disk.forgets else []):
                super().xWrite(before, offset) if before else None
                super().xTruncate(size)
            raise
        super().xSync(flags)
        self.disk.unsynced.pop(self.name, None)


@pytest.fixture
def disk() -> Iterator[Disk]:
    before = apsw.vfs_names()[0]
    one = Disk()
    yield one
    one.unregister()
    assert apsw.vfs_names()[0] == before


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A healed disk is noticed at once."""
    monkeypatch.setattr("agent.store.log.RETRY_WALL_S", 0.001)


def refuse(error: type[apsw.Error]) -> Callable[[], None]:
    def fails() -> None:
        raise error

    return fails


def now_and_then(seed: int, share: float, error: type[apsw.Error]) -> Callable[[], None]:
    dice = random.Random(seed)

    def fails() -> None:
        if dice.random() < share:
            raise error

    return fails


def make_log(folder: Path) -> Log:
    return Log(folder, RealClock(), station_id="test-01", signer=SIGNER, commit_s=0)


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def whole(folder: Path, reported: list[Record]) -> None:
    """The log as it lies on the disk: every record reported committed, each number once, one tree."""
    log = make_log(folder)
    assert (log.epoch, log.quarantined) == (1, [])
    task = asyncio.create_task(log.run())
    frontier, rows = Frontier(), []
    while found := await log.read(rows[-1].seq if rows else -1, kinds=record.KINDS, limit=500):
        rows += found
    assert [row.seq for row in rows] == list(range(log.next_seq))
    assert {(row.seq, row.body) for row in reported} <= {(row.seq, row.body) for row in rows}
    for row in rows:
        frontier = frontier.append(leaf_hash(row.body))
    note = str((await log.post_checkpoint()).fields["note"])
    assert open_checkpoint(note, [SIGNER.vkey]).root == frontier.root()
    await stop(task)


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_failed_sync_reports_nothing_and_the_same_rows_are_written_again(
    tmp_path: Path, disk: Disk, forgets: bool
) -> None:
    disk.forgets = forgets
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    reported = [await log.append("event", {"what": f"before {i}"}) for i in range(5)]
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fails() -> None:
        loop.call_soon_threadsafe(tried.set)
        raise apsw.IOError

    disk.sync = fails
    waiting = [log.post("event", {"what": f"during {i}"}) for i in range(5)]
    for _ in range(3):
        tried.clear()
        await asyncio.wait_for(tried.wait(), 5)
    assert not any(future.done() for future in waiting)
    assert log.next_seq == 5
    assert await log.read(4, kinds=record.KINDS, limit=10) == []
    disk.sync = lambda: None
    reported += await asyncio.wait_for(asyncio.gather(*waiting), 5)
    reported.append(await log.append("event", {"what": "after"}))
    told = await log.read(-1, kinds=frozenset({"event"}), limit=100)
    assert "log-recovered" in [row.fields["what"] for row in told]
    await stop(task)
    await whole(tmp_path, reported)


@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
async def test_a_full_or_failing_disk_is_waited_for(tmp_path: Path, disk: Disk, error: type[apsw.Error]) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    reported = [await log.append("event", {"what": "before"})]
    disk.write = refuse(error)
    waiting = log.post("event", {"what": "during"})
    assert await log.beat() is False
    assert not waiting.done()
    disk.write = lambda: None
    reported.append(await asyncio.wait_for(waiting, 5))
    assert await log.beat() is True
    await stop(task)
    await whole(tmp_path, reported)


async def test_who_reads_waits_too_while_the_file_cannot_be_opened_again(tmp_path: Path, disk: Disk) -> None:
    """What an uplink has to send lies in a file that a failed commit closed: that ends no uplink, and no daemon."""
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    reported = [await log.append("event", {"what": str(i)}) for i in range(3)]
    await stop(task)
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    disk.write = refuse(apsw.IOError)
    waiting = log.post("event", {"what": "during"})
    assert await log.beat() is False
    reading = asyncio.create_task(log.read(-1, kinds=record.KINDS, limit=10))
    assert await log.beat() is False
    assert not reading.done()
    disk.write = lambda: None
    reported.append(await asyncio.wait_for(waiting, 5))
    assert [row.seq for row in await asyncio.wait_for(reading, 5)][:3] == [0, 1, 2]
    await stop(task)
    await whole(tmp_path, reported)


@pytest.mark.parametrize("good_before", [0, 1])
async def test_nobody_reads_a_record_before_it_is_reported_committed(
    tmp_path: Path, disk: Disk, good_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one failed sync the file, opened again, holds it already; an uplink that sent it was called a liar."""
    monkeypatch.setattr("agent.store.log.RETRY_WALL_S", 1.0)
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    await log.append("event", {"what": "before"})
    await stop(task)
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    count = itertools.count()

    def fails_once() -> None:
        if next(count) == good_before:
            loop.call_soon_threadsafe(failed.set)
            raise apsw.IOError

    disk.sync = fails_once
    waiting = log.post("event", {"what": "during"})
    await failed.wait()
    rows = await log.read(-1, kinds=record.KINDS, limit=10)
    assert (log.next_seq, waiting.done()) == (1, False)
    assert [row.seq for row in rows] == [0]
    reported = await asyncio.wait_for(waiting, 5)
    assert [row.seq for row in await log.read(-1, kinds=record.KINDS, limit=10)][:2] == [0, 1]
    await stop(task)
    await whole(tmp_path, [reported])


async def test_a_file_system_that_turns_read_only_is_waited_for(tmp_path: Path, disk: Disk) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    reported = [await log.append("event", {"what": "before"})]
    disk.read_only = True
    waiting = log.post("event", {"what": "during"})
    for _ in range(3):  # each opens the file anew, and finds it can only be read
        assert await log.beat() is False
    assert (waiting.done(), task.done()) == (False, False)
    disk.read_only = False
    reported.append(await asyncio.wait_for(waiting, 5))
    await stop(task)
    await whole(tmp_path, reported)


@pytest.mark.parametrize("seed", range(6))
async def test_faults_at_random_neither_lose_nor_double(tmp_path: Path, disk: Disk, seed: int) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    disk.forgets = seed % 2 == 0
    disk.write = now_and_then(seed, 0.03, apsw.FullError)
    disk.sync = now_and_then(seed + 100, 0.03, apsw.IOError)
    reported = []
    async with asyncio.timeout(20):
        for i in range(150):
            reported += await asyncio.gather(*(log.append("event", {"what": f"{i}.{j}"}) for j in range(3)))
    disk.write = disk.sync = lambda: None
    await stop(task)
    assert [row.seq for row in reported] == sorted({row.seq for row in reported})
    await whole(tmp_path, reported)


async def test_a_disk_that_lost_what_it_had_committed_ends_the_program(tmp_path: Path, disk: Disk) -> None:
    """What is gone while we run cannot be mended by going on: the next start knows, and begins an epoch."""
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    for i in range(5):
        await log.append("event", {"what": str(i)})
    path = next(tmp_path.glob("log-*.db"))
    wal = path.with_name(path.name + "-wal")
    disk.sync = refuse(apsw.IOError)
    waiting = log.post("event", {"what": "during"})
    assert await log.beat() is False
    os.truncate(wal, wal.stat().st_size // 2)
    disk.sync = lambda: None
    with pytest.raises(Exception, match="ends before"):
        await asyncio.wait_for(asyncio.shield(task), 5)
    assert not waiting.done()
    log.files.live.close()
    again = make_log(tmp_path)
    assert (again.epoch, again.next_seq) == (2, 0)


FULL = """
import asyncio, base64, os, subprocess, sys
from pathlib import Path
from agent.store.log import Log
from host.clock import RealClock
from protocols.tlog import signer_from_seed
noise = lambda: os.urandom(1500).hex()
async def main(folder):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    log = Log(folder / "segments", RealClock(), station_id="test-01", commit_s=0.0,
              signer=signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01"))
    task = asyncio.create_task(log.run())
    reported = []
    while await log.beat():
        try:
            reported.append(await asyncio.wait_for(asyncio.shield(log.post("event", {"what": noise()})), 1))
        except TimeoutError:
            break
    assert not await log.beat()
    committed = log.next_seq
    subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
    reported.append(await log.append("event", {"what": "after"}))
    assert committed > 50 and log.next_seq > committed
    rows, after = [], -1
    while found := await log.read(after, kinds=frozenset({"event"}), limit=500):
        rows += found
        after = found[-1].seq
    assert [row.seq for row in rows] == list(range(log.next_seq)), "holes"
    assert {row.body for row in reported} <= {row.body for row in rows}, "lost"
    assert any(row.fields["what"] == "log-recovered" for row in rows)
    task.cancel()
    await asyncio.wait([task])
    print("kept", len(rows))
asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_really_full_disk_loses_nothing(tmp_path: Path, root: Path) -> None:
    """A tmpfs of one megabyte in a mount namespace of its own; it grows again."""
    apart = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "disk")]
    allowed = subprocess.run([*apart, *mount], capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"mounting is not allowed here: {allowed.stderr.strip()}")
    done = subprocess.run(
        [*apart, sys.executable, "-c", FULL, str(tmp_path / "disk")],
        capture_output=True, text=True, cwd=root, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept")


def test_the_writing_side_never_maps_the_file(tmp_path: Path) -> None:
    """A mapped page that fails to be read ends the process instead of raising."""
    segment = Segment.create(tmp_path / "log-0001-000000000000.db", 1, 0, Frontier(), ())
    assert segment._db.pragma("mmap_size") == 0
    segment.close()
