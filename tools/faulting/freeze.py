"""SIGSTOP and SIGCONT of the daemon, the broker, the centre, and of several at once: what is silent is not dead.

tools/faults freeze [--minutes 5] [--state DIR] [--seed N] [--quick]
"""

import random
import signal
import sys
import time
from pathlib import Path

from campaign import Campaign, Result, main
from line import Line, Shape, needs
from line_storm import storm

FREEZES, QUICK_FREEZES = 12, 3
CALM_S = (0.5, 2.0)
FROZEN_S, QUICK_FROZEN_S = (0.5, 20.0), (0.5, 2.0)
NAMES = ("agent", "broker", "centre")


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line, frozen in parts so many times."""
    turn = iter(range(1000))

    def fault(line: Line, dice: random.Random) -> None:
        chosen = {NAMES[next(turn) % len(NAMES)], *dice.choices(NAMES, k=dice.choice((0, 0, 1)))}
        at = time.time()
        for name in chosen:
            line.signal(name, signal.SIGSTOP)
        time.sleep(dice.uniform(*(QUICK_FROZEN_S if quick else FROZEN_S)))
        for name in chosen:
            line.signal(name, signal.SIGCONT)
        line.back()
        if "agent" in chosen:
            line.excuse(at)

    shape = Shape(units=20) if quick else Shape()
    return storm(fault, seed, folder, QUICK_FREEZES if quick else FREEZES, shape, CALM_S)


if __name__ == "__main__":
    sys.exit(main(Campaign("freeze", "freezes", 100, one, needs), __doc__))
