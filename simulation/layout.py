"""Where things stand in the simulated field: boards, masts, leaks, and local metres to WGS-84."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M: Final = 6378137.0
FIELD_HALF_WIDTH_M: Final = 500.0
BOARD_HEIGHT_M: Final = 3.0
_JITTER: Final = 0.2  # of one grid spacing
_HULL_MARGIN: Final = 0.75  # leaks stay within this share of the boards' outermost coordinates


@dataclass(frozen=True, slots=True)
class Position:
    """A point: metres east and north of the origin, metres above the ground."""

    name: str
    x: float
    y: float
    height_m: float


@dataclass(frozen=True, slots=True)
class Leak:
    """A steady point source of one gas. Rate in kg/h."""

    position: Position
    gas: str
    rate_kg_h: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked of a world. The same scenario gives the same world, to the last bit.

    `leaks` is the number of ch4 leaks (0, 1, 2), `boards` the number of micro-sensor boards, the origin (centre of the
    field) is in WGS-84 degrees.
    """

    seed: int
    leaks: int = 1
    boards: int = 24
    latitude: float = 34.8
    longitude: float = 113.6

    def to_degrees(self, x: float, y: float) -> tuple[float, float]:
        """Latitude and longitude of a local point (equirectangular about the origin: 1 cm over 1 km)."""
        east = EARTH_RADIUS_M * math.cos(math.radians(self.latitude))
        return self.latitude + math.degrees(y / EARTH_RADIUS_M), self.longitude + math.degrees(x / east)

    def to_local(self, latitude: float, longitude: float) -> tuple[float, float]:
        """East and north metres of a WGS-84 point; the inverse of `to_degrees`."""
        east = EARTH_RADIUS_M * math.cos(math.radians(self.latitude))
        return (
            math.radians(longitude - self.longitude) * east,
            math.radians(latitude - self.latitude) * EARTH_RADIUS_M,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything of a scenario that has a place. `masts` are met (10 m), tower (30 m) and stack, in this order."""

    boards: tuple[Position, ...]
    met: Position
    tower: Position
    stack: Position
    leaks: tuple[Leak, ...]

    @classmethod
    def of(cls, scenario: Scenario) -> "Layout":
        """Lay a scenario out. Boards and leaks draw from separate streams, so that more leaks move no board."""
        boards = _boards(np.random.default_rng([scenario.seed, 1]), scenario.boards)
        leaks = _leaks(np.random.default_rng([scenario.seed, 2]), scenario.leaks, boards)
        return cls(
            boards=boards,
            met=Position("met", 20.0, -30.0, 10.0),
            tower=Position("tower", -430.0, 430.0, 30.0),
            stack=Position("stack", 650.0, 520.0, 80.0),
            leaks=leaks,
        )


def _boards(rng: np.random.Generator, count: int) -> tuple[Position, ...]:
    """Boards on a square jittered grid; surplus grid points are left out at random places."""
    side = math.ceil(math.sqrt(count))
    spacing = 2 * FIELD_HALF_WIDTH_M / side
    kept = np.sort(rng.permutation(side * side)[:count])
    jitter = rng.uniform(-_JITTER, _JITTER, (side * side, 2)) * spacing
    return tuple(
        Position(
            f"board-{number + 1:02d}",
            round((slot % side + 0.5) * spacing - FIELD_HALF_WIDTH_M + jitter[slot, 0], 2),
            round((slot // side + 0.5) * spacing - FIELD_HALF_WIDTH_M + jitter[slot, 1], 2),
            BOARD_HEIGHT_M,
        )
        for number, slot in enumerate(kept.tolist())
    )


def _leaks(rng: np.random.Generator, count: int, boards: tuple[Position, ...]) -> tuple[Leak, ...]:
    """Leaks inside the boards' hull, two of them at least 250 m apart."""
    reach = _HULL_MARGIN * min(max(abs(board.x) for board in boards), max(abs(board.y) for board in boards))
    found: list[Leak] = []
    while len(found) < count:
        x, y = rng.uniform(-reach, reach, 2).tolist()
        if all(math.hypot(x - leak.position.x, y - leak.position.y) >= 250.0 for leak in found):
            place = Position(f"leak-{len(found) + 1}", round(x, 1), round(y, 1), round(float(rng.uniform(1.0, 3.0)), 2))
            found.append(Leak(place, "ch4", round(float(rng.uniform(8.0, 30.0)), 1)))
    return tuple(found)


def points(positions: tuple[Position, ...]) -> NDArray[np.float64]:
    """The positions as an array of shape (n, 3): x, y, height in metres."""
    return np.array([(place.x, place.y, place.height_m) for place in positions], dtype=float).reshape(-1, 3)
