"""Where a series has settled at a level: steps, steady runs, and the tail of a flush."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import Final

from calibration.recorded.bins import Bin
from calibration.recorded.limits import RUN_BINS, STEP, Limits, full

# In standard deviations of a bin's mean: what is still the level, and what is left of a flush.
LEVEL: Final = 4.0
LEFT: Final = 0.25
# Levels of one port that differ by more than this many standard deviations of a bin's mean are not of one gas.
OTHER: Final = 20.0
# On a port of its own, so much of a stretch is settled.
SETTLED_SHARE: Final = 0.4


def settled_tank(bins: Sequence[Bin], first: int, last: int, limits: Limits) -> Iterator[tuple[int, int]]:
    """The settled end of a stretch that is known to be a tank; at least its last third."""
    third = max((last - first) // 3, 1)
    anchor = last - third
    start = first
    for name, series in limits.levels.items():
        end = full(series[anchor:last])
        if end:
            # Gas known to be of a tank may be noisier than the steadiest of the file.
            noise = max(limits.noise[name], median(abs(value - median(end)) for value in end) * 1.4826)
            start = max(start, _reach(series, first, anchor, median(end), LEVEL * noise))
    if any(one.totals for one in bins[start:last]):
        yield start, last


def varies(visits: Sequence[tuple[int, int]], limits: Limits) -> bool:
    """True where some gas is not the same in all visits (first bin, bin after the last): no cylinder does that."""
    for name, series in limits.levels.items():
        levels = [median(own) for first, last in visits if (own := full(series[first:last]))]
        if levels and max(levels) - min(levels) > OTHER * limits.noise[name]:
            return True
    return False


def _reach(series: Sequence[float], first: int, anchor: int, level: float, width: float) -> int:
    """How far back from the anchor a series stays at its level; a single bin beside it does not end it."""
    at = anchor
    while at > first:
        before = series[at - 1]
        if abs(before - level) > width and (at - 2 < first or not abs(series[at - 2] - level) <= width):
            return at
        at -= 1
    return first


def settled(
    bins: Sequence[Bin], pieces: Sequence[tuple[int, int]], place: int, limits: Limits
) -> Iterator[tuple[int, int]]:
    """Settled runs of a stretch of which nothing is known, between two steps."""
    first, last = pieces[place]
    for begin, end in _joined(_runs(first, last, limits), limits):
        start = _anchored(begin, end, limits)
        start = _trimmed(_rinsed(first, start, end, limits), end, limits)
        if end - start >= limits.run and _is_tank(bins, pieces, place, start, end, limits):
            yield start, end


def _runs(first: int, last: int, limits: Limits) -> Iterator[tuple[int, int]]:
    """Maximal stretches covered by steady windows."""
    begin = reach = -1
    for at in range(first, last - limits.run + 1):
        if all(_steady(series, at, limits.run, limits.noise[name]) for name, series in limits.levels.items()):
            if begin < 0:
                begin = at
            reach = at + limits.run
        elif begin >= 0 and at >= reach - limits.run + 1:
            yield begin, reach
            begin = -1
    if begin >= 0:
        yield begin, reach


def _joined(runs: Iterator[tuple[int, int]], limits: Limits) -> Iterator[tuple[int, int]]:
    """Runs that go on at the same level after a few bins: one reading far off does not end a plateau."""
    held: tuple[int, int] | None = None
    for begin, end in runs:
        if held is not None and begin - held[1] <= limits.run and _level(held[1], begin, limits):
            begin = held[0]
        elif held is not None:
            yield held
        held = begin, end
    if held is not None:
        yield held


def _level(end: int, begin: int, limits: Limits) -> bool:
    """True where every gas has the same level before `end` as after `begin`."""
    for name, series in limits.levels.items():
        before, after = full(series[max(end - limits.run, 0) : end]), full(series[begin : begin + limits.run])
        if before and after and abs(fmean(before) - fmean(after)) > 2.0 * limits.noise[name]:
            return False
    return True


def _steady(series: Sequence[float], at: int, run: int, noise: float) -> bool:
    part = series[at : at + run]
    low, high = min(part), max(part)
    # NaN compares false: a window with a bin that has no value is not steady.
    return high - low <= (LEVEL + 1.0) * noise


def _anchored(begin: int, end: int, limits: Limits) -> int:
    """Where a run has reached the level of its last third, in every gas."""
    anchor = end - max((end - begin) // 3, min(limits.run, end - begin))
    start = begin
    for name, series in limits.levels.items():
        start = max(start, _reach(series, begin, anchor, median(full(series[anchor:end])), LEVEL * limits.noise[name]))
    return start


def _rinsed(first: int, start: int, end: int, limits: Limits) -> int:
    """Drop the end of an exponential tail: from the step to the level took it a time that tells its constant.

    What is left of it is a quarter of the noise of a bin; at most 40 % of the run are dropped.
    """
    most = start + int(0.4 * (end - start))
    found = start
    for name, series in limits.levels.items():
        noise, level = limits.noise[name], median(full(series[start:end]))
        back = range(max(first, start - limits.flush) + 1, start + 1)
        leap = max(back, key=lambda at: abs(series[at] - series[at - 1]), default=start)
        height = abs(series[leap - 1] - level) if leap > first else 0.0
        if noise > 0.0 and height > STEP * noise:
            constant = max(start - leap, 1) / math.log(height / (LEVEL * noise))
            found = max(found, start + math.ceil(constant * math.log(LEVEL / LEFT)))
    return min(found, most)


def _trimmed(start: int, end: int, limits: Limits) -> int:
    """Drop what is left of a tail: while the first bins together still differ from the rest, at most 40 % of all."""
    most = start + int(0.4 * (end - start))
    while start < most:
        size = max(min(6, (end - start) // 3), 1)
        if all(_same(series, start, size, end, limits.noise[name]) for name, series in limits.levels.items()):
            break
        start += 1
    return start


def _same(series: Sequence[float], start: int, size: int, end: int, noise: float) -> bool:
    rest = full(series[start + size : end])
    head = full(series[start : start + size])
    return not rest or not head or abs(fmean(head) - fmean(rest)) <= 3.0 * noise / math.sqrt(len(head))


def is_dry(bins: Sequence[Bin], limits: Limits) -> bool:
    """True where gas is much drier than the series is."""
    return _median_water(bins, limits) < limits.dry


def _median_water(bins: Sequence[Bin], limits: Limits) -> float:
    found = [one.totals[limits.water].mean for one in bins if limits.water in one.totals]
    return median(found) if found else math.nan


def _is_tank(
    bins: Sequence[Bin], pieces: Sequence[tuple[int, int]], place: int, start: int, end: int, limits: Limits
) -> bool:
    """Dry gas in a wet series is of a tank. Else a plateau fills most of a port's stretch, or stands between two steps.

    At one of its sides the series may begin or end instead.
    """
    water = _median_water(bins[start:end], limits)
    first, last = pieces[place]
    if water < limits.dry:
        back = _wetter(bins[end : end + 2 * RUN_BINS], limits)
        return back or end == last or _leaves(start, end, last, limits, air=False)
    if water > limits.wet:
        return False
    if bins[first].port is not None and len({bins[one].port for one, _ in pieces}) > 1:
        return end >= last - 2 and end - start >= SETTLED_SHARE * (last - first)
    entry = any(_entered(series, first, start, end, name, limits) for name, series in limits.levels.items())
    leave = _leaves(start, end, last, limits, air=True)
    return (entry and (leave or end == last)) or (leave and start == first)


def _entered(series: Sequence[float], first: int, start: int, end: int, name: str, limits: Limits) -> bool:
    """True where the gas stood a step away, and came to the level of the run fast and without turning back."""
    level, step, noise = median(full(series[start:end])), limits.step[name], limits.noise[name]
    fast, apart = False, 0.0
    for at in range(start - 1, max(first, start - limits.flush) - 1, -1):
        fast = fast or abs(series[at + 1] - series[at]) >= step / 2
        off = abs(series[at] - level)
        if fast and off >= step:
            return True
        # Backwards in time the tail of a flush only grows: what falls again is air.
        if off < apart - LEVEL * noise:
            return False
        apart = max(apart, off)
    return False


def _leaves(start: int, end: int, last: int, limits: Limits, *, air: bool) -> bool:
    """True where some gas is a step away at once after the run: a step of the noise, or one that air does not make."""
    for name, series in limits.levels.items():
        level = median(full(series[start:end]))
        step = limits.step[name] if air else STEP * limits.noise[name]
        if any(abs(value - level) >= step for value in series[end : min(last, end + RUN_BINS)]):
            return True
    return False


def _wetter(bins: Sequence[Bin], limits: Limits) -> bool:
    """True where the water comes back."""
    return any(one.totals[limits.water].mean > limits.dry for one in bins if limits.water in one.totals)
