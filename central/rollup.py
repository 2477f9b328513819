"""Hour roll-ups of valid minutes, recomputed whole for each touched hour, so that order and repeats change nothing.

What comes by HJ 212 comes minute by minute of thousands of series: there an hour is only marked as due, durably and in
the same transaction, and rolled up a little later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import apsw

from metrology.measurand import catalogue
from metrology.periods import HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.quality import VALID_CAUSES
from metrology.statistics import Moments, combine_circular, merge

VALID = frozenset(cause.value for cause in VALID_CAUSES)


@dataclass(slots=True)
class Touched:
    """What a transaction changed: series' hours, and periods to be compared with what HJ 212 said of them."""

    hours: set[tuple[str, str, str]] = field(default_factory=set)
    periods: set[tuple[str, str, str, int]] = field(default_factory=set)

    def add(self, station_id: str, series: str, start: str, period_s: int, revision: int) -> None:
        """Note an average that was written."""
        if revision == 0:
            self.periods.add((station_id, series, start, period_s))
        if period_s == MINUTE_S:
            self.hours.add((station_id, series, iso(period_start(parse_iso(start), HOUR_S))))


def is_valid(causes: str) -> bool:
    """Whether a value with these causes counts."""
    return not causes or VALID.issuperset(causes.split(","))


def _combined(series: str, rule: str, parts: list[Moments]) -> Moments:
    measurand = catalogue().get(series.rpartition(".")[2])
    if measurand is not None and measurand.averaging == "circular":
        return combine_circular(parts)
    return merge(parts, weighted=rule == "ghg")


def roll_up(db: apsw.Connection, station_id: str, series: str, start: str) -> None:
    """Write the hour that begins at `start` from its minutes, each by its highest revision."""
    end = iso(parse_iso(start) + timedelta(seconds=HOUR_S))
    minutes = db.execute(
        "SELECT max(revision), unit, n, mean, minimum, maximum, sd, causes, rule FROM average WHERE station_id = ?"
        " AND series = ? AND start >= ? AND start < ? AND period_s = ? GROUP BY start ORDER BY start",
        (station_id, series, start, end, MINUTE_S),
    )
    valid = [row[1:] for row in minutes if row[3] is not None and is_valid(row[7])]
    # A change of unit within the hour has no common mean: the hour shows the unit it ends with. A minute that only
    # HJ 212 brought has no count and perhaps no extremes: it weighs one and is its own extreme.
    parts = [
        Moments(n or 1, mean, mean if low is None else low, mean if high is None else high, sd)
        for unit, n, mean, low, high, sd, *_ in valid
        if unit == valid[-1][0]
    ]
    db.execute("DELETE FROM hour WHERE station_id = ? AND series = ? AND start = ?", (station_id, series, start))
    if parts:
        hour = _combined(series, valid[-1][7], parts)
        db.execute(
            "INSERT INTO hour VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (station_id, series, start, valid[-1][0], len(parts), hour.mean, hour.minimum, hour.maximum),
        )


def mark_due(db: apsw.Connection, marked: set[tuple[str, str, str]], hours: Iterable[tuple[str, str, str]]) -> None:
    """Note hours (station, series, start) that need their roll-up again; `marked` remembers those that are noted."""
    new = [hour for hour in hours if hour not in marked]
    db.executemany("INSERT OR IGNORE INTO hour_due VALUES(?, ?, ?)", new)
    marked.update(new)


def roll_up_due(db: apsw.Connection, marked: set[tuple[str, str, str]], most: int) -> int:
    """Roll up at most that many due hours in one transaction; gives how many there were."""
    with db:
        due: list[Any] = db.execute("SELECT station_id, series, start FROM hour_due LIMIT ?", (most,)).fetchall()
        for hour in due:
            roll_up(db, *hour)
        db.executemany("DELETE FROM hour_due WHERE station_id = ? AND series = ? AND start = ?", due)
        marked.difference_update(due)
    return len(due)
