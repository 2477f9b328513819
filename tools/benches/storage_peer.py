"""What `storage` measures beside our log: the disk's own sync, and ThingsBoard's gateway where it is installed."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from gateway_load import folder as bench_folder
from gateway_peers import installed

PEER: Final = "thingsboard-sqlite"
SYNCS: Final = 400
PAGE: Final = bytes(4096)
RUN_S: Final = 900.0
# It waits a fifth of a second for each commit.
SCANS_MAX: Final = 300


def sync_ms(folder: Path) -> float:
    """Milliseconds of a page written in its place and synced, in the median: the disk's own limit."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        file.write(PAGE)
        os.fsync(file.fileno())
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(file.fileno(), PAGE, 0)
            os.fdatasync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def peer(folder: Path, scans: int) -> dict[str, Any] | None:
    """The peer's store under the same scans, and the peer itself through an outage; None where it is not installed."""
    place = installed().get(PEER)
    if place is None:
        return None
    script = Path(__file__).with_name("storage_thingsboard.py")
    found = _run([place / "bin" / "python", script, folder / "peer", str(min(scans, SCANS_MAX))])
    outage = [place.parent / "bench" / "bin" / "python", bench_folder() / "run.py", "outage", "--candidates", PEER]
    row = _run([*outage, "--json", "--work", folder / "outage"])
    age, reads = row["live_age_ms_while_draining"], row["reads"] * row["registers"]
    seconds = row["reads"] * row["poll_ms"] / 1000 / row["units"]
    drained = row["backlog_records"] * row["registers"] / row["drain_s"]
    found["drain"] = {
        "live_per_s": reads / seconds, "readings_per_s": drained, "times_live": drained / (reads / seconds),
        "reconnect_s": row["reconnect_s"], "age_ms_median": age["p50"], "age_ms_p95": age["p95"],
        "rss_mb": [row["rss_mb_start"], row["rss_mb_max"]],
    }  # fmt: skip
    return found


def _run(line: list[Any]) -> dict[str, Any]:
    environ = {**os.environ, "PEERS": str(installed()[PEER].parent)}
    done = subprocess.run([*map(str, line)], capture_output=True, text=True, timeout=RUN_S, env=environ, check=False)
    if done.returncode:
        sys.exit(f"{line[1]}: {done.stderr.strip()[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
