"""A centre to look at: three stations, a day's averages, an attribution, served on a free port; and a browser."""

import asyncio
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from central.app import build
from central.config import Attribution, Config, Meteorology, Station
from central.entries import Delivery, Entry
from central.results import keep
from central.store import Store
from host.clock import ManualClock
from host.shapes import Position
from inversion.data import Cell, Domain, Result, Settings, Source
from metrology.periods import iso
from protocols.mqtt.messages import State
from protocols.record import decode, encode
from protocols.tlog import Signer

START = datetime(2026, 6, 15, 0, 30, tzinfo=UTC)
ORIGIN = Domain(34.8, 113.6, -700, -700, 700, 700)
CELL_M = 100
SIGNER = Signer("station", SigningKey(b"\x05" * 32))
BOARDS = [(f"board-{n + 1:02d}", -400 + 200 * (n % 5), -400 + 200 * (n // 5)) for n in range(25) if n != 12]
LEAK = (150.0, 80.0)


def place(x: float, y: float, height_m: float = 3) -> Position:
    """A position `x` m east and `y` m north of the field's middle."""
    return Position(
        latitude=round(ORIGIN.latitude + y / 111320, 7),
        longitude=round(ORIGIN.longitude + x / 111320 / math.cos(math.radians(ORIGIN.latitude)), 7),
        height_m=height_m,
        datum="WGS-84",
    )


def station(name_zh: str, name_en: str, at: Position, **instruments: Position) -> Station:
    names: Any = {name.replace("_", "-"): position for name, position in instruments.items()}
    return Station(network="demo", name_zh=name_zh, name_en=name_en, position=at, vkey=SIGNER.vkey, instruments=names)


STATIONS = {
    "stack-01": station("一号烟囱", "Stack 1", place(650, 520), cems=place(650, 520, 80)),
    "tower-01": station("高塔", "Tower", place(-430, 430), crds=place(-430, 430, 30)),
    "field-01": station(
        "井场微站", "Well field", place(0, 0), weather=place(20, -30, 10), **{n: place(x, y) for n, x, y in BOARDS}
    ),
}
SETTINGS = Attribution(meteorology=Meteorology(station="field-01", mast="weather"))


@dataclass
class Site:
    """The centre's store and what fills it: `sent` is the next sequence number of each station."""

    config: Config
    store: Store
    clock: ManualClock
    sent: dict[str, int] = field(default_factory=dict)
    minutes: int = 0

    def delivery(self, station_id: str, *records: tuple[str, dict[str, Any]]) -> Delivery:
        """Records as an ingest hands them over, numbered after those before."""
        first = self.sent.get(station_id, 0)
        entries = []
        for seq, (kind, members) in enumerate(records, first):
            head = {"v": 1, "epoch": 0, "seq": seq, "kind": kind, "t": iso(self.clock.now())}
            body = encode({**head, **members})
            entries.append(Entry.of(body, decode(body)))
        self.sent[station_id] = first + len(entries)
        return Delivery(station_id, 0, first - 1, tuple(entries))

    def values(self) -> dict[str, dict[str, tuple[float, str, list[str]]]]:
        """Value, unit and causes of each series of each station, in the minute that ends now."""
        t = self.minutes
        field_values: dict[str, tuple[float, str, list[str]]] = {
            "weather.wind_speed": (3.2 + 0.6 * math.sin(t / 9), "m/s", []),
            "weather.wind_direction": ((235 + 25 * math.sin(t / 30)) % 360, "deg", []),
            "weather.air_temperature": (21.5 + t / 100, "degC", []),
            "weather.air_pressure": (1003.2, "hPa", []),
        }
        for number, (name, x, y) in enumerate(BOARDS):
            near = 6 / (1 + math.hypot(x - LEAK[0] - 120, y - LEAK[1] - 90) / 120)
            causes = ["communication"] if number == 7 else []
            field_values[f"{name}.ch4"] = (2.02 + near * (1 + 0.3 * math.sin(t / 5 + number)), "umol/mol", causes)
            field_values[f"{name}.board_temperature"] = (28.0 + number / 7, "degC", [])
        return {
            "stack-01": {"cems.so2": (24.1 + 3 * math.sin(t / 20), "mg/m3", []), "cems.o2": (6.2, "%", [])},
            "tower-01": {
                "crds.co2_dry": (428 + 2 * math.sin(t / 40), "umol/mol", ["calibration"] if 100 < t < 110 else []),
                "crds.ch4_dry": (2.031 + 0.02 * math.sin(t / 25), "umol/mol", []),
            },
            "field-01": field_values,
        }

    def run(self, minutes: int) -> None:
        """So much of the world, at every station: each minute a scan of each instrument and the averages."""
        deliveries = []
        for _ in range(minutes):
            start = iso(self.clock.now())
            asyncio.run(self.clock.advance(60))
            end = iso(self.clock.now())
            for station_id, series in self.values().items():
                average = ("average", averages(series, start, end))
                deliveries.append(self.delivery(station_id, *scans(series, start), average))
            self.minutes += 1
        self.store.add(deliveries)

    def state(self, station_id: str, online: bool) -> None:
        """What a station (or its will) says of itself."""
        self.store.put_state(State(v=1, station_id=station_id, online=online, t=iso(self.clock.now())))

    def attribute(self, rate_kg_h: float = 14.6) -> None:
        """One source near the leak, by the attribution's own way into the store."""
        low, high = rate_kg_h * 0.82, rate_kg_h * 1.21
        at = place(LEAK[0] + 9, LEAK[1] - 6)
        found = Source(0.994, at.latitude, at.longitude, *LEAK, 2.0, rate_kg_h, (low, high), (90, 12, 70), "c", 31.0)
        cells = tuple(cell(column, row) for row in range(14) for column in range(14))
        result = Result((found,), cells, ORIGIN, Settings(), "ab" * 32, {"rows": 8640})
        keep(self.store.db, SETTINGS, self.clock.now(), result, 1.5 + self.minutes / 1e6)


def scans(series: dict[str, tuple[float, str, list[str]]], at: str) -> list[tuple[str, dict[str, Any]]]:
    """One scan record of each instrument."""
    found: dict[str, dict[str, Any]] = {}
    for name, (value, unit, causes) in series.items():
        instrument, measurand = name.split(".")
        marks = {"q": [[cause, "test", at] for cause in causes]} if causes else {}
        found.setdefault(instrument, {})[measurand] = {"x": value, "u": unit, **marks}
    return [("scan", {"instrument": i, "at": at, "values": values, "status": {}}) for i, values in found.items()]


def averages(series: dict[str, tuple[float, str, list[str]]], start: str, end: str) -> dict[str, Any]:
    """The record of one minute."""
    rows = {
        name: {
            "u": unit, "n": 60, "valid": 1, "mean": value, "min": value * 0.98, "max": value * 1.03, "sd": 0.01,
            "rule": "ghg", "rev": 0, "final": True, **({"q": [[c, "test", start] for c in causes]} if causes else {}),
        }
        for name, (value, unit, causes) in series.items()
    }  # fmt: skip
    return {"start": start, "end": end, "period_s": 60, "rows": rows}


def cell(column: int, row: int) -> Cell:
    """Well covered in the middle, not at all in the corners."""
    off = math.hypot(column - 6.5, row - 6.5)
    state: Any = "covered" if off < 5 else "weak" if off < 7.5 else "none"
    return Cell(f"{column}/{row}", column, row, state, None if state == "none" else 0.8 + off, None)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A filled store: forty minutes, two stations online and one off, one attribution."""
    config = Config(store=str(tmp_path / "store.db"), stations=STATIONS, attribution=SETTINGS)
    clock = ManualClock(START)
    clock.rate = 120.0
    made = Site(config, Store(config.store, STATIONS, time.time), clock)
    made.run(minutes=40)
    made.state("field-01", True)
    made.state("tower-01", True)
    made.state("stack-01", False)
    made.attribute()
    yield made
    made.store.close()


@pytest.fixture
def address(site: Site, serve_page: Callable[[Any], str], recorded: Any) -> str:
    """Where the centre's pages are."""
    return serve_page(build(site.config, site.clock, recorded))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium with a new profile; every request it makes stands in its performance log."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Chromium's singleton socket needs a short path, which pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            "--window-size=1400,900", "--lang=en", f"--user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        window = webdriver.Chrome(options, webdriver.ChromeService(driver))
        yield window
        window.quit()
