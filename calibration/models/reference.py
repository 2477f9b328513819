"""A tank's readings over time, interpolated to any moment, with the uncertainty that the interpolation brings.

Between two readings the analyzer drifts; the drift is taken as a random walk whose rate is found from the readings
themselves: each is compared with the line between its neighbours. The variance of the line at the fraction f of a gap T
is then (1-f)^2 u0^2 + f^2 u1^2 + q T f (1-f) (Brownian bridge, for example Karatzas and Shreve 1991, 5.6.B). A steady
drift leaves no such difference and costs nothing. `noaa_baseline` is the term of the NOAA observatories instead.
"""

import math
import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

# Median of chi-square with one degree of freedom: the median of squares leaves leaks and steps out of the estimate.
_MEDIAN_CHI_SQUARE: Final = 0.454936
_ROBUST_MIN: Final = 8
_ROUNDS: Final = 60
_FAILED: Final = 16.0
_GOLDEN: Final = 0.6180339887498949


class Point(NamedTuple):
    """One reading of a tank: when, what, and the standard uncertainty of the mean."""

    at_s: float
    value: float
    u: float


class Interpolated(NamedTuple):
    """`side` is "<" or ">" where only the previous or only the next reading exists; `nearest_s` its distance."""

    value: float
    side: str
    nearest_s: float


class Track:
    """Readings of one tank in a block, in order of time; `walk` is the variance the analyzer gains per second."""

    def __init__(self, points: Sequence[Point], walk: float = 0.0) -> None:
        if not points:
            raise ValueError("a track needs a reading")
        self.points = tuple(points)
        self.walk = walk
        self._times = [point.at_s for point in points]

    def at(self, at_s: float) -> Interpolated:
        """Linear between two readings; outside, the nearest reading is held (the last one says most of a walk)."""
        place = bisect_right(self._times, at_s)
        if place == 0:
            first = self.points[0]
            return Interpolated(first.value, ">", first.at_s - at_s)
        before = self.points[place - 1]
        if place == len(self.points):
            return Interpolated(before.value, "<" if at_s > before.at_s else "", at_s - before.at_s)
        after = self.points[place]
        share = (at_s - before.at_s) / (after.at_s - before.at_s)
        value = before.value + share * (after.value - before.value)
        return Interpolated(value, "", min(at_s - before.at_s, after.at_s - at_s))

    def u(self, at_s: float) -> float:
        """Standard uncertainty of `at`: that of the readings and of the walk between or beyond them."""
        place = bisect_right(self._times, at_s)
        if place in (0, len(self.points)):
            end = self.points[max(0, place - 1)]
            return math.sqrt(end.u**2 + self.walk * abs(at_s - end.at_s))
        before, after = self.points[place - 1], self.points[place]
        gap = after.at_s - before.at_s
        share = (at_s - before.at_s) / gap
        bridge = self.walk * gap * share * (1.0 - share)
        return math.sqrt(((1.0 - share) * before.u) ** 2 + (share * after.u) ** 2 + bridge)

    def noaa_baseline(self, at_s: float) -> float:
        """Spread of the interpolations that each leave one reading out, weighted by the place in the gap.

        SD (n - 1) of the distinct values times 2 |t - nearest| / gap; only a neighbour's absence changes a value, and
        nothing is extrapolated. 0 outside the readings. NOAA GML, ccg_insitu_utils.
        """
        place = bisect_right(self._times, at_s)
        if place in (0, len(self.points)):
            return 0.0
        before, after = self.points[place - 1], self.points[place]
        values = {self.at(at_s).value}
        if place >= 2:
            values.add(_between(self.points[place - 2], after, at_s))
        if place + 1 < len(self.points):
            values.add(_between(before, self.points[place + 1], at_s))
        if len(values) < 2:
            return 0.0
        nearest = min(at_s - before.at_s, after.at_s - at_s)
        return statistics.stdev(values) * 2.0 * nearest / (after.at_s - before.at_s)


def _between(before: Point, after: Point, at_s: float) -> float:
    return before.value + (at_s - before.at_s) / (after.at_s - before.at_s) * (after.value - before.value)


class _Miss(NamedTuple):
    """How far a reading lies from the line between its neighbours: squared, its noise, the seconds of walk in it."""

    square: float
    noise: float
    seconds: float


def _misses(points: Sequence[Point]) -> Iterable[_Miss]:
    for one, (before, after) in zip(points[1:-1], zip(points, points[2:], strict=False), strict=True):
        gap = after.at_s - before.at_s
        share = (one.at_s - before.at_s) / gap
        noise = one.u**2 + ((1.0 - share) * before.u) ** 2 + (share * after.u) ** 2
        yield _Miss((one.value - _between(before, after, one.at_s)) ** 2, noise, gap * share * (1.0 - share))


def likeliest_walk(tracks: Sequence[Sequence[Point]]) -> float:
    """Variance per second of a random walk with a steady drift, by maximum likelihood; 0 where none is seen.

    Each reading is predicted from those before it (local level model, Harvey 1989, 2.2); a prediction that fails by
    more than four sigma counts as that much and starts anew, so that steps do not widen the walk. It uses all spans
    of time at once and is sharper than `random_walk`, but does not bear a leak.
    """
    rough = random_walk(tracks)
    seconds = math.fsum(t[-1].at_s - t[0].at_s for t in tracks)
    if sum(len(t) for t in tracks) < 2 * _ROBUST_MIN or seconds <= 0.0:
        return rough
    found = rough
    for _ in range(2):
        # The drift is the whole change over the whole time, steps left out.
        jump = 8.0
        changes = [(b.value - a.value, b.at_s - a.at_s, a.u**2 + b.u**2) for t in tracks for a, b in pairwise(t)]
        small = [(c, s) for c, s, noise in changes if abs(c) <= jump * math.sqrt(noise + found * s)]
        drift = math.fsum(c for c, _ in small) / max(1.0, math.fsum(s for _, s in small))
        found = _maximum(partial(_total_badness, tracks, drift), tracks)
    return found


def _maximum(badness: Callable[[float], float], tracks: Sequence[Sequence[Point]]) -> float:
    """The walk of least badness: a scan over the powers of two about the noise, then golden sections."""
    spans = [b.at_s - a.at_s for t in tracks for a, b in pairwise(t)]
    unit = max(1e-300, statistics.median(p.u for t in tracks for p in t) ** 2 / statistics.median(spans))
    tried = {walk: badness(walk) for walk in (0.0, *(unit * 4.0**k for k in range(-6, 8)))}
    best = min(tried, key=lambda walk: tried[walk])
    if best == 0.0:
        return 0.0
    low, high = math.log(best / 4.0), math.log(best * 4.0)
    for _ in range(24):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, b) if badness(math.exp(a)) < badness(math.exp(b)) else (a, high)
    return math.exp(0.5 * (low + high))


def _total_badness(tracks: Sequence[Sequence[Point]], drift: float, walk: float) -> float:
    return math.fsum(_badness(track, walk, drift) for track in tracks)


def _badness(track: Sequence[Point], walk: float, drift: float) -> float:
    """Minus twice the logarithm of the likelihood of a track, failures bounded."""
    level, variance = track[0].value, track[0].u ** 2
    total = 0.0
    for before, one in pairwise(track):
        seconds = one.at_s - before.at_s
        expected = level + drift * seconds
        prior = variance + walk * seconds
        whole = max(1e-300, prior + one.u**2)
        miss = (one.value - expected) ** 2 / whole
        total += math.log(whole) + min(miss, _FAILED)
        gain = prior / whole if miss < _FAILED else 1.0
        level = expected + gain * (one.value - expected)
        variance = gain * one.u**2
    return total


def random_walk(tracks: Sequence[Sequence[Point]]) -> float:
    """Variance per second of an analyzer's random walk, from the readings of tanks in blocks; 0 where none is seen.

    By the median where there are readings enough, so that a leak or a step does not widen it; by the mean otherwise;
    from the one difference of two readings where there are no more.
    """
    found = [miss for points in tracks for miss in _misses(points) if miss.seconds > 0.0]
    if not found:
        found = [
            _Miss((b.value - a.value) ** 2, a.u**2 + b.u**2, b.at_s - a.at_s) for t in tracks for a, b in pairwise(t)
        ]
    if len(found) < _ROBUST_MIN:
        excess = math.fsum(one.square - one.noise for one in found)
        return max(0.0, excess / max(1.0, math.fsum(one.seconds for one in found)))
    return _median_walk(found)


def _median_walk(found: Sequence[_Miss]) -> float:
    def ratio(walk: float) -> float:
        return statistics.median(one.square / max(1e-300, one.noise + walk * one.seconds) for one in found)

    if ratio(0.0) <= _MEDIAN_CHI_SQUARE:
        return 0.0
    low, high = 0.0, max(one.square / one.seconds for one in found) / _MEDIAN_CHI_SQUARE
    for _ in range(_ROUNDS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if ratio(middle) > _MEDIAN_CHI_SQUARE else (low, middle)
    return high
