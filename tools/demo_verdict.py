"""What came of a demo run: the outside comparison, and the sources found beside the hidden truth."""

import json
import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo_setup import Run

COMPARE = Path(__file__).resolve().parent / "compare.py"
ERROR_M_MAX = 50.0
RATE_ERROR_MAX = 0.30
AGE_S_MAX = 3.0
METRES_PER_DEGREE = 111_195.0  # mean Earth radius of 6,371 km


def compare(out: Path, store: Path, outages: list[tuple[float, float]]) -> dict[str, Any]:
    """Run the comparison script as its own process."""
    flags = [part for start, end in outages for part in ("--outage", f"{start:.3f},{end:.3f}")]
    command = [sys.executable, str(COMPARE), str(out), str(store), "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"comparison failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def distance_m(a: dict[str, float], b: dict[str, float]) -> float:
    """Metres between two places some kilometres apart at most."""
    north = (a["latitude"] - b["latitude"]) * METRES_PER_DEGREE
    east = (a["longitude"] - b["longitude"]) * METRES_PER_DEGREE * math.cos(math.radians(a["latitude"]))
    return math.hypot(north, east)


def published(store: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The newest attribution run and its sources."""
    with sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        run = db.execute("SELECT id, at, observations, seconds FROM run ORDER BY at DESC LIMIT 1").fetchone()
        rows = db.execute("SELECT * FROM source WHERE run = ? ORDER BY number", (run["id"],)) if run else []
        return (dict(run) if run else None), [dict(row) for row in rows]


def matched(leaks: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each true leak with the nearest found source not yet taken; found ones left over stand alone."""
    left = list(found)
    rows: list[dict[str, Any]] = []
    for leak in leaks:
        row: dict[str, Any] = {"true": leak, "found": None, "error_m": None, "rate_error": None}
        if left:
            nearest = min(left, key=lambda source: distance_m(source, leak))
            left.remove(nearest)
            row["found"] = nearest
            row["error_m"] = round(distance_m(nearest, leak), 1)
            row["rate_error"] = round(nearest["rate_kg_h"] / leak["rate_kg_h"] - 1, 3)
        rows.append(row)
    return rows + [{"true": None, "found": source, "error_m": None, "rate_error": None} for source in left]


def is_right(row: dict[str, Any]) -> bool:
    """Found where and as large as it is, within the required errors."""
    if row["true"] is None or row["found"] is None:
        return False
    return bool(row["error_m"] <= ERROR_M_MAX and abs(row["rate_error"]) <= RATE_ERROR_MAX)


def judge(run: Run, outages: list[tuple[float, float]], *, leak: bool) -> dict[str, Any]:
    """The whole verdict; `ok` where the line held and the field's leak was found, or none where there is none."""
    result = compare(run.out, run.store, outages)
    truth = json.loads((run.out / "truth.json").read_text())
    attribution, found = published(run.store)
    keys = ("latitude", "longitude", "height_m", "rate_kg_h")
    leaks = [{key: leak_[key] for key in keys} for leak_ in truth["leaks"]]
    result["sources"] = matched(leaks, found)
    result["attribution"] = attribution
    result["line_held"] = result["lost"] == 0 and result["duplicates"] == 0 and result["readings"] > 0
    result["young_enough"] = result["p95_age_s"] is not None and result["p95_age_s"] < AGE_S_MAX
    result["sources_right"] = attribution is not None and all(is_right(row) for row in result["sources"])
    # Without a leak every row of `sources` is a false one, so an empty list is right.
    result["ok"] = result["line_held"] and result["young_enough"] and result["sources_right"] and bool(leaks) == leak
    return result
