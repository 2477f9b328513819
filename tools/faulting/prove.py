"""The power-cut campaign proves itself: each bug planted in its writer must be found.

    tools/faults prove [--seed N]

The bugs stand in `tools/faulting/powercut_bugs.py` and live in the traced process alone; the product has no switch.
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from campaign import SkippedError
from powercut import needs, replay
from powercut_bugs import BUGS

COMMITS, SHARE, SEEDS_MAX = (30,), 0.3, 5


def found(bug: str, seed: int) -> tuple[str, int]:
    """What the first seeds find of a bug, and at how many points; empty where they do not."""
    points = 0
    for one in range(seed, seed + SEEDS_MAX):
        with tempfile.TemporaryDirectory(prefix="faults-prove-") as folder:
            result = replay(one, Path(folder), COMMITS, SHARE, bug)
        points += result.points
        if not result.held:
            return f"{len(result.failures)} of {points} points, first: {result.failures[0]}", points
    return "", points


def main() -> int:
    """Exit code 1 where a bug stays unseen."""
    parser = argparse.ArgumentParser(
        prog="tools/faults prove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        needs()
    except SkippedError as error:
        print(f"prove: skipped: {error}")
        return 0
    missed = 0
    for bug in BUGS:
        began = time.monotonic()
        what, points = found(bug, options.seed)
        missed += not what
        print(f"{bug}: {what or f'NOT FOUND in {points} points'} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(main())
