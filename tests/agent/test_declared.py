"""A real daemon and an analyzer that says who it is: comparison, another serial number, confirmation, sign-offs."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.lines import TcpLines, tcp
from peers.stations import StationProcess, bare, of

from agent.config import Instrument
from agent.qa.declared import declared_items, differing, status_names, told_items
from agent.qa.signoff import period_of
from calibration.qa.review import Level, SignOff, level
from host.control import RequestError
from metrology.periods import iso

RATE = 600.0
HOUR_S = 3600
# Shortly before midnight in UTC+8.
WORLD = datetime(2026, 3, 2, 15, 20, tzinfo=UTC)
DRIVER = """
from drivers.base import Ask, DriverInfo, PolledEntry
from metrology.reading import Reading, Scan

class Driver:
    measurands = {"so2": "mg/m3"}
    def __init__(self, instrument):
        self.instrument = instrument
    def poll(self):
        answer = yield Ask(b"?\\n", (b"\\n",))
        serial, top, value = answer.data.decode().split()
        status = {"serial": serial, "so2_full_scale": float(top)}
        return [Scan(self.instrument, answer.at,
                     (Reading(self.instrument, "so2", float(value), "mg/m3", answer.at),), status)]

ENTRY = PolledEntry(
    DriverInfo("talker", "X1", "polled", "text", Driver.measurands, "its manual", "src"),
    lambda instrument, unit, options: Driver(instrument),
)
"""


class Analyzer(TcpLines):
    """Says its serial number, its full scale and a value."""

    def __init__(self) -> None:
        super().__init__(lambda: f"{self.serial} {self.top} 12.5\n".encode())
        self.serial, self.top = "SN-1", 300.0


class Station(StationProcess):
    """World time runs ten minutes a second, so that midnight passes within a test."""

    def __init__(self, folder: Path, root: Path, port: int) -> None:
        super().__init__(folder, root, bare("qa-01"))
        packages = folder / "packages"
        (packages / "talker-1.0.dist-info").mkdir(parents=True)
        (packages / "talker.py").write_text(DRIVER)
        (packages / "talker-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: talker\nVersion: 1\n")
        (packages / "talker-1.0.dist-info" / "entry_points.txt").write_text(
            "[plumeline.drivers]\ntalker = talker:ENTRY\n"
        )
        self.environment = {"PYTHONPATH": str(packages)}
        self.document["station"]["simulated"] = True
        self.document["buses"]["line"] = {"wire": tcp(port), "protocol": "text"}
        self.document["instruments"]["cems"] = {
            "driver": "talker", "bus": "line", "poll_s": 60, "expected_per_minute": 12, "kind": "regulated",
            "rule": "hj-stack", "series": {"so2": {"minimum": 0, "maximum": 300}},
            "declared": {"serial": "SN-1", "approval": "CCEP-7"},
        }  # fmt: skip
        self.world = WORLD

    async def start(self) -> asyncio.subprocess.Process:
        self.line = ["--clock", f"{time.time()},{self.world.timestamp()},{RATE:g}"]
        return await super().start()

    async def status(self) -> dict[str, Any]:
        """The latest values and what is declared; refused until there is a value."""
        found = {**await self.asked("status"), "declared": (await self.asked("instruments"))["instruments"]}
        if not found["values"]:
            raise RequestError("no value yet")
        return found

    async def finish(self) -> None:
        code, said = await self.end()
        assert code == 0, said
        self.world = max(self.world, datetime.fromisoformat(self.events()[-1]["t"])) + timedelta(minutes=5)

    def events(self, *whats: str) -> list[dict[str, Any]]:
        return [row for row in of("event", self.rows()) if not whats or row["what"] in whats]


@pytest.fixture
async def analyzer() -> AsyncIterator[Analyzer]:
    peer = Analyzer()
    await peer.start()
    yield peer
    peer.stop()


@pytest.fixture
async def station(tmp_path: Path, root: Path, analyzer: Analyzer) -> AsyncIterator[Station]:
    one = Station(tmp_path, root, analyzer.port)
    yield one
    await one.put_away()


def causes(found: dict[str, Any]) -> list[str]:
    return list(found["values"]["cems.so2"]["causes"])


async def test_another_instrument_is_marked_until_a_person_confirms_it(station: Station, analyzer: Analyzer) -> None:
    await station.start()
    first = await station.until(lambda found: found["declared"]["cems"]["told"])
    assert first["declared"]["cems"] == {
        "declared": {"serial": "SN-1", "approval": "CCEP-7", "range.so2": 300.0},
        "told": {"serial": "SN-1", "range.so2": 300.0},
        "differs": {}, "unconfirmed": False,
    }  # fmt: skip
    assert causes(first) == []
    # Midnight of the station passes: the comparison comes again with the day.
    await station.until(lambda found: found["now"] > "2026-03-02T16:10")
    analyzer.serial, analyzer.top = "SN-2", 250.0
    swapped = await station.until(lambda found: causes(found) == ["maintenance"])
    assert swapped["declared"]["cems"]["unconfirmed"]
    assert swapped["declared"]["cems"]["differs"]["range.so2"] == [300.0, 250.0]
    await station.finish()

    await station.start()
    await station.until(lambda found: causes(found) == ["maintenance"])
    shown = await station.command("instrument", "list", code=1)
    assert "another instrument: confirm it" in shown
    assert "not compared" in shown
    assert "--who" in await station.command("instrument", "confirm", "cems", "--reason", "x", code=2)
    assert "no instrument" in await station.command(
        "instrument", "confirm", "nox", "--who", "Li Na", "--reason", "x", code=1
    )
    await station.command("instrument", "confirm", "cems", "--who", "Li Na", "--reason", "swapped for repair")
    after = await station.until(lambda found: causes(found) == [])
    assert not after["declared"]["cems"]["unconfirmed"]
    await station.finish()

    await station.start()
    # An item that is never told is waited for: ten minutes, then the comparison of this start is made without it.
    told = await station.until(lambda found: found["now"] > iso(station.world + timedelta(minutes=40)))
    assert causes(told) == []
    await station.finish()
    compared = station.events("instrument-compared", "instrument-differs")
    assert compared[0]["what"] == "instrument-compared"
    assert compared[0]["untold"] == ["approval"]
    days = [row["at"] for row in compared]
    assert days[0] < "2026-03-02T16:00" <= days[1], "at the start, and with the new day"
    assert len(days) >= 3
    assert compared[-1]["differs"] == {"serial": ["SN-1", "SN-2"], "range.so2": [300, 250]}
    (changed,) = station.events("instrument-changed")
    assert changed["changed"] == {"serial": ["SN-1", "SN-2"], "range.so2": [300, 250]}
    (confirmed,) = station.events("instrument-confirmed")
    assert (confirmed["origin"], confirmed["reason"]) == ("Li Na", "swapped for repair")


async def test_a_configuration_that_names_the_new_instrument_ends_the_mark(
    station: Station, analyzer: Analyzer
) -> None:
    analyzer.serial = "SN-2"
    await station.start()
    await station.until(lambda found: causes(found) == ["maintenance"])
    station.document["instruments"]["cems"]["declared"]["serial"] = "SN-2"
    (station.folder / "station.hjson").write_text(json.dumps(station.document))
    station.process.send_signal(signal.SIGHUP)
    await station.until(lambda found: causes(found) == [])
    analyzer.serial = "SN-3"
    await station.until(lambda found: causes(found) == ["maintenance"])
    await station.finish()
    assert station.events("configuration-refused") == []


async def test_sign_offs_and_adjustments_are_records_of_named_persons(station: Station) -> None:
    await station.start()
    await station.until(lambda found: found["now"] > "2026-03-02T16:00")
    who = ["--who", "Li Na", "--reason", "charts seen"]
    approve = ["qa", "signoff", "--period", "2026-02", "--verdict", "approved", *who]
    assert "not station-checked" in await station.command(*approve, code=1)
    assert "Q5" in await station.command("qa", "signoff", "--period", "2026-Q5", "--verdict", "raw", *who, code=1)
    assert "not over" in await station.command("qa", "signoff", "--period", "2026", "--verdict", "raw", *who, code=1)
    unknown = ["--verdict", "raw", "--series", "cems.no"]
    assert "no series" in await station.command("qa", "signoff", "--period", "2026-02", *unknown, *who, code=1)
    await station.command("qa", "signoff", "--period", "2026-02", "--verdict", "station-checked", *who)
    assert "approved" in await station.command(*approve)
    shown = json.loads(await station.command("qa", "list", "--json"))["signed"]
    assert [(row["who"], row["level"]) for row in shown] == [("Li Na", "station-checked"), ("Li Na", "approved")]
    assert {(row["from"], row["to"]) for row in shown} == {("2026-01-31T16:00:00.000Z", "2026-02-28T16:00:00.000Z")}
    assert "2026-02-01 00:00:00" in await station.command("qa", "list")
    assert "no series" in await station.command("qa", "adjusted", "cems.no", *who, code=1)
    assert "cems.so2" in await station.command("qa", "adjusted", "cems.so2", *who)
    await station.finish()
    assert [row["origin"] for row in station.events("qa-signoff")] == ["Li Na", "Li Na"]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2025-12-31T16", "2026-12-31T16"),
        ("2026-Q4", "2026-09-30T16", "2026-12-31T16"),
        ("2026-12", "2026-11-30T16", "2026-12-31T16"),
        ("2026-06-15", "2026-06-14T16", "2026-06-15T16"),
        ("2026-05/2026-07", "2026-04-30T16", "2026-06-30T16"),
        ("2026-06-15T08:00:00Z/2026-06-15T09:00:00Z", "2026-06-15T08", "2026-06-15T09"),
    ],
)
def test_a_period_is_cut_at_the_days_of_the_station(text: str, start: str, end: str) -> None:
    found = period_of(text, 8 * HOUR_S)
    assert [one.isoformat()[:13] for one in found] == [start, end]


@pytest.mark.parametrize("text", ["", "2026-13", "26-6-1x", "2026-07/2026-05", "2026-06-15T08:00:00Z", "2026-Q0"])
def test_what_is_no_period_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="period"):
        period_of(text, 0)


def at(hour: int) -> datetime:
    return WORLD + timedelta(hours=hour)


def test_the_level_of_a_span_is_that_of_its_least_reviewed_part() -> None:
    def sign(start: int, end: int, given: Level, *series: str) -> SignOff:
        return SignOff(WORLD, at(start), at(end), series, given, "li", "r")

    signed = [sign(0, 10, "station-checked"), sign(4, 8, "approved", "a"), sign(6, 7, "raw")]
    assert level(signed, "a", at(0), at(10)) == "raw"
    assert level(signed, "a", at(4), at(6)) == "approved"
    assert level(signed, "a", at(3), at(6)) == "station-checked"
    assert level(signed, "b", at(4), at(6)) == "station-checked"
    assert level(signed, "b", at(9), at(11)) == "raw"
    assert level([], "a", at(0), at(1)) == "raw"


def test_names_of_the_status_are_the_sites_where_it_gives_them() -> None:
    block = Instrument.model_validate({
        "driver": "d", "bus": "b", "kind": "regulated", "rule": "hj-stack", "serial_number": "7",
        "declared": {"slope": {"so2": 1.02}, "offset": {"so2": 0.0}, "fields": {"slope.so2": "K", "serial": "sn"}},
    })  # fmt: skip
    declared = declared_items(block)
    assert declared == {"serial": "7", "slope.so2": 1.02, "offset.so2": 0.0}
    names = status_names(block, declared)
    assert names == {"serial": "sn", "slope.so2": "K", "offset.so2": "so2_offset"}
    told = told_items({"sn": 7, "K": 1.02 + 1e-9, "so2_offset": None, "serial": "x"}, names)
    assert told == {"serial": "7", "slope.so2": 1.02 + 1e-9}
    assert differing(declared, told) == {}
    assert differing(declared, {"slope.so2": 1.03}) == {"slope.so2": [1.02, 1.03]}
