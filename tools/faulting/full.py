"""The disk under the store is full for a day of the station, then has room (tmpfs in a mount namespace).

    tools/faults full [--minutes 5] [--state DIR] [--seed N] [--quick]

The clock of station and centre runs a thousand times as fast, its instrument is asked each five seconds; the quick form
is full for four seconds as they are. What was said to be taken must be at the centre; answers of the time without room
may come to nothing only where a record says so, and every minute has its average.
"""

import random
import sys
import time
from pathlib import Path

import line as line_module
from campaign import Campaign, Result, main
from line import Line, Shape
from line_storm import storm
from mounts import enter, fill, needs, run, tmpfs

FILLS, RATE, POLL_S, UNITS = 2, 1000.0, 5.0, 1
DAY_S, QUICK_FULL_S = 86_400.0, 4.0
CALM_S = (2.0, 6.0)


def all_needs() -> None:
    """Mounts and a broker."""
    needs()
    line_module.needs()


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line on a small disk."""
    disk = folder / "disk"
    tmpfs(disk, "512m")
    alarms: list[str] = []

    def fault(line: Line, dice: random.Random) -> None:
        words = len(line.words())
        filler = fill(disk)
        time.sleep(QUICK_FULL_S if quick else DAY_S / RATE)
        filler.unlink()
        line.back()
        said = [word for word in line.words()[words:] if "full" in word or "commit failed" in word]
        alarms.append(said[0] if said else "")

    day = Shape(units=UNITS, poll_s=POLL_S, store=disk / "store", quota_GB=0.5, rate=RATE, hj212=False)
    shape = Shape(units=20, store=disk / "store", quota_GB=0.5) if quick else day
    result = storm(fault, seed, folder, 1 if quick else FILLS, shape, CALM_S)
    run("umount", "-l", disk)
    result.figures["alarms_said"] = sum(map(bool, alarms))
    if not all(alarms):
        result.failures.append("a full disk was not said")
    return result


if __name__ == "__main__":
    enter()
    sys.exit(main(Campaign("full", "fills", 20, one, all_needs), __doc__))
