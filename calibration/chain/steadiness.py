"""What the visits say about themselves: jumps and outliers of the reference, its drift, gas left from before."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from calibration.chain.data import Finding, Tank
from calibration.chain.visits import Visit
from calibration.models.reference import Point

# A change of the reference beyond this many standard deviations of noise and walk is a step.
_STEP_SIGMAS: Final = 8.0
# A drift or a rest of the gas before is named from this many standard uncertainties on.
_SURE: Final = 4.5
DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Step:
    """Somewhere between two readings the reference moved by `size`."""

    from_s: float
    to_s: float
    size: float


def without_outliers(track: Sequence[Visit[Tank]], walk: float, limit: float | None) -> tuple[list[float], list[Step]]:
    """Times of readings that stand against both neighbours, and the steps between the others."""
    outliers: list[float] = []
    kept: list[Visit[Tank]] = []
    for place, one in enumerate(track):
        after = track[place + 1] if place + 1 < len(track) else None
        alone = kept and after and _far(kept[-1], one, walk, limit) and _far(one, after, walk, limit)
        if alone and after and not _far(kept[-1], after, walk, limit):
            outliers.append(one.at_s)
        else:
            kept.append(one)
    steps = [Step(a.at_s, b.at_s, b.mean - a.mean) for a, b in pairwise(kept) if _far(a, b, walk, limit)]
    return outliers, steps


def _far(one: Visit[Tank], other: Visit[Tank], walk: float, limit: float | None) -> bool:
    sigma = math.sqrt(one.u**2 + other.u**2 + walk * abs(other.at_s - one.at_s))
    return abs(other.mean - one.mean) > (limit if limit is not None else _STEP_SIGMAS * sigma) > 0.0


def drift(tracks: Sequence[Sequence[Point]], walk: float, unit: str) -> list[Finding]:
    """The steady part of the analyzer's drift, per day, where a random walk of its own rate does not explain it.

    `tracks` are the reference's readings between steps; each adds its whole change over its whole time. The variance
    of that is the walk's over the time, and the readings' at both ends.
    """
    long = [track for track in tracks if len(track) > 1]
    seconds = math.fsum(track[-1].at_s - track[0].at_s for track in long)
    if not seconds:
        return []
    change = math.fsum(track[-1].value - track[0].value for track in long)
    variance = walk * seconds + math.fsum(track[0].u ** 2 + track[-1].u ** 2 for track in long)
    rate, u = change / seconds * DAY_S, math.sqrt(variance) / seconds * DAY_S
    if abs(rate) <= _SURE * u:
        return []
    text = "steady drift of the analyzer, seen on the reference; it is taken out"
    return [Finding("drift", "analyzer", long[0][0].at_s, long[-1][-1].at_s, rate, 1.96 * u, f"{unit}/d", text)]


def rest_of_gas(visits: Sequence[Visit[Tank]], noise: float) -> tuple[float, float]:
    """Share of the difference to the gas before that the first used minute still holds, and its standard uncertainty.

    Regression through zero of (first minute - mean of the others) on (gas before - tank).
    """
    rows = [(one.tail, one.before - one.mean, one.n) for one in visits if one.before is not None and one.n > 2]
    weight = math.fsum(x * x * (n - 1) / n for _, x, n in rows)
    if not weight or not noise:
        return 0.0, math.inf
    return math.fsum(y * x * (n - 1) / n for y, x, n in rows) / weight, noise / math.sqrt(weight)


def short_flush(visits: Sequence[Visit[Tank]], noise: float) -> Finding | None:
    """Named where gas of before is surely left in the window, and moves a mean by more than half its own noise."""
    share, u = rest_of_gas(visits, noise)
    apart = [abs(one.before - one.mean) / one.n for one in visits if one.before is not None]
    if not _sure_of_all(visits, noise) or share * max(apart, default=0.0) < 0.5 * noise / math.sqrt(
        max(one.n for one in visits)
    ):
        return None
    size = 100.0 * share
    text = "gas of before is left in the first minute that counts: the flush is too short"
    first, last = visits[0].at_s, visits[-1].at_s
    return Finding("short-flush", "tanks", first, last, size, 196.0 * u, "%", text)


def _sure_of_all(visits: Sequence[Visit[Tank]], noise: float) -> bool:
    """True where the rest of gas is sure, also without the visit that says most for it."""
    weighty = max(visits, key=lambda one: one.tail * (one.before - one.mean) if one.before is not None else 0.0)
    for some in (visits, [one for one in visits if one is not weighty]):
        share, u = rest_of_gas(some, noise)
        if share <= _SURE * u:
            return False
    return True


def troubled(visits: Sequence[Visit[Tank]], times: set[float], why: str) -> list[Visit[Tank]]:
    """The same visits, those at the given times with their trouble."""
    return [replace(one, trouble=one.trouble or why) if one.at_s in times else one for one in visits]


def pieces(track: Sequence[Visit[Tank]], moments: Sequence[float]) -> Iterator[list[Visit[Tank]]]:
    """A track in pieces that begin at the given moments."""
    for low, high in pairwise([-math.inf, *moments, math.inf]):
        piece = [one for one in track if low <= one.at_s < high]
        if piece:
            yield piece
