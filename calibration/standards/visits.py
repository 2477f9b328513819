"""Visits of an analyzer to cylinders in one run: drift taken out by bracketing, then one mean reading per cylinder.

Everything is a linear combination of the visits' readings, kept as such, so that what two means share through the
bracketing cylinder is known when uncertainties are propagated.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from calibration.models.response import birge

# How much each visit's reading adds, by the visit's place in the run.
Combination = dict[int, float]


class Visit(NamedTuple):
    """One stay on one cylinder: the mean of its readings and the standard uncertainty of that mean."""

    cylinder: str
    at_s: float
    reading: float
    u: float


@dataclass(frozen=True, slots=True)
class Means:
    """Mean reading of each cylinder, as a combination of visits; `bracket` took the drift out, None where none could.

    `scatter` is by how much the visits of the same cylinders disagree beyond their own uncertainties: the factor on the
    variance of every reading (1: not beyond chance).
    """

    visits: tuple[Visit, ...]
    by_cylinder: Mapping[str, Combination]
    bracket: str | None
    scatter: float

    def readings(self) -> list[float]:
        """Readings in the order of the combinations' places."""
        return [one.reading for one in self.visits]

    def u(self) -> list[float]:
        """Standard uncertainty of each reading, scatter included."""
        return [one.u * math.sqrt(self.scatter) for one in self.visits]

    def mean(self, cylinder: str, readings: Sequence[float]) -> float:
        """Mean of a cylinder for given readings."""
        return combined(self.by_cylinder[cylinder], readings)

    def u_mean(self, cylinder: str) -> float:
        """Standard uncertainty of a mean."""
        u = self.u()
        return math.hypot(*(share * u[place] for place, share in self.by_cylinder[cylinder].items()))


def combined(combination: Combination, readings: Sequence[float]) -> float:
    """What a combination makes of readings."""
    return math.fsum(share * readings[place] for place, share in combination.items())


def means(visits: Sequence[Visit]) -> Means:
    """Of visits in any order. Raises ValueError where there are none."""
    if not visits:
        raise ValueError("no visits")
    ordered = tuple(sorted(visits, key=lambda one: one.at_s))
    bracket = _bracket(ordered)
    drift = _drift(ordered, bracket)
    found: dict[str, Combination] = {}
    corrected = [_minus({place: 1.0}, drift[place]) for place in range(len(ordered))]
    for name in dict.fromkeys(one.cylinder for one in ordered):
        own = [corrected[place] for place, one in enumerate(ordered) if one.cylinder == name]
        found[name] = _mean(own)
    return Means(ordered, found, bracket, _scatter(ordered, corrected, found, bracket))


def _bracket(ordered: Sequence[Visit]) -> str | None:
    """The cylinder that was visited most often, at least twice; of equals the one whose visits span most time."""
    times: dict[str, list[float]] = {}
    for one in ordered:
        times.setdefault(one.cylinder, []).append(one.at_s)
    often = [(len(at), at[-1] - at[0], name) for name, at in times.items() if len(at) > 1 and at[-1] > at[0]]
    return max(often)[2] if often else None


def _drift(ordered: Sequence[Visit], bracket: str | None) -> list[Combination]:
    """At each visit: the bracket's reading, straight between its visits and held outside, less its mean."""
    places = [place for place, one in enumerate(ordered) if one.cylinder == bracket]
    if not places:
        return [{} for _ in ordered]
    mean = {place: 1.0 / len(places) for place in places}
    return [_minus(_at(ordered, places, one.at_s), mean) for one in ordered]


def _at(ordered: Sequence[Visit], places: Sequence[int], at_s: float) -> Combination:
    after = bisect_right([ordered[place].at_s for place in places], at_s)
    if after in (0, len(places)):
        return {places[max(0, after - 1)]: 1.0}
    first, second = places[after - 1], places[after]
    share = (at_s - ordered[first].at_s) / (ordered[second].at_s - ordered[first].at_s)
    return {first: 1.0 - share, second: share}


def _minus(left: Combination, right: Combination) -> Combination:
    return {place: left.get(place, 0.0) - right.get(place, 0.0) for place in {**left, **right}}


def _mean(rows: Sequence[Combination]) -> Combination:
    places = dict.fromkeys(place for row in rows for place in row)
    return {place: math.fsum(row.get(place, 0.0) for row in rows) / len(rows) for place in places}


def _scatter(
    ordered: Sequence[Visit],
    corrected: Sequence[Combination],
    found: Mapping[str, Combination],
    bracket: str | None,
) -> float:
    """Birge's ratio of the visits about the mean of their cylinder; the bracket's own lie on it and say nothing."""
    readings = [one.reading for one in ordered]
    squares, freedom = 0.0, 0
    for name in found:
        places = [place for place, one in enumerate(ordered) if one.cylinder == name]
        if name == bracket or len(places) < 2:
            continue
        for place in places:
            off = _minus(corrected[place], found[name])
            u = math.hypot(*(share * ordered[at].u for at, share in off.items()))
            if u > 0.0:
                squares += (combined(off, readings) / u) ** 2 * (len(places) - 1) / len(places)
        freedom += len(places) - 1
    return birge(squares, freedom)
