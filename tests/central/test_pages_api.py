"""The centre's pages and API over real HTTP: what is refused, what is said, and that a request reads once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.app import build, listen
from central.config import Config, Listen, Station
from central.store import Store
from host.clock import ManualClock
from host.shapes import Position
from metrology.periods import parse_iso
from protocols.mqtt.messages import State
from web.serve import serve

Maker = Callable[..., Any]
NOW = parse_iso("2026-03-01T05:00:00Z")


@pytest.fixture
def config(tmp_path: Path, stations: dict[str, Station], with_account: Callable[..., Any]) -> Config:
    made = Config(store=str(tmp_path / "pages.db"), stations=stations)
    with_account(tmp_path)
    return made


@pytest.fixture
def filled(config: Config, make_store: Maker, make_log: Maker) -> Store:
    """A tower with minutes (one revised, one flagged), a scan, an event; a plain station that never spoke."""
    log = make_log()
    for index in range(3):
        log.minute(index, 400.0 + index)
    log.minute(1, 500.0, 1)
    log.minute(3, 399.0, 0, "stale", "calibration")
    log.scan(410.0)
    log.add("event", what="power", origin="ups", volts=11.5)
    store: Store = make_store("pages.db")
    store.add([log.delivery(0, 6)])
    store.put_state(State(station_id="tower", online=True, t="2026-03-01T04:00:00.000Z"))
    return store


@pytest.fixture
def address(config: Config, filled: Store, serve_page: Callable[[Any], str], recorded: Any) -> str:
    return serve_page(build(config, ManualClock(NOW), recorded, lambda: {"mqtt": {"connected": True}}))


@pytest.fixture
def person(address: str, visitor: Any) -> Any:
    """Somebody who signed in."""
    found = visitor(address)
    found.sign_in()
    return found


API = [
    "/api/stations", "/api/stations/tower/values", "/api/stations/tower/averages", "/api/stations/tower/gases",
    "/api/attribution", "/api/events",
    "/api/health", "/api/layer",
]  # fmt: skip
PAGES = ["/", "/station/tower", "/events", "/health"]


@pytest.mark.parametrize("path", API)
def test_a_stranger_reads_nothing(address: str, visitor: Any, path: str) -> None:
    answer = visitor(address).get(path)
    assert (answer.status, answer.json) == (401, {"error": "Sign in first."})


@pytest.mark.parametrize("path", [*PAGES, "/docs", "/nowhere"])
def test_a_stranger_is_led_to_the_sign_in(address: str, visitor: Any, path: str) -> None:
    answer = visitor(address).get(path)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("path", [*PAGES, *API])
def test_who_signed_in_reads_everything(person: Any, path: str) -> None:
    answer = person.get(path)
    assert answer.status == 200
    assert answer.text


@pytest.mark.parametrize(
    "query",
    ["period_s=61", "period_s=", "period_s=1e3", "from=yesterday", "to=2026-03-01", "to=2026-03-01T05:00:00", "from=",
     "to=0001-01-01T00:00:00%2B14:00", "to=0001-01-01T00:00:00Z"],
)  # fmt: skip
def test_a_bad_question_is_refused_with_words(person: Any, query: str) -> None:
    answer = person.get(f"/api/stations/tower/averages?series=gas.co2&{query}")
    assert answer.status == 400
    assert answer.json["error"].startswith("period_s is 60, 3600 or 86400")


def test_a_bad_time_of_events_is_refused_in_the_visitors_language(person: Any) -> None:
    assert person.get("/api/events?before=soon").status == 400
    person.get("/lang/zh")
    assert person.get("/api/events?before=soon").json == {"error": "before 须为带时区的 ISO 时间。"}


@pytest.mark.parametrize(
    "path", ["/station/nobody", "/api/stations/nobody/values", "/api/stations/nobody/averages", "/api/x"]
)
def test_what_does_not_exist_is_said(person: Any, path: str) -> None:
    answer = person.get(path)
    assert answer.status == 404
    assert "There is nothing here." in answer.text


def test_stations_with_state_and_values(person: Any) -> None:
    found = person.get("/api/stations").json
    assert (found["now"], found["rate"], found["run"], found["layer"]) == ("2026-03-01T05:00:00.000Z", 1.0, None, None)
    tower, plain = found["stations"]
    assert (tower["state"], tower["newest"]) == ("online", "2026-03-01T04:03:00.000Z")
    assert tower["instruments"]["gas"]["values"] == {
        "co2": {
            "at": "2026-03-01T04:03:00.000Z", "value": 399.0, "unit": "umol/mol", "causes": ["calibration", "stale"],
        }
    }  # fmt: skip
    assert (plain["state"], plain["newest"], plain["instruments"]) == (None, None, {})


def test_a_repeat_does_not_hide_the_fresh_value(store: Store, make_log: Maker, rows: Callable[..., list[Any]]) -> None:
    log = make_log()
    log.scan(400.0)
    log.scan(401.0, "calibration")
    log.scan(401.0, "stale")
    store.add([log.delivery(0, 2)])
    assert rows("SELECT value, causes FROM latest") == [(401.0, "calibration")]
    assert rows("SELECT count(*) FROM raw") == [3], "what came is kept as it came"


def test_values_carry_the_names_people_read(person: Any) -> None:
    (row,) = person.get("/api/stations/tower/values").json["values"]
    assert (row["series"], row["name_en"], row["name_zh"]) == ("gas.co2", "CO2 mole fraction", "二氧化碳")


def test_averages_show_the_highest_revision(person: Any) -> None:
    found = person.get("/api/stations/tower/averages?period_s=60&series=gas.co2").json
    assert found["mean"] == [400.0, 500.0, 402.0, 399.0]
    assert found["causes"] == ["", "", "", "calibration,stale"]
    assert (found["unit"], found["circular"]) == ("umol/mol", False)
    part = "from=2026-03-01T04:01:00Z&to=2026-03-01T04:03:00Z"
    found = person.get(f"/api/stations/tower/averages?period_s=60&series=gas.co2&{part}").json
    assert found["mean"] == [500.0, 402.0]
    assert person.get("/api/stations/tower/averages?series=no.such").json["mean"] == []


def test_hostile_names_reach_the_store_as_values(person: Any) -> None:
    found = person.get("/api/stations/tower/averages?series=%27%20OR%201=1%20--").json
    assert found["mean"] == []
    assert person.get("/api/events?station=%27%20OR%201=1").json["events"] == []


def test_events_of_one_station_before_a_time(person: Any) -> None:
    (event,) = person.get("/api/events").json["events"]
    assert (event["what"], event["origin"], event["detail"]) == ("power", "ups", {"volts": 11.5})
    assert person.get("/api/events?station=plain").json["events"] == []
    assert person.get(f"/api/events?before={event['at']}").json["events"] == []


def test_health_holds_the_store_the_ledger_and_the_daemon(person: Any) -> None:
    found = person.get("/api/health").json
    assert (found["backlog"], found["dead_letters"]) == (0, 0)
    assert found["ledger"] == {"tower": [], "plain": []}
    assert found["programs"] == {"mqtt": {"connected": True}}


def test_the_layer_is_the_file_beside_the_store(person: Any, config: Config) -> None:
    assert person.get("/api/layer").json["features"] == []
    path = Path(config.store).with_name("layer.geojson")
    document = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None, "properties": {}}]}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert person.get("/api/layer").json == document
    assert person.get("/api/stations").json["layer"] is not None
    path.write_text("{", encoding="utf-8")
    answer = person.get("/api/layer")
    assert (answer.status, answer.json["error"]) == (500, "layer.geojson beside the store is not JSON.")


def test_names_of_a_site_are_text_on_its_pages(
    config: Config, make_store: Maker, serve_page: Callable[[Any], str], visitor: Any, stations: dict[str, Station],
    recorded: Any,
) -> None:  # fmt: skip
    name = "</script><script>alert('x')</script>"
    hostile = stations["plain"].model_copy(update={"name_en": name, "position": Position(**PLACE)})
    make_store("pages.db")
    changed = config.model_copy(update={"stations": {"a": hostile}})
    found = visitor(serve_page(build(changed, ManualClock(NOW), recorded)))
    found.sign_in()
    for path in ("/", "/station/a", "/events"):
        assert "<script>alert" not in found.get(path).text


PLACE: Any = {"latitude": 34.75, "longitude": 113.62, "height_m": 3, "datum": "WGS-84"}


async def test_an_address_that_is_taken_is_a_loud_end(config: Config) -> None:
    with listen(Listen(port=0)) as taken, pytest.raises(OSError, match="in use"):
        listen(Listen(port=taken.getsockname()[1]))


async def test_cancelled_serving_gives_the_address_back(config: Config, filled: Store, recorded: Any) -> None:
    import asyncio

    listener = listen(Listen(port=0))
    port = listener.getsockname()[1]
    task = asyncio.create_task(serve(build(config, ManualClock(NOW), recorded), listener))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    writer.close()
    listen(Listen(port=port)).close()
