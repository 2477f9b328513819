"""Memory of the station programs and the time of `plumeline check`, on the real things.

    tools/bench footprint [--seconds 60] [--rate 1] [--json]

Starts the simulated instruments, a broker, a centre and one agent for each station (the stack's with its page), lets
them run, and reads VmRSS from /proc each half second: minimum, median and maximum for each process, beside a bare
interpreter's figure of the same run. Then times `plumeline check` on each station's configuration from start to finish.
Exit code 1 where an agent reaches 60 MB, the page 45 MB or a check 1 s (MB are 10^6 bytes).
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo_line import BIN, ROOT, Demo
from demo_processes import Processes, StartError

AGENT_MB, PAGE_MB, CHECK_S = 60.0, 45.0, 1.0
LOOK_S = 0.5
CHECKS = 5


@dataclass(frozen=True)
class Row:
    """One figure of the table: least, median and greatest of `count` looks, and the limit it must stay below."""

    what: str
    unit: str
    least: float
    median: float
    greatest: float
    count: int
    limit: float | None = None

    @property
    def held(self) -> bool:
        """Whether even the greatest stays below the limit."""
        return self.limit is None or self.greatest < self.limit


def row(what: str, unit: str, values: list[float], limit: float | None = None) -> Row:
    """Summary of the values."""
    return Row(what, unit, min(values), statistics.median(values), max(values), len(values), limit)


def resident(pid: int) -> float:
    """VmRSS of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise StartError(f"process {pid} holds no memory: it has ended")


def child(pid: int) -> int | None:
    """First child of a process: the page of an agent."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def visit(port: int) -> bool:
    """Open the page as a browser would, so that what it loads on the first visit is counted."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bool(answer.read())
    except OSError:
        return False


def bare(count: int = CHECKS) -> list[Row]:
    """The interpreter with nothing in it."""
    show = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS:')))"
    sizes = [int(subprocess.check_output([sys.executable, "-c", show])) * 1024 / 1e6 for _ in range(count)]
    return [
        row("bare interpreter", "MB", sizes),
        row("bare interpreter", "s", [seconds(sys.executable, "-c", "pass") for _ in range(count)]),
    ]


def seconds(*command: str | Path) -> float:
    """Wall seconds of a command from start to finish."""
    began = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def memory(demo: Demo, processes: Processes, wall_s: float) -> list[Row]:
    """Look at every agent and at the page for so long."""
    pids = {f"agent {name}": processes.pid(name) for name in demo.stations}
    page_port = demo.run.page_port
    assert page_port is not None
    processes.wait_for("the page", lambda: visit(page_port), 30.0)
    page = child(pids[f"agent {demo.stations[0]}"])
    assert page is not None
    pids[f"page of {demo.stations[0]}"] = page
    seen: dict[str, list[float]] = defaultdict(list)
    ends = time.monotonic() + wall_s
    while time.monotonic() < ends:
        processes.check()
        for what, pid in pids.items():
            seen[what].append(resident(pid))
        time.sleep(LOOK_S)
    return [row(what, "MB", sizes, PAGE_MB if what.startswith("page") else AGENT_MB) for what, sizes in seen.items()]


def compiled() -> None:
    """Compile our modules as an installation does: a process that compiles them itself keeps megabytes for nothing."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    packages = [file.parent for file in ROOT.glob("*/__init__.py")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)


def measure(options: argparse.Namespace, out: Path) -> list[Row]:
    """Everything of one run."""
    demo = Demo(
        argparse.Namespace(check=False, seed=1, no_leak=False, rate=options.rate),
        out,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    compiled()
    rows = bare()
    with Processes(out / "logs") as processes:
        demo.start(processes)
        rows += memory(demo, processes, options.seconds)
        demo.finish(processes)
    for name in demo.stations:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        checks = [seconds(BIN / "plumeline", "check", demo.run.config(name)) for _ in range(CHECKS)]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Beside it the processor's own seconds: where the machine is busy, the wall's are those of others too.
        own = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / CHECKS
        rows += [row(f"check of {name}", "s", checks, CHECK_S), row("  of that processor", "s", [own])]
    return rows


def machine() -> dict[str, str | int]:
    """Where the figures come from."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def show(rows: list[Row], options: argparse.Namespace) -> None:
    """Print the table."""
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}, load {where['load']}")
    print(f"world at {options.rate:g} times the clock, {options.seconds:g} s\n")
    print(f"{'':<24}{'unit':>5}{'least':>9}{'median':>9}{'greatest':>9}{'limit':>8}")
    for one in rows:
        figures = "".join(
            f"{value:9.{1 if one.unit == 'MB' else 2}f}" for value in (one.least, one.median, one.greatest)
        )
        limit = "" if one.limit is None else f"{one.limit:8g}" + ("" if one.held else "  reached")
        print(f"{one.what:<24}{one.unit:>5}{figures}{limit}")


def main() -> int:
    """Measure in a new temporary folder."""
    parser = argparse.ArgumentParser(
        prog="tools/bench footprint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look")
    parser.add_argument("--rate", type=float, default=1.0, help="world seconds per wall second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plumeline-footprint-") as folder:
        try:
            rows = measure(options, Path(folder))
        except StartError as error:
            print(error, file=sys.stderr)
            return 1
    if options.json:
        print(json.dumps({"machine": machine(), "rows": [asdict(one) for one in rows]}))
    else:
        show(rows, options)
    return 0 if all(one.held for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
