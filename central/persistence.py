"""When a found source becomes an event: it must persist over updates (reference rule: 3 of the last 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

UPDATES: Final = 4
AGREEING: Final = 3
PROBABILITY: Final = 0.95
SAME_PLACE_M: Final = 100.0
_M_PER_DEGREE: Final = 111_195.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A source as one update found it; `position_sd_m` is along either axis."""

    latitude: float
    longitude: float
    position_sd_m: float
    probability: float


def distance_m(a: Sighting, b: Sighting) -> float:
    """Distance over ground, good to a metre within ten kilometres."""
    east = (a.longitude - b.longitude) * math.cos(math.radians(a.latitude))
    return math.hypot(east, a.latitude - b.latitude) * _M_PER_DEGREE


def same(a: Sighting, b: Sighting) -> bool:
    """Whether two sightings are of one source: within 100 m or two standard deviations, whichever is more."""
    return distance_m(a, b) <= max(SAME_PLACE_M, 2 * max(a.position_sd_m, b.position_sd_m))


def persistent(updates: Sequence[Sequence[Sighting]]) -> list[Sighting]:
    """Sources of the newest update (the last one) that were likely in at least 3 of the last 4 updates, itself too.

    Fewer than three updates show nothing. An update that is missing is no update; it never counts against a source.
    """
    last = updates[-UPDATES:]
    found = []
    for source in last[-1] if last else ():
        likely = [any(s.probability >= PROBABILITY and same(s, source) for s in update) for update in last]
        if likely[-1] and sum(likely) >= AGREEING:
            found.append(source)
    return found
