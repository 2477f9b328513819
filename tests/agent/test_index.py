"""The station database: thrown away, damaged, left behind; the answers stay those of the log."""

import asyncio
import base64
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.store.index import Index
from agent.store.log import Log
from host.clock import ManualClock, RealClock
from metrology.clock import Clock
from protocols.tlog import signer_from_seed

Answers = dict[str, list[dict[str, Any]]]


class Station:
    """A log with its index, opened as often as wanted."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock = clock or RealClock()
        self.path = folder / "station.db"
        self.open()

    def open(self) -> None:
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.log = Log(
            self.folder / "segments", self.clock, station_id="test-01", signer=signer, commit_s=0,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(self.path, self.folder / "segments", self.log.files)
        self.task = asyncio.create_task(self.log.run())

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        self.index.close()

    async def write(self, first: int, count: int) -> None:
        """Averages, coefficients and events, `count` of each."""
        for i in range(first, first + count):
            start = f"2026-03-01T08:{i:02d}:00.000Z"
            self.log.post("average", {"start": start, "end": "2026", "period_s": 60, "rows": {"a.co2": {"mean": i}}})
            self.log.post("calibration", {"what": "coefficients", "id": str(i)})
            last = self.log.post("event", {"what": "something", "n": i})
        await last

    def answers(self) -> Answers:
        return {
            "averages": list(self.index.averages(60, "2026-03-01T08:01", "2026-03-01T08:50")),
            "coefficients": self.index.newest("calibration", "coefficients", 100),
            "events": self.index.newest("event", None, 100),
        }


class FullFor(apsw.VFS):
    """A disk with no room for one file and what lies beside it, while `full`."""

    def __init__(self, name: str) -> None:
        self.name, self.full, self.base = name, True, apsw.vfs_names()[0]
        super().__init__("full-for", self.base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "apsw.VFSFile":  # noqa: N802
        return FullFile(self, name, flags)


class FullFile(apsw.VFSFile):
    def __init__(self, disk: FullFor, name: Any, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self.disk, self.own = disk, disk.name in (name.filename() if isinstance(name, apsw.URIFilename) else name or "")

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        if self.own and self.disk.full:
            raise apsw.FullError
        super().xWrite(data, offset)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    made = Station(tmp_path)
    await made.write(0, 20)
    yield made
    await made.close()


async def test_spans_and_order_are_as_asked(station: Station) -> None:
    found = station.answers()
    assert [row["rows"]["a.co2"]["mean"] for row in found["averages"]] == list(range(1, 20))
    assert [row["id"] for row in found["coefficients"]] == [str(i) for i in reversed(range(20))]
    assert [row["n"] for row in station.index.newest("event", None, 2)] == [19, 18]


async def test_a_deleted_index_comes_back_with_the_same_answers(station: Station) -> None:
    before = station.answers()
    await station.close()
    station.path.unlink()
    station.open()
    assert station.answers() == before


@pytest.mark.parametrize("page", range(7))
async def test_a_damaged_index_is_made_anew(station: Station, page: int) -> None:
    """Whichever page was hit; most are read only when something is asked."""
    before = station.answers()
    await station.close()
    data = station.path.read_bytes()
    assert len(data) == 7 * 4096
    station.path.write_bytes(data[: page * 4096] + b"\xa5" * 4096 + data[(page + 1) * 4096 :])
    station.open()
    assert station.answers() == before


@pytest.mark.parametrize("pages", [0, 1, 3])
async def test_the_write_ahead_file_of_a_lost_database_is_not_believed(tmp_path: Path, pages: int) -> None:
    """A power cut took the file itself, and another left some pages of a new one and the old one's write-ahead file.

    Of the long body only the beginning is in the write-ahead file: its other pages were folded before. With no page at
    all SQLite itself does not believe it.
    """
    station = Station(tmp_path)
    await station.log.append("event", {"what": "long", "detail": "x" * 20_000})
    await station.close()
    station.open()
    await station.write(0, 2)
    wal, before = station.path.with_name("station.db-wal").read_bytes(), station.answers()
    await station.close()
    station.path.write_bytes(station.path.read_bytes()[: pages * 4096])
    station.path.with_name("station.db-wal").write_bytes(wal)
    station.open()
    assert station.answers() == before
    await station.log.append("event", {"what": "last"})
    await station.close()


async def test_an_index_that_does_not_say_how_far_it_goes_is_made_anew(station: Station) -> None:
    before = station.answers()
    await station.close()
    with contextlib.closing(sqlite3.connect(station.path)) as db, db:
        db.execute("UPDATE built SET epoch = NULL, next_seq = NULL")
    station.open()
    assert station.answers() == before


async def test_a_file_of_another_program_in_its_place_is_replaced(station: Station) -> None:
    before = station.answers()
    await station.close()
    station.path.write_bytes(b"no database at all, but something else\n" * 50)
    station.open()
    assert station.answers() == before


async def test_a_log_of_another_epoch_is_indexed_beside_the_old(station: Station) -> None:
    before = station.answers()
    await station.close()
    [path] = (station.folder / "segments").glob("log-*.db")
    path.write_bytes(b"rubbish")
    station.open()
    assert station.log.epoch == 2
    assert station.answers() == before
    await station.write(20, 1)
    assert [row["id"] for row in station.answers()["coefficients"]][:2] == ["20", "19"]


async def test_what_the_index_could_not_take_is_there_after_the_next_start(station: Station) -> None:
    station.index.close()  # as good as a disk that refuses
    await station.write(20, 5)
    station.index = Index(station.path, station.folder / "nothing", station.log.files)
    station.index.close()
    await station.write(25, 5)
    await station.close()
    station.open()
    assert [row["n"] for row in station.answers()["events"]] == list(reversed(range(30)))


async def test_an_index_that_is_gone_in_the_middle_of_a_run_is_made_anew_over_all_days(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 8, tzinfo=UTC))
    station = Station(tmp_path, clock)
    await station.write(0, 5)
    clock.pass_by(86_400)
    await station.write(5, 5)
    await station.write(10, 5)
    before = station.answers()
    assert len(list((tmp_path / "segments").glob("log-*.db"))) == 2
    station.index.close()
    assert station.answers() == before
    await station.write(15, 5)
    assert [row["n"] for row in station.answers()["events"]] == list(reversed(range(20)))
    await station.close()


async def test_who_asks_an_index_that_cannot_be_made_anew_yet_waits_for_it(tmp_path: Path) -> None:
    disk = FullFor("station.db")
    disk.full = False
    try:
        station = Station(tmp_path)
        await station.write(0, 5)
        before = station.answers()
        station.index.close()
        disk.full = True
        asking = asyncio.create_task(station.log.look_up(station.answers))
        for _ in range(3):
            with pytest.raises(apsw.IOError, match="cannot be made anew"):
                await station.log.call(station.answers)
        disk.full = False
        assert await asyncio.wait_for(asking, 5) == before
        await station.close()
    finally:
        disk.unregister()


async def test_periods_and_records_are_found_page_by_page(station: Station) -> None:
    first = station.index.starts(60, "2026-03-01T08:00:00.000Z", "2026-03-01T08:05:00.000Z", 3)
    assert first == [f"2026-03-01T08:0{n}:00.000Z" for n in (1, 2, 3)]
    assert station.index.starts(60, first[-1], "2026-03-01T08:05:00.000Z", 3) == [
        f"2026-03-01T08:0{n}:00.000Z" for n in (4, 5)
    ]
    assert station.index.starts(3600, "2026", "2027", 3) == []
    found, after = [], ""
    while page := station.index.told("calibration", ("coefficients",), after, "9", 7):
        found += [row["id"] for row in page]
        after = page[-1]["t"]
    assert found == [str(i) for i in range(20)]
    assert station.index.told("calibration", ("drift",), "", "9", 7) == []


async def test_a_disk_without_room_for_it_hides_nothing_of_what_the_log_took(tmp_path: Path) -> None:
    """Minutes written while the disk was full are known at once, and to an index opened while it is still full."""
    station = Station(tmp_path)
    await station.write(0, 4)
    disk = FullFor("station.db.2")
    disk.full = False
    # One that knows nothing of the log yet: it was made beside an empty folder.
    Index(tmp_path / "station.db.2", tmp_path / "none", station.log.files).close()
    disk.full = True
    try:
        index = Index(tmp_path / "station.db.2", tmp_path / "segments", station.log.files)
        last = index.last_average(60, "2026-03-01", "2026-03-02")
        assert last is not None
        assert last["start"] == "2026-03-01T08:03:00.000Z"
        assert [row["n"] for row in index.newest("event", None, 100)] == [3, 2, 1, 0]
    finally:
        disk.full = False
        await station.close()
        disk.unregister()
