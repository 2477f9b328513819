"""Where a series has settled at a level: steps, steady runs, and the tail of a flush."""

import itertools
import math
from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import Final

from calibration.recorded.bins import Bin
from calibration.recorded.flush import LEVEL, ended, flushed, reach
from calibration.recorded.limits import RUN_BINS, STEP, Limits, full

# Levels of one port that differ by more than this many standard deviations of a bin's mean are not of one gas.
OTHER: Final = 20.0
# From one dry gas to the next: standard deviations of a bin's mean, and the time it may take, in runs.
_DRY_STEP: Final = 8.0
_AHEAD: Final = 3
_LONG: Final = 2
# The least a run lasts, in shortest runs, that only its steps tell.
_ALONE: Final = 4 / 3
# So much of the way to the limit of dry gas has water risen where a tank ends.
_WETTER: Final = 0.1
# On a port of its own, so much of a stretch is settled.
SETTLED_SHARE: Final = 0.4


def settled_tank(bins: Sequence[Bin], first: int, last: int, limits: Limits) -> Iterator[tuple[int, int]]:
    """The settled end of a stretch that is known to be a tank; at least its last third."""
    start = _anchored(first, last, limits, max((last - first) // 3, 1))
    # A last bin that the change after it is in already.
    end = last - (last - start > RUN_BINS and not _at_level(limits, last - 1, start, last - 1))
    start = flushed(limits.levels, limits.noise, first, start, end, limits.flush)
    if any(one.totals for one in bins[start:end]):
        yield start, end


def _at_level(limits: Limits, at: int, start: int, end: int) -> bool:
    """False where some gas of a bin is beside the level of a run."""
    return not any(
        abs(series[at] - median(own)) > LEVEL * limits.noise[name]
        for name, series in limits.levels.items()
        if (own := full(series[start:end]))
    )


def varies(visits: Sequence[tuple[int, int]], limits: Limits) -> bool:
    """True where some gas is not the same in all visits (first bin, bin after the last): no cylinder does that."""
    for name, series in limits.levels.items():
        levels = [median(own) for first, last in visits if (own := full(series[first:last]))]
        if levels and max(levels) - min(levels) > OTHER * limits.noise[name]:
            return True
    return False


def settled(
    bins: Sequence[Bin], pieces: Sequence[tuple[int, int]], place: int, limits: Limits
) -> Iterator[tuple[int, int]]:
    """Settled runs of a stretch of which nothing is known, between two steps."""
    first, last = pieces[place]
    runs = (part for run in _joined(_runs(first, last, limits), limits) for part in _by_dryness(bins, *run, limits))
    for begin, reached in runs:
        size = max((reached - begin) // 3, min(limits.run, reached - begin))
        end = _further(reached, last, limits, size)
        start = _anchored(begin, end, limits, size)
        until = _while_dry(bins, start, ended(limits.levels, limits.noise, start, end), limits)
        start = flushed(limits.levels, limits.noise, first, start, until, limits.flush)
        if until - start >= limits.run and _is_tank(bins, pieces, place, start, end, limits):
            yield start, until


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


def _by_dryness(bins: Sequence[Bin], begin: int, end: int, limits: Limits) -> Iterator[tuple[int, int]]:
    """A run in parts of dry gas and of wet gas, where the series has both."""
    if limits.dry == -math.inf:
        yield begin, end
        return
    parts = itertools.groupby(range(begin, end), lambda at: _water(bins[at], limits) < limits.dry)
    for _, places in parts:
        own = list(places)
        if len(own) >= limits.run:
            yield own[0], own[-1] + 1


def _further(end: int, last: int, limits: Limits, size: int) -> int:
    """Where a run goes on to at the level of its last bins (`size`), at most one run further."""
    levels = [
        (series, median(own), LEVEL * limits.noise[name])
        for name, series in limits.levels.items()
        if (own := full(series[end - size : end]))
    ]
    most = min(last, end + limits.run)
    while end < most and not any(abs(series[end] - level) > width for series, level, width in levels):
        end += 1
    return end


def _while_dry(bins: Sequence[Bin], start: int, end: int, limits: Limits) -> int:
    """End of a run of dry gas where its water rises: the gas changes there, also to one of the same amount."""
    middle = _median_water(bins[start:end], limits)
    if middle < limits.dry:
        bound = middle + _WETTER * (limits.dry - middle)
        while end - start > limits.run and _water(bins[end - 1], limits) > bound:
            end -= 1
    return end


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


def _anchored(begin: int, end: int, limits: Limits, size: int) -> int:
    """Where a run has reached the level of its last bins (`size`), in every gas."""
    start = begin
    for name, series in limits.levels.items():
        if own := full(series[end - size : end]):
            start = max(start, reach(series, begin, end - size, median(own), LEVEL * limits.noise[name]))
    return start


def is_dry(bins: Sequence[Bin], limits: Limits) -> bool:
    """True where gas is much drier than the series is."""
    return _median_water(bins, limits) < limits.dry


def _water(one: Bin, limits: Limits) -> float:
    total = one.totals.get(limits.water)
    return -math.inf if total is None else total.mean


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
        if back or end == last or _leaves(start, end, min(last, end + RUN_BINS), limits, STEP):
            return True
        # A short flat part of a long flush is no tank.
        ahead = min(last, end + _AHEAD * limits.run)
        return end - start >= _LONG * limits.run and _leaves(start, end, ahead, limits, _DRY_STEP)
    if water > limits.wet:
        return False
    if bins[first].port is not None and len({bins[one].port for one, _ in pieces}) > 1:
        return end >= last - 2 and end - start >= SETTLED_SHARE * (last - first)
    # Nothing but the steps tells: air stands still for the shortest run now and then.
    if end - start < _ALONE * limits.run:
        return False
    entry = any(_entered(series, first, start, end, name, limits) for name, series in limits.levels.items())
    leave = _leaves(start, end, min(last, end + RUN_BINS), limits)
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


def _leaves(start: int, end: int, until: int, limits: Limits, noises: float | None = None) -> bool:
    """True where some gas is a step away before `until`: one that air does not make, or of so many noises."""
    for name, series in limits.levels.items():
        level = median(full(series[start:end]))
        step = limits.step[name] if noises is None else noises * limits.noise[name]
        if any(abs(value - level) >= step for value in series[end:until]):
            return True
    return False


def _wetter(bins: Sequence[Bin], limits: Limits) -> bool:
    """True where the water comes back."""
    return any(one.totals[limits.water].mean > limits.dry for one in bins if limits.water in one.totals)
