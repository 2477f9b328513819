"""A storm of SIGKILL on the daemon, which takes 1,000 readings a second and sends them on meanwhile.

It is asked for 2,500 a second, so that with the time of its starts about 1,000 are left; what there were is told.

    tools/faults kill [--minutes 5] [--state DIR] [--seed N] [--quick]

What the daemon said over its socket to be taken before each kill must be at the centre in the end, once, in order; of
the instruments' answers only those that a `gap` record names may have come to nothing.
"""

import random
import sys
import time
from pathlib import Path

from campaign import Campaign, Result, main
from line import Line, Shape, needs
from line_storm import storm

KILLS, QUICK_KILLS = 40, 2
CALM_S, QUICK_CALM_S = (0.1, 2.0), (0.2, 1.0)
POLL_S = 0.4


def fault(line: Line, dice: random.Random) -> None:
    """One kill, and the start after it."""
    line.kill("agent")
    line.start("agent")
    # Most kills meet a running daemon, some one that is just starting.
    if dice.random() < 0.1:
        time.sleep(dice.uniform(0.0, 0.8))
        line.kill("agent")
        line.start("agent")
    line.back()


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line, killed so many times."""
    shape = Shape(units=20) if quick else Shape(poll_s=POLL_S)
    return storm(fault, seed, folder, QUICK_KILLS if quick else KILLS, shape, QUICK_CALM_S if quick else CALM_S)


if __name__ == "__main__":
    sys.exit(main(Campaign("kill", "kills", 1_000, one, needs), __doc__))
