"""Damage at rest: what a file still holds comes back under its own numbers, what is lost is named, none is reused."""

import asyncio
import base64
import errno
import os
import random
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.store.index import Index
from agent.store.log import Log, Place, Record
from agent.store.packing import pack
from agent.store.pages import Images, rows, sound
from agent.store.salvage import salvage
from agent.store.salvaging import Salvaging
from agent.store.segment import Segment, segment_name
from agent.store.witness import NAMES, Seen, Witness, seen
from host.clock import ManualClock
from protocols import record
from protocols.tlog import Frontier, leaf_hash, signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
FILE = segment_name(1, 0)


class Life:
    """The log and its index from a start to an end; `killed` leaves the files as a SIGKILL does."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder, self.segments, self.clock = folder, folder / "segments", clock
        self.log = Log(
            self.segments, clock, station_id="test-01", signer=SIGNER, commit_s=0,
            on_commit=lambda found: self.index.add(found),
        )  # fmt: skip
        self.index = Index(folder / "station.db", self.segments, self.log.files)

    async def __aenter__(self) -> "Life":
        self.task = asyncio.create_task(self.log.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        self.index.close()

    async def write(self, count: int, size: int = 100) -> list[bytes]:
        """So many events a second apart, each in a commit of its own, and some with pages of overflow."""
        bodies = []
        for i in range(count):
            text = "x" * (size if i % 7 else size + 5000)
            bodies.append((await self.log.append("event", {"what": f"e{i}", "text": text})).body)
            await self.clock.advance(1)
        return bodies

    def killed(self, to: Path) -> Path:
        """A copy of the store as a kill at this moment leaves it."""
        shutil.copytree(self.folder, to)
        return to

    async def salvaged(self) -> dict[str, list[dict[str, Any]]]:
        """Salvage, and give what was told: records of the new epoch by kind."""
        await Salvaging(self.segments, self.log, self.index, self.clock.now()).run()
        told: dict[str, list[dict[str, Any]]] = {"event": [], "gap": []}
        for row in await self.log.read(-1, kinds=frozenset(told), limit=500):
            told[row.kind].append(row.fields)
        return told

    async def all_of(self, epoch: int) -> dict[int, bytes]:
        found = {}
        after = -1
        while rows_ := await self.log.read(after, kinds=record.KINDS, limit=500, epoch=epoch):
            found.update((row.seq, row.body) for row in rows_)
            after = rows_[-1].seq
        return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def spoil(path: Path, what: bytes, at: int) -> None:
    """Flip a bit behind each occurrence: pages keep bytes of rows that moved to another one."""
    data = path.read_bytes()
    assert what in data
    for found in re.finditer(re.escape(what), data):
        flip(path, found.start() + at)


@pytest.mark.parametrize(
    "change",
    ["body = 'abc'", "body = 7", "body = 0", "leaf = 'abc'", "leaf = 1.5", "kind = 7"],
)
async def test_all_but_a_record_of_other_types_comes_back(tmp_path: Path, change: str) -> None:
    """SQLite keeps any type in any column: whoever has its shell may put one there."""
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        bodies = await life.write(40)
    db = apsw.Connection(str(life.segments / FILE))
    db.execute(f"UPDATE rec SET {change} WHERE seq = 23")
    db.close()
    await clock.advance(3600)
    async with Life(tmp_path, clock) as life:
        await life.salvaged()
        assert {**await life.all_of(1), 23: b""} == {**dict(enumerate(bodies)), 23: b""}


async def test_all_but_the_flipped_record_comes_back_under_its_old_number(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        bodies = await life.write(40)
    path = life.segments / FILE
    spoil(path, pack(bodies[23]), 9)
    (tmp_path / "station.db").unlink()
    await clock.advance(3600)
    async with Life(tmp_path, clock) as life:
        assert life.log.epoch == 2
        told = await life.salvaged()
        assert await life.all_of(1) == {seq: body for seq, body in enumerate(bodies) if seq != 23}
        [event] = told["event"]
        assert (event["what"], event["of_epoch"], event["kept"], event["lost"]) == ("log-salvaged", 1, 39, [[23, 23]])
        [gap] = told["gap"]
        assert (gap["of_epoch"], gap["first"], gap["last"], gap["reason"]) == (1, 23, 23, "records lost")
        assert (gap["from"], gap["to"]) == ("2026-03-01T08:00:22.000Z", "2026-03-01T08:00:24.000Z")
        found = [fields["what"] for fields in life.index.newest("event", None, 100)]
        assert set(found) == {"log-salvaged", *(f"e{i}" for i in range(40) if i != 23)}
        assert await life.log.epochs() == [1, 2]
    async with Life(tmp_path, clock) as life:  # it is done once
        assert (life.log.epoch, life.log.unsalvaged) == (2, [])
        assert len(await life.all_of(1)) == 39


async def test_a_record_whose_leaf_is_spoiled_is_taken_by_the_word_of_a_checkpoint(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        bodies = await life.write(10)
        bodies.append((await life.log.post_checkpoint()).body)
        bodies += await life.write(3)
    path = life.segments / FILE
    for seq in (4, 12):  # the second one stands behind the checkpoint
        spoil(path, leaf_hash(bodies[seq]), 5)
    async with Life(tmp_path, clock) as life:
        told = await life.salvaged()
        assert set(range(14)) - set(await life.all_of(1)) == {12}
        assert told["event"][0]["lost"] == [[12, 12]]


async def test_rows_that_a_damaged_write_ahead_file_hides_are_missed_found_and_never_numbered_again(
    tmp_path: Path,
) -> None:
    """SQLite finds nothing wrong: the rows behind the damaged frame are simply not there."""
    clock = ManualClock(START)
    async with Life(tmp_path / "station", clock) as life:
        bodies = await life.write(30)
        await life.log.save_place("centre", Place(1, 29))
        folder = life.killed(tmp_path / "killed")
    wal = folder / "segments" / f"{FILE}-wal"
    flip(wal, wal.stat().st_size // 2)
    for name in NAMES:  # what SQLite itself makes of it
        (folder / "segments" / name).rename(folder / name)
    shutil.copytree(folder, tmp_path / "alone")
    alone = Segment(tmp_path / "alone" / "segments" / FILE)
    assert alone.next_seq < 30
    assert alone.damaged(1000) == []
    alone.close()
    for name in NAMES:
        (folder / name).rename(folder / "segments" / name)
    async with Life(folder, clock) as life:
        [lost] = life.log.quarantined
        assert (life.log.epoch, life.log.next_seq, lost.until) == (2, 0, 30)
        told = await life.salvaged()
        kept = await life.all_of(1)
        assert all(body == bodies[seq] for seq, body in kept.items())
        assert len(kept) > alone.next_seq  # frames behind the damaged one are read too
        missing = sorted(set(range(30)) - set(kept))
        assert [n for a, b in told["event"][0]["lost"] for n in range(a, b + 1)] == missing
        assert [n for gap in told["gap"] for n in range(gap["first"], gap["last"] + 1)] == missing


@pytest.mark.parametrize("part", ["", "-wal"])
async def test_a_power_cut_that_parts_a_file_from_its_write_ahead_file_costs_nothing(tmp_path: Path, part: str) -> None:
    """Both were on their way to the quarantine; the name of one of them was not yet durable."""
    clock = ManualClock(START)
    async with Life(tmp_path / "station", clock) as life:
        await life.write(30)
        folder = life.killed(tmp_path / "killed")
    wal = folder / "segments" / f"{FILE}-wal"
    flip(wal, wal.stat().st_size // 2)
    cut = Life(folder, clock)
    cut.index.close()
    cut.log.files.live.close()
    cut.log.files.live.path.unlink()
    (folder / "segments" / "quarantine" / f"{FILE}{part}").rename(folder / "segments" / f"{FILE}{part}")
    async with Life(folder, clock) as life:
        await life.salvaged()
        assert life.log.epoch == 2
        assert len(await life.all_of(1)) >= 28


async def test_an_older_copy_of_the_file_begins_an_epoch_and_is_kept_as_it_is(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.write(5)
    older = (life.segments / FILE).read_bytes()
    async with Life(tmp_path, clock) as life:
        await life.write(5)
    (life.segments / FILE).write_bytes(older)
    async with Life(tmp_path, clock) as life:
        assert (life.log.epoch, life.log.next_seq) == (2, 0)
        told = await life.salvaged()
        assert [(gap["of_epoch"], gap["first"], gap["last"]) for gap in told["gap"]] == [(1, 5, 9)]
        assert len(await life.all_of(1)) == 5
        await life.write(1)
    async with Life(tmp_path, clock) as life:
        assert (life.log.epoch, life.log.quarantined) == (2, [])


async def test_what_a_centre_holds_beyond_our_head_begins_an_epoch_at_the_next_start(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.write(5)
        for _ in range(3):
            life.log.claim(9)
        await life.write(1)
        told = await life.log.read(-1, kinds=frozenset({"event"}), limit=100)
        [behind] = [row.fields for row in told if row.fields["what"] == "log-behind"]
        assert (behind["first"], behind["until"]) == (5, 9)
    async with Life(tmp_path, clock) as life:
        assert (life.log.epoch, life.log.next_seq) == (2, 0)
        found = await life.salvaged()
        assert [(gap["of_epoch"], gap["first"], gap["last"]) for gap in found["gap"]] == [(1, 7, 8)]
        assert len(await life.all_of(1)) == 7


async def test_files_that_are_gone_begin_an_epoch_above_the_witnessed_one(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.write(5)
    (life.segments / FILE).unlink()
    async with Life(tmp_path, clock) as life:
        assert life.log.epoch == 2
        told = await life.salvaged()
        assert [(gap["of_epoch"], gap["first"], gap["last"]) for gap in told["gap"]] == [(1, 0, 4)]


async def test_a_new_days_file_that_lost_its_first_commit_is_missed(tmp_path: Path) -> None:
    """Of a file without a head the start knows only from the witness that it ever had one."""
    clock = ManualClock(datetime(2026, 1, 1, 15, 59, 58, tzinfo=UTC))
    async with Life(tmp_path, clock) as life:
        await life.write(4)
    second = max(life.segments.glob("log-*.db"))
    first_of_second = int(second.stem.split("-")[2])
    assert first_of_second > 0
    second.write_bytes(b"")
    async with Life(tmp_path, clock) as life:
        assert life.log.epoch == 2
        told = await life.salvaged()
        assert told["event"][0]["lost"] == [[first_of_second, 3]]
        assert set(await life.all_of(1)) == set(range(first_of_second))


async def test_a_power_cut_between_quarantine_and_new_epoch_gives_no_number_twice(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, 15, 59, 58, tzinfo=UTC))
    async with Life(tmp_path, clock) as life:
        await life.write(6)
    for name in NAMES:
        (life.segments / name).unlink()
    second = max(life.segments.glob("log-*.db"))
    (life.segments / "quarantine").mkdir()
    second.rename(life.segments / "quarantine" / second.name)
    async with Life(tmp_path, clock) as life:
        assert (life.log.epoch, life.log.next_seq) == (2, 0)
        await life.salvaged()
        assert set(await life.all_of(1)) == set(range(6))


async def test_who_delivers_an_epoch_waits_until_it_is_salvaged(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        bodies = await life.write(5)
    path = life.segments / FILE
    spoil(path, pack(bodies[2]), 9)
    async with Life(tmp_path, clock) as life:
        assert await life.log.epochs() == [1, 2]
        reading = asyncio.create_task(life.log.read(-1, kinds=record.KINDS, limit=10, epoch=1))
        await life.write(1)  # measuring goes on meanwhile
        assert not reading.done()
        await life.salvaged()
        assert [row.seq for row in await reading] == [0, 1, 3, 4]


async def test_a_file_that_is_no_database_gives_nothing_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / FILE).write_bytes(b"this is not a database at all, but somebody's" * 500)
    async with Life(tmp_path, ManualClock(START)) as life:
        told = await life.salvaged()
        assert (told["event"][0]["kept"], told["event"][0]["lost"]) == (0, [])


def _garbled(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randrange(1, 200)):
        data[dice.randrange(len(data))] = dice.randrange(256)


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _zeroed(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at : at + 20_000] = bytes(len(data[at : at + 20_000]))


@pytest.mark.parametrize("damage", [_garbled, _cut, _zeroed])
async def test_whatever_the_damage_only_what_was_written_comes_back(
    tmp_path: Path, damage: Callable[[bytearray, random.Random], None]
) -> None:
    async with Life(tmp_path / "station", ManualClock(START)) as life:
        bodies = await life.write(60)
        folder = life.killed(tmp_path / "killed") / "segments"
    kept = 0
    for seed in range(25):
        dice, copy = random.Random(seed), tmp_path / f"copy{seed}"
        shutil.copytree(folder, copy)
        path = copy / dice.choice([FILE, f"{FILE}-wal"])
        data = bytearray(path.read_bytes())
        if data:
            damage(data, dice)
        path.write_bytes(data)
        told = salvage(copy / FILE, copy / "made.salvage", 1, 0, 60)
        made = Segment(copy / "made.salvage", exclusive=False)
        found = {row.seq: row.body for row in made.read(-1, record.KINDS, 500, None)}
        made.close()
        assert all(bodies[seq] == body for seq, body in found.items())
        assert told["kept"] == len(found)
        assert sum(b - a + 1 for a, b in told["lost"]) == 60 - len(found)
        kept += len(found)
    assert kept > 25 * 20


def test_pages_of_the_write_ahead_file_are_read_where_the_database_is_still_empty(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / FILE, 1, 0, Frontier(), ())
    body = record.encode({"v": 1, "epoch": 1, "seq": 0, "kind": "event", "t": "2026-01-01T00:00:00.000Z", "what": "a"})
    segment.append([Record(1, 0, "event", body)], Frontier().append(leaf_hash(body)))
    images = Images(tmp_path / FILE)
    found = {sound(row, 1) for row in rows(images)}
    images.close()
    segment.close()
    assert Record(1, 0, "event", body) in found


def test_the_witness_survives_the_loss_of_the_copy_being_written(tmp_path: Path) -> None:
    witness, at = Witness(tmp_path), START
    for number in range(1, 200):
        witness.committed(1, number, at, sync=number % 50 == 0)
        assert seen(tmp_path) == Seen(1, number)
        at += timedelta(seconds=7)
    for name in NAMES:
        kept = (tmp_path / name).read_bytes()
        for content in (b"", kept[:20], os.urandom(64)):
            (tmp_path / name).write_bytes(content)
            found = seen(tmp_path)
            assert found is not None
            assert found.epoch == 1
            assert 199 - found.next_seq <= 10  # a minute of them
        (tmp_path / name).write_bytes(kept)
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / NAMES[1]).unlink()
    assert seen(tmp_path) is None


def test_a_witness_that_somebody_removes_is_there_again_within_a_minute(tmp_path: Path) -> None:
    witness, at = Witness(tmp_path), START
    for number in range(1, 40):
        witness.committed(1, number, at, sync=False)
        at += timedelta(seconds=7)
        if number == 20:
            for name in NAMES:
                (tmp_path / name).unlink(missing_ok=True)
    witness.close()
    assert seen(tmp_path) == Seen(1, 39)


def test_a_witness_whose_disk_comes_back_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness, pwrite = Witness(tmp_path), os.pwrite
    witness.committed(1, 1, START, sync=False)

    def refused(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", refused)
    witness.committed(1, 2, START, sync=False)
    assert seen(tmp_path) == Seen(1, 1)
    monkeypatch.setattr(os, "pwrite", pwrite)
    witness.committed(1, 3, START, sync=False)
    assert seen(tmp_path) == Seen(1, 3)


def test_a_witness_never_says_less_than_before(tmp_path: Path) -> None:
    Witness(tmp_path).committed(2, 500, START, sync=True)
    Witness(tmp_path).committed(2, 400, START, sync=True)
    assert seen(tmp_path) == Seen(2, 500)
