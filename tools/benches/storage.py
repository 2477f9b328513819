"""What the log costs a disk: bytes written and stored for each reading, durable readings a second, time of a start.

    tools/bench storage [--scans 1200] [--days 1826] [--peer] [--folder DIR] [--json]

A station of 20 readings a second, as one instrument of 20 values and as four of five, with a minute's averages of every
series, a checkpoint each five minutes, and the index. World time is set forward scan by scan, so that ten minutes take
seconds; commits are real. Bytes written are those the kernel counts for the process (`write_bytes` of /proc/self/io;
read 0 on a file system in memory). The same scans in the same batches go into a bare SQLite table (WAL, one file,
synchronous=FULL) in turns with the log: from the scan on, so that both make the same bodies, and, to show what that
makes out, with bodies made before; then all that again on a disk each sync of which takes 5 ms longer. The start is
that of a process of its own behind `--days` closed days. Beside these the disk's own limit, a page synced in its place.

With `--peer` ThingsBoard's gateway (3.8.5; in PEERS, as the side-by-side bench installs it) follows in the same run:
the same scans into its SQLite store; the gateway itself through 30 s without its platform, at 1,000 readings a second;
and `drain`, which is our side of that.

Exit code 1 where one commit a second costs more than 600 bytes a reading, one in ten seconds more than 150, the log
takes less than 80 % of the readings a second that bare SQLite takes with the batch of either, or a start takes 3 s.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from drain import measured as drained
from footprint import machine
from storage_peer import peer, sync_ms
from storage_speed import SlowDisk, readings_a_second
from storage_station import MINUTE, READINGS, Station

from agent.store.segment import Segment, segment_name
from protocols.tlog import Frontier

ONE_S_MAX, TEN_S_MAX, SHARE_MIN, START_MAX_S = 600.0, 150.0, 0.8, 3.0
# A sync of a consumer SSD without a capacitor takes some milliseconds, of a card tens.
SLOW_MS = 5
COMMITS = {0: "50 ms", 1: "1 s", 10: "10 s"}
# Bytes a medium takes: size times erase cycles, by how much more it writes than it is told. Assumptions, not promises:
# consumer TLC card, eMMC in MLC mode, and what makers of SSD of 120 GB state as TBW.
MEDIA = {"16 GB SD card": 16e9 * 500 / 10, "8 GB eMMC": 8e9 * 3000 / 4, "120 GB SSD": 70e12}
A_YEAR = READINGS * 366 * 86400
BATCH_SCANS = (1, 10, 50)


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
    """All figures of our own."""
    found: dict[str, Any] = {"machine": machine(), "bytes a reading": {}, "readings a second": {}, "on a slow disk": {}}
    found["sync_ms"] = sync_ms(folder)
    for instruments in (1, 4):
        for commit_s, told in COMMITS.items():
            name = f"{instruments} x {READINGS // instruments} values, commit {told}"
            place = folder / f"{instruments}-{commit_s}"
            found["bytes a reading"][name] = asyncio.run(bytes_a_reading(place, scans, instruments, commit_s))
    for batch in BATCH_SCANS:
        place = folder / f"speed-{batch}"
        place.mkdir()
        found["readings a second"][batch * READINGS] = asyncio.run(readings_a_second(place, batch))
        place = folder / f"slow-{batch}"
        place.mkdir()
        with SlowDisk(SLOW_MS / 1000):
            found["on a slow disk"][batch * READINGS] = asyncio.run(readings_a_second(place, batch))
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


def beside(found: dict[str, Any]) -> Iterator[str]:
    """The peer beside ours."""
    ours, its = found["drain"], found["peer"]
    yield f"drained at {ours['times_live']:.0f} times live, live values p95 {ours['age_ms_p95']:.0f} ms old meanwhile"
    if its is None:
        yield "no ThingsBoard gateway in PEERS: install_peers.sh of the side-by-side bench"
        return
    yield f"ThingsBoard gateway {its['version']}, which syncs at checkpoints only:"
    for every, cost in its["bytes a reading"].items():
        yield f"  commit {every}: {cost['written']:.0f} bytes written, {cost['stored']:.1f} stored for each reading"
    yield f"  {its['readings a second']:.0f} readings a second taken as ready texts, not synced"
    behind = its["start"]["scans"] * READINGS
    yield f"  store open in {its['start']['seconds']:.3f} s behind {behind} readings; memory {its['memory_MB']} MB"
    drain = its["drain"]
    yield f"  drained at {drain['times_live']:.0f} times live, {drain['reconnect_s']} s after the line was back; "
    yield f"  live values p95 {drain['age_ms_p95']:.0f} ms old meanwhile; the gateway {drain['rss_mb']} MB"


def main() -> int:
    """See above."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--scans", type=int, default=1200)
    line.add_argument("--days", type=int, default=1826)
    line.add_argument("--peer", action="store_true")
    line.add_argument("--folder", type=Path)
    line.add_argument("--json", action="store_true")
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measured(Path(folder), chosen.scans, chosen.days)
        if chosen.peer:
            (Path(folder) / "drain").mkdir()
            found["drain"] = asyncio.run(drained(Path(folder) / "drain", 60, 2000))
            found["peer"] = peer(Path(folder), chosen.scans)
    found["missed"] = missed(found)
    if chosen.json:
        print(json.dumps(found))
        return int(bool(found["missed"]))
    for name, cost in found["bytes a reading"].items():
        life = ", ".join(f"{medium} {limit / A_YEAR / cost['written']:.0f}" for medium, limit in MEDIA.items())
        print(f"{name:32} {cost['written']:7.0f} bytes written, {cost['stored']:6.1f} stored for each reading")
        print(f"{'':32}         years of writing: {life}")
    for where in ("readings a second", "on a slow disk"):
        for batch, speed in found[where].items():
            rates = f"{speed['log']:.0f} durable readings a second, bare SQLite {speed['sqlite']:.0f}"
            ready = f"handed ready bodies {speed['sqlite of bodies']:.0f} ({speed['share of bodies']:.0%})"
            told = f"{batch} readings a commit of {speed['commit_ms']:.1f} ms"
            print(f"{told:36} {rates} ({speed['share']:.0%}), {ready}")
    print(f"start behind {found['start']['days']} days: {found['start']['seconds']:.2f} s")
    print(f"a page synced in its place takes {found['sync_ms']:.2f} ms: {1000 / found['sync_ms']:.0f} a second")
    for row in beside(found) if chosen.peer else ():
        print(row)
    print("missed: " + (", ".join(found["missed"]) or "nothing"))
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
