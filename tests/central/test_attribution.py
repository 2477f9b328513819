"""From minutes in the store to a source on the map, and when a source becomes an event."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from central import queries
from central.__main__ import main
from central.attribution import domain_of, read_met, read_observations
from central.config import Attribution, Config
from central.daemon import Centre, next_due
from central.persistence import Sighting, persistent
from central.results import keep, publish
from central.store import Store
from host.clock import clock_from
from host.shapes import Position
from inversion.attribute import attribute
from inversion.data import Domain
from inversion.geo import to_degrees
from metrology.periods import iso, parse_iso

START = parse_iso("2026-03-01T00:00:00Z")
MAST = Position(latitude=34.8, longitude=113.6, height_m=10, datum="WGS-84")
ORIGIN = Domain(34.8, 113.6, 0.0, 0.0, 0.0, 0.0)
LEAK = (40.0, -60.0)
MINUTES = 240


def plume_ppm(x: float, y: float, wind_from: float) -> float:
    """umol/mol for 1 kg/h from LEAK at 3 m above ground, Briggs D, 3.1 m/s at the plume."""
    toward = math.radians(270.0 - wind_from)
    dx, dy = x - LEAK[0], y - LEAK[1]
    along, across = dx * math.cos(toward) + dy * math.sin(toward), dy * math.cos(toward) - dx * math.sin(toward)
    if along < 1.0:
        return 0.0
    sy, sz = 0.11 * along, 0.06 * along * (1 + 0.0015 * along) ** -0.5
    vertical = math.exp(-0.5 * (1.0 / sz) ** 2) + math.exp(-0.5 * (5.0 / sz) ** 2)
    return 1e6 / 3600 * math.exp(-0.5 * (across / sy) ** 2) * vertical / (2 * math.pi * 3.1 * sy * sz) / 0.67848


SENSORS = {f"board{n}": (x, y) for n, (x, y) in enumerate((x, y) for x in (-150, 0, 150) for y in (-150, 0, 150))}


@pytest.fixture
def config(stations: dict[str, Any], tmp_path: Path) -> Config:
    """A field of nine boards around a mast."""
    places = {"mast": MAST}
    for name, (x, y) in SENSORS.items():
        latitude, longitude = to_degrees(ORIGIN, x, y)
        places[name] = Position(latitude=latitude, longitude=longitude, height_m=3, datum="WGS-84")
    tower = stations["tower"].model_copy(update={"instruments": places, "outlets": {}})
    attribution = {"window_h": 4, "meteorology": {"station": "tower", "mast": "mast"}, "threshold_kg_h": 1}
    return Config.model_validate(
        {"store": str(tmp_path / "store.db"), "stations": {"tower": tower}, "attribution": attribution}
    )


def minute_rows(index: int, rate: float) -> dict[str, Any]:
    wind_from = (200.0 + 360.0 * index / MINUTES + 5 * math.sin(index)) % 360.0
    values = {
        "mast.wind_speed": ("m/s", 4.0, 0.5),
        "mast.wind_direction": ("deg", wind_from, 8.0),
        "mast.air_temperature": ("degC", 15.0, 0.1),
        "mast.air_pressure": ("hPa", 1013.25, 0.1),
    }
    for number, (name, (x, y)) in enumerate(SENSORS.items()):
        noise = 0.01 * math.sin(12.9898 * index + 78.233 * number)
        values[f"{name}.ch4"] = ("umol/mol", 2.0 + noise + rate * plume_ppm(x, y, wind_from), 0.03)
    return {
        series: {
            "u": unit, "n": 6, "valid": 1, "mean": mean, "min": mean, "max": mean, "sd": sd, "rule": "ghg", "rev": 0,
            "final": True,
        }
        for series, (unit, mean, sd) in values.items()
    }  # fmt: skip


@pytest.fixture
def filled(config: Config, make_log: Callable[..., Any]) -> Callable[[float], Store]:
    """A store with four hours of minutes and a leak of so many kg/h."""

    def fill(rate: float) -> Store:
        log = make_log()
        for index in range(MINUTES):
            start = START + timedelta(minutes=index)
            end = iso(start + timedelta(minutes=1))
            log.add("average", start=iso(start), end=end, period_s=60, rows=minute_rows(index, rate))
        store = Store(config.store, config.stations, lambda: 1000.0)
        store.add([log.delivery(0, MINUTES - 1)])
        return store

    return fill


def settings_of(config: Config) -> Attribution:
    assert config.attribution is not None
    return config.attribution


def test_the_inputs_are_the_valid_minutes_at_known_places(config: Config, filled: Callable[[float], Store]) -> None:
    store = filled(0.0)
    end = START + timedelta(hours=4)
    observations = read_observations(config, settings_of(config), store.db, START, end)
    met = read_met(config, settings_of(config), store.db, START, end)
    assert len(observations) == 9 * MINUTES
    assert {o.sensor for o in observations} == {f"tower.{name}" for name in SENSORS}
    assert (observations[0].height_m, observations[0].period_s, observations[0].n) == (3, 60, 6)
    assert len(met) == MINUTES
    row = met[0]
    assert (row.speed, row.sigma_theta, row.temperature_K, row.height_m) == (4.0, 8.0, 288.15, 10)
    assert row.pressure_Pa == pytest.approx(101325.0)
    assert read_observations(config, settings_of(config), store.db, end, end + timedelta(hours=1)) == []
    store.close()


def test_a_leak_is_found_kept_and_published_by_the_command(
    config: Config, filled: Callable[[float], Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(12.0).close()
    path = tmp_path / "central.hjson"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_none=True)))
    assert main(["attribute", str(path), "--at", "2026-03-01T04:00:00Z", "--json"]) == 0
    (feature,) = json.loads(capsys.readouterr().out)["features"]
    assert feature["properties"]["q2_5_kg_h"] < 12.0 < feature["properties"]["q97_5_kg_h"]
    db = queries.open_reader(config.store)
    run = queries.newest_run(db)
    assert run is not None
    assert (run["at"], run["from_at"]) == ("2026-03-01T04:00:00.000Z", "2026-03-01T00:00:00.000Z")
    (source,) = queries.sources(db, run["id"])
    latitude, longitude = to_degrees(ORIGIN, *LEAK)
    assert source["latitude"] == pytest.approx(latitude, abs=50 / 111_000)
    assert source["longitude"] == pytest.approx(longitude, abs=50 / 91_000)
    assert source["low_kg_h"] < 12.0 < source["high_kg_h"]
    cells = queries.cells(db, run["id"])
    assert {cell["state"] for cell in cells} <= {"covered", "weak", "none"}
    assert all(cell["south"] < cell["north"] and cell["west"] < cell["east"] for cell in cells)
    db.close()
    for name, count in (("sources", 1), ("coverage", len(cells))):
        assert len(json.loads((tmp_path / f"{name}.geojson").read_text())["features"]) == count


def test_a_window_without_data_says_so(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "central.hjson"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_none=True)))
    assert main(["attribute", str(path), "--at", "2026-03-01T04:00:00Z"]) == 1
    assert capsys.readouterr().err.strip()
    assert main(["attribute", str(path), "--at", "noon"]) == 2


def test_a_source_that_persists_is_one_event(config: Config, filled: Callable[[float], Store]) -> None:
    store, settings = filled(12.0), settings_of(config)
    end = START + timedelta(hours=4)
    observations = read_observations(config, settings, store.db, START, end)
    met = read_met(config, settings, store.db, START, end)
    result = attribute(observations, met, domain_of(config, settings, observations, 100.0))
    for hour in range(6):
        keep(store.db, settings, end + timedelta(hours=hour), result, 1.0)
        keep(store.db, settings, end + timedelta(hours=hour), result, 1.0)
        found = store.db.execute("SELECT at, what FROM event").fetchall()
        assert found == ([("2026-03-01T06:00:00.000Z", "source-persists")] if hour >= 2 else [])
    assert store.db.execute("SELECT count(*) FROM run").get == 6
    assert store.db.execute("SELECT count(DISTINCT run) FROM cell").get == 4
    assert len(publish(Path(config.store).parent, result)) == 2
    store.close()


def seen(probability: float, north_m: float = 0.0, sd: float = 5.0) -> Sighting:
    return Sighting(34.8 + north_m / 111_195, 113.6, sd, probability)


@pytest.mark.parametrize(
    ("updates", "count"),
    [
        ([], 0),
        ([[]], 0),
        ([[seen(0.99)], [seen(0.99)]], 0),
        ([[seen(0.99)], [seen(0.99)], [seen(0.99)]], 1),
        ([[seen(0.99)], [], [seen(0.99)], [seen(0.99)]], 1),
        ([[seen(0.99)], [seen(0.94)], [seen(0.99)], [seen(0.99)]], 1),
        ([[seen(0.99)], [seen(0.94)], [seen(0.94)], [seen(0.99)]], 0),
        ([[seen(0.99)], [seen(0.99)], [seen(0.99)], [seen(0.94)]], 0),
        ([[seen(0.99)], [seen(0.99)], [seen(0.99)], []], 0),
        ([[seen(0.99)], [seen(0.99, 99.0)], [seen(0.99)]], 1),
        ([[seen(0.99)], [seen(0.99, 101.0)], [seen(0.99)]], 0),
        ([[seen(0.99)], [seen(0.99, 150.0, sd=80.0)], [seen(0.99)]], 1),
        ([[seen(0.99)], [seen(0.99)], [], [], [seen(0.99)]], 0),
    ],
)
def test_three_of_the_last_four_updates_make_a_source_persistent(updates: list[list[Sighting]], count: int) -> None:
    assert len(persistent(updates)) == count


def test_windows_end_on_whole_hours() -> None:
    assert next_due(parse_iso("2026-03-01T04:00:00Z"), 1) == parse_iso("2026-03-01T05:00:00Z")
    assert next_due(parse_iso("2026-03-01T04:59:59Z"), 1) == parse_iso("2026-03-01T05:00:00Z")
    assert next_due(parse_iso("2026-03-01T04:20:00Z"), 0.25) == parse_iso("2026-03-01T04:30:00Z")


async def test_the_daemon_looks_for_sources_at_the_end_of_each_world_hour(
    config: Config, filled: Callable[[float], Store], tmp_path: Path
) -> None:
    filled(12.0).close()
    path = tmp_path / "central.hjson"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_none=True)))
    end = START + timedelta(hours=4)
    spec = f"{time.time()},{end.timestamp() - 60},60"
    centre = Centre(config, str(path), clock_from(spec), spec)
    running = asyncio.create_task(centre.run())
    async with asyncio.timeout(30):
        while centre.status()["attribution"]["at"] is None:
            await asyncio.sleep(0.05)
    centre.stop()
    await running
    assert centre.status()["attribution"] == {"at": iso(end), "error": None}
    db = queries.open_reader(config.store)
    run = queries.newest_run(db)
    assert run is not None
    assert (run["at"], len(queries.sources(db, run["id"]))) == (iso(end), 1)
    db.close()
