"""A valve that lets air into the tanks' lines: tank readings move with the air instead of standing still.

A reading with the share e of air is r = (1 - e) tank + e air, so between two visits it changes by e times the change of
(air - tank), on top of the analyzer's own walk; within one calibration the same leak looks like a changed gain and
cannot be told. First the interval whose changes follow the air most surely is looked for (a likelihood ratio over all
intervals), then the shares of time with and without leak are separated by the cheapest sequence of two states, in which
beginning and end show as a jump by e (air - tank). Method of ours; limits below are defaults of ours.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from calibration.chain.data import Tank
from calibration.chain.visits import Visit

# A share is named from here on, when it is this many standard uncertainties and rests on this many changes.
LEAST: Final = 0.002
MOST: Final = 0.5
SURE: Final = 6.0
CHANGES_MIN: Final = 4
_LONGEST: Final = 200
_GAP_MAX_S: Final = 3 * 86400.0
_SWITCH_COST: Final = 12.0
_LEAKS_MAX: Final = 5
# No change of a reading counts for more than five sigma: a jump of the analyzer is not air.
_CAP: Final = 25.0
_JUMPS_MAX: Final = 20
# A single tank counts where it follows the air by this many standard uncertainties.
_FOLLOWS: Final = 3.0
_Row = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Leak:
    """From the first to the last reading that holds air; `share` of air with its standard uncertainty."""

    from_s: float
    to_s: float
    share: float
    u: float
    tanks: tuple[str, ...]


class _Change(NamedTuple):
    """From one visit of a tank to the next: change of the reading and of (air - tank), variance; both ends' air."""

    before_s: float
    at_s: float
    reading: float
    apart: float
    variance: float
    apart_before: float
    apart_after: float
    air_u_before: float
    air_u_after: float


def find_leaks(visits: Sequence[Visit[Tank]], walk: float, least: float = LEAST) -> list[Leak]:
    """Intervals in which tanks held air, the surest first; `walk` is the analyzer's own variance per second."""
    tracks = _without_drift({label: _changes(found, walk) for label, found in _by_tank(visits).items()})
    found: list[Leak] = []
    while len(found) < _LEAKS_MAX:
        share = _surest(sorted((one for track in tracks.values() for one in track), key=lambda c: c.at_s), least)
        leak = _localized(tracks, share) if share is not None else None
        if leak is None:
            break
        found.append(leak)
        tracks = {label: [c for c in track if c.at_s < leak.from_s or c.before_s > leak.to_s]
                  for label, track in tracks.items()}  # fmt: skip
    return found


def _without_drift(tracks: dict[str, list[_Change]]) -> dict[str, list[_Change]]:
    """The changes less a steady drift: by the median rate of the longer half of them, which a leak does not move."""
    rows = sorted((one.at_s - one.before_s, one.reading) for track in tracks.values() for one in track)
    if not rows:
        return tracks
    rate = statistics.median(reading / seconds for seconds, reading in rows[len(rows) // 2 :])
    return {
        label: [one._replace(reading=one.reading - rate * (one.at_s - one.before_s)) for one in track]
        for label, track in tracks.items()
    }


def _by_tank(visits: Sequence[Visit[Tank]]) -> dict[str, list[Visit[Tank]]]:
    tanks: dict[str, list[Visit[Tank]]] = {}
    for one in visits:
        if one.air is not None and not one.trouble:
            tanks.setdefault(one.tank.label, []).append(one)
    return tanks


def _changes(found: Sequence[Visit[Tank]], walk: float) -> list[_Change]:
    changes = []
    for one, other in pairwise(found):
        gap = other.at_s - one.at_s
        if gap > _GAP_MAX_S or one.air is None or other.air is None:
            continue
        before, after = one.air - one.mean, other.air - other.mean
        variance = one.u**2 + other.u**2 + walk * gap
        if variance > 0.0:
            changes.append(
                _Change(
                    one.at_s,
                    other.at_s,
                    other.mean - one.mean,
                    after - before,
                    variance,
                    before,
                    after,
                    one.air_u,
                    other.air_u,
                )
            )
    return changes


def _surest(changes: Sequence[_Change], least: float) -> float | None:
    """Share of air in the interval where it is surest; None where no interval is sure enough.

    A jump of the analyzer itself may look like much air in one change. So the share must also explain the changes one
    by one, no single one counting for more than `_CAP`; where it does not, the change that made it is left out.
    """
    left = list(changes)
    for _ in range(_JUMPS_MAX):
        found = _likeliest(left, least)
        if found is None:
            return None
        first, last, share = found
        inside = left[first:last]
        if math.fsum(_gain(one, share) for one in inside) >= SURE * SURE:
            return share
        left.remove(max(inside, key=lambda one: one.reading * one.apart / one.variance))
    return None


def _gain(one: _Change, share: float) -> float:
    """How much better a share explains a change than none, within bounds."""
    return _cost(one, 0.0, 0.0) - _cost(one, share, share)


def _likeliest(changes: Sequence[_Change], least: float) -> tuple[int, int, float] | None:
    best, found = SURE * SURE, None
    up, down = [0.0], [0.0]
    for one in changes:
        up.append(up[-1] + one.reading * one.apart / one.variance)
        down.append(down[-1] + one.apart * one.apart / one.variance)
    for first in range(len(changes)):
        for last in range(first + CHANGES_MIN, min(len(changes), first + _LONGEST) + 1):
            a, b = up[last] - up[first], down[last] - down[first]
            if a > 0.0 and a * a > best * b and least <= a / b <= MOST:
                best, found = a * a / b, (first, last, a / b)
    return found


class _Run(NamedTuple):
    """One tank's readings in a row that hold air: all changes with their ends, and those between them alone."""

    from_s: float
    to_s: float
    label: str
    changes: list[_Row]
    between: list[_Row]


def _localized(tracks: dict[str, list[_Change]], share: float) -> Leak | None:
    """Where the leak of a given share lies surest, over all tanks; None where no reading is better explained by it."""
    runs = sorted(run for label, track in tracks.items() for run in _runs(label, track, share))
    clusters: list[list[_Run]] = []
    for run in runs:
        if clusters and run.from_s <= max(one.to_s for one in clusters[-1]):
            clusters[-1].append(run)
        else:
            clusters.append([run])
    sizes = [_regression([row for run in cluster for row in run.between]) for cluster in clusters]
    best = max(range(len(clusters)), key=lambda i: sizes[i][0] / sizes[i][1], default=None)
    if best is None or sizes[best][0] < SURE * sizes[best][1]:
        return None
    found = clusters[best]
    size, u = _regression([row for run in found for row in run.changes])
    labels = tuple(dict.fromkeys(run.label for run in found))
    return Leak(min(run.from_s for run in found), max(run.to_s for run in found), size, u, labels)


def _runs(label: str, track: Sequence[_Change], share: float) -> Iterator[_Run]:
    """The runs in which a tank follows the air.

    A change of gain moves a tank that is unlike the air when it begins and ends, as a leak does; but in between the
    reading does not follow the air, and such a run is none.
    """
    inside = _states(track, share)
    first = 0
    while first < len(inside):
        last = next((i for i in range(first, len(inside)) if not inside[i]), len(inside))
        if last > first:
            times = [track[i - 1].at_s if i else track[0].before_s for i in (first, last - 1)]
            # Judged by what there would be without a leak, sized by what there is with one.
            between = [_row(one, 0.0, True, True) for one in track[first : last - 1]]
            size, u = _regression(between)
            if len(between) >= CHANGES_MIN and size >= _FOLLOWS * u:
                whole = track[max(0, first - 1) : last]
                states = zip(whole, inside[max(0, first - 1) :], inside[max(1, first) :], strict=False)
                changes = [_row(one, share, before, after) for one, before, after in states]
                yield _Run(times[0], times[-1], label, changes, between)
        first = last + 1


def _row(one: _Change, share: float, before: bool, after: bool) -> _Row:
    """Change of the reading, what a leak of share 1 would have made of it, and variance with that of air."""
    air = math.hypot(before * one.air_u_before, after * one.air_u_after)
    apart = after * one.apart_after - before * one.apart_before
    return one.reading, apart, one.variance + (share * air) ** 2


def _regression(rows: Sequence[_Row]) -> tuple[float, float]:
    """Share of air and its standard uncertainty, through zero."""
    weight = math.fsum(x * x / v for _, x, v in rows)
    if not weight:
        return 0.0, math.inf
    return math.fsum(y * x / v for y, x, v in rows) / weight, 1.0 / math.sqrt(weight)


def _states(track: Sequence[_Change], share: float) -> list[bool]:
    """Cheapest sequence of clean and leaking readings (Viterbi 1967); a change of state costs as much as 3.5 sigma."""
    if not track:
        return []
    cost = [0.0, _SWITCH_COST]
    back: list[tuple[int, int]] = []
    for one in track:
        steps = []
        for after in (0, 1):
            ways = [
                cost[before] + _cost(one, share * before, share * after) + (_SWITCH_COST if before != after else 0.0)
                for before in (0, 1)
            ]
            steps.append((min(ways), ways.index(min(ways))))
        cost = [best for best, _ in steps]
        back.append((steps[0][1], steps[1][1]))
    state = 1 if cost[1] < cost[0] else 0
    states = [state]
    for came in reversed(back):
        state = came[state]
        states.append(state)
    return [one == 1 for one in reversed(states)]


def _cost(one: _Change, before: float, after: float) -> float:
    """How badly shares of air before and after explain a change: -2 ln of its likelihood, within a bound."""
    expected = after * one.apart_after - before * one.apart_before
    variance = one.variance + (before * one.air_u_before) ** 2 + (after * one.air_u_after) ** 2
    return min(_CAP, (one.reading - expected) ** 2 / variance + math.log(variance / one.variance))
