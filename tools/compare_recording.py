#!/usr/bin/env python3
"""Compare the centre's store with a recorded Picarro file, from outside: nothing of the programs is imported.

    tools/compare_recording.py FILE STORE.sqlite

Every row once and in the file's order, the fresh values of each minute averaged as numpy averages them, minutes and
hours by HJ 212, the dry mole fractions recomputed from the wet ones. Prints one JSON object; exit 0 where all holds.
"""

import json
import sqlite3
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

STATION, INSTRUMENT, SETTLE_S = "tower-01", "crds", 60.0
COLUMN = {"co2": "CO2", "co2_dry": "CO2_dry", "ch4": "CH4", "ch4_dry": "CH4_dry", "h2o": "H2O",
          "h2o_reported": "h2o_reported"}  # fmt: skip
FRESH_AT = {"co2": 1, "ch4": 2, "h2o": 3, "h2o_reported": 3, "co2_dry": 3, "ch4_dry": 3}
MEAN_ERROR_MAX = 1e-9
DRY_ERROR_MAX = {"co2": 0.02, "ch4": 0.0001}

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """Rows of the file: time, numbers by column, and whether the port is between numbers or has just changed."""
    lines = path.read_text().split("\n")
    names = lines[0].split()
    rows: list[Row] = []
    port, changed = None, None
    for line in filter(str.strip, lines[1:]):
        row: Row = dict(zip(names, line.split(), strict=True))
        row = {name: float(text) for name, text in row.items() if name not in ("DATE", "TIME")}
        # TIME is cut to the millisecond where EPOCH_TIME is rounded; the recording is played by EPOCH_TIME.
        at = row["at"] = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(row["EPOCH_TIME"] * 1000))
        between = not row["MPVPosition"].is_integer()
        if not between and row["MPVPosition"] != port:
            changed = at if port is not None else None
            port = row["MPVPosition"]
        row["flagged"] = between or (changed is not None and at - changed < timedelta(seconds=SETTLE_S))
        rows.append(row)
    return rows


def scans_of(store: sqlite3.Connection) -> list[Row]:
    """Scans at the centre, in the order the station wrote them."""
    found: dict[tuple[int, int], Row] = {}
    query = (
        "SELECT epoch, seq, at, measurand, value, causes FROM raw WHERE station_id = ? AND instrument = ? "
        "AND value IS NOT NULL ORDER BY epoch, seq"
    )
    for epoch, seq, at, measurand, value, causes in store.execute(query, (STATION, INSTRUMENT)):
        scan = found.setdefault((epoch, seq), {"at": at, "values": {}, "causes": {}})
        scan["values"][measurand] = value
        scan["causes"][measurand] = set(causes.split(",")) - {""}
    return list(found.values())


def order(rows: list[Row], scans: list[Row]) -> Row:
    """Whether every row is there once, in order, unchanged."""
    expected = [(row["at"], *(row[column] for column in COLUMN.values())) for row in rows]
    arrived = [(datetime.fromisoformat(scan["at"]), *(scan["values"].get(name) for name in COLUMN)) for scan in scans]
    return {"rows": len(rows), "arrived": len(scans), "in_order": arrived == expected}


def marks(rows: list[Row], scans: list[Row]) -> Row:
    """Whether values are stale exactly where `species` says, and flagged exactly while the valve turns or settles."""
    wrong_fresh = wrong_flag = 0
    for row, scan in zip(rows, scans, strict=False):
        for name, causes in scan["causes"].items():
            wrong_fresh += ("stale" in causes) == (FRESH_AT[name] == row["species"])
            wrong_flag += ("flush" in causes) != row["flagged"]
    return {"wrong_fresh": wrong_fresh, "wrong_flag": wrong_flag, "flagged_rows": sum(row["flagged"] for row in rows)}


def minutes(rows: list[Row]) -> dict[tuple[str, datetime], list[float]]:
    """Values that belong into each minute mean."""
    found: dict[tuple[str, datetime], list[float]] = defaultdict(list)
    for row in rows:
        for name, column in COLUMN.items():
            if row["species"] == FRESH_AT[name] and not row["flagged"]:
                found[name, row["at"].replace(second=0, microsecond=0)].append(row[column])
    return found


def averages(store: sqlite3.Connection, period_s: int) -> dict[tuple[str, datetime], Row]:
    """Averages at the centre by measurand and start."""
    query = "SELECT series, start, n, mean, causes, via FROM average WHERE station_id = ? AND period_s = ?"
    return {
        (series.split(".")[1], datetime.fromisoformat(start)): {"n": n, "mean": mean, "causes": causes, "via": via}
        for series, start, n, mean, causes, via in store.execute(query, (STATION, period_s))
    }


def means(values: dict[tuple[str, datetime], list[float]], found: dict[tuple[str, datetime], Row]) -> Row:
    """Largest difference of a mean from numpy's, and how many means or counts are missing or wrong."""
    errors = [abs(found[key]["mean"] - np.mean(v)) for key, v in values.items() if key in found and found[key]["n"]]
    wrong = sum(key not in found or found[key]["n"] != len(v) for key, v in values.items())
    empty = sum(row["mean"] is not None for key, row in found.items() if key not in values)
    return {"means": len(values), "wrong_counts": wrong + empty, "worst_error": float(max(errors, default=np.inf))}


def hours(values: dict[tuple[str, datetime], list[float]], found: dict[tuple[str, datetime], Row]) -> Row:
    """The two incomplete hours: sent as invalid, mean and count right all the same."""
    expected: dict[tuple[str, datetime], list[float]] = defaultdict(list)
    for (name, start), members in values.items():
        expected[name, start.replace(minute=0)] += members
    invalid = all("incomplete" in found[key]["causes"] for key in expected if key in found)
    return {**means(expected, found), "all_invalid": invalid}


def dry(scans: list[Row]) -> dict[str, float]:
    """Median difference between recomputed and reported dry mole fractions where the water is fresh (umol/mol).

    dry = wet / (1 - a H - b H2), H the reported water in % (Rella et al. 2013, AMT 6, 837).
    """
    fresh = [scan["values"] for scan in scans if "stale" not in scan["causes"].get("h2o_reported", {"stale"})]
    water = np.array([row["h2o_reported"] for row in fresh])
    found = {}
    for gas, a, b in (("co2", 0.01200, 2.674e-4), ("ch4", 0.00982, 2.393e-4)):
        wet, reported = (np.array([row[name] for row in fresh]) for name in (gas, f"{gas}_dry"))
        found[gas] = float(np.median(np.abs(wet / (1 - a * water - b * water**2) - reported)))
    return found


def compare(path: Path, store: sqlite3.Connection) -> dict[str, Any]:
    """The whole comparison."""
    rows, scans = rows_of(path), scans_of(store)
    values, by_minute, by_hour = minutes(rows), averages(store, 60), averages(store, 3600)
    sent = {key for key in by_minute if key[0] in ("co2_dry", "ch4_dry")}
    result: dict[str, Any] = {
        "order": order(rows, scans),
        "marks": marks(rows, scans),
        "minutes": means(values, by_minute),
        "hours": hours(values, by_hour),
        "dry_difference": dry(scans),
        "hj212_minutes": sum("hj212" in by_minute[key]["via"] for key in sent),
        "hj212_minutes_due": len(sent),
        "hj212_acked": store.execute("SELECT count(*) FROM hj212_frame WHERE acknowledged").fetchone()[0],
        "disagreements": store.execute("SELECT count(*) FROM event WHERE what LIKE '%disagree%'").fetchone()[0],
    }
    result["ok"] = (
        result["order"]["in_order"]
        and result["marks"]["wrong_fresh"] == result["marks"]["wrong_flag"] == 0
        and all(
            part["wrong_counts"] == 0 and part["worst_error"] < MEAN_ERROR_MAX
            for part in (result["minutes"], result["hours"])
        )
        and result["hours"]["all_invalid"]
        and all(result["dry_difference"][gas] < limit for gas, limit in DRY_ERROR_MAX.items())
        and result["hj212_minutes"] == result["hj212_minutes_due"] > 0
        and result["disagreements"] == 0
    )
    return result


if __name__ == "__main__":
    with sqlite3.connect(f"{Path(sys.argv[2]).resolve().as_uri()}?mode=ro", uri=True) as opened:
        verdict = compare(Path(sys.argv[1]), opened)
    print(json.dumps(verdict, indent=1))
    sys.exit(0 if verdict["ok"] else 1)
