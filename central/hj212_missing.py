"""Which periods of an outlet are missing, and what became of asking for them: reads and writes of the store alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import apsw

from central.hj212_routes import Route
from metrology.periods import HOUR_S, MINUTE_S, iso, parse_iso, period_start

# What has just ended is on its way: a period counts as missing once it ended so long ago (world time).
LATE_S: Final = 600
# Periods of one request, by its CN: an hour of minutes, two days of hours.
PERIODS_MAX: Final = {"2051": 60, "2061": 48}
ATTEMPTS_MAX: Final = 3
# Wall seconds until the same period may be asked for again, by how often it was.
PAUSES_S: Final = (600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Range:
    """Periods in a row that are missing: `starts` of them, to be asked for by `cn`."""

    cn: str
    period_s: int
    starts: tuple[str, ...]


def find(db: apsw.Connection, route: Route, now: datetime, wall: float, days: float) -> list[Range]:
    """Ranges to be asked for now, newest first, of an outlet that has sent such periods before."""
    found: list[Range] = []
    for cn, period_s in (("2051", route.period_s(MINUTE_S)), ("2061", HOUR_S)):
        end = period_start(now - timedelta(seconds=LATE_S + period_s), period_s)
        begin = _begin(db, route, period_s, period_start(now - timedelta(days=days), period_s))
        if begin is None:
            continue
        there = _present(db, route, period_s, begin) | _not_now(db, route.outlet.mn, period_s, wall)
        found += _ranges(cn, period_s, (start for start in _grid(begin, end, period_s) if start not in there))
    return found[::-1]


def _begin(db: apsw.Connection, route: Route, period_s: int, earliest: datetime) -> datetime | None:
    """From when on its periods are expected: from its first one, but not before `earliest`; None without any."""
    firsts = [
        db.execute(
            "SELECT start FROM average WHERE station_id = ? AND series = ? AND period_s = ? ORDER BY start LIMIT 1",
            (route.station_id, factor.series, period_s),
        ).get
        for factor in route.factors.values()
    ]
    known = [parse_iso(first) for first in firsts if first is not None]
    return max(min(known), earliest) if known else None


def _present(db: apsw.Connection, route: Route, period_s: int, begin: datetime) -> set[str]:
    """Starts of the periods that came, by whichever way, with whichever series."""
    found: set[str] = set()
    for factor in route.factors.values():
        rows: Iterable[Any] = db.execute(
            "SELECT start FROM average WHERE station_id = ? AND series = ? AND start >= ? AND period_s = ?",
            (route.station_id, factor.series, iso(begin), period_s),
        )
        found.update(start for (start,) in rows)
    return found


def _not_now(db: apsw.Connection, mn: str, period_s: int, wall: float) -> set[str]:
    """Starts that were asked for: for good, or too short a time ago."""
    rows: Iterable[Any] = db.execute(
        "SELECT start, attempts, verdict, asked_wall FROM hj212_missing WHERE mn = ? AND period_s = ?", (mn, period_s)
    )
    return {
        start
        for start, attempts, verdict, asked in rows
        if verdict != "open" or wall < asked + PAUSES_S[min(attempts, len(PAUSES_S)) - 1]
    }


def _grid(begin: datetime, end: datetime, period_s: int) -> Iterable[str]:
    step = timedelta(seconds=period_s)
    while begin <= end:
        yield iso(begin)
        begin += step


def _ranges(cn: str, period_s: int, missing: Iterable[str]) -> list[Range]:
    rows: list[list[str]] = []
    for start in missing:
        follows = rows and parse_iso(start) - parse_iso(rows[-1][-1]) == timedelta(seconds=period_s)
        if not follows or len(rows[-1]) == PERIODS_MAX[cn]:
            rows.append([])
        rows[-1].append(start)
    return [Range(cn, period_s, tuple(starts)) for starts in rows]


def note(db: apsw.Connection, mn: str, asked: Range, wall: float, *, absent: bool) -> None:
    """Remember that a range was asked for; `absent` where the station said that it has no such data."""
    with db:
        db.executemany(
            "INSERT INTO hj212_missing VALUES(?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET attempts = attempts + 1,"
            " asked_wall = excluded.asked_wall, verdict = iif(excluded.verdict = 'open' AND attempts + 1 >= ?,"
            " 'given-up', excluded.verdict)",
            [(mn, asked.period_s, start, "absent" if absent else "open", wall, ATTEMPTS_MAX) for start in asked.starts],
        )


def forget(db: apsw.Connection, route: Route, before: str) -> None:
    """Drop what has come meanwhile, and what is older than anybody asks for."""
    series = [factor.series for factor in route.factors.values()]
    with db:
        db.execute("DELETE FROM hj212_missing WHERE mn = ? AND start < ?", (route.outlet.mn, before))
        db.execute(
            "DELETE FROM hj212_missing WHERE mn = ? AND EXISTS (SELECT 1 FROM average AS a WHERE a.station_id = ? AND"
            f" a.series IN ({', '.join('?' * len(series))}) AND a.start = hj212_missing.start"
            " AND a.period_s = hj212_missing.period_s AND a.revision = 0)",
            (route.outlet.mn, route.station_id, *series),
        )


def counts(db: apsw.Connection, mns: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many periods were asked for and are still not there, by MN and verdict."""
    rows: Iterable[Any] = db.execute("SELECT mn, verdict, count(*) FROM hj212_missing GROUP BY mn, verdict")
    found: dict[str, dict[str, int]] = {mn: {} for mn in mns}
    for mn, verdict, count in rows:
        if mn in found:
            found[mn][verdict] = count
    return found
