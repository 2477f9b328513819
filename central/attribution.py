"""Source attribution of one window: what the store holds of it, given to the inversion.

Runs in a process of its own, because it needs numpy and a processor for a while; the daemon only waits for it.
"""

import math
from datetime import datetime, timedelta
from typing import Any, Final

import apsw

from central.config import Attribution, Config
from central.rollup import is_valid
from host.shapes import Position
from inversion.attribute import attribute
from inversion.data import Domain, MetRow, Observation, Result, Settings
from inversion.geo import around, to_local
from metrology.periods import MINUTE_S, iso, parse_iso
from metrology.units import convert

KELVIN: Final = 273.15


def attribute_window(config: Config, settings: Attribution, db: apsw.Connection, until: datetime) -> Result:
    """Find the sources of the window that ends at `until`. Raises ValueError where the data do not allow it."""
    start = until - timedelta(hours=settings.window_h)
    observations = read_observations(config, settings, db, start, until)
    met = read_met(config, settings, db, start, until)
    # The probability that is asked for is that of exceeding the threshold, so nothing below it is published.
    choice = Settings(gas=settings.gas, publication_floor_kg_h=settings.threshold_kg_h)
    return attribute(observations, met, domain_of(config, settings, observations, choice.cell_m), choice)


def _minutes(db: apsw.Connection, station_id: str, series: str, start: datetime, end: datetime) -> list[Any]:
    """Valid minutes by highest revision: (start, unit, n, mean, sd, uncertainty)."""
    rows: Any = db.execute(
        "SELECT start, unit, n, mean, sd, uncertainty, causes, max(revision) FROM average WHERE station_id = ?"
        " AND series = ? AND start >= ? AND start < ? AND period_s = ? GROUP BY start ORDER BY start",
        (station_id, series, iso(start), iso(end), MINUTE_S),
    )
    return [row[:6] for row in rows if row[3] is not None and is_valid(row[6])]


def read_observations(
    config: Config, settings: Attribution, db: apsw.Connection, start: datetime, end: datetime
) -> list[Observation]:
    """All valid minutes of the measurands at instruments with a position, in umol/mol."""
    found = []
    for station_id, station in config.stations.items():
        for instrument, place in station.instruments.items():
            names = (f"{instrument}.{measurand}" for measurand in settings.measurands)
            minutes = next(filter(None, (_minutes(db, station_id, name, start, end) for name in names)), [])
            found += [_observation(f"{station_id}.{instrument}", place, row) for row in minutes]
    return found


def _observation(sensor: str, place: Position, row: tuple[Any, ...]) -> Observation:
    at, unit, n, mean, sd, uncertainty = row
    scale = convert(1.0, unit, "umol/mol")
    return Observation(
        sensor=sensor,
        latitude=place.latitude,
        longitude=place.longitude,
        height_m=place.height_m,
        start=parse_iso(at),
        period_s=MINUTE_S,
        mean=mean * scale,
        sd=(sd or 0.0) * scale,
        n=n or 1,
        uncertainty=None if uncertainty is None else uncertainty * scale,
    )


def read_met(
    config: Config, settings: Attribution, db: apsw.Connection, start: datetime, end: datetime
) -> list[MetRow]:
    """Minutes of the mast with both speed and direction; temperature and pressure where they are there."""
    met = settings.meteorology
    place = config.stations[met.station].instruments[met.mast]

    def series(measurand: str) -> dict[str, Any]:
        return {row[0]: row for row in _minutes(db, met.station, f"{met.mast}.{measurand}", start, end)}

    speed, direction = series(met.wind_speed), series(met.wind_direction)
    temperature, pressure = series(met.temperature), series(met.pressure)
    return [
        MetRow(
            start=parse_iso(at),
            period_s=MINUTE_S,
            speed=speed[at][3],
            direction_from=direction[at][3],
            sigma_theta=direction[at][4],
            temperature_K=temperature[at][3] + KELVIN if at in temperature else None,
            pressure_Pa=convert(pressure[at][3], pressure[at][1], "Pa") if at in pressure else None,
            height_m=place.height_m,
        )
        for at in sorted(speed.keys() & direction.keys())
    ]


def domain_of(config: Config, settings: Attribution, observations: list[Observation], cell_m: float) -> Domain:
    """The published area; its origin is the mast, so that the grid stays where it is."""
    met = settings.meteorology
    origin = config.stations[met.station].instruments[met.mast]
    sides = settings.domain.sides
    if sides is None:
        return around(observations, origin.latitude, origin.longitude, settings.domain.margin_m, cell_m)
    point = Domain(origin.latitude, origin.longitude, 0, 0, 0, 0)
    west, south = to_local(point, sides.south, sides.west)
    east, north = to_local(point, sides.north, sides.east)
    low, high = math.floor, math.ceil
    return Domain(
        origin.latitude,
        origin.longitude,
        west_m=cell_m * low(west / cell_m),
        south_m=cell_m * low(south / cell_m),
        east_m=cell_m * high(east / cell_m),
        north_m=cell_m * high(north / cell_m),
    )
