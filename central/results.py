"""What an attribution found: kept in the store, published as GeoJSON, and an event where a source persists."""

import json
import math
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw

from central.config import Attribution
from central.events import put_event
from central.persistence import UPDATES, Sighting, persistent, same
from inversion.data import Result
from inversion.geo import cell_ring
from inversion.geojson import candidates, coverage
from metrology.periods import iso

RUNS_MAX: Final = 24 * 400
# The grid is kept of the newest runs only; the sources of all.
GRIDS_MAX: Final = 4


def keep(db: apsw.Connection, settings: Attribution, until: datetime, result: Result, seconds: float) -> None:
    """Store a run in one transaction; the same hour again replaces it. A persistent source becomes an event."""
    at, start = iso(until), iso(until - timedelta(hours=settings.window_h))
    detail = {"diagnostics": result.diagnostics, "inputs_sha256": result.inputs_sha256}
    with db:
        db.execute("DELETE FROM run WHERE at = ?", (at,))
        observations = int(result.diagnostics.get("rows", 0))
        row = (at, start, settings.gas, observations, seconds, json.dumps(detail))
        db.execute("INSERT INTO run(at, from_at, gas, observations, seconds, detail) VALUES(?, ?, ?, ?, ?, ?)", row)
        run = db.last_insert_rowid()
        db.executemany(f"INSERT INTO source VALUES({', '.join('?' * 12)})", source_rows(run, result))
        db.executemany(f"INSERT INTO cell VALUES({', '.join('?' * 9)})", cell_rows(run, result))
        older = "SELECT id FROM run ORDER BY at DESC LIMIT -1 OFFSET ?"
        db.execute(f"DELETE FROM cell WHERE run IN ({older})", (GRIDS_MAX,))
        db.execute(f"DELETE FROM run WHERE id IN ({older})", (RUNS_MAX,))
        raise_events(db, settings, at)


def source_rows(run: int, result: Result) -> list[tuple[Any, ...]]:
    """Rows of table `source`."""
    return [
        (
            run,
            number,
            source.latitude,
            source.longitude,
            source.height_m,
            math.sqrt((source.position_covariance[0] + source.position_covariance[2]) / 2),
            source.rate_kg_h,
            *source.interval95,
            source.probability,
            source.evidence,
            source.cell,
        )
        for number, source in enumerate(result.sources, 1)
    ]


def cell_rows(run: int, result: Result) -> list[tuple[Any, ...]]:
    """Rows of table `cell`."""
    rows = []
    for cell in result.cells:
        (west, south), _, (east, north), *_ = cell_ring(result.domain, result.settings.cell_m, cell.column, cell.row)
        rows.append((run, cell.id, south, west, north, east, cell.state, cell.q_min_kg_h, cell.rate_kg_h))
    return rows


def raise_events(db: apsw.Connection, settings: Attribution, at: str) -> None:
    """Make an event of each persistent source of the run at `at` that no earlier event speaks of."""
    runs: Any = db.execute("SELECT id FROM run WHERE at <= ? ORDER BY at DESC LIMIT ?", (at, UPDATES)).fetchall()
    updates = [_sightings(db, run) for (run,) in reversed(runs)]
    told: Any = db.execute(
        "SELECT detail FROM event WHERE what = 'source-persists' AND at < ? ORDER BY at DESC LIMIT 100", (at,)
    ).fetchall()
    known = [_sighting(json.loads(detail)) for (detail,) in told]
    for number, source in enumerate(persistent(updates), 1):
        if any(same(earlier, source) for earlier in known):
            continue
        detail = {
            "gas": settings.gas,
            "threshold_kg_h": settings.threshold_kg_h,
            "latitude": source.latitude,
            "longitude": source.longitude,
            "position_sd_m": source.position_sd_m,
            "probability": source.probability,
        }
        put_event(db, f"source/{at}/{number}", settings.meteorology.station, at, "source-persists", detail)


def _sighting(detail: Mapping[str, float]) -> Sighting:
    return Sighting(detail["latitude"], detail["longitude"], detail["position_sd_m"], detail["probability"])


def _sightings(db: apsw.Connection, run: int) -> list[Sighting]:
    rows: Any = db.execute(
        "SELECT latitude, longitude, position_sd_m, probability FROM source WHERE run = ? ORDER BY number", (run,)
    )
    return [Sighting(*row) for row in rows]


def publish(folder: Path, result: Result) -> list[Path]:
    """Write `sources.geojson` and `coverage.geojson`; a reader sees the old file or the new one, never a part."""
    written = []
    for name, document in (("sources", candidates(result)), ("coverage", coverage(result))):
        path = folder / f"{name}.geojson"
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(document, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        written.append(path)
    return written
