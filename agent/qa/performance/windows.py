"""When which gas flowed, by the declaration, and what was read of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from agent.qa.performance.rows import Track
from agent.qa.performance.shape import Declaration, seconds
from calibration.qa.performance import gases

HOUR_S: Final = 3600.0
# Injections farther apart than that tell of drift, not of repeatability (own default).
REPEATED_H: Final = 6.0


@dataclass(frozen=True, slots=True)
class Window:
    """One series on one gas: [start, counts, end] in seconds, `track` what counts."""

    gas: str
    assigned: float
    start: float
    counts: float
    end: float
    track: Track

    @property
    def mean(self) -> float:
        """Mean of what counts."""
        return gases.mean_of(self.track.values, self.track.counts)


def windows(name: str, track: Track, rules: Declaration) -> list[Window]:
    """Every time a gas of known amount of this series flowed and something was read, in the order of time."""
    found = []
    for one in rules.gases:
        if name not in one.assigned:
            continue
        start, end = (seconds(stamp, rules.utc_offset_h) for stamp in (one.from_, one.to))
        for turn in range(one.times):
            shift = turn * (one.every_h or 0.0) * HOUR_S
            counts = start + shift + one.flush_s
            inside = track.within(counts, end + shift)
            if inside.times:
                found.append(Window(one.gas, one.assigned[name], start + shift, counts, end + shift, inside))
    return sorted(found, key=lambda one: one.start)


def close_together(turns: Sequence[Window]) -> list[Window]:
    """The largest group of injections of which each follows the one before within REPEATED_H hours."""
    groups: list[list[Window]] = [[turns[0]]]
    for before, one in pairwise(turns):
        if one.start - before.end <= REPEATED_H * HOUR_S:
            groups[-1].append(one)
        else:
            groups.append([one])
    return max(groups, key=len)
