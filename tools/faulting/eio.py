"""A disk that fails: ext4 on a loop device whose image finds no room, so that syncs fail, or that turns read-only.

    tools/faults eio [--minutes 5] [--state DIR] [--seed N] [--quick]

Turn by turn: writes that cannot be kept, and a file system that is read-only from one moment to the next. The daemon
meets it running; the cure is a technician's: it is stopped (by SIGKILL, sometimes in order), the file system
is checked and mounted again, and it is started. What was said to be taken must be at the centre.
"""

import contextlib
import itertools
import random
import shutil
import sys
import time
from pathlib import Path

import line as line_module
from campaign import Campaign, Result, SkippedError, main
from line import Line, Shape
from line_storm import storm
from mounts import LoopDisk, enter, needs

FAULTS, QUICK_FAULTS = 4, 1
BROKEN_S = (2.0, 12.0)
CALM_S = (2.0, 5.0)


def all_needs() -> None:
    """Mounts, a broker, loop devices."""
    needs()
    line_module.needs()
    if not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        raise SkippedError("mkfs.ext4 and loop devices are needed")


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line on such a disk."""
    disk = LoopDisk(folder, folder / "disk")
    failed: list[bool] = []
    turn = itertools.count()

    def fault(line: Line, dice: random.Random) -> None:
        words = len(line.words())
        filler = disk.fail() if next(turn) % 2 == seed % 2 else disk.turn_read_only()
        time.sleep(2.0 if quick else dice.uniform(*BROKEN_S))
        failed.append(any("commit failed" in word for word in line.words()[words:]))
        line.kill("agent")
        if filler:
            filler.unlink()
        disk.repair()
        line.start("agent")
        line.back()

    try:
        shape = Shape(units=20, store=folder / "disk" / "store")
        result = storm(fault, seed, folder, QUICK_FAULTS if quick else FAULTS, shape, CALM_S)
    finally:
        with contextlib.suppress(RuntimeError):
            disk.close()
    result.figures["commits_failed"] = sum(failed)
    return result


if __name__ == "__main__":
    enter()
    sys.exit(main(Campaign("eio", "faults", 50, one, all_needs), __doc__))
