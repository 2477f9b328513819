"""Two thousand stations on one platform process, each a minute-message a second, each waiting for its 9014.

    tools/bench hj212 stations [--stations 2000] [--seconds 60] [--json]

Starts a real `plumeline-central` (configuration, passwords in secret files, HJ 212 listener, store on disk) and a load
generator in another process. Measures the latency of every 9014 from the write of its frame, looks single frames up
in the store the moment they are acknowledged, and compares all with the store at the end. Beside it, in the same run:
the bare echo of the same frames over TCP, and the bare rate of commits of the same rows in batches of the same size.
Exit code 1 where a frame was lost or acknowledged before its commit, or the p99 of the latency reaches 1 s.
"""

import argparse
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from demo_processes import Processes, StartError
from demo_setup import free_port
from footprint import machine
from nacl.signing import SigningKey

from host.sqlite import open_database
from protocols.tlog import Signer

P99_S = 1.0
ECHO_SECONDS = 10
PASSWORD = "123456"
LOAD = Path(__file__).with_name("hj212_load.py")
SERIES = {
    "a21026": {"series": "cems.so2", "decimals": 2},
    "a21002": {"series": "cems.nox", "decimals": 2},
    "a34013": {"series": "cems.dust", "decimals": 2},
    "a19001": {"series": "cems.o2", "decimals": 2},
    "a01012": {"series": "cems.stack_temperature", "decimals": 2},
}
TICKS = os.sysconf("SC_CLK_TCK")


def mn_of(index: int) -> str:
    """Number of an outlet as table 3 wants it."""
    return f"88888888{index:08d}"


def configuration(out: Path, count: int, port: int) -> Path:
    """The centre's configuration with that many enrolled outlets, each with a secret file of its own."""
    secrets_folder = out / "secrets"
    secrets_folder.mkdir(mode=0o700)
    vkey = Signer("bench", SigningKey(secrets.token_bytes(32))).vkey
    position = {"latitude": 31.2, "longitude": 121.5, "height_m": 45, "datum": "WGS-84"}
    stations = {}
    for index in range(count):
        mn = mn_of(index)
        secret = secrets_folder / mn
        secret.touch(mode=0o600)
        secret.write_text(f"{PASSWORD}\n")
        stations[f"stack-{index:05d}"] = {
            "network": "bench",
            "name_zh": f"烟囱{index}",
            "name_en": f"Stack {index}",
            "position": position,
            "vkey": vkey,
            "outlets": {"main": {"mn": mn, "st": "31", "pw": {"file": str(secret)}, "factors": SERIES}},
        }
    config = {"store": str(out / "store.db"), "hj212": {"host": "127.0.0.1", "port": port}, "stations": stations}
    path = out / "central.hjson"
    path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    return path


def usage(pid: int) -> tuple[float, float]:
    """Processor seconds and greatest resident size (MB) of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return (int(fields[11]) + int(fields[12])) / TICKS, peak * 1024 / 1e6


class Commits(threading.Thread):
    """Counts the commits of a store as another connection sees them (sqlite.org/pragma.html, data_version)."""

    def __init__(self, store: Path) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._done = threading.Event()
        self.count = 0

    def run(self) -> None:
        """Look every 2 ms: two commits within that time count as one."""
        db = sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)
        known = None
        while not self._done.wait(0.002):
            (version,) = db.execute("PRAGMA data_version").fetchone()
            self.count += known is not None and version != known
            known = version
        db.close()

    def stop(self) -> None:
        """End."""
        self._done.set()
        self.join()


def load(out: Path, options: argparse.Namespace, port: int, seconds: int, store: str | None = None) -> dict[str, Any]:
    """Run the generator to its end."""
    mns = [mn_of(index) for index in range(options.stations)]
    plan = {"mns": mns, "port": port, "password": PASSWORD, "seconds": seconds, "store": store}
    path = out / "plan.json"
    path.write_text(json.dumps(plan))
    done = subprocess.run([sys.executable, str(LOAD), "send", str(path)], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def echo_server() -> Iterator[int]:
    """A process that sends back what it gets; gives its port."""
    process = subprocess.Popen(
        [sys.executable, str(LOAD), "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def bare_commits(out: Path, batch: int) -> float:
    """Frames a second that SQLite alone commits: the stored rows of the run again, in batches of that size."""
    source = sqlite3.connect(f"file:{out / 'store.db'}?mode=ro", uri=True)
    rows = source.execute(
        "SELECT mn, qn, cn, data_time, received_wall, acknowledged, bytes FROM hj212_frame LIMIT 50000"
    ).fetchall()
    source.close()
    db = open_database(str(out / "bare.db"), exclusive=False, read_only=False)
    db.execute("CREATE TABLE hj212_frame (id INTEGER PRIMARY KEY, mn, qn, cn, data_time, received_wall, ack, bytes)")
    db.execute("CREATE INDEX hj212_frame_key ON hj212_frame (mn, qn, cn)")
    began = time.perf_counter()
    for start in range(0, len(rows), batch):
        with db:
            db.executemany("INSERT INTO hj212_frame VALUES(NULL, ?, ?, ?, ?, ?, ?, ?)", rows[start : start + batch])
    spent = time.perf_counter() - began
    db.close()
    return len(rows) / spent if rows else 0.0


def stored(out: Path) -> dict[str, int]:
    """What the store holds after the run."""
    db = sqlite3.connect(f"file:{out / 'store.db'}?mode=ro", uri=True)
    ask = {
        "frames": "SELECT count(DISTINCT mn || qn) FROM hj212_frame WHERE acknowledged",
        "averages": "SELECT count(*) FROM average WHERE via LIKE '%hj212%'",
        "dead_letters": "SELECT coalesce(sum(count), 0) FROM dead_letter",
        "refused": "SELECT coalesce(sum(count), 0) FROM refused",
    }
    found = {name: int(db.execute(sql).fetchone()[0]) for name, sql in ask.items()}
    db.close()
    return found


def platform_run(options: argparse.Namespace, out: Path, processes: Processes) -> dict[str, Any]:
    """Load on the real platform."""
    port = free_port()
    config = configuration(out, options.stations, port)
    log = out / "logs" / "platform.log"
    began = time.perf_counter()
    processes.start("platform", sys.executable, "-m", "central", "run", config)
    processes.wait_for("the platform", lambda: "HJ 212 on port" in log.read_text(), 120.0)
    started_s = time.perf_counter() - began
    store = out / "store.db"
    before, _ = usage(processes.pid("platform"))
    commits = Commits(store)
    commits.start()
    found = load(out, options, port, options.seconds, str(store))
    commits.stop()
    after, peak = usage(processes.pid("platform"))
    processes.check()
    return {
        "started_s": started_s,
        "platform_cpu_s": after - before,
        "peak_mb": peak,
        "commits": commits.count,
        **found,
    }


def measure(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Everything of one run."""
    with Processes(out / "logs") as processes:
        found = platform_run(options, out, processes)
        processes.stop("platform")
    found["stored"] = stored(out)
    batch = max(1, round(found["acknowledged"] / max(1, found["commits"])))
    found["bare_commit"] = {"batch": batch, "frames_per_s": bare_commits(out, batch)}
    with echo_server() as port:
        found["echo"] = load(out, options, port, min(ECHO_SECONDS, options.seconds))
    return found


def problems(found: dict[str, Any]) -> list[str]:
    """What was not held."""
    said = {
        "frames were lost": found["lost"],
        "connections ended": found["connections_ended"],
        "answers belonged to nothing sent": found["unknown"],
        "frames were acknowledged before their commit": found["not_committed"],
        "acknowledged frames are not in the store": max(0, found["acknowledged"] - found["stored"]["frames"]),
        "frames were refused": found["stored"]["refused"] + found["stored"]["dead_letters"],
    }
    bad = [f"{count} {what}" for what, count in said.items() if count]
    if not found["latency_s"]["p99"] < P99_S:
        bad.append(f"p99 of {found['latency_s']['p99']:.3f} s: the limit is {P99_S:g} s")
    return bad


def show(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the tables."""
    where, echo, bare = machine(), found["echo"], found["bare_commit"]
    print(f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}, load {where['load']}")
    print(f"{options.stations} stations, {options.seconds} s, frames of {found['frame_bytes']:.0f} bytes\n")
    print(f"sent {found['sent']}, acknowledged {found['acknowledged']}, lost {found['lost']}")
    print(f"committed {found['stored']['frames']} frames, {found['stored']['averages']} averages")
    print(f"looked up when acknowledged: {found['looked_up']}, not there: {found['not_committed']}")
    print(f"commits {found['commits']}, so {bare['batch']} frames in each\n")
    print(f"{'seconds':<28}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
    rows = {
        "9014 after commit": found["latency_s"],
        "bare echo": echo["latency_s"],
        "generator behind its plan": found["send_late_s"],
    }
    for name, row in rows.items():
        print(f"{name:<28}" + "".join(f"{row[at]:9.4f}" for at in ("p50", "p95", "p99", "max")))
    print(f"\nplatform: {found['platform_cpu_s']:.1f} s of processor, peak {found['peak_mb']:.0f} MB")
    print(f"  started in {found['started_s']:.1f} s; the generator used {found['cpu_s']:.1f} s of processor")
    print(f"bare commits of the same rows: {bare['frames_per_s']:.0f} frames/s")


def main() -> int:
    """Measure in a new temporary folder."""
    parser = argparse.ArgumentParser(
        prog="tools/bench hj212 stations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stations", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plumeline-stations-") as folder:
        try:
            found = measure(options, Path(folder))
        except StartError as error:
            print(error, file=sys.stderr)
            return 1
    if options.json:
        print(json.dumps({"machine": machine(), **found}))
    else:
        show(found, options)
    bad = problems(found)
    for one in bad:
        print(f"NOT HELD: {one}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
