"""The desk from outside: the command line over the centre's socket, the station's page over HTTP; a store of before."""

import argparse
import asyncio
import http.client
import json
import stat
import urllib.parse
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import apsw
import pytest

from central import cli_hj212
from central.__main__ import PROGRAM
from central.app import build, listen
from central.config import Config, Hj212, Listen, Station
from central.control import control, socket_path
from central.ingest_hj212 import Hj212Ingest
from central.store import Store
from central.writer import Writer
from host.clock import ManualClock
from host.sqlite import APPLICATION_ID
from metrology.periods import parse_iso
from protocols.hj212.message import Message, encode, flag_of
from protocols.hj212.profile import Edition
from web.serve import serve

MN = "88888880000001"
NOW = parse_iso("2026-03-01T06:00:00.000Z")
Maker = Callable[..., Any]


class Centre:
    """Ingest, socket and page of one store."""

    def __init__(self, folder: Path, config: Config, page: str) -> None:
        self.file = folder / "central.hjson"
        self.config, self.page = config, page

    async def cli(self, *words: str) -> int:
        """Run a command line as a person would, beside the running loop."""
        line = PROGRAM.parser("en").parse_args(["hj212", words[0], str(self.file), *words[1:]])
        assert line.handler.startswith("central.cli_hj212:")
        run: Callable[[argparse.Namespace], int] = getattr(cli_hj212, line.handler.partition(":")[2])
        return await asyncio.to_thread(run, line)


@pytest.fixture
async def centre(
    tmp_path: Path, make_store: Maker, stations: dict[str, Station], with_account: Callable[..., Any], recorded: Any
) -> AsyncIterator[Centre]:
    config = Config(store=str(tmp_path / "desk.db"), hj212=Hj212(port=0), stations=stations)
    made = {"store": config.store, "hj212": {"port": 0}}
    made["stations"] = {name: one.model_dump(mode="json", exclude_none=True) for name, one in stations.items()}
    (tmp_path / "central.hjson").write_text(json.dumps(made))
    with_account(tmp_path)
    store: Store = make_store("desk.db")
    writer, clock, listener = Writer(), ManualClock(NOW), listen(Listen(port=0))
    assert config.hj212 is not None
    ingest = Hj212Ingest(config.hj212, stations, store, writer, clock)
    port = await ingest.start()
    parts = [
        ingest.run(),
        control(config, ingest.desk).run(),
        serve(build(config, clock, recorded, dict, ingest.desk), listener),
    ]
    tasks = [asyncio.create_task(part) for part in parts]
    async with asyncio.timeout(10):
        while not socket_path(config).exists():
            await asyncio.sleep(0.005)
    centre = Centre(tmp_path, config, f"http://127.0.0.1:{listener.getsockname()[1]}")
    centre.port = port  # type: ignore[attr-defined]
    yield centre
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    writer.close()


def frame(cn: str, qn: str, *area: tuple[str, str], st: str = "31", wants_answer: bool = True) -> bytes:
    flag = flag_of(Edition.HJ2017, wants_answer=wants_answer)
    return encode(Message(qn, st, cn, "123456", MN, flag, tuple((pair,) for pair in area)))


async def station(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A station that has shown itself by one upload; its 9014 is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(frame("2021", "20260301120000000", ("DataTime", "20260301120000"), ("SB1-RS", "1")))
    assert b"CN=9014" in await reader.readline()
    return reader, writer


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Take one request, do it."""
    asked = await reader.readline()
    qn = asked.partition(b"QN=")[2][:17].decode()
    writer.write(frame("9011", qn, ("QnRtn", "1"), st="91", wants_answer=False))
    writer.write(frame("9012", qn, ("ExeRtn", "1"), st="91", wants_answer=False))
    return asked


async def test_the_command_line_asks_the_running_centre(centre: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert stat.S_IMODE(socket_path(centre.config).stat().st_mode) == 0o600
    assert await centre.cli("send", MN, "1062", "RtdInterval=60") == 1
    assert "is not connected" in capsys.readouterr().err
    reader, writer = await station(centre.port)
    doing = asyncio.create_task(answer(reader, writer))
    assert await centre.cli("send", MN, "1062", "RtdInterval=60", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"outcome": "done", "code": 1, "data": []}
    assert b"CN=1062" in await doing
    assert await centre.cli("stations") == 0
    shown = capsys.readouterr().out
    assert MN in shown
    assert "yes" in shown
    assert await centre.cli("dialogue", MN) == 0
    shown = capsys.readouterr().out
    assert "-> 1062" in shown
    assert "PW=******" in shown
    assert "123456" not in shown
    assert await centre.cli("dialogue", "1" * 14) == 1
    assert await centre.cli("send", MN, "1072", "NewPW=1") == 1
    assert "no command for a person" in capsys.readouterr().err
    writer.close()
    await writer.wait_closed()


async def test_without_a_running_centre_the_command_line_says_so(
    tmp_path: Path, stations: dict[str, Station], capsys: pytest.CaptureFixture[str]
) -> None:
    made = {name: one.model_dump(mode="json", exclude_none=True) for name, one in stations.items()}
    (tmp_path / "central.hjson").write_text(json.dumps({"store": str(tmp_path / "x.db"), "stations": made}))
    alone = Centre(tmp_path, Config(store=str(tmp_path / "x.db"), stations=stations), "")
    assert await alone.cli("stations") == 1
    assert "no daemon answers" in capsys.readouterr().err


def post(page: str, cookies: dict[str, str], body: Any, **changed: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(page).netloc, timeout=20)
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"content-type": "application/json", "cookie": cookie, "origin": page} | {
        k.replace("_", "-"): v for k, v in changed.items()
    }
    connection.request("POST", f"/api/stations/tower/hj212/{MN}/send", json.dumps(body), headers)
    found = connection.getresponse()
    text = found.read()
    connection.close()
    return found.status, json.loads(text)


async def test_the_page_shows_and_sends(centre: Any, visitor: Any) -> None:
    person = visitor(centre.page)
    body = {"cn": "1062", "fields": ["RtdInterval=60"]}
    assert (await asyncio.to_thread(post, centre.page, {}, body))[0] == 401
    await asyncio.to_thread(person.sign_in)
    assert 'id="hj212"' in (await asyncio.to_thread(person.get, "/station/tower")).text
    assert 'id="hj212"' not in (await asyncio.to_thread(person.get, "/station/plain")).text
    assert (await asyncio.to_thread(post, centre.page, person.cookies, body))[0] == 409
    reader, writer = await station(centre.port)
    doing = asyncio.create_task(answer(reader, writer))
    assert await asyncio.to_thread(post, centre.page, person.cookies, body) == (
        200, {"outcome": "done", "code": 1, "data": []}
    )  # fmt: skip
    assert b"RtdInterval=60" in await doing
    found = (await asyncio.to_thread(person.get, "/api/stations/tower/hj212")).json
    assert [(one["mn"], one["connected"]) for one in found["outlets"]] == [(MN, True)]
    assert [(one["name"], one["value"]) for one in found["items"]] == [("SB1-RS", "1")]
    effects = {one["cn"]: one["effect"] for one in found["commands"][MN]}
    assert (effects["1061"], effects["1062"], effects["3011"]) == ("read", "link", "station")
    lines = (await asyncio.to_thread(person.get, f"/api/stations/tower/hj212/{MN}/dialogue")).json["lines"]
    assert [one["cn"] for one in lines if one["way"] == "sent"] == ["1062"]
    assert "123456" not in json.dumps(lines)
    assert (await asyncio.to_thread(person.get, f"/api/stations/plain/hj212/{MN}/dialogue")).status == 404
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("body", "changed", "status"),
    [
        ({"cn": "1061", "fields": []}, {"content_type": "text/plain"}, 403),
        ({"cn": "1061", "fields": []}, {"sec_fetch_site": "cross-site"}, 403),
        ({"cn": "1061", "fields": ["x" * 5000]}, {}, 403),
        ([], {}, 400),
        ({"cn": 1061, "fields": []}, {}, 400),
        ({"cn": "1061", "fields": "x"}, {}, 400),
    ],
)
async def test_what_is_no_command_of_this_page_is_refused(
    centre: Any, visitor: Any, body: Any, changed: dict[str, str], status: int
) -> None:
    person = visitor(centre.page)
    await asyncio.to_thread(person.sign_in)
    assert (await asyncio.to_thread(lambda: post(centre.page, person.cookies, body, **changed)))[0] == status


SCHEMA_1 = """
CREATE TABLE record (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    committed_wall REAL NOT NULL, PRIMARY KEY (station_id, epoch, seq)
);
CREATE TABLE hj212_frame (
    id INTEGER PRIMARY KEY, mn TEXT NOT NULL, qn TEXT NOT NULL, cn TEXT NOT NULL, data_time TEXT NOT NULL,
    received_wall REAL NOT NULL, acknowledged INTEGER NOT NULL, bytes BLOB NOT NULL
);
CREATE TABLE hj212_average (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL, period_s INTEGER NOT NULL, mn TEXT NOT NULL,
    unit TEXT NOT NULL, state TEXT, mean TEXT, minimum TEXT, maximum TEXT, flag TEXT NOT NULL,
    frame INTEGER NOT NULL REFERENCES hj212_frame (id),
    PRIMARY KEY (station_id, series, start, period_s, mn)
) WITHOUT ROWID;
CREATE TABLE event (
    id TEXT PRIMARY KEY, station_id TEXT NOT NULL, at TEXT NOT NULL, what TEXT NOT NULL, origin TEXT NOT NULL,
    detail TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO hj212_frame VALUES(1, 'mn', 'qn', '2051', '', 0, 1, x'2323');
INSERT INTO hj212_average VALUES('tower', 'gas.co2', 's', 60, 'mn', 'mg/m3', NULL, '1', NULL, NULL, 'N', 1);
"""


def test_a_store_of_the_first_version_is_brought_up(tmp_path: Path, make_store: Maker) -> None:
    db = apsw.Connection(str(tmp_path / "old.db"))
    db.execute(SCHEMA_1)
    db.pragma("application_id", APPLICATION_ID)
    db.pragma("user_version", 1)
    db.close()
    store: Store = make_store("old.db")
    fresh: Store = make_store("fresh.db")
    columns = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?) ORDER BY name'
    added = resources.files("central").joinpath("upgrade_2.sql").read_text().count("CREATE TABLE")
    for table in ("hj212_frame", "hj212_average", "hj212_item", "hj212_missing", "hour_due"):
        assert store.db.execute(columns, (table,)).fetchall() == fresh.db.execute(columns, (table,)).fetchall()
    assert added == 4
    assert store.db.execute("SELECT mn, resent, problem FROM hj212_frame").fetchall() == [("mn", 0, "")]
    assert store.db.execute("SELECT mean, frame FROM hj212_average").fetchall() == [("1", 1)]
