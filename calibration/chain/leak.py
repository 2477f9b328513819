"""A valve that lets air into the tanks' lines: tank readings move with the air instead of standing still.

A reading with the share e of air is r = (1 - e) tank + e air, so between two visits it changes by e times the change of
(air - tank), on top of the analyzer's own walk; within one calibration the same leak looks like a changed gain and
cannot be told. First the interval whose changes follow the air most surely is looked for (a likelihood ratio over all
intervals), then the shares of time with and without leak are separated by the cheapest sequence of two states, in which
beginning and end show as a jump by e (air - tank). Method of ours; limits below are defaults of ours.
"""

import math
import statistics
from collections.abc import Sequence
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
    """From one visit of a tank to the next: of the reading, of (air - tank), its variance, and (air - tank) at both."""

    before_s: float
    at_s: float
    reading: float
    apart: float
    variance: float
    apart_before: float
    apart_after: float


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
                _Change(one.at_s, other.at_s, other.mean - one.mean, after - before, variance, before, after)
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
    clean = one.reading**2 / one.variance
    leaking = (one.reading - share * one.apart) ** 2 / one.variance
    return min(clean, _CAP) - min(leaking, _CAP)


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


def _localized(tracks: dict[str, list[_Change]], share: float) -> Leak | None:
    """Where the leak of a given share lies, over all tanks; None where no reading is better explained by it.

    A change of gain moves a tank that is unlike the air when it begins and ends, as a leak does; but in between the
    reading does not follow the air. So a tank counts only where it does.
    """
    times: list[float] = []
    labels: list[str] = []
    fitted: list[_Row] = []
    within: list[_Row] = []
    for label, track in tracks.items():
        inside = _states(track, share)
        between = _regressors(track, inside, ends=False)
        size, u = _regression(between)
        if len(between) >= CHANGES_MIN and size >= _FOLLOWS * u:
            moments = [track[0].before_s, *(one.at_s for one in track)]
            times += [t for t, leaking in zip(moments, inside, strict=True) if leaking]
            labels.append(label)
            fitted += _regressors(track, inside, ends=True)
            within += between
    size, u = _regression(within)
    if len(within) < CHANGES_MIN or size < SURE * u:
        return None
    size, u = _regression(fitted)
    return Leak(min(times), max(times), size, u, tuple(labels))


def _regression(rows: Sequence[_Row]) -> tuple[float, float]:
    """Share of air and its standard uncertainty, through zero."""
    weight = math.fsum(x * x / v for _, x, v in rows)
    if not weight:
        return 0.0, math.inf
    return math.fsum(y * x / v for y, x, v in rows) / weight, 1.0 / math.sqrt(weight)


def _regressors(track: Sequence[_Change], inside: Sequence[bool], *, ends: bool) -> list[_Row]:
    """Change of the reading, what a leak of share 1 would have made of it, and variance; with or without its ends."""
    return [
        (one.reading, (one.apart_after if after else 0.0) - (one.apart_before if before else 0.0), one.variance)
        for one, before, after in zip(track, inside[:-1], inside[1:], strict=True)
        if (before and after) or (ends and (before or after))
    ]


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
                cost[before]
                + _cost(one, share * (after * one.apart_after - before * one.apart_before))
                + (_SWITCH_COST if before != after else 0.0)
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


def _cost(one: _Change, expected: float) -> float:
    return min(_CAP, (one.reading - expected) ** 2 / one.variance)
