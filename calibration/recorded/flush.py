"""Where a run has reached its level, and until when it has it: tails of flushes, begins of changes."""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Final

from calibration.recorded.limits import STEP, full

Levels = Mapping[str, Sequence[float]]
Noise = Mapping[str, float]

# In standard deviations of a bin's mean: what is still the level, and what is left of a flush.
LEVEL: Final = 4.0
LEFT: Final = 0.25
# The most of a run that is dropped for each reason.
_DROPPED: Final = 0.4
# Bins together that are compared with the rest of a run, and how far they may be off, in their own standard deviations.
_HEAD: Final = 6
_TAIL: Final = 3
_OFF: Final = 3.0
# A slow tail bends: its first third falls by so much more than its second; a drifting analyzer's do not.
_BENT: Final = 1.5


def reach(series: Sequence[float], first: int, anchor: int, level: float, width: float) -> int:
    """How far back from the anchor a series stays at its level; a single bin beside it does not end it."""
    at = anchor
    while at > first:
        before = series[at - 1]
        if abs(before - level) > width and (at - 2 < first or not abs(series[at - 2] - level) <= width):
            return at
        at -= 1
    return first


def flushed(levels: Levels, noise: Noise, first: int, start: int, end: int, flush: int) -> int:
    """First bin of a run after the tail of the flush before it.

    `first` is the first bin that may tell of the step before the run, `flush` the most bins a flush takes.
    """
    start = _rinsed(levels, noise, first, start, end, flush)
    start = _trimmed(levels, noise, start, end)
    return _straight(levels, noise, start, end)


def _rinsed(levels: Levels, noise: Noise, first: int, start: int, end: int, flush: int) -> int:
    """Drop the end of an exponential tail: from the step to the level took it a time that tells its constant.

    What is left of it is a quarter of the noise of a bin.
    """
    most = start + int(_DROPPED * (end - start))
    found = start
    for name, series in levels.items():
        own, level = noise[name], _middle(series, start, end)
        top = _top(series, level, STEP * own, start, max(first, start - flush))
        leap = max(range(top + 1, start + 1), key=lambda at: abs(series[at] - series[at - 1]), default=start)
        height = abs(series[top] - level)
        if own > 0.0 and height > STEP * own:
            constant = max(start - leap, 1) / math.log(height / (LEVEL * own))
            found = max(found, start + math.ceil(constant * math.log(LEVEL / LEFT)))
    return min(found, most)


def _top(series: Sequence[float], level: float, step: float, start: int, least: int) -> int:
    """The last bin that was as far off the level as it came before a run: there the gas changed."""
    top, apart = start, 0.0
    for at in range(start - 1, least - 1, -1):
        off = abs(series[at] - level)
        if off > apart:
            top, apart = at, off
        elif top - at >= (_TAIL if apart > step else _HEAD):
            break
    return top


def _trimmed(levels: Levels, noise: Noise, start: int, end: int) -> int:
    """Drop what is left of a tail: while the first bins together still differ from the rest."""
    most = start + int(_DROPPED * (end - start))
    while start < most:
        size = max(min(_HEAD, (end - start) // 3), 1)
        if all(
            _same(series, (start, start + size), (start + size, end), noise[name]) for name, series in levels.items()
        ):
            break
        start += 1
    return start


def _straight(levels: Levels, noise: Noise, start: int, end: int) -> int:
    """Drop of a slow tail what bends: while the first third lies off the second by more than that off the last one."""
    most = start + int(_DROPPED * (end - start))
    while start < most and any(_bends(series, noise[name], start, end) for name, series in levels.items()):
        start += max((end - start) // 10, 1)
    return min(start, most)


def _bends(series: Sequence[float], noise: float, start: int, end: int) -> bool:
    size = (end - start) // 3
    parts = [full(series[start + place * size : start + (place + 1) * size]) for place in range(3)]
    if size < 2 or not all(parts):
        return False
    first, second, third = map(fmean, parts)
    early, late = first - second, second - third
    return abs(early) > _OFF * noise * math.sqrt(2.0 / size) and early * late > 0.0 and abs(early) > _BENT * abs(late)


def ended(levels: Levels, noise: Noise, start: int, end: int) -> int:
    """Drop the begin of a change: while the last bins together differ from the run."""
    least = end - min(2 * _TAIL, (end - start) // 3)
    while end > least:
        size = max(min(_TAIL, (end - start) // 3), 1)
        tail, rest = (end - size, end), (start, end - size)
        if all(_same(series, tail, rest, noise[name]) for name, series in levels.items()):
            break
        end -= 1
    return end


def _same(series: Sequence[float], some: tuple[int, int], rest: tuple[int, int], noise: float) -> bool:
    own, other = full(series[some[0] : some[1]]), full(series[rest[0] : rest[1]])
    return not own or not other or abs(fmean(own) - fmean(other)) <= _OFF * noise / math.sqrt(len(own))


def _middle(series: Sequence[float], start: int, end: int) -> float:
    own = full(series[start:end])
    return median(own) if own else math.nan


def tank_noise(levels: Levels, noise: Noise, pieces: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Noise of a bin that the ends of stretches known to be tanks show; what is known already where they show none."""
    ends = [(last - max((last - first) // 2, 1), last) for first, last in pieces]
    found = dict(noise)
    for name, series in levels.items():
        own = [_spread(values) for first, last in ends if len(values := full(series[first:last])) >= _TAIL]
        if own and median(own) > 0.0:
            found[name] = median(own)
    return found


def _spread(values: Sequence[float]) -> float:
    """Standard deviation of differences of neighbours, which a slow tail adds little to."""
    steps = [after - before for before, after in itertools.pairwise(values)]
    return math.sqrt(math.fsum(step * step for step in steps) / len(steps) / 2.0)
