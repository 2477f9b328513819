"""What the pages show, put together of the store and the configuration: each view is one read, its answer is JSON."""

from datetime import UTC, datetime
from typing import Any, Final

import apsw

from central import queries
from central.config import Config, Station
from metrology.clock import Clock
from metrology.measurand import catalogue
from metrology.periods import iso

View = dict[str, Any]

CHART_POINTS_MAX: Final = 2000
CHART_COLUMNS: Final = ("start", "mean", "minimum", "maximum", "causes", "via")


def stations(db: apsw.Connection, config: Config, clock: Clock) -> View:
    """Every station with its state and latest values, and which attribution run is the newest (None before one)."""
    states = {row["station_id"]: row for row in queries.station_states(db)}
    values = queries.latest_by_station(db)
    return {
        "now": iso(clock.now()),
        "rate": clock.rate,
        "run": _stamp(queries.newest_run(db)),
        "stations": [_station(n, b, states.get(n), values.get(n, [])) for n, b in config.stations.items()],
    }


def _stamp(run: View | None) -> str | None:
    """Another text for another run: an hour that is computed again keeps its time and may keep its id."""
    return f"{run['id']}/{run['at']}/{run['seconds']}" if run else None


def _station(name: str, block: Station, state: View | None, rows: queries.Rows) -> View:
    return {
        "id": name,
        "name_zh": block.name_zh,
        "name_en": block.name_en,
        "position": block.position.model_dump(),
        "state": None if state is None else ("online" if state["online"] else "offline"),
        "newest": max((row["at"] for row in rows), default=None),
        "instruments": {
            instrument: {"position": place.model_dump(), "values": _values(instrument, rows)}
            for instrument, place in block.instruments.items()
        },
    }


def _values(instrument: str, rows: queries.Rows) -> View:
    """Values of one instrument by measurand."""
    return {
        row["series"].partition(".")[2]: {
            "at": row["at"], "value": row["value"], "unit": row["unit"], "causes": _causes(row["causes"])
        }
        for row in rows
        if row["series"].partition(".")[0] == instrument
    }  # fmt: skip


def _causes(text: str) -> list[str]:
    return text.split(",") if text else []


def values(db: apsw.Connection, config: Config, clock: Clock, station: str) -> View:
    """Latest value of every series of a station, with the names people read."""
    labels = config.stations[station].series
    rows = []
    for row in queries.latest_values(db, station):
        rows.append({**row, "causes": _causes(row["causes"]), **_names(row["series"], labels)})
    return {"now": iso(clock.now()), "values": rows}


def _names(series: str, labels: Any) -> dict[str, str]:
    if series in labels:
        return {"name_en": labels[series].en, "name_zh": labels[series].zh}
    measurand = series.partition(".")[2]
    known = catalogue().get(measurand)
    return {"name_en": known.name_en if known else measurand, "name_zh": known.name_zh if known else measurand}


def averages(db: apsw.Connection, station: str, series: str, period_s: int, start: str, end: str) -> View:
    """Averages of a series, column by column (CHART_COLUMNS), oldest first; `circular` is true of directions."""
    rows = queries.averages(db, station, series, period_s, start, end, CHART_POINTS_MAX)
    measurand = catalogue().get(series.partition(".")[2])
    return {
        "series": series,
        "period_s": period_s,
        "unit": rows[-1]["unit"] if rows else None,
        "circular": measurand is not None and measurand.averaging == "circular",
        **{column: [row[column] for row in rows] for column in CHART_COLUMNS},
    }


def attribution(db: apsw.Connection) -> View:
    """The newest run with its sources and its grid; `run` is None before the first."""
    run = queries.newest_run(db)
    if run is None:
        return {"run": None, "stamp": None, "sources": [], "cells": []}
    return {
        "run": run,
        "stamp": _stamp(run),
        "sources": queries.sources(db, run["id"]),
        "cells": queries.cells(db, run["id"]),
    }


def health(db: apsw.Connection, config: Config, clock: Clock) -> View:
    """State of the store, and checkpoints by station and verdict."""
    found = queries.health(db, datetime.now(UTC).timestamp(), clock.now(), clock.rate)
    return {**found, "ledger": {name: queries.checkpoints(db, name) for name in config.stations}}
