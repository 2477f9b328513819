"""Results as GeoJSON (RFC 7946): longitude and latitude in WGS-84, six decimals, null where nothing is known."""

from typing import Any

from inversion.data import Cell, Result, Source
from inversion.geo import cell_ring


def candidates(result: Result) -> dict[str, Any]:
    """The found sources as points."""
    return _collection([_candidate(number, source) for number, source in enumerate(result.sources, 1)])


def coverage(result: Result) -> dict[str, Any]:
    """The published grid as polygons."""
    return _collection([_polygon(result, cell) for cell in result.cells])


def _candidate(number: int, source: Source) -> dict[str, Any]:
    low, high = source.interval95
    return {
        "type": "Feature",
        "id": number,
        "geometry": {"type": "Point", "coordinates": [round(source.longitude, 6), round(source.latitude, 6)]},
        "properties": {
            "probability": round(source.probability, 4),
            "rate_kg_h": round(source.rate_kg_h, 3),
            "q2_5_kg_h": round(low, 3),
            "q97_5_kg_h": round(high, 3),
            "height_m": round(source.height_m, 2),
            "position_covariance_m2": [round(value, 2) for value in source.position_covariance],
            "cell": source.cell,
            "evidence": round(source.evidence, 2),
        },
    }


def _polygon(result: Result, cell: Cell) -> dict[str, Any]:
    ring = cell_ring(result.domain, result.settings.cell_m, cell.column, cell.row)
    return {
        "type": "Feature",
        "id": cell.id,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "state": cell.state,
            "q_min_kg_h": None if cell.q_min_kg_h is None else round(cell.q_min_kg_h, 3),
            "rate_kg_h": None if cell.rate_kg_h is None else round(cell.rate_kg_h, 3),
        },
    }


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}
