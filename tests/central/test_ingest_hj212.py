"""Two real ends of HJ 212 over TCP, and one value that came by two ways."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from central.agreement import differs
from central.config import Hj212, Station
from central.hj212_routes import routes
from central.hj212_rows import add_uploads
from central.ingest_hj212 import Hj212Ingest
from central.rollup import roll_up_due
from central.store import Store
from central.writer import Writer
from host.clock import ManualClock, RealClock
from host.hj212 import Link, close
from host.shapes import Factor
from metrology.measurand import catalogue
from metrology.periods import iso, parse_iso
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from metrology.units import AMBIENT, convert
from protocols.hj212.factors import factor
from protocols.hj212.message import Item, Message, encode, flag_of
from protocols.hj212.profile import Edition, Profile
from protocols.hj212.service import StationState
from protocols.hj212.session import Delivered, Failed, Identity, Output
from protocols.hj212.station import StationSession
from protocols.hj212.uploads import average_items, read_upload, realtime_item

MN = "88888880000001"
NOW = parse_iso("2026-03-01T06:00:00.000Z")
CO2 = factor("a05001", "gas.co2", unit="mg/m3", decimals=1, state="ambient-298K")
Maker = Callable[..., Any]
Query = Callable[..., list[Any]]


def average(start: Any, mean: float | None = 400.0, period_s: int = 60, *causes: Cause) -> Average:
    quality = Quality.of(*(Mark(cause, "test", start) for cause in causes))
    return Average("gas.co2", "umol/mol", start, period_s, 60, 1.0, mean, mean, mean, 0.5, "ghg", quality)


def sent(average: Average) -> tuple[Item, ...]:
    items, problems = average_items([CO2], {"gas.co2": average})
    assert not problems
    return items


class Peer:
    """A station's end that asks for answers."""

    def __init__(self, password: str = "123456", mn: str = MN) -> None:
        profile = Profile.strict().with_leniencies(["mn_13_to_24"])
        self.session = StationSession(Identity(mn, password, profile=profile), StationState(), RealClock().now)
        self.outputs: list[Output] = []
        self.link: Link | None = None

    async def upload(self, cn: str, at: Any, items: tuple[Item, ...]) -> Output:
        assert self.link is not None
        self.link.perform(self.session.submit("key", cn, at, items, self.link.now))
        async with asyncio.timeout(10):
            while not any(isinstance(output, Delivered | Failed) for output in self.outputs):
                await asyncio.sleep(0.005)
        return self.outputs.pop()


@contextlib.asynccontextmanager
async def connected(port: int, peer: Peer) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer.link = Link(peer.session, reader, writer, RealClock(), peer.outputs.append)
    task = asyncio.create_task(peer.link.run())
    yield peer
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await close(writer)


@pytest.fixture
async def ingest(store: Store, stations: dict[str, Station]) -> AsyncIterator[Hj212Ingest]:
    writer = Writer()
    made = Hj212Ingest(Hj212(port=0), stations, store, writer, RealClock())
    await made.start()
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writer.close()


@pytest.fixture
def start() -> Any:
    return parse_iso("2026-03-01T04:00:00.000Z")


async def test_averages_are_answered_after_their_commit(ingest: Hj212Ingest, rows: Query, start: Any) -> None:
    midnight = parse_iso("2026-02-28T16:00:00.000Z")
    periods = [("2051", 60, start), ("2061", 3600, start), ("2031", 86400, midnight)]
    async with connected(ingest.port, Peer()) as station:
        for cn, period_s, at in periods:
            assert await station.upload(cn, at, sent(average(at, 400.0, period_s))) == Delivered("key", True)
    in_mg = float(f"{convert(400.0, 'umol/mol', 'mg/m3', molar_mass=44.01, state=AMBIENT):.1f}")
    found = rows("SELECT start, period_s, revision, unit, mean, causes, via FROM average ORDER BY period_s")
    assert found == [(iso(at), p, 0, "mg/m3", in_mg, "", "hj212") for _, p, at in periods]
    assert rows("SELECT mn, cn, data_time, acknowledged FROM hj212_frame ORDER BY id") == [
        (MN, cn, iso(at), 1) for cn, _, at in periods
    ]
    assert rows("SELECT bytes FROM hj212_frame")[0].startswith(b"##")


async def test_live_values_are_shown_and_flags_are_causes(ingest: Hj212Ingest, rows: Query, start: Any) -> None:
    calibration = Quality.of(Mark(Cause.CALIBRATION, "test", start))
    reading = Reading("gas", "co2", 410.0, "umol/mol", start, calibration)
    item = realtime_item(CO2, Measurement(reading, 410.0), silent=False)
    async with connected(ingest.port, Peer()) as station:
        assert await station.upload("2011", start, (item,)) == Delivered("key", True)
        assert await station.upload("2051", start, sent(average(start, None, 60, Cause.FAULT))) == Delivered(
            "key", True
        )
    assert rows("SELECT series, source, at, unit, causes FROM latest") == [
        ("gas.co2", "hj212", "2026-03-01T04:00:00.000Z", "mg/m3", "calibration")
    ]
    assert rows("SELECT mean, causes FROM average") == [(None, "fault")]


async def test_each_part_of_a_split_frame_is_stored(
    stations: dict[str, Station], make_store: Maker, start: Any
) -> None:
    many = {f"a{number:05d}": Factor(series=f"gas{number}.co2", unit="umol/mol", decimals=3) for number in range(40)}
    outlet = stations["tower"].outlets["main"].model_copy(update={"factors": many})
    enrolled = {"tower": stations["tower"].model_copy(update={"outlets": {"main": outlet}})}
    store, writer = make_store(), Writer()
    ingest = Hj212Ingest(Hj212(port=0), enrolled, store, writer, RealClock())
    await ingest.start()
    task = asyncio.create_task(ingest.run())
    plain = average(start)
    made = [factor(code, f.series, unit="umol/mol", decimals=3) for code, f in many.items()]
    items, _ = average_items(made, {f.series: plain for f in many.values()})
    async with connected(ingest.port, Peer()) as station:
        assert await station.upload("2051", start, items) == Delivered("key", True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writer.close()
    assert store.db.execute("SELECT count(*), count(DISTINCT series) FROM average").fetchone() == (40, 40)
    assert store.db.execute("SELECT count(*) > 1 FROM hj212_frame").get


@pytest.mark.parametrize(
    ("peer", "reason"),
    [(Peer(password="654321"), "wrong PW"), (Peer(mn="99999990000009"), "unknown MN")],
    ids=["password", "mn"],
)
async def test_strangers_are_refused_and_counted(
    ingest: Hj212Ingest, rows: Query, start: Any, peer: Peer, reason: str
) -> None:
    async with connected(ingest.port, peer) as station:
        assert isinstance(await station.upload("2051", start, sent(average(start))), Failed)
        async with asyncio.timeout(10):
            while rows("SELECT reason FROM refused") != [reason]:
                await asyncio.sleep(0.005)
    assert rows("SELECT count(*) FROM average") == rows("SELECT count(*) FROM hj212_frame") == [0]


async def test_rubbish_is_a_dead_letter_and_the_next_frame_is_taken(
    ingest: Hj212Ingest, rows: Query, start: Any
) -> None:
    async with connected(ingest.port, Peer()) as station:
        assert station.link is not None
        station.link._writer.write(b"GET / HTTP/1.1\r\n\r\n##0010QN=1;CRC00000\r\n")
        assert await station.upload("2051", start, sent(average(start))) == Delivered("key", True)
        async with asyncio.timeout(10):
            while rows("SELECT count(*) FROM dead_letter WHERE source = 'hj212'")[0] < 2:
                await asyncio.sleep(0.005)


def upload_of(value: str, period_start: str = "20260301120000", qn: str = "20260301120100000") -> Message:
    area = ((("DataTime", period_start),), (("a05001-Avg", value), ("a05001-Flag", "N")))
    message = Message(qn, "31", "2051", "123456", MN, flag_of(Edition.HJ2017, wants_answer=True), area)
    return replace(message, raw=encode(message))


def add(store: Store, stations: dict[str, Station], message: Message) -> None:
    add_uploads(store, [(routes(stations)[MN], message, read_upload(message))], NOW)
    roll_up_due(store.db, store.hours_due, 100)


@pytest.mark.parametrize("mqtt_first", [True, False])
@pytest.mark.parametrize("wrong", [False, True], ids=["agrees", "disagrees"])
def test_one_value_by_two_ways_is_one_row(
    store: Store, stations: dict[str, Station], make_log: Maker, rows: Query, mqtt_first: bool, wrong: bool
) -> None:
    log = make_log()
    log.minute(0, 400.0)
    exact = convert(400.0, "umol/mol", "mg/m3", molar_mass=catalogue()["co2"].molar_mass, state=AMBIENT)
    message = upload_of(f"{exact + (0.11 if wrong else 0):.1f}")
    steps = [lambda: store.add([log.delivery(0, 0)]), lambda: add(store, stations, message)]
    for step in steps if mqtt_first else reversed(steps):
        step()
        step()
    assert rows("SELECT revision, unit, mean, n, via FROM average") == [(0, "umol/mol", 400.0, 60, "mqtt+hj212")]
    assert rows("SELECT what FROM event") == (["hj212-disagreement"] if wrong else [])
    assert rows("SELECT minutes, mean, unit FROM hour") == [(1, 400.0, "umol/mol")]


def test_a_revision_by_mqtt_does_not_touch_what_hj212_said(
    store: Store, stations: dict[str, Station], make_log: Maker, rows: Query
) -> None:
    log = make_log()
    log.minute(0, 405.0, 1)
    add(store, stations, upload_of("720.0"))
    store.add([log.delivery(0, 0)])
    assert rows("SELECT revision, mean, via FROM average ORDER BY revision") == [
        (0, 720.0, "hj212"),
        (1, 405.0, "mqtt"),
    ]
    assert rows("SELECT count(*) FROM event") == [0]


def test_another_value_for_the_same_period_is_an_event(store: Store, stations: dict[str, Station], rows: Query) -> None:
    add(store, stations, upload_of("720.0"))
    add(store, stations, upload_of("720.0", qn="20260301120200000"))
    assert rows("SELECT count(*) FROM event") == [0]
    add(store, stations, upload_of("721.0", qn="20260301120300000"))
    assert rows("SELECT what FROM event") == ["hj212-conflict"]
    assert rows("SELECT mean FROM average") == [720.0]
    assert rows("SELECT count(*) FROM hj212_frame") == [3]


@pytest.mark.parametrize(
    ("exact", "text", "answer"),
    [
        (0.05, "0.0", False),
        (0.05, "0.1", False),
        (0.0501, "0.0", True),
        (1234.5, "1234", False),
        (1234.6, "1234", True),
    ],
)
def test_half_a_unit_of_the_last_decimal_is_agreement(exact: float, text: str, answer: bool) -> None:
    assert differs(exact, text) is answer


def test_minutes_of_both_ways_share_an_hour_without_mixing_units(
    store: Store, stations: dict[str, Station], make_log: Maker, rows: Query, start: Any
) -> None:
    log = make_log()
    log.minute(1, 400.0)
    add(store, stations, upload_of("720.0"))
    store.add([log.delivery(0, 0)])
    assert rows("SELECT unit, minutes, mean FROM hour") == [("umol/mol", 1, 400.0)]


async def test_who_never_says_who_it_is_is_hung_up_and_holds_up_nobody(
    stations: dict[str, Station], store: Store
) -> None:
    writer, clock = Writer(), ManualClock(NOW)
    made = Hj212Ingest(Hj212(port=0), stations, store, writer, clock)
    await made.start()
    task = asyncio.create_task(made.run())
    reader, silent = await asyncio.open_connection("127.0.0.1", made.port)
    async with asyncio.timeout(10):
        # The first byte is a stranger's too, and shows that the platform has the connection.
        silent.write(b"#")
        await clock.advance(1.0)
        while not await _ended(reader):
            await clock.advance(30.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writer.close()
    silent.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
