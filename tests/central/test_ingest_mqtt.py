"""The subscriber against a real broker: committed, then acknowledged; whoever is not enrolled is shown, not let in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import pytest

from central.config import Broker as BrokerConfig
from central.config import Station
from central.ingest_mqtt import MqttIngest
from central.store import Store
from central.writer import Writer
from host.clock import RealClock
from protocols.mqtt.messages import Ack, Birth, BirthSeries, State, Witnessed, build_message, parse_message
from protocols.mqtt.payload import build_payload
from protocols.record import decode
from protocols.tlog_cosign import WitnessKey, cosigned_at, cosigner_from_seed

Maker = Callable[..., Any]
Rows = Callable[..., list[Any]]
UP = "plumeline/v1/net/tower/up/"


class Peer:
    """A station's end: publishes, and hears the acknowledgements."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client

    async def send(self, log: Any, first: int, last: int, prev: int | None = None, kind: str = "scan") -> None:
        data = build_payload("tower", log.epoch, first - 1 if prev is None else prev, log.bodies[first : last + 1])
        await self.client.publish(UP + kind, data, qos=1)

    async def ack(self, done: Callable[[Ack], bool]) -> Ack:
        async with asyncio.timeout(10):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                found = parse_message(Ack, message.payload)
                assert isinstance(found, Ack)
                if done(found):
                    return found
        raise AssertionError("the connection ended")


@contextlib.asynccontextmanager
async def peer(port: int) -> AsyncIterator[Peer]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe("plumeline/v1/net/tower/down/ack", qos=1)
        yield Peer(client)


@contextlib.asynccontextmanager
async def ingest(port: int, stations: dict[str, Station], store: Store) -> AsyncIterator[MqttIngest]:
    writer = Writer()
    made = MqttIngest(BrokerConfig(host="127.0.0.1", port=port), stations, store, writer, RealClock())
    task = asyncio.create_task(made.run())
    try:
        await until(lambda: made.status()["connected"], task)
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def until(condition: Callable[[], Any], task: "asyncio.Task[None] | None" = None) -> None:
    """Wait for a condition; a task that ended first says why."""
    async with asyncio.timeout(10):
        while not condition():
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.01)


@pytest.fixture
def scans(make_log: Maker) -> Any:
    log = make_log()
    for _ in range(30):
        log.scan()
    return log


async def test_what_is_acknowledged_is_committed_and_holes_are_named(
    broker: Any, store: Store, stations: dict[str, Station], scans: Any
) -> None:
    async with ingest(broker.port, stations, store), peer(broker.port) as station:
        await station.send(scans, 0, 9)
        await station.send(scans, 20, 24)
        ack = await station.ack(lambda found: bool(found.missing))
        assert (ack.epoch, ack.through, ack.missing, ack.upto) == (0, 9, ((10, 19),), 24)
        await station.send(scans, 12, 19, prev=9)
        ack = await station.ack(lambda found: found.through > 9)
        assert (ack.through, ack.missing) == (24, ())
    stored = [seq for (seq,) in store.db.execute("SELECT seq FROM record ORDER BY seq")]
    assert stored == [*range(10), *range(12, 25)]


async def test_state_and_birth_are_kept(broker: Any, store: Store, rows: Rows, stations: dict[str, Station]) -> None:
    async with ingest(broker.port, stations, store), peer(broker.port) as station:
        for online in (True, False):
            state = State(station_id="tower", online=online, t="2026-03-01T04:00:00.000Z")
            await station.client.publish(UP + "state", build_message(state), qos=1, retain=True)
            await until(lambda: rows("SELECT online FROM station") == [online])  # noqa: B023
        spec = BirthSeries(unit="umol/mol", kind="regulated")
        birth = Birth(
            station_id="tower", network="net", t="2026-03-01T04:00:00.000Z", epoch=0, name_zh="塔", name_en="Tower",
            latitude=30.0, longitude=120.0, height_m=10.0, simulated=False, vkey=stations["tower"].vkey,
            series={f"analyzer-{number:04d}.co2_dry": spec for number in range(1200)},
        )  # fmt: skip
        await station.client.publish(UP + "birth", build_message(birth), qos=1)
        await until(lambda: rows("SELECT birth FROM station") != [None])
    kept = store.db.execute("SELECT birth FROM station").get
    assert Birth.model_validate_json(kept) == birth


@pytest.mark.parametrize(
    ("topic", "station_id", "table"),
    [
        ("plumeline/v1/net/stranger/up/scan", "stranger", "refused"),
        ("plumeline/v1/other/tower/up/scan", "tower", "refused"),
        ("plumeline/v1/net/plain/up/scan", "tower", "dead_letter"),
        ("plumeline/v1/net/tower/up/average", "tower", "dead_letter"),
        ("plumeline/v1/net/tower/up/nonsense", "tower", "refused"),
    ],
)
async def test_what_does_not_belong_is_counted_and_not_stored(
    broker: Any,
    store: Store,
    rows: Rows,
    stations: dict[str, Station],
    scans: Any,
    topic: str,
    station_id: str,
    table: str,
) -> None:
    async with ingest(broker.port, stations, store), peer(broker.port) as station:
        payload = build_payload(station_id, 0, -1, scans.bodies[:2])
        for _ in range(2):
            await station.client.publish(topic, payload, qos=1)
        await until(lambda: rows(f"SELECT sum(count) FROM {table}") == [2])
        assert rows("SELECT count(*) FROM record") == [0]
        await station.send(scans, 0, 0)
        assert (await station.ack(lambda found: True)).through == 0


async def test_rubbish_is_kept_as_a_dead_letter_and_the_line_goes_on(
    broker: Any, store: Store, stations: dict[str, Station], scans: Any
) -> None:
    rubbish = [b"", b"\x00\xff", b"{}", b"[" * 100_000, b'{"v":1,"station_id":"tower","epoch":0,"prev":-1}\n{}']
    async with ingest(broker.port, stations, store), peer(broker.port) as station:
        for data in rubbish:
            await station.client.publish(UP + "scan", data, qos=1)
        await station.client.publish(UP + "state", b"offline", qos=1)
        # Of what names itself the station hears why it is refused; the others belong to nobody.
        told = await station.ack(lambda found: bool(found.refused))
        [(prev, reason)] = told.refused
        assert (prev, told.through) == (-1, -1)
        assert reason.startswith("body: ")
        await station.send(scans, 0, 29)
        assert (await station.ack(lambda found: found.through == 29)).refused == ()
    assert store.db.execute("SELECT count(*) FROM dead_letter").get == len(rubbish) + 1


async def test_a_broker_that_dies_is_found_again_and_repeats_are_harmless(
    broker: Any, store: Store, stations: dict[str, Station], scans: Any
) -> None:
    async with ingest(broker.port, stations, store) as running:
        async with peer(broker.port) as station:
            await station.send(scans, 0, 9)
            await station.ack(lambda found: found.through == 9)
        broker.kill()
        await until(lambda: not running.status()["connected"])
        broker.start()
        await until(lambda: running.status()["connected"])
        async with peer(broker.port) as station:
            await station.send(scans, 5, 29)
            await station.ack(lambda found: found.through == 29)
    assert store.db.execute("SELECT count(*) FROM record").get == 30


async def test_nothing_is_acknowledged_that_the_store_could_not_commit(
    broker: Any, store: Store, stations: dict[str, Station], scans: Any
) -> None:
    store.db.execute("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    writer = Writer()
    made = MqttIngest(BrokerConfig(host="127.0.0.1", port=broker.port), stations, store, writer, RealClock())
    task = asyncio.create_task(made.run())
    await until(lambda: made.status()["connected"], task)
    async with peer(broker.port) as station:
        await station.send(scans, 0, 9)
        async with asyncio.timeout(10):
            with pytest.raises(Exception, match="disk full"):
                await task
    writer.close()
    assert store.db.execute("SELECT count(*) FROM coverage").get == 0


async def test_a_believed_checkpoint_is_answered_with_a_cosignature(
    broker: Any, tmp_path: Any, stations: dict[str, Station], make_log: Maker
) -> None:
    cosigner = cosigner_from_seed("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", "centre")
    store = Store(str(tmp_path / "witness.db"), stations, lambda: 1234.5, cosigner)
    log = make_log()
    log.scan()
    note = decode(log.checkpoint())["note"]
    async with ingest(broker.port, stations, store), peer(broker.port) as station:
        await station.client.unsubscribe("plumeline/v1/net/tower/down/ack")
        await station.client.subscribe("plumeline/v1/net/tower/down/witness", qos=1)
        await station.send(log, 0, 0)
        await station.send(log, 1, 1, kind="checkpoint")
        async with asyncio.timeout(10):
            message = await anext(station.client.messages)
    store.close()
    assert isinstance(message.payload, bytes)
    seen = parse_message(Witnessed, message.payload)
    assert isinstance(seen, Witnessed)
    assert (seen.epoch, seen.size) == (0, 1)
    assert cosigned_at(note + seen.line, WitnessKey.from_vkey(cosigner.vkey)) == 1234
