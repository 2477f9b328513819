"""What pages and API read: short reads on a connection of their own; rows are plain dicts, their number is bounded."""

import json
import math
from datetime import datetime, timedelta
from typing import Any, Final

import apsw

from host.sqlite import open_database
from metrology.periods import parse_iso

Rows = list[dict[str, Any]]

POINTS_MAX: Final = 5000
EVENTS_MAX: Final = 500
ITEMS_MAX: Final = 500
AGE_WINDOW_S: Final = 600
AGES_MAX: Final = 5000
# A value by HJ 212 or an average takes the place of scans once it is newer by this much (world time).
STALE_AFTER_S: Final = 120
_PREFERENCE: Final = {"scan": 2, "average": 1, "hj212": 0}


def open_reader(path: str) -> apsw.Connection:
    """Open the store to read only, beside its writer. Raises apsw.Error where it is not there."""
    return open_database(path, exclusive=False, read_only=True)


def _rows(db: apsw.Connection, sql: str, *values: Any) -> Rows:
    cursor = db.execute(sql, values)
    return [{column[0]: cell for column, cell in zip(cursor.get_description(), row, strict=True)} for row in cursor]


def station_states(db: apsw.Connection) -> Rows:
    """station_id, online (0 or 1), state_wall of each station that ever spoke, and the time of its newest record."""
    return _rows(
        db,
        "SELECT station_id, online, state_wall, (SELECT max(at) FROM latest WHERE latest.station_id ="
        " station.station_id) AS newest FROM station ORDER BY station_id",
    )


def latest_values(db: apsw.Connection, station_id: str) -> Rows:
    """Newest value of each series: series, source, at, value, unit, causes; one row a series, sorted by series.

    Scans are preferred while they are not older than STALE_AFTER_S against what came by another way.
    """
    return _preferred(
        _rows(db, "SELECT series, source, at, value, unit, causes FROM latest WHERE station_id = ?", station_id)
    )


def latest_by_station(db: apsw.Connection) -> dict[str, Rows]:
    """Rows of `latest_values` by station, of all that ever sent a value."""
    found: dict[str, Rows] = {}
    for row in _rows(db, "SELECT station_id, series, source, at, value, unit, causes FROM latest"):
        found.setdefault(row["station_id"], []).append(row)
    return {station: _preferred(rows) for station, rows in found.items()}


def _preferred(rows: Rows) -> Rows:
    best: dict[str, dict[str, Any]] = {}
    margin = timedelta(seconds=STALE_AFTER_S)
    for row in sorted(rows, key=lambda row: -_PREFERENCE[row["source"]]):
        held = best.get(row["series"])
        if held is None or parse_iso(row["at"]) > parse_iso(held["at"]) + margin:
            best[row["series"]] = row
    return [best[series] for series in sorted(best)]


def series_list(db: apsw.Connection, station_id: str) -> list[str]:
    """Names of all series that have averages or latest values."""
    rows = _rows(db, "SELECT DISTINCT series FROM latest WHERE station_id = ? ORDER BY series", station_id)
    return [row["series"] for row in rows]


def averages(
    db: apsw.Connection, station_id: str, series: str, period_s: int, start: str, end: str, limit: int = POINTS_MAX
) -> Rows:
    """Averages with start <= period start < end, each by its highest revision, the newest `limit`, oldest first.

    Each: start, unit, revision, n, valid, mean, minimum, maximum, sd, causes, via. Times are ISO, UTC.
    """
    rows = _rows(
        db,
        "SELECT start, unit, max(revision) AS revision, n, valid, mean, minimum, maximum, sd, causes, via FROM average"
        " WHERE station_id = ? AND series = ? AND start >= ? AND start < ? AND period_s = ? GROUP BY start"
        " ORDER BY start DESC LIMIT ?",
        station_id,
        series,
        start,
        end,
        period_s,
        min(limit, POINTS_MAX),
    )
    return rows[::-1]


def hours(db: apsw.Connection, station_id: str, series: str, start: str, end: str) -> Rows:
    """Roll-ups of the valid minutes: start, unit, minutes, mean, minimum, maximum; at most POINTS_MAX, oldest first."""
    rows = _rows(
        db,
        "SELECT start, unit, minutes, mean, minimum, maximum FROM hour WHERE station_id = ? AND series = ?"
        " AND start >= ? AND start < ? ORDER BY start DESC LIMIT ?",
        station_id,
        series,
        start,
        end,
        POINTS_MAX,
    )
    return rows[::-1]


def events(db: apsw.Connection, station_id: str | None = None, before: str = "9", limit: int = 100) -> Rows:
    """Newest events first: id, station_id, at, what, origin, detail (decoded); `before` is the `at` to go on from."""
    rows = _rows(
        db,
        "SELECT id, station_id, at, what, origin, detail FROM event WHERE at < ? AND (? IS NULL OR station_id = ?)"
        " ORDER BY at DESC, id LIMIT ?",
        before,
        station_id,
        station_id,
        min(limit, EVENTS_MAX),
    )
    return [{**row, "detail": json.loads(row["detail"])} for row in rows]


def hj212_items(db: apsw.Connection, mns: list[str]) -> Rows:
    """Newest value of each name that was uploaded under these MNs: mn, cn, data_time, name, value."""
    return _rows(
        db,
        "SELECT mn, cn, max(data_time) AS data_time, name, value FROM hj212_item WHERE mn IN"
        f" ({', '.join('?' * len(mns))}) GROUP BY mn, cn, name ORDER BY mn, cn, name LIMIT ?",
        *mns,
        ITEMS_MAX,
    )


def newest_run(db: apsw.Connection) -> dict[str, Any] | None:
    """The newest attribution: id, at, from_at, gas, observations, seconds, detail (decoded); None before the first."""
    rows = _rows(db, "SELECT * FROM run ORDER BY at DESC LIMIT 1")
    return {**rows[0], "detail": json.loads(rows[0]["detail"])} if rows else None


def sources(db: apsw.Connection, run: int) -> Rows:
    """Sources of a run, strongest evidence first."""
    return _rows(db, "SELECT * FROM source WHERE run = ? ORDER BY number", run)


def cells(db: apsw.Connection, run: int) -> Rows:
    """Cells of a run's grid: id, south, west, north, east, state (covered, weak, none), detection_kg_h, rate_kg_h."""
    return _rows(db, "SELECT * FROM cell WHERE run = ? ORDER BY id", run)


def checkpoints(db: apsw.Connection, station_id: str) -> Rows:
    """How many checkpoints of a station have which verdict, and the size the newest stands for; `cosigned` last."""
    return _rows(
        db,
        "SELECT verdict, count(*) AS count, max(size) AS size FROM checkpoint WHERE station_id = ?1 GROUP BY verdict"
        " UNION ALL SELECT 'cosigned', count(*), max(size) FROM cosignature WHERE station_id = ?1 HAVING count(*) > 0",
        station_id,
    )


def health(db: apsw.Connection, wall: float, world: datetime, rate: float) -> dict[str, Any]:
    """State of the centre at unix time `wall`, when the world's clock says `world` and runs `rate` times as fast.

    `backlog` counts numbers that are known to be missing; `p95_age_s` is how old scans were when they were committed,
    in wall seconds, over the newest AGES_MAX of the last ten minutes (both ends' clocks compared), None without any;
    `dead_letters` is a total, `letters` and `refused` are the newest kinds.
    """
    holes = _rows(
        db,
        "SELECT station_id, epoch, max(to_seq) + 1 - sum(to_seq - from_seq + 1) AS missing FROM coverage"
        " GROUP BY station_id, epoch HAVING missing > 0",
    )
    return {
        "backlog": sum(row["missing"] for row in holes),
        "missing": holes,
        "p95_age_s": _p95_age(db, wall, world, rate),
        "dead_letters": _rows(db, "SELECT coalesce(sum(count), 0) AS count FROM dead_letter")[0]["count"],
        "letters": _rows(
            db, "SELECT source, origin, reason, count, last_wall FROM dead_letter ORDER BY last_wall DESC LIMIT 20"
        ),
        "refused": _rows(
            db, "SELECT source, name, reason, count, last_wall FROM refused ORDER BY last_wall DESC LIMIT 20"
        ),
    }


def _p95_age(db: apsw.Connection, wall: float, world: datetime, rate: float) -> float | None:
    rows = _rows(
        db,
        "SELECT committed_wall, CAST(body AS TEXT) ->> '$.at' AS at FROM record"
        " WHERE committed_wall > ? AND kind = 'scan' ORDER BY committed_wall DESC LIMIT ?",
        wall - AGE_WINDOW_S,
        AGES_MAX,
    )
    stated = [(row["committed_wall"], row["at"]) for row in rows if isinstance(row["at"], str)]
    # A world time before `world` by so much lies 1/rate of it back on the wall.
    ages = sorted(committed - wall + (world - parse_iso(at)).total_seconds() / rate for committed, at in stated)
    return ages[math.ceil(0.95 * len(ages)) - 1] if ages else None
