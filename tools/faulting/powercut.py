"""Power cuts by replay: the real log is traced once for each seed, then cut at its system calls, thousands of times.

    tools/faults powercut [--minutes 5] [--state DIR] [--seed N] [--quick]

At each point the writes and names that were not synced are dropped, kept out of order or torn at 512 bytes; the real
log is opened on what is left and held against every acknowledgement given before the cut.
"""

import asyncio
import logging
import random
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from campaign import Campaign, Result, SkippedError, main
from powercut_disk import Disk, lay
from powercut_trace import Event, record
from powercut_verdict import Told, judge

# Commits of the first life and of the second, which begins on what a cut of the first has left.
COMMITS, QUICK_COMMITS = (60, 30), (20, 12)
QUICK_SHARE = 0.5
MEMORY = Path("/dev/shm")
GOAL = 50_000


def needs() -> None:
    """A tracer is needed, and it must be allowed to trace."""
    if not shutil.which("strace"):
        raise SkippedError("strace is not installed")


class Replay:
    """One seed: a life of the log, cut at its events; one cut's leavings are the start of the next life."""

    def __init__(self, seed: int, folder: Path, bug: str = "", share: float = 1.0) -> None:
        """`share`: of all events, how many are cut at."""
        self.seed, self.folder, self.bug, self.share = seed, folder, bug, share
        self.dice = random.Random(seed)
        self.result = Result(figures={"events": 0, "syncs": 0, "folder_syncs": 0, "told": 0})
        self.room = (MEMORY if MEMORY.is_dir() else folder) / f"faults-powercut-{folder.name}"
        self.files: dict[str, bytes] = {}
        self.told = Told()
        self.cutting_s = 0.0

    def live(self, number: int, commits: int) -> None:
        """One life, and its cuts."""
        store = self.folder / f"store{number}"
        store.mkdir()
        lay(store, self.files)
        events = record(store, self.seed * 10 + number, commits, self.bug)
        for name, what in (("syncs", "sync"), ("folder_syncs", "syncdir"), ("told", "said")):
            self.result.figures[name] += sum(event.what == what for event in events)
        self.result.figures["events"] += len(events)
        began = time.monotonic()
        self._cut(number, events)
        self.cutting_s += time.monotonic() - began

    def _cut(self, life: int, events: list[Event]) -> None:
        loop = asyncio.new_event_loop()
        disk = Disk(self.files, folders_synced=self.bug != "missing-folder-sync")
        told, next_start = self.told, self.dice.randrange(len(events) // 2, len(events))
        for number, event in enumerate(events):
            if number == next_start:
                self.files, self.told = disk.cut(self.dice), told.copy()
            if self.dice.random() < self.share:
                self._judge(f"life {life}, event {number} of {len(events)}", disk.cut(self.dice), told, loop)
            disk.take(event)
            if event.what == "said":
                told.hear(event.data)
        loop.close()

    def _judge(self, where: str, files: dict[str, bytes], told: Told, loop: asyncio.AbstractEventLoop) -> None:
        self.room.mkdir()
        verdict = judge(self.room, files, told, loop)
        shutil.rmtree(self.room)
        result = self.result
        result.points += 1
        result.lost = (result.lost or 0) + verdict.lost + verdict.declared
        result.doubled = (result.doubled or 0) + verdict.doubled
        result.out_of_order = (result.out_of_order or 0) + verdict.out_of_order
        if not verdict.held:
            missing = f"{verdict.lost} lost, {verdict.declared} lost and declared"
            result.failures.append(f"{where}: {'; '.join([missing, *verdict.broken])}")


def replay(seed: int, folder: Path, commits: tuple[int, ...], share: float = 1.0, bug: str = "") -> Result:
    """All lives of one seed."""
    one = Replay(seed, folder, bug, share)
    for number, count in enumerate(commits):
        one.live(number, count)
    one.result.figures["points_per_s"] = round(one.result.points / one.cutting_s)
    return one.result


def one(seed: int, folder: Path, quick: bool) -> Result:
    """Two lives, each cut at each event; when quick, at half of them."""
    return replay(seed, folder, QUICK_COMMITS, QUICK_SHARE) if quick else replay(seed, folder, COMMITS)


POWERCUT = Campaign("powercut", "points", GOAL, one, needs)

if __name__ == "__main__":
    # What the log says of each damaged start would be thousands of lines.
    logging.disable(logging.CRITICAL)
    sys.exit(main(POWERCUT, __doc__))
