"""Where a series has settled at a level: steps, steady runs, and the tail of a flush."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from calibration.recorded.bins import Bin
from calibration.recorded.noise import steady_noise, usual_change
from metrology.recorded import MINUTE, SECOND

# In standard deviations of a bin's mean: what is still the level, what is left of a flush, and what is a step.
LEVEL: Final = 4.0
LEFT: Final = 0.25
STEP: Final = 10.0
# A step is also this many times what nine of ten neighbouring bins differ by: air has steps of its own.
STEP_OF_AIR: Final = 4.0
# No series is quieter than this share of its values: one that repeats a value to the last digit shows no noise.
LEAST: Final = 1e-6
# A run of settled bins is this long, and at least so many bins.
RUN: Final = 45 * SECOND
RUN_BINS: Final = 3
# A step comes at most this long before the gas has settled.
FLUSH_MAX: Final = 15 * MINUTE
# On a port of its own, so much of a stretch is settled.
SETTLED_SHARE: Final = 0.4
# Gas from a cylinder is dry: columns of water in percent and mmol/mol, and the least that tells air.
_WATER: Final = {"h2o_reported": 0.5, "h2o": 0.5, "h2o(ppt)": 5.0, "h2o(mmol/mol)": 5.0}
# Gas this much drier than the middle of the series is no air, where there is any water at all.
_DRIER: Final = 0.3
_DRY_NOISE: Final = 0.2
_NO_GAS: Final = ("h2o", "cell", "cavity")


@dataclass(frozen=True, slots=True)
class Limits:
    """What tells a plateau in one series: noise of a bin's mean and a step by species, bins of a run and of a flush.

    `levels` holds the mean of each bin by species, NaN where it has none; `gap` is the time between two stretches.
    `water` is the column of water, and `wet` and `dry` are the values above and below which it tells.
    """

    levels: Mapping[str, Sequence[float]]
    noise: Mapping[str, float]
    step: Mapping[str, float]
    run: int
    flush: int
    gap: int
    water: str = ""
    wet: float = math.inf
    dry: float = -math.inf


def limits_of(bins: Sequence[Bin], width: int) -> Limits:
    """Limits of a series. Species that few bins have are left out, and the wet value where there is a dry one."""
    counts: dict[str, int] = {}
    for one in bins:
        for name in one.totals:
            counts[name] = counts.get(name, 0) + 1
    most = max(counts.values(), default=0)
    chosen = [
        name
        for name, count in counts.items()
        if count * 2 > most and not name.startswith(_NO_GAS) and f"{name}_dry" not in counts
    ]
    levels = {
        name: [one.totals[name].mean if name in one.totals else math.nan for one in bins] for name in chosen
    }  # fmt: skip
    gap = max(5 * width, MINUTE) if width >= SECOND else MINUTE
    parts = {name: [_full(series[a:b]) for a, b in stretches(bins, gap)] for name, series in levels.items()}
    noise = {name: max(steady_noise(part), LEAST * _size(part)) for name, part in parts.items()}
    step = {name: max(STEP * noise[name], STEP_OF_AIR * usual_change(part)) for name, part in parts.items()}
    pitch = max(width, _pitch(bins))
    run, flush = max(RUN_BINS, -(-RUN // pitch)), max(RUN_BINS, FLUSH_MAX // pitch)
    return Limits(levels, noise, step, run, flush, gap, *_water(bins))


def _water(bins: Sequence[Bin]) -> tuple[str, float, float]:
    """Column of water, what tells air in it, and what tells a cylinder: much less than the middle of the series."""
    for name, wet in _WATER.items():
        found = [one.totals[name].mean for one in bins if name in one.totals]
        if found:
            middle = median(found)
            return name, wet, _DRIER * middle if middle > _DRY_NOISE * wet else -math.inf
    return "", math.inf, -math.inf


def _size(parts: Sequence[Sequence[float]]) -> float:
    return median(abs(value) for part in parts for value in part) if any(parts) else 0.0


def _pitch(bins: Sequence[Bin]) -> int:
    """Median time between bins, microseconds."""
    steps = sorted(after.start - before.start for before, after in itertools.pairwise(bins))
    return steps[len(steps) // 2] if steps else SECOND


def stretches(bins: Sequence[Bin], gap: int) -> Iterator[tuple[int, int]]:
    """Runs of bins on one port and one gas without a gap in time."""
    first = 0
    for at in range(1, len(bins) + 1):
        if at == len(bins) or _parted(bins[at - 1], bins[at], gap):
            yield first, at
            first = at


def _parted(before: Bin, after: Bin, gap: int) -> bool:
    return (before.port, before.gas) != (after.port, after.gas) or after.start - before.end > gap


def _full(series: Sequence[float]) -> list[float]:
    return [value for value in series if not math.isnan(value)]


def settled_tank(bins: Sequence[Bin], first: int, last: int, limits: Limits) -> Iterator[tuple[int, int]]:
    """The settled end of a stretch that is known to be a tank; at least its last third."""
    third = max((last - first) // 3, 1)
    anchor = last - third
    start = first
    for name, series in limits.levels.items():
        end = _full(series[anchor:last])
        if end:
            # Gas known to be of a tank may be noisier than the steadiest of the file.
            noise = max(limits.noise[name], median(abs(value - median(end)) for value in end) * 1.4826)
            start = max(start, _reach(series, first, anchor, median(end), LEVEL * noise))
    if any(one.totals for one in bins[start:last]):
        yield start, last


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
    for begin, end in _runs(first, last, limits):
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
        start = max(start, _reach(series, begin, anchor, median(series[anchor:end]), LEVEL * limits.noise[name]))
    return start


def _rinsed(first: int, start: int, end: int, limits: Limits) -> int:
    """Drop the end of an exponential tail: from the step to the level took it a time that tells its constant.

    What is left of it is a quarter of the noise of a bin; at most 40 % of the run are dropped.
    """
    most = start + int(0.4 * (end - start))
    found = start
    for name, series in limits.levels.items():
        noise, level = limits.noise[name], median(_full(series[start:end]))
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
    rest = _full(series[start + size : end])
    head = _full(series[start : start + size])
    return not rest or not head or abs(fmean(head) - fmean(rest)) <= 3.0 * noise / math.sqrt(len(head))


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
    if water > limits.wet:
        return False
    first, last = pieces[place]
    if water < limits.dry:
        back = _wetter(bins[end : end + 2 * RUN_BINS], limits)
        return back or end == last or _leaves(start, end, last, limits, air=False)
    if bins[first].port is not None and len({bins[one].port for one, _ in pieces}) > 1:
        return end >= last - 2 and end - start >= SETTLED_SHARE * (last - first)
    entry = any(_entered(series, first, start, end, name, limits) for name, series in limits.levels.items())
    leave = _leaves(start, end, last, limits, air=True)
    return (entry and (leave or end == last)) or (leave and start == first)


def _entered(series: Sequence[float], first: int, start: int, end: int, name: str, limits: Limits) -> bool:
    """True where, before the run, the gas stood a step away and came by one."""
    level, step = median(_full(series[start:end])), limits.step[name]
    fast = False
    for at in range(start - 1, max(first, start - limits.flush) - 1, -1):
        fast = fast or abs(series[at + 1] - series[at]) >= step / 2
        if fast and abs(series[at] - level) >= step:
            return True
    return False


def _leaves(start: int, end: int, last: int, limits: Limits, *, air: bool) -> bool:
    """True where some gas is a step away at once after the run: a step of the noise, or one that air does not make."""
    for name, series in limits.levels.items():
        level = median(_full(series[start:end]))
        step = limits.step[name] if air else STEP * limits.noise[name]
        if any(abs(value - level) >= step for value in series[end : min(last, end + RUN_BINS)]):
            return True
    return False


def _wetter(bins: Sequence[Bin], limits: Limits) -> bool:
    """True where the water comes back."""
    return any(one.totals[limits.water].mean > limits.dry for one in bins if limits.water in one.totals)
