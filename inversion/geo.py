"""Local metres about an origin, and the published grid."""

import math
from collections.abc import Iterable
from typing import Final

from inversion.data import Domain, Observation

EARTH_RADIUS_M: Final = 6378137.0


def to_local(domain: Domain, latitude: float, longitude: float) -> tuple[float, float]:
    """East and north metres of a WGS-84 point (equirectangular about the origin: good to 1 m within 10 km)."""
    east = EARTH_RADIUS_M * math.cos(math.radians(domain.latitude))
    return math.radians(longitude - domain.longitude) * east, math.radians(latitude - domain.latitude) * EARTH_RADIUS_M


def to_degrees(domain: Domain, x: float, y: float) -> tuple[float, float]:
    """Latitude and longitude of a local point; the inverse of `to_local`."""
    east = EARTH_RADIUS_M * math.cos(math.radians(domain.latitude))
    return domain.latitude + math.degrees(y / EARTH_RADIUS_M), domain.longitude + math.degrees(x / east)


def around(
    observations: Iterable[Observation],
    latitude: float,
    longitude: float,
    margin_m: float = 100.0,
    cell_m: float = 100.0,
) -> Domain:
    """The smallest whole-cell domain that holds every sensor and a margin. Cells are cut at multiples of `cell_m`.

    The origin is given, not derived, so that the grid stays where it is when a sensor is added.
    """
    origin = Domain(latitude, longitude, 0.0, 0.0, 0.0, 0.0)
    places = [to_local(origin, seen.latitude, seen.longitude) for seen in observations]
    if not places:
        raise ValueError("no observation, hence no domain")
    xs, ys = zip(*places, strict=True)
    low, high = math.floor, math.ceil
    return Domain(
        latitude,
        longitude,
        west_m=cell_m * low((min(xs) - margin_m) / cell_m),
        south_m=cell_m * low((min(ys) - margin_m) / cell_m),
        east_m=cell_m * high((max(xs) + margin_m) / cell_m),
        north_m=cell_m * high((max(ys) + margin_m) / cell_m),
    )


def shape(domain: Domain, cell_m: float) -> tuple[int, int]:
    """Columns and rows of the published grid."""
    return round((domain.east_m - domain.west_m) / cell_m), round((domain.north_m - domain.south_m) / cell_m)


def cell_of(domain: Domain, cell_m: float, x: float, y: float) -> tuple[int, int]:
    """Column and row of the cell that holds a local point; points beyond the edge belong to the edge cell."""
    columns, rows = shape(domain, cell_m)
    column = math.floor((x - domain.west_m) / cell_m)
    row = math.floor((y - domain.south_m) / cell_m)
    return min(max(column, 0), columns - 1), min(max(row, 0), rows - 1)


def cell_id(column: int, row: int) -> str:
    """The name of a cell."""
    return f"c{column:03d}r{row:03d}"


def cell_ring(domain: Domain, cell_m: float, column: int, row: int) -> list[list[float]]:
    """The closed counter-clockwise ring of a cell as [longitude, latitude], six decimals (RFC 7946, 3.1.6)."""
    west, south = domain.west_m + column * cell_m, domain.south_m + row * cell_m
    corners = [(0.0, 0.0), (cell_m, 0.0), (cell_m, cell_m), (0.0, cell_m), (0.0, 0.0)]
    ring = [to_degrees(domain, west + dx, south + dy) for dx, dy in corners]
    return [[round(longitude, 6), round(latitude, 6)] for latitude, longitude in ring]
