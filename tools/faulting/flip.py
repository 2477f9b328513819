"""A flipped bit in a file of the log, and power cuts while the start behind it sets aside, salvages and goes on.

    tools/faults flip [--minutes 5] [--state DIR] [--seed N] [--quick]

A life of the real log is cut, a bit of its database or its write-ahead file is flipped, and the next life begins on
that, traced and cut at each of its system calls as in `powercut`. What was acknowledged is there or declared; nothing
is there that was not written, no number is given again, and no start fails.
"""

import logging
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from campaign import Campaign, Result, main
from powercut import Replay, needs
from powercut_verdict import judge

COMMITS, QUICK_COMMITS, LIVES = 30, 12, 4
QUICK_SHARE = 0.3
GOAL = 10_000


def flipped(files: dict[str, bytes], dice: random.Random) -> dict[str, bytes]:
    """One bit of one file of the log, wherever it falls; the damage may lie in room that nothing uses."""
    names = [name for name in sorted(files) if "segments/log-" in name and files[name] and "-shm" not in name]
    if not names:
        return files
    name = dice.choice(names)
    data = bytearray(files[name])
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return files | {name: bytes(data)}


class Flips(Replay):
    """Lives that begin on what a cut and a flipped bit have left."""

    def judged(self, where: str, files: dict[str, bytes], told: object, loop: object) -> None:
        """As `powercut` does, but what is declared is not lost, and places may fall back with the file of theirs."""
        self.room.mkdir()
        verdict = judge(self.room, files, told, loop)  # type: ignore[arg-type]
        shutil.rmtree(self.room)
        result = self.result
        result.points += 1
        result.lost = (result.lost or 0) + verdict.lost
        result.doubled = (result.doubled or 0) + verdict.doubled
        result.out_of_order = (result.out_of_order or 0) + verdict.out_of_order
        broken = [what for what in verdict.broken if " fell from " not in what]
        self.result.figures["starts_that_declared"] += bool(verdict.declared)
        if verdict.lost or verdict.doubled or verdict.out_of_order or broken:
            result.failures.append(f"{where}: {'; '.join([f'{verdict.lost} lost', *broken])}")

    _judge = judged


def one(seed: int, folder: Path, quick: bool) -> Result:
    """Two lives and their cuts, so many times."""
    result = Result(figures={"starts_that_declared": 0})
    for life in range(1 if quick else LIVES):
        # What one flip has cost stays lost: each begins on a store that is whole.
        place = folder / str(life)
        place.mkdir()
        flips = Flips(seed * 100 + life, place, share=0.0)
        flips.result.figures["starts_that_declared"] = 0
        flips.room = flips.room.with_name(f"{flips.room.name}-{folder.name}")
        flips.live(0, QUICK_COMMITS if quick else COMMITS)
        flips.files = flipped(flips.files, flips.dice)
        flips.share = QUICK_SHARE if quick else 1.0
        flips.live(1, QUICK_COMMITS if quick else COMMITS)
        result.points += flips.result.points
        result.lost = (result.lost or 0) + (flips.result.lost or 0)
        result.doubled = (result.doubled or 0) + (flips.result.doubled or 0)
        result.out_of_order = (result.out_of_order or 0) + (flips.result.out_of_order or 0)
        result.failures += flips.result.failures
        result.figures["starts_that_declared"] += flips.result.figures["starts_that_declared"]
    return result


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(main(Campaign("flip", "points", GOAL, one, needs), __doc__))
