"""SIGKILL of a broker that keeps nothing, and of the centre, which is the HJ 212 platform too.

    tools/faults broker [--minutes 5] [--state DIR] [--seed N] [--quick]

Each stays away for some seconds or comes back at once; the daemon goes on measuring, so that no answer is excused.
"""

import random
import sys
import time
from pathlib import Path

from campaign import Campaign, Result, main
from line import Line, Shape, needs
from line_storm import storm

KILLS, QUICK_KILLS = 12, 3
CALM_S = (0.3, 3.0)
AWAY_S, QUICK_AWAY_S = (0.0, 8.0), (0.0, 1.0)
CHOICES = (("broker",), ("centre",), ("broker", "centre"))


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line whose peers are killed so many times."""
    turn = iter(range(1000))

    def fault(line: Line, dice: random.Random) -> None:
        names = list(CHOICES[next(turn) % len(CHOICES)])
        dice.shuffle(names)
        for name in names:
            line.kill(name)
        time.sleep(dice.uniform(*(QUICK_AWAY_S if quick else AWAY_S)))
        for name in names:
            line.start(name)
        line.back()

    shape = Shape(units=20) if quick else Shape()
    return storm(fault, seed, folder, QUICK_KILLS if quick else KILLS, shape, CALM_S)


if __name__ == "__main__":
    sys.exit(main(Campaign("broker", "kills", 200, one, needs), __doc__))
