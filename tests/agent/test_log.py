"""The log: durable order, one tree, restart, damage, reading across days."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.store.log import PENDING_BYTES_MAX, Log, Place
from agent.store.packing import DEFLATED, pack, unpack
from agent.store.segment import Segment, segment_name
from agent.store.tail import TAIL_BYTES, Tail
from host.clock import ManualClock, RealClock
from protocols import record
from protocols.tlog import Frontier, leaf_hash, open_checkpoint, signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")


def make_log(folder: Path, clock: RealClock | ManualClock | None = None, commit_s: float = 0.0) -> Log:
    return Log(folder, clock or RealClock(), station_id="test-01", signer=SIGNER, commit_s=commit_s)


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_records_are_numbered_in_the_order_of_the_calls_and_survive_a_restart(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    rows = await asyncio.gather(*(log.append("event", {"what": f"e{i}"}) for i in range(50)))
    assert [row.seq for row in rows] == list(range(50))
    await log.save_place("centre", Place(log.epoch, 17, ((20, 22),)))
    await stop(task)

    again = make_log(tmp_path)
    assert (again.epoch, again.next_seq) == (log.epoch, 50)
    assert await again.load_place("centre") == Place(log.epoch, 17, ((20, 22),))
    found = await again.read(9, kinds=frozenset({"event"}), limit=3)
    assert [(r.seq, r.fields["what"]) for r in found] == [(10, "e10"), (11, "e11"), (12, "e12")]
    assert found[0].body == rows[10].body


async def test_a_checkpoint_signs_the_tree_over_everything_before_it(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    bodies = [(await log.append("event", {"what": f"e{i}"})).body for i in range(7)]
    row = await log.post_checkpoint()
    fields = row.fields
    opened = open_checkpoint(str(fields["note"]), [SIGNER.vkey])
    assert (opened.origin, opened.size) == ("plumeline/test-01/1", 7) == (opened.origin, row.seq)
    frontier = Frontier()
    for body in bodies:
        frontier = frontier.append(leaf_hash(body))
    assert opened.root == frontier.root()
    assert base64.b64decode(str(fields["leaves"])) == b"".join(leaf_hash(body) for body in bodies)
    await stop(task)


async def test_leaves_between_checkpoints_continue_over_a_restart_and_a_new_day(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, 15, 59, 58, tzinfo=UTC))
    log = make_log(tmp_path, clock)
    task = asyncio.create_task(log.run())
    bodies = [(await log.append("event", {"what": "a"})).body, (await log.post_checkpoint()).body]
    clock.step(5)  # 00:00:03 UTC+8: another day
    for what in ("b", "c", "d"):
        bodies.append((await log.append("event", {"what": what})).body)
    await stop(task)
    assert len(list(tmp_path.glob("log-*.db"))) == 2

    again = make_log(tmp_path, clock)
    task = asyncio.create_task(again.run())
    row = await again.post_checkpoint()
    assert base64.b64decode(str(row.fields["leaves"])) == b"".join(leaf_hash(body) for body in bodies[1:])
    # Reading walks from the closed day into the live one.
    again._tail = Tail()
    found = await again.read(-1, kinds=frozenset({"event"}), limit=100)
    assert [r.fields["what"] for r in found] == ["a", "b", "c", "d"]
    await stop(task)


async def test_a_checkpoint_comes_at_least_every_thousand_records(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    for i in range(2500):
        last = log.post("event", {"what": str(i)})
    await last
    found = await log.read(-1, kinds=frozenset({"checkpoint"}), limit=10)
    assert [r.fields["size"] for r in found] == [1000, 2000]
    assert all(len(r.body) < record.BODY_BYTES_MAX for r in found)
    await stop(task)


async def test_a_damaged_file_is_set_aside_and_a_new_epoch_begins(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    row = await log.append("event", {"what": "kept"})
    await stop(task)
    path = next(tmp_path.glob("log-*.db"))
    data = bytearray(path.read_bytes())
    at = bytes(data).index(pack(row.body))
    data[at + 9] ^= 1
    path.write_bytes(data)

    again = make_log(tmp_path)
    assert again.epoch == 2
    assert again.next_seq == 0
    assert "leaf hashes" in again.quarantined[0].detail
    assert {p.name for p in (tmp_path / "quarantine").iterdir()} >= {path.name, f"{path.name}.json"}


async def test_a_file_of_another_program_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log-0001-000000000000.db").write_bytes(b"this is not a database at all, but somebody's")
    log = make_log(tmp_path)
    assert log.epoch == 2
    assert (tmp_path / "quarantine" / "log-0001-000000000000.db").read_bytes().startswith(b"this is not")


async def test_a_file_that_a_power_cut_left_without_its_first_commit_is_no_log(tmp_path: Path) -> None:
    """The next day's file is made before its head is committed."""
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    await log.append("event", {"what": "kept"})
    await stop(task)
    for first, content in enumerate((b"", None), 1):
        stillborn = tmp_path / segment_name(1, first)
        if content is None:
            Segment(stillborn).close()  # tables without a head
        else:
            stillborn.write_bytes(content)
        log = make_log(tmp_path)
        assert (log.epoch, log.quarantined) == (1, [])
        task = asyncio.create_task(log.run())
        await log.append("event", {"what": "more"})
        await stop(task)
        assert not stillborn.exists()
    assert [row.seq for row in await make_log(tmp_path).read(-1, kinds=record.KINDS, limit=9)] == [0, 1, 2]


class Slow(ThreadPoolExecutor):
    """A disk that has not yet answered when the log is told to end."""

    def __init__(self) -> None:
        super().__init__(1)
        self.waits = threading.Event()
        self.goes_on = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        def later() -> Any:
            self.waits.set()
            assert self.goes_on.wait(5)
            return fn(*args, **kwargs)

        return super().submit(later)


@pytest.mark.parametrize("next_day", [False, True])
async def test_an_end_in_the_middle_of_a_commit_neither_loses_nor_repeats(tmp_path: Path, next_day: bool) -> None:
    clock, disk = ManualClock(datetime(2026, 1, 1, 15, 59, 58, tzinfo=UTC)), Slow()
    log = Log(tmp_path, clock, station_id="test-01", signer=SIGNER, commit_s=0, executor=disk)
    if next_day:
        clock.step(5)  # the commit under way also begins the next day's file
    task = asyncio.create_task(log.run())
    under_way = [log.post("event", {"what": str(i)}) for i in range(3)]
    await asyncio.to_thread(disk.waits.wait, 5)
    last = log.post("event", {"what": "last"})
    task.cancel()
    await asyncio.sleep(0)
    disk.goes_on.set()
    await asyncio.wait([task])
    assert [future.result().seq for future in [*under_way, last]] == [0, 1, 2, 3]
    disk.shutdown()
    again = make_log(tmp_path, clock)
    found = await again.read(-1, kinds=record.KINDS, limit=10)
    assert [(row.seq, row.fields["what"]) for row in found] == [(0, "0"), (1, "1"), (2, "2"), (3, "last")]
    assert again.next_seq == 4
    task = asyncio.create_task(again.run())
    opened = open_checkpoint(str((await again.post_checkpoint()).fields["note"]), [SIGNER.vkey])
    frontier = Frontier()
    for row in found:
        frontier = frontier.append(leaf_hash(row.body))
    assert opened.root == frontier.root()
    await stop(task)


async def test_what_is_held_in_memory_is_bounded_by_bytes(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    for i in range(40):
        last = log.post("event", {"what": str(i), "text": "x" * 30_000})
    await last
    assert sum(len(row.body) for row in log._tail._rows) <= TAIL_BYTES
    # A reader who is farther behind reads from the file, and does not notice.
    after, seen = -1, []
    while found := await log.read(after, kinds=frozenset({"event"}), limit=7):
        seen += [row.fields["what"] for row in found]
        after = found[-1].seq
    assert seen == [str(i) for i in range(40)]
    await stop(task)


async def test_records_wait_at_the_door_while_the_disk_takes_none(tmp_path: Path) -> None:
    disk = Slow()
    log = Log(tmp_path, RealClock(), station_id="test-01", signer=SIGNER, commit_s=0, executor=disk)
    task = asyncio.create_task(log.run())
    while log.pending * 200_000 < PENDING_BYTES_MAX:
        log.post("event", {"what": "x" * 200_000})
    door = asyncio.create_task(log.append("event", {"what": "one more"}))
    await asyncio.to_thread(disk.waits.wait, 5)
    waiting = log.pending
    await asyncio.sleep(0)
    assert (door.done(), log.pending) == (False, waiting)
    disk.goes_on.set()
    assert (await door).seq >= waiting
    await stop(task)
    disk.shutdown()


WRITER = """
import asyncio, sys, base64
from pathlib import Path
from agent.store.log import Log
from host.clock import RealClock
from protocols.tlog import signer_from_seed
async def main():
    log = Log(Path(sys.argv[1]), RealClock(), station_id="test-01", commit_s=0.0,
              signer=signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01"))
    task = asyncio.create_task(log.run())
    while True:
        row = await log.append("event", {"what": "x" * 200})
        print(row.epoch, row.seq, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("round_", range(3))
def test_what_was_reported_committed_is_there_after_sigkill(tmp_path: Path, round_: int, root: Path) -> None:
    reported = -1
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
        )
        assert process.stdout
        for _ in range(200 + 37 * round_):
            epoch, reported = map(int, process.stdout.readline().split())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        process.wait()
        whole = [line for line in rest if len(line.split()) == 2]
        reported = int(whole[-1].split()[1]) if whole else reported
        process.stdout.close()
    segment = Segment(next(tmp_path.glob("log-*.db")))
    assert (epoch, segment.epoch) == (1, 1)
    assert segment.next_seq > reported
    assert segment.damaged(10_000) == []
    seqs = [r.seq for r in segment.read(-1, record.KINDS, 500, None)]
    assert seqs == list(range(len(seqs)))
    segment.close()


async def test_enough_waiting_records_are_committed_at_once_in_batches(tmp_path: Path) -> None:
    """`store.commit_records`: with an hour to wait for company, the fourth record needs none; the fifth waits."""
    batches: list[int] = []
    log = Log(
        tmp_path, ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), station_id="test-01", signer=SIGNER,
        commit_s=3600, commit_records=4, on_commit=lambda rows: batches.append(len(rows)),
    )  # fmt: skip
    task = asyncio.create_task(log.run())
    first = [log.post("event", {"what": f"e{i}"}) for i in range(2)]
    await asyncio.sleep(0)
    rest = [log.post("event", {"what": f"e{i}"}) for i in range(2, 11)]
    async with asyncio.timeout(20):
        await asyncio.gather(*first, *rest[:6])
    assert (batches, log.pending) == ([4, 4], 3)
    await stop(task)
    assert batches == [4, 4, 3]
    assert [row.done() for row in rest] == [True] * 9


async def test_bodies_are_packed_and_a_file_from_before_takes_them_as_they_are(tmp_path: Path) -> None:
    """A program of before reads such a file still, and every record is the same by either."""
    made = Segment.create(tmp_path / segment_name(1, 0), 1, 0, Frontier(), ())
    made._db.pragma("user_version", 1)
    made.close()
    log = make_log(tmp_path)
    task = asyncio.create_task(log.run())
    row = await log.append("event", {"what": "kept", "text": "long " * 50})
    await stop(task)
    path = tmp_path / segment_name(1, 0)
    assert row.body in path.read_bytes()
    assert unpack(pack(row.body)) == row.body
    assert len(pack(row.body)) < len(row.body) / 2
    assert pack(b"") == b""
    assert unpack(DEFLATED + b"\xff nonsense") == DEFLATED + b"\xff nonsense"
    # A row that would unfold to gigabytes is no record.
    bomb = zlib.compressobj(9, zlib.DEFLATED, -12)
    stored = DEFLATED + bomb.compress(bytes(50_000_000)) + bomb.flush()
    assert unpack(stored) == stored
