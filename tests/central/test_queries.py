"""What pages read of the store, and the small commands of the centre."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from central import queries
from central.__main__ import main
from central.config import Config
from central.store import Store
from host.hjson import load
from host.problems import ConfigErrors
from metrology.periods import parse_iso
from protocols.mqtt.messages import State

Maker = Callable[..., Any]
NOW = parse_iso("2026-03-01T05:00:00Z")


@pytest.fixture
def filled(make_store: Maker, make_log: Maker) -> Store:
    """Minutes with a revision and a hole, a scan, an event."""
    log = make_log()
    for index in (0, 1, 2, 70):
        log.minute(index, 400.0 + index)
    log.minute(1, 500.0, 1)
    log.scan(410.0)
    log.add("event", what="power", origin="ups", volts=11.5)
    log.scan(411.0)
    store: Store = make_store("filled.db")
    store.add([log.delivery(0, 5), log.delivery(7, 7)])
    store.put_state(State(station_id="tower", online=True, t="2026-03-01T04:00:00.000Z"))
    store.put_dead_letter("mqtt", "topic", "not JSON", b"?")
    store.count_refused("mqtt", "net/stranger", "not enrolled")
    return store


@pytest.fixture
def db(filled: Store, tmp_path: Path) -> Iterator[apsw.Connection]:
    """A reader beside the writer."""
    connection = queries.open_reader(str(tmp_path / "filled.db"))
    yield connection
    connection.close()


def test_a_reader_cannot_write(db: apsw.Connection) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        db.execute("DELETE FROM record")


def test_stations_series_and_values(db: apsw.Connection) -> None:
    (state,) = queries.station_states(db)
    assert (state["station_id"], state["online"], state["newest"]) == ("tower", 1, "2026-03-01T05:10:00.000Z")
    assert queries.series_list(db, "tower") == ["gas.co2"]
    assert queries.series_list(db, "plain") == []


def test_the_newest_value_is_a_scan_unless_that_is_old(db: apsw.Connection, filled: Store, make_log: Maker) -> None:
    (value,) = queries.latest_values(db, "tower")
    assert (value["source"], value["value"]) == ("average", 470.0)  # the scans are 70 minutes older
    log = make_log("plain")
    log.minute(0, 400.0)
    log.scan(410.0)
    filled.add([log.delivery(0, 1)])
    (value,) = queries.latest_values(db, "plain")
    assert (value["source"], value["value"]) == ("scan", 410.0)


def test_averages_come_in_order_by_their_highest_revision(db: apsw.Connection) -> None:
    found = queries.averages(db, "tower", "gas.co2", 60, "2026-03-01T04:00:00.000Z", "2026-03-01T05:00:00.000Z")
    assert [(row["start"][11:16], row["revision"], row["mean"]) for row in found] == [
        ("04:00", 0, 400.0),
        ("04:01", 1, 500.0),
        ("04:02", 0, 402.0),
    ]
    newest = queries.averages(db, "tower", "gas.co2", 60, "2026-03-01T04:00:00.000Z", "2026-03-02", limit=2)
    assert [row["mean"] for row in newest] == [402.0, 470.0]
    hours = queries.hours(db, "tower", "gas.co2", "2026-03-01", "2026-03-02")
    assert [(row["start"][11:13], row["minutes"]) for row in hours] == [("04", 3), ("05", 1)]


def test_health_shows_holes_ages_and_strangers(db: apsw.Connection) -> None:
    # Both scans were committed at wall 1000, when at rate 60 the world said 04:00:07 plus 3 wall seconds.
    world = parse_iso("2026-03-01T04:00:07Z") + timedelta(seconds=60 * 13)
    health = queries.health(db, 1010.0, world, 60.0)
    assert health["backlog"] == 1
    assert health["p95_age_s"] == pytest.approx(3.0 + 2 / 60)
    assert health["dead_letters"] == 1
    assert health["refused"][0]["name"] == "net/stranger"
    assert queries.health(db, 10_000.0, NOW, 1.0)["p95_age_s"] is None


def test_events_are_read_newest_first(db: apsw.Connection, filled: Store, make_log: Maker) -> None:
    log = make_log("plain")
    for number in range(5):
        log.add("event", what="door", origin="switch", number=number)
    filled.add([log.delivery(0, 4)])
    found = queries.events(db, "plain", limit=2)
    assert [event["detail"]["number"] for event in found] == [4, 3]
    assert [e["detail"]["number"] for e in queries.events(db, before=found[-1]["at"])] == [2, 1, 0]


def test_before_the_first_run_there_is_none(db: apsw.Connection) -> None:
    assert queries.newest_run(db) is None


def test_the_example_loads_and_shows_a_station_its_block(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = root / "config" / "central.hjson"
    assert main(["check", str(example)]) == 0
    assert main(["enrol", str(example), "stack-01", "--json"]) == 0
    block = json.loads(capsys.readouterr().out)
    assert block["station"]["id"] == block["certificate_cn"] == "stack-01"
    assert block["uplinks"]["platform-main"]["mn"] == "ABCD0100000001"
    assert main(["enrol", str(example), "nobody"]) == 1
    assert "stack-01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('vkey: "tower-01+39f2ee56', 'vkey: "tower-01+39f2ee57', 51),
        ('st: "31"', 'st: "31", sT: "31"', None),
        ('series: "cems.so2"', 'series: "cems.so22"', None),
        ("margin_m: 150", 'margin_m: "150"', None),
        ('mast: "weather"', 'mast: "weather2"', None),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(
    root: Path, tmp_path: Path, old: str, new: str, line: int | None
) -> None:
    text = (root / "config" / "central.hjson").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "central.hjson"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigErrors) as refused:
        load(path, Config)
    assert line in (None, refused.value.problems[0].line)
