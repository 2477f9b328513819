"""What the log costs a disk: bytes written and stored for each reading, durable readings a second, time of a start.

    tools/bench storage [--scans 1200] [--days 1826] [--folder DIR] [--json]

A station of 20 readings a second, as one instrument of 20 values and as four of five, with a minute's averages of every
series, a checkpoint each five minutes, and the index. World time is set forward scan by scan, so that ten minutes take
seconds; commits are real. Bytes written are those the kernel counts for the process (`write_bytes` of /proc/self/io;
read 0 on a file system in memory). The same scans in the same batches go into a bare SQLite table (WAL, one file,
synchronous=FULL) in turns with the log: from the scan on, so that both make the same bodies, and, to show what that
makes out, with bodies made before. The start is that of a process of its own behind `--days` closed days.

Exit code 1 where one commit a second costs more than 600 bytes a reading, one in ten seconds more than 150, the log
takes less than 80 % of the readings a second that bare SQLite takes with the batch of either, or a start takes 3 s.
"""

import argparse
import asyncio
import base64
import itertools
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from footprint import machine

from agent.store.index import Index
from agent.store.log import Log
from agent.store.segment import Segment, segment_name
from agent.store.waiting import COMMIT_RECORDS
from host.clock import ManualClock
from host.sqlite import open_database
from metrology.periods import iso
from metrology.reading import Reading, Scan
from protocols.record import encode, scan_fields
from protocols.tlog import Frontier, signer_from_seed

READINGS = 20
ONE_S_MAX, TEN_S_MAX, SHARE_MIN, START_MAX_S = 600.0, 150.0, 0.8, 3.0
MINUTE, CHECKPOINT = 60, 300
COMMITS = {0: "50 ms", 1: "1 s", 10: "10 s"}
# Bytes a medium takes: size times erase cycles, by how much more it writes than it is told. Assumptions, not promises:
# consumer TLC card, eMMC in MLC mode, and what makers of SSD of 120 GB state as TBW.
MEDIA = {"16 GB SD card": 16e9 * 500 / 10, "8 GB eMMC": 8e9 * 3000 / 4, "120 GB SSD": 70e12}
A_YEAR = READINGS * 366 * 86400
BATCHES, ROUNDS, WARM, BATCH_SCANS = 40, 9, 60, (1, 10, 50)
START = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/bench-01")


class Station:
    """A log and its index in a folder, without instruments."""

    def __init__(self, folder: Path, commit_records: int = COMMIT_RECORDS) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.log = Log(
            folder / "segments", self.clock, station_id="bench-01", signer=SIGNER, commit_s=0,
            commit_records=commit_records, on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.live_segment)

    async def __aenter__(self) -> "Station":
        self._task = asyncio.create_task(self.log.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.index.close()

    async def live(self, scans: int, instruments: int, commit_every_s: int) -> None:
        """So many seconds of a station, one commit in so many seconds; 0 for one of each scan, as 50 ms make it."""
        for second in range(scans):
            for scan in made(second, instruments, self.clock.now()):
                last = self.log.post("scan", scan_fields(scan))
                if not commit_every_s:
                    await last
            if second % MINUTE == MINUTE - 1:
                last = self.log.post("average", averages(self.clock.now()))
            if second % CHECKPOINT == CHECKPOINT - 1:
                last = self.log.post_checkpoint()
            if second % max(1, commit_every_s) == commit_every_s - 1:
                await last
            self.clock.step(1)  # no turn of the loop, and so no commit, before the batch is whole
        await last


def made(number: int, instruments: int, at: datetime) -> Iterator[Scan]:
    """The scans of one second: 20 values at levels of their own, with noise of as many digits as instruments give."""
    for i in range(instruments):
        count = READINGS // instruments
        noise = random.Random(number * instruments + i)
        values = (round(400 + 37.1 * k + 5 * noise.random(), 3) for k in range(count))
        yield Scan(
            f"analyzer{i}", at, tuple(Reading(f"analyzer{i}", f"m{k}", x, "umol/mol", at) for k, x in enumerate(values))
        )


def averages(at: datetime) -> dict[str, Any]:
    """A minute of every series, as large as real ones."""
    noise, rows = random.Random(at.timestamp()), {}
    for k in range(READINGS):
        level = 400 + 37.1 * k
        rows[f"analyzer.m{k}"] = {
            "u": "umol/mol", "n": 60, "valid": 1, "mean": level + 2.5 + noise.random() / 10,
            "min": round(level + noise.random(), 3), "max": round(level + 4 + noise.random(), 3),
            "sd": 1.4 + noise.random() / 10, "rule": "ghg", "rev": 0, "final": True,
        }  # fmt: skip
    start = at - timedelta(seconds=MINUTE - 1)
    return {"start": start.isoformat(), "end": at.isoformat(), "period_s": MINUTE, "rows": rows}


def written() -> int:
    """Bytes this process had the kernel write."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


def stored(folder: Path) -> int:
    """Bytes of disk behind a folder."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


async def bytes_a_reading(folder: Path, scans: int, instruments: int, commit_every_s: int) -> dict[str, float]:
    """Written and stored, for each reading."""
    async with Station(folder) as station:
        before = written()
        await station.live(scans, instruments, commit_every_s)
    readings = scans * READINGS
    return {"written": (written() - before) / readings, "stored": stored(folder) / readings}


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
    """Seconds until all of it is durable, a batch in each commit; while one is under way the next is taken."""
    began = time.perf_counter()
    for scans in batches:
        for fields in scans:
            last = station.log.post("scan", fields)
        await asyncio.sleep(0)
    await last
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
    async with Station(folder, commit_records=batch) as station:
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
        **rates,
        "share": rates["log"] / rates["sqlite"],
        "share of bodies": rates["log"] / rates["sqlite of bodies"],
    }


def closed_days(folder: Path, days: int) -> None:
    """A log of so many closed days: each is one real day's file, by name and number one of its own."""
    segments = folder / "segments"
    segments.mkdir(parents=True)
    first = Segment.create(segments / segment_name(1, 0), 1, 0, Frontier(), ())
    first.seal()
    first.close()
    for day in range(1, days):
        shutil.copyfile(segments / segment_name(1, 0), segments / segment_name(1, day * 100_000))
    last = Segment.create(segments / segment_name(1, days * 100_000), 1, days * 100_000, Frontier(), ())
    last.close()


async def opened(folder: Path) -> float:
    """Seconds until log and index are open, here and now."""
    began = time.perf_counter()
    station = Station(folder)
    took = time.perf_counter() - began
    async with station:
        await station.live(MINUTE, 1, 1)
    return took


def start_s(folder: Path, days: int) -> float:
    """Seconds of the second start behind so many days (the first one fills the index), in a process of its own."""
    closed_days(folder, days)
    code = "import asyncio, pathlib, sys, storage; print(asyncio.run(storage.opened(pathlib.Path(sys.argv[1]))))"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def measured(folder: Path, scans: int, days: int) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {"machine": machine(), "bytes a reading": {}, "readings a second": {}}
    for instruments in (1, 4):
        for commit_s, told in COMMITS.items():
            name = f"{instruments} x {READINGS // instruments} values, commit {told}"
            place = folder / f"{instruments}-{commit_s}"
            found["bytes a reading"][name] = asyncio.run(bytes_a_reading(place, scans, instruments, commit_s))
    for batch in BATCH_SCANS:
        place = folder / f"speed-{batch}"
        place.mkdir()
        found["readings a second"][batch * READINGS] = asyncio.run(readings_a_second(place, batch))
    found["start"] = {"days": days, "seconds": start_s(folder / "years", days)}
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """What is required and not reached, by the station of one instrument."""
    costs = found["bytes a reading"]
    required = {
        f"bytes at 1 s (<= {ONE_S_MAX:g})": costs["1 x 20 values, commit 1 s"]["written"] <= ONE_S_MAX,
        f"bytes at 10 s (<= {TEN_S_MAX:g})": costs["1 x 20 values, commit 10 s"]["written"] <= TEN_S_MAX,
        f"share of bare SQLite (>= {SHARE_MIN:g})": min(
            found["readings a second"][batch]["share"] for batch in (READINGS, 10 * READINGS)
        )
        >= SHARE_MIN,
        f"start (< {START_MAX_S:g} s)": found["start"]["seconds"] < START_MAX_S,
    }
    return [name for name, reached in required.items() if not reached]


def main() -> int:
    """See above."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--scans", type=int, default=1200)
    line.add_argument("--days", type=int, default=1826)
    line.add_argument("--folder", type=Path)
    line.add_argument("--json", action="store_true")
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measured(Path(folder), chosen.scans, chosen.days)
    found["missed"] = missed(found)
    if chosen.json:
        print(json.dumps(found))
        return int(bool(found["missed"]))
    for name, cost in found["bytes a reading"].items():
        life = ", ".join(f"{medium} {limit / A_YEAR / cost['written']:.0f}" for medium, limit in MEDIA.items())
        print(f"{name:32} {cost['written']:7.0f} bytes written, {cost['stored']:6.1f} stored for each reading")
        print(f"{'':32}         years of writing: {life}")
    for batch, speed in found["readings a second"].items():
        rates = (
            f"{speed['log']:.0f} durable readings a second, bare SQLite {speed['sqlite']:.0f} ({speed['share']:.0%})"
        )
        ready = f"handed ready bodies {speed['sqlite of bodies']:.0f} ({speed['share of bodies']:.0%})"
        print(f"{f'{batch} readings a commit':32} {rates}, {ready}")
    print(f"start behind {found['start']['days']} days: {found['start']['seconds']:.2f} s")
    print("missed: " + (", ".join(found["missed"]) or "nothing"))
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
