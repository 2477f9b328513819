"""Durable readings a second of the log and of a bare table of SQLite beside it; see `storage`."""

import asyncio
import itertools
import statistics
import time
from pathlib import Path
from typing import Any, Final

import apsw
from storage_station import READINGS, START, Station, made

from agent.store.waiting import COMMIT_RECORDS
from host.clock import ManualClock
from host.sqlite import open_database
from metrology.periods import iso
from protocols.record import encode, scan_fields

BATCHES: Final = 40
ROUNDS: Final = 9
WARM: Final = 60
# Longer than any batch takes to gather: a commit comes when there are enough.
PATIENT_S: Final = 60.0


class SlowDisk(apsw.VFS):
    """The machine's own disk, each sync of which takes `sync_s` longer; for whatever is opened meanwhile."""

    def __init__(self, sync_s: float) -> None:
        self.base, self.sync_s = apsw.vfs_names()[0], sync_s
        super().__init__("slow", self.base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "SlowFile":  # noqa: N802
        """A file of it."""
        return SlowFile(self, name, flags)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.unregister()


class SlowFile(apsw.VFSFile):
    """See SlowDisk."""

    def __init__(self, disk: SlowDisk, name: Any, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self._sync_s = disk.sync_s

    def xSync(self, flags: int) -> None:  # noqa: N802
        """As on a medium that has to write before it answers."""
        time.sleep(self._sync_s)
        super().xSync(flags)


class Bare:
    """A table of SQLite, and nothing else: the disk's and the engine's own limit."""

    def __init__(self, path: Path) -> None:
        self.db = open_database(str(path), exclusive=True, read_only=False)
        self.db.execute("CREATE TABLE rec(seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        self.number = 0

    def body(self, fields: dict[str, Any], clock: ManualClock) -> bytes:
        """The body the log makes of the same members."""
        self.number += 1
        members = {"v": 1, "epoch": 1, "seq": self.number, "kind": "scan", "t": iso(clock.now())}
        return encode({**fields, **members})

    def write(self, bodies: list[bytes]) -> None:
        """One commit."""
        with self.db:
            self.db.executemany("INSERT INTO rec(body) VALUES(?)", ((body,) for body in bodies))


async def logged(station: Station, batches: list[list[dict[str, Any]]]) -> float:
    """Seconds until all of it is durable, a batch in each commit; while one is under way the next is taken.

    The loop turns behind each scan, as a daemon's does: each comes from a bus of its own.
    """
    began = time.perf_counter()
    for scans in batches:
        for fields in scans:
            last = station.log.post("scan", fields)
            await asyncio.sleep(0)
    station.log.hurry(True)
    await last
    station.log.hurry(False)
    return time.perf_counter() - began


def bare_from_readings(bare: Bare, clock: ManualClock, batches: list[list[dict[str, Any]]]) -> float:
    """The same of a bare table that gets the same scans and has to make the same bodies."""
    began = time.perf_counter()
    for scans in batches:
        bare.write([bare.body(fields, clock) for fields in scans])
    return time.perf_counter() - began


def bare_from_bodies(bare: Bare, clock: ManualClock, batches: list[list[dict[str, Any]]]) -> float:
    """The same of a bare table that is handed bodies made before."""
    bodies = [[bare.body(fields, clock) for fields in scans] for scans in batches]
    began = time.perf_counter()
    for rows in bodies:
        bare.write(rows)
    return time.perf_counter() - began


async def readings_a_second(folder: Path, batch: int) -> dict[str, float]:
    """Durable readings a second of the log and of bare SQLite, in turns; medians of the rounds."""
    bare = Bare(folder / "bare.db")
    took: dict[str, list[float]] = {"log": [], "sqlite": [], "sqlite of bodies": []}
    async with Station(folder, commit_records=batch, commit_s=PATIENT_S) as station:
        scans = itertools.count()

        def taken(count: int, size: int) -> list[list[dict[str, Any]]]:
            return [[scan_fields(*made(next(scans), 1, START)) for _ in range(size)] for _ in range(count)]

        # A write-ahead file grows for the first minutes of a day, which costs the file system more than to reuse it.
        await logged(station, taken(WARM, COMMIT_RECORDS // 10))
        bare_from_readings(bare, station.clock, taken(WARM, COMMIT_RECORDS // 10))
        for _ in range(ROUNDS):
            batches = taken(BATCHES, batch)
            took["log"].append(await logged(station, batches))
            took["sqlite"].append(bare_from_readings(bare, station.clock, batches))
            took["sqlite of bodies"].append(bare_from_bodies(bare, station.clock, batches))
    bare.db.close()
    rates = {name: BATCHES * batch * READINGS / statistics.median(times) for name, times in took.items()}
    return {
        "commit_ms": 1000 * statistics.median(took["sqlite of bodies"]) / BATCHES,
        **rates,
        "share": rates["log"] / rates["sqlite"],
        "share of bodies": rates["log"] / rates["sqlite of bodies"],
    }
