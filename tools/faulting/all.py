"""All campaigns: a short form of each for every change, or slices of each until the goals are reached.

    tools/faults all --quick [--state DIR]
    tools/faults all --full --state DIR [--minutes 10] [--hours 24]

`--quick` runs three at a time, as most of them wait more than they compute. `--full` gives each campaign a slice of so
many minutes in turn; stopped at any moment, the next call goes on. Both print one table.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from campaign import lines, table, totals

FOLDER = Path(__file__).resolve().parent
NAMES = ("powercut", "flip", "kill", "full", "eio", "freeze", "broker", "net", "clock", "outage", "simulate")
AT_ONCE = 3
QUICK_LIMIT_S, SLICE_LIMIT_S = 240, 900


def there() -> list[str]:
    """Campaigns of this tree."""
    return [name for name in NAMES if (FOLDER / f"{name}.py").is_file()]


def run(name: str, limit_s: float, *arguments: str) -> tuple[str, int, str]:
    """One campaign in a process of its own: name, exit code, what it said."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        return name, 1, f"{name}: no end after {error.timeout:g} s"
    return name, done.returncode, (done.stdout + done.stderr).strip()


def quick(state: Path) -> list[str]:
    """Names of those that did not hold."""
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.monotonic()
        tasks = [pool.submit(run, name, QUICK_LIMIT_S, "--quick", "--state", str(state)) for name in there()]
        for name, code, said in (task.result() for task in tasks):
            print(f"{name}: {'held' if code == 0 else 'BROKEN'}")
            if code or "skipped" in said:
                print(said, flush=True)
            failed += [name] * bool(code)
        print(f"{time.monotonic() - began:.0f} s")
    return failed


def full(state: Path, minutes: float, hours: float) -> list[str]:
    """Slices in turn; a campaign that has reached its goal, or is skipped, is left out from then on."""
    ends, open_names, failed = time.monotonic() + 3600 * hours, there(), set()
    while open_names and time.monotonic() < ends:
        for name in list(open_names):
            before = len(lines(state))
            _, code, said = run(name, 60 * minutes + SLICE_LIMIT_S, "--minutes", str(minutes), "--state", str(state))
            print(said, flush=True)
            last = said.splitlines()[-1].split() if said else []
            done = len(last) > 2 and last[1] == "of" and last[0].isdigit() and int(last[0]) >= int(last[2])
            if done or len(lines(state)) == before:
                open_names.remove(name)
            if code:
                failed.add(name)
    return sorted(failed)


def main() -> int:
    """Exit code 1 where one did not hold."""
    parser = argparse.ArgumentParser(
        prog="tools/faults all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--quick", action="store_true")
    how.add_argument("--full", action="store_true")
    parser.add_argument("--state", type=Path, help="folder of the cumulative results")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of a slice")
    parser.add_argument("--hours", type=float, default=24.0, help="length of all slices together")
    options = parser.parse_args()
    if options.full and options.state is None:
        parser.error("--full needs --state")
    with tempfile.TemporaryDirectory(prefix="faults-all-") as folder:
        state = options.state or Path(folder)
        failed = quick(state) if options.quick else full(state, options.minutes, options.hours)
        print(table(totals(lines(state))))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
