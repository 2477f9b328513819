"""How much the means of neighbouring bins differ where the gas is steady: an instrument's own noise."""

import itertools
import math
from collections.abc import Sequence
from statistics import median
from typing import Final

# Differences looked at together, and which part of such stretches counts as steady.
STRETCH: Final = 12
STEADY: Final = 0.1
# Median of |difference of two normal values| is 0.6745 sqrt(2) sigma; its lowest tenth over stretches of twelve is 0.66
# of that (simulated, white noise).
_SCALE: Final = 1.0 / (0.6745 * math.sqrt(2.0) * 0.66)


def quantile(values: Sequence[float], part: float) -> float:
    """Order statistic; ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[min(int(part * len(values)), len(values) - 1)]


def steady_noise(pieces: Sequence[Sequence[float]]) -> float:
    """Standard deviation of a bin's mean in the steadiest tenth of the series, in its unit.

    Pieces are runs of neighbouring bins. Never below the resolution: half of what bins differ by at least, where they
    do differ now and then (two levels of a series that otherwise stands still say nothing of it).
    """
    spreads, changes, count = [], [], 0
    for piece in pieces:
        steps = [abs(after - before) for before, after in itertools.pairwise(piece)]
        changes += [step for step in steps if step > 0.0]
        count += len(steps)
        cut = range(0, max(len(steps) - STRETCH // 2, 1), STRETCH)
        spreads += [median(part) for at in cut if (part := steps[at : at + STRETCH])]
    floor = quantile(changes, STEADY) / 2.0 if len(changes) > STEADY * count else 0.0
    return max(quantile(spreads, STEADY) * _SCALE, floor) if spreads else floor


def usual_change(pieces: Sequence[Sequence[float]]) -> float:
    """What nine of ten neighbouring bins differ by at most, in the unit of the series; 0 for too few."""
    steps = [abs(after - before) for piece in pieces for before, after in itertools.pairwise(piece)]
    return quantile(steps, 0.9) if steps else 0.0
