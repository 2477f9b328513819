"""The MQTT uplink against a real broker and a small centre that stores, then acknowledges."""

import asyncio
import base64
import contextlib
import ipaddress
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import MqttBroker, Station
from agent.config import MqttUplink as UplinkConfig
from agent.store.log import Log, Place, Record
from agent.store.salvaging import Salvaging
from agent.uplinks.mqtt import MqttUplink
from agent.uplinks.mqtt_brokers import FORGET_WALL_S, Brokers, retry_delay_s, spread
from agent.uplinks.mqtt_link import link_of
from host.clock import ManualClock, RealClock
from host.tls import client_context
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Ack, Birth, BirthSeries, State, Witnessed, build_message, parse_message
from protocols.mqtt.payload import Payload, parse_payload
from protocols.mqtt.topics import UP_FILTER, Topic, parse_topic
from protocols.record import KINDS
from protocols.tlog import signer_from_seed, split_note
from protocols.tlog_cosign import Cosigner, cosigner_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/tower-01")
STATION = Station.model_validate(
    {
        "id": "tower-01",
        "network": "demo",
        "name_zh": "塔",
        "name_en": "Tower",
        "position": {"latitude": 30.0, "longitude": 120.0, "height_m": 10.0, "datum": "WGS-84"},
    }
)
BIRTH = Birth(
    station_id="tower-01",
    network="demo",
    t="",
    epoch=0,
    name_zh="塔",
    name_en="Tower",
    latitude=30.0,
    longitude=120.0,
    height_m=10.0,
    simulated=False,
    vkey=SIGNER.vkey,
    series={},
)
V5 = aiomqtt.ProtocolVersion.V5
UP = "plumeline/v1/demo/tower-01/up/"
ACK_TOPIC = "plumeline/v1/demo/tower-01/down/ack"
WITNESS_TOPIC = "plumeline/v1/demo/tower-01/down/witness"


class HurriedClock(RealClock):
    """Wall time-outs pass so many times as fast; nothing else changes."""

    def __init__(self, pace: float = 20) -> None:
        self._pace = pace

    def wall_monotonic(self) -> float:
        return super().wall_monotonic() * self._pace

    async def sleep_wall(self, wall_s: float) -> None:
        await super().sleep_wall(wall_s / self._pace)


class Centre:
    """Stores what comes, in order of arrival, and acknowledges after storing."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.port = port
        self.tls = tls
        self.answers = True
        self.witness: Cosigner | None = None
        self.knows_upto = True
        self.overlook: set[int] = set()
        self.refuses: set[int] = set()
        self.arrived: list[tuple[int, int]] = []
        self.bodies: dict[tuple[int, int], bytes] = {}
        self.messages: list[Payload] = []
        self.coverage: dict[int, Coverage] = {}
        self.states: list[State] = []
        self.births: list[Birth] = []
        self.listening = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                # A publish does not notice that the connection broke: it has to be given up soon.
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self.port,
                    identifier="centre",
                    protocol=V5,
                    clean_start=True,
                    timeout=1,
                    tls_context=self.tls,
                ) as client:
                    await client.subscribe(UP_FILTER, qos=1)
                    self.listening.set()
                    async for message in client.messages:
                        await self._take(client, message)
            await asyncio.sleep(0.05)

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        topic = parse_topic(message.topic.value)
        assert topic is not None
        assert isinstance(message.payload, bytes)
        if topic.leaf in ("state", "birth"):
            self._take_message(topic, message.payload)
            return
        payload = parse_payload(topic, message.payload)
        assert isinstance(payload, Payload), payload
        self.messages.append(payload)
        if self.overlook & {row.seq for row in payload.rows}:
            self.overlook.clear()
            return
        if self.refuses & {row.seq for row in payload.rows}:
            known = self.coverage.get(payload.epoch, Coverage())
            ack = Ack.of(payload.epoch, known, {payload.prev: "not to be stored"})
            await client.publish(ACK_TOPIC, build_message(ack), qos=0)
            return
        for row in payload.rows:
            self.arrived.append((payload.epoch, row.seq))
            assert self.bodies.setdefault((payload.epoch, row.seq), row.body) == row.body
        coverage = self.coverage.get(payload.epoch, Coverage()).add(payload.prev, payload.last)
        self.coverage[payload.epoch] = coverage
        if self.answers:
            ack = Ack.of(payload.epoch, coverage)
            if not self.knows_upto:
                ack = ack.model_copy(update={"upto": None})
            await client.publish(ACK_TOPIC, build_message(ack), qos=0)
        if self.witness and topic.leaf == "checkpoint":
            await client.publish(WITNESS_TOPIC, build_message(self.seen(payload)), qos=1)

    def seen(self, payload: Payload) -> Witnessed:
        assert self.witness is not None
        note = split_note(payload.rows[-1].fields["note"])[0]
        return Witnessed(epoch=payload.epoch, size=payload.last, line=self.witness.cosign(note, 60))

    def _take_message(self, topic: Topic, data: bytes) -> None:
        if topic.leaf == "state":
            state = parse_message(State, data)
            assert isinstance(state, State)
            self.states.append(state)
        else:
            birth = parse_message(Birth, data)
            assert isinstance(birth, Birth)
            self.births.append(birth)


async def until(condition: Callable[[], bool], what: str, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


class Rig:
    """A log, an uplink and the tasks that run them."""

    def __init__(self, folder: Path, clock: RealClock, **uplink: Any) -> None:
        self.clock = clock
        self.log = Log(folder, clock, station_id="tower-01", signer=SIGNER, commit_s=0.0)
        station = uplink.pop("station", STATION)
        tls, birth = [uplink.pop("tls")] if "tls" in uplink else (), uplink.pop("birth", BIRTH)
        config = UplinkConfig.model_validate({"kind": "mqtt", "host": "127.0.0.1", **uplink})
        self.uplink = MqttUplink("centre", config, station, self.log, clock, birth=birth, make_link=link_of, tls=tls)
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Rig":
        self.tasks = [asyncio.create_task(self.log.run())]
        return self

    def connect(self) -> None:
        self.tasks.insert(0, asyncio.create_task(self.uplink.run()))

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def events(self, count: int, kind: str = "event") -> None:
        await asyncio.gather(*(self.log.append(kind, {"what": "tick", "i": i}) for i in range(count)))

    async def rows(self, kinds: frozenset[str]) -> list[Record]:
        found: list[Record] = []
        while rows := await self.log.read(found[-1].seq if found else -1, kinds=kinds, limit=500):
            found += rows
        return found

    async def own_events(self) -> list[str]:
        rows = await self.rows(frozenset({"event"}))
        return [str(row.fields["what"]) for row in rows if row.fields.get("origin") == "uplink centre"]

    def counts(self) -> dict[str, Any]:
        return self.uplink.status()

    async def all_acknowledged(self) -> None:
        """The uplink itself writes an event when it is back, so what is committed may grow while we wait."""
        async with asyncio.timeout(15):
            while self.log.pending or self.uplink.status().get("acknowledged") != self.log.next_seq - 1:
                await self.uplink.drain(15)
                await asyncio.sleep(0.01)
        await self.uplink.drain(15)
        assert await self.log.load_place("centre") == Place(self.log.epoch, self.log.next_seq - 1, ())


@contextlib.asynccontextmanager
async def centre_of(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Centre]:
    centre = Centre(port, tls)
    task = asyncio.create_task(centre.run())
    await asyncio.wait_for(centre.listening.wait(), 10)
    yield centre
    assert not task.done() or task.exception() is None, task.exception()
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


async def assert_complete(rig: Rig, centre: Centre) -> None:
    """Every committed record lies at the centre, byte for byte."""
    rows = await rig.rows(KINDS)
    assert [row.seq for row in rows] == list(range(rig.log.next_seq))
    assert all(centre.bodies[row.epoch, row.seq] == row.body for row in rows)


async def test_records_arrive_byte_for_byte_in_runs_of_one_kind_and_the_place_follows(
    broker: Any, tmp_path: Path
) -> None:
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        rig.connect()
        for kind in ("scan", "scan", "event", "scan"):
            await rig.events(30, kind)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        chain = sorted((m.prev, m.last) for m in centre.messages)
        assert chain[0][0] == -1
        assert all(later[0] == earlier[1] for earlier, later in itertools.pairwise(chain))
        assert centre.arrived == sorted(set(centre.arrived))
        assert centre.births[0].vkey == SIGNER.vkey
        assert rig.counts()["connected"]
        assert rig.counts()["unacknowledged"] == 0
    assert await rig.own_events() == []


async def test_the_witness_answer_becomes_a_record_and_goes_up_itself(broker: Any, tmp_path: Path) -> None:
    witness = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre")
    rig = Rig(tmp_path / "log", RealClock(), port=broker.port, witness=witness.vkey)
    async with centre_of(broker.port) as centre, rig:
        centre.witness = witness
        rig.connect()
        await rig.events(3)
        checkpoint = await rig.log.post_checkpoint()
        async with asyncio.timeout(10):
            while rig.counts().get("cosigned") != checkpoint.seq:
                await asyncio.sleep(0.01)
        await rig.all_acknowledged()
        assert "cosigned" in await rig.own_events()
        assert any(b'"what":"cosigned"' in body for body in centre.bodies.values())


async def test_a_station_of_many_series_is_born_whole(broker: Any, tmp_path: Path) -> None:
    """Twelve hundred series take more than the 64 KiB of other messages."""
    spec = BirthSeries(unit="umol/mol", kind="regulated")
    birth = BIRTH.model_copy(update={"series": {f"analyzer-{number:04d}.co2_dry": spec for number in range(1200)}})
    assert len(build_message(birth)) > 64 * 1024
    rig = Rig(tmp_path / "log", RealClock(), port=broker.port, birth=birth)
    async with centre_of(broker.port) as centre, rig:
        rig.connect()
        await rig.events(3)
        await rig.all_acknowledged()
    assert centre.births[0].series == birth.series
    assert centre.births[0].series_left_out is None


async def test_only_selected_kinds_travel_and_prev_skips_the_others(broker: Any, tmp_path: Path) -> None:
    async with (
        centre_of(broker.port) as centre,
        Rig(tmp_path / "log", RealClock(), port=broker.port, kinds=["scan"]) as rig,
    ):
        await rig.events(700)
        await rig.events(3, "scan")
        await rig.events(700)
        rig.connect()
        await rig.events(5)
        await rig.events(1, "scan")
        await rig.uplink.drain(15)
        scans = [row.seq for row in await rig.rows(frozenset({"scan"}))]
        assert sorted(seq for _, seq in centre.bodies) == scans
        assert scans[:3] == [700, 701, 702]
        assert centre.coverage[1].spans == ((0, scans[-1]),)


async def test_a_broker_of_small_packets_gets_small_messages_and_a_record_too_large_is_told(
    broker_with: Any, tmp_path: Path
) -> None:
    """Sent, a larger one would end this connection and each after it (mosquitto, max_packet_size)."""
    broker = broker_with("allow_anonymous true\nmax_packet_size 20000")
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        await asyncio.gather(*(rig.log.append("event", {"what": "tick", "i": i, "pad": "x" * 150}) for i in range(500)))
        rig.connect()
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert max(sum(len(row.body) + 1 for row in one.rows) for one in centre.messages) < 20_000
        large = await rig.log.append("event", {"what": "tick", "pad": "x" * 30_000})
        behind = await rig.log.append("event", {"what": "small again"})
        await until(lambda: (1, behind.seq) in centre.bodies, "what comes behind it goes up")
        rows = [row.fields for row in await rig.rows(frozenset({"event"}))]
        told = next(row for row in rows if row["what"] == "uplink-denied")
        assert "the broker takes 19600" in told["reason"]
        assert "uplink-down" not in await rig.own_events()
    assert (1, large.seq) not in centre.bodies


async def test_in_3_1_1_what_a_broker_does_not_take_is_found_out_by_halves(broker_with: Any, tmp_path: Path) -> None:
    """Its limit cannot be told there: each message above it ends the connection."""
    broker = broker_with("allow_anonymous true\nmax_packet_size 20000")
    rig = Rig(tmp_path / "log", HurriedClock(), port=broker.port, version="3.1.1")
    async with centre_of(broker.port) as centre, rig:
        await asyncio.gather(*(rig.log.append("event", {"what": "tick", "i": i, "pad": "x" * 150}) for i in range(500)))
        rig.connect()
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert 5000 < max(sum(len(row.body) + 1 for row in one.rows) for one in centre.messages) < 20_000
        down = (await rig.own_events()).count("uplink-down")
        await rig.events(200)
        await rig.all_acknowledged()
        assert (await rig.own_events()).count("uplink-down") == down


async def test_in_3_1_1_a_record_too_large_for_the_broker_is_told_once_and_holds_up_nobody(
    broker_with: Any, tmp_path: Path
) -> None:
    broker = broker_with("allow_anonymous true\nmax_packet_size 3000")
    rig = Rig(tmp_path / "log", HurriedClock(80), port=broker.port, version="3.1.1")
    async with centre_of(broker.port) as centre, rig:
        large = await rig.log.append("event", {"what": "tick", "pad": "x" * 4000})
        await rig.events(50)
        rig.connect()
        await until(lambda: (1, 50) in centre.bodies, "what is behind it goes up")
        again = await rig.log.append("event", {"what": "tick", "pad": "x" * 4000})
        await rig.events(50)
        await until(lambda: (1, again.seq + 50) in centre.bodies, "and goes on to")
        denied = rig.clock.wall_monotonic()
        await until(lambda: rig.clock.wall_monotonic() > denied + 200, "each is offered again twice")
        rows = [row.fields for row in await rig.rows(frozenset({"event"}))]
        told = [row["reason"] for row in rows if row["what"] == "uplink-denied"]
        assert len(told) == 2
        assert all("raise its limit" in reason for reason in told)
        assert rig.counts()["connected"]
    assert not {(1, large.seq), (1, again.seq)} & centre.bodies.keys()


def test_what_a_broker_of_3_1_1_takes_is_learned_from_ends_it_made_and_forgotten() -> None:
    most = 300_000
    brokers = Brokers([MqttBroker(host="b", port=1)], [None], "3.1.1")

    def ended(*sizes: int, by_us: bool = False) -> tuple[int, int]:
        for size in sizes:
            brokers.cut_off(size)
        brokers.ended(0.0, by_us=by_us)
        return brokers.fitting(most, 1.0)

    whole = brokers.fitting(most, 0.0)
    assert ended(100_000, by_us=True) == whole
    assert ended(900, 100_000, 20) == (whole[0], 50_000)
    assert ended(50_000) == (whole[0], 25_000)
    brokers.passed(40_000)
    assert brokers.fitting(most, 1.0) == (whole[0], 40_000), "what passes is taken"
    assert ended(39_000) == (whole[0], 40_000), "so large a one has passed: the line broke"
    assert ended(60_000) == (whole[0], 40_000)
    assert ended(60_000) == (59_999, 40_000), "a single record ended two"
    assert brokers.fitting(most, FORGET_WALL_S + 1) == whole


async def test_a_broker_that_lives_and_does_not_reach_the_centre_is_left_for_one_that_does(
    broker_with: Callable[[str], Any], tmp_path: Path
) -> None:
    first, second = broker_with("allow_anonymous true"), broker_with("allow_anonymous true")
    further = [{"host": "127.0.0.1", "port": second.port}]
    rig = Rig(tmp_path / "log", HurriedClock(80), port=first.port, brokers=further, return_s=60)
    async with centre_of(second.port) as centre, rig:
        rig.connect()
        await rig.events(20)
        await rig.all_acknowledged()
        assert rig.counts()["broker_number"] == 2
        await assert_complete(rig, centre)
        await until(lambda: rig.counts()["broker_number"] == 1, "it is tried again")
        await rig.events(5)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert rig.counts()["broker_number"] == 2
        assert rig.uplink._brokers.patience == 4


async def test_a_broker_killed_in_mid_stream_loses_nothing(broker: Any, tmp_path: Path) -> None:
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        rig.connect()
        await rig.events(300)
        await until(lambda: len(centre.bodies) >= 100, "stream runs")
        broker.kill()
        await rig.events(900)
        await until(lambda: not rig.counts()["connected"], "noticed")
        await rig.events(900)
        broker.start()
        await rig.events(100)
        await until(lambda: rig.counts()["connected"], "back")
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert await rig.own_events() == ["uplink-down", "uplink-up"]


async def test_a_centre_that_forgets_to_answer_is_probed_and_then_gets_everything(broker: Any, tmp_path: Path) -> None:
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", HurriedClock(), port=broker.port) as rig:
        centre.answers = False
        rig.connect()
        for _ in range(30):
            await rig.events(20)
        await until(lambda: "the centre does not acknowledge" in str(rig.counts()["last_error"]), "silence is noticed")
        assert rig.counts()["connected"]
        assert rig.counts()["acknowledged"] == -1
        centre.answers = True
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert await rig.own_events() == ["uplink-down", "uplink-up"]


async def test_a_record_the_centre_refuses_is_set_aside_with_an_alarm_and_blocks_no_other(
    broker: Any, tmp_path: Path
) -> None:
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        centre.refuses = {14}
        await rig.events(40)
        rig.connect()
        await until(lambda: rig.counts().get("unacknowledged") == 0 and len(centre.bodies) > 0, "all is told")
        while rig.counts()["set_aside"] == 0:
            await rig.events(1)
            await rig.uplink.drain(15)
        await until(lambda: not rig.log.pending, "it is on record")
        [event] = [row.fields for row in await rig.rows(frozenset({"event"})) if row.fields["what"] != "tick"]
        assert (event["what"], event["record"]["seq"]) == ("uplink-set-aside", 14)
        assert event["reason"] == "not to be stored"
        await rig.uplink.drain(15)
        assert sorted(seq for _, seq in centre.bodies) == [seq for seq in range(rig.log.next_seq) if seq != 14]
        assert rig.counts()["acknowledged"] == 13
    # It is kept: once the centre takes it, it is done.
    centre.refuses = set()
    async with centre_of(broker.port) as later, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        later.coverage, later.bodies = centre.coverage, centre.bodies
        rig.connect()
        await rig.all_acknowledged()
        assert (1, 14) in later.bodies


@pytest.mark.parametrize("knows_upto", [True, False])
async def test_what_the_centre_misses_is_sent_again(broker: Any, tmp_path: Path, *, knows_upto: bool) -> None:
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", HurriedClock(), port=broker.port) as rig:
        centre.knows_upto = knows_upto
        rig.connect()
        await rig.events(10)
        await rig.all_acknowledged()
        centre.overlook = {14}
        for _ in range(30):
            await rig.events(1)
        await until(lambda: not centre.overlook, "one message fell on the floor")
        while rig.counts()["acknowledged"] < 14:
            await rig.events(1)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)


async def test_live_records_overtake_a_backlog(broker: Any, tmp_path: Path) -> None:
    async with (
        centre_of(broker.port) as centre,
        Rig(tmp_path / "log", RealClock(), port=broker.port, backfill_per_s=3000) as rig,
    ):
        await rig.events(5000)
        before = rig.log.next_seq
        rig.connect()
        await until(lambda: len(centre.bodies) > 0, "backfill runs")
        live = await rig.log.append("event", {"what": "now", "origin": "test"})
        await until(lambda: (live.epoch, live.seq) in centre.bodies, "live arrives")
        assert len(centre.bodies) < before
        assert rig.counts()["backlog"] > 0
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        backlog = [seq for _, seq in centre.arrived if seq < before]
        assert backlog == sorted(backlog)


async def test_a_backlog_of_kinds_in_turns_is_packed(broker: Any, tmp_path: Path) -> None:
    """A minute's scan and its average, for ten hours: not a message each."""
    async with centre_of(broker.port) as centre, Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        for _ in range(60):
            await asyncio.gather(*(rig.log.append(("scan", "average")[i % 2], {"what": "tick"}) for i in range(20)))
        rig.connect()
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert len(centre.messages) <= 1200 / 60
        assert max(len(message.rows) for message in centre.messages) == 200


async def test_acknowledgements_of_others_and_rubbish_are_counted_and_move_nothing(
    broker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
        rig.connect()
        await rig.events(5)
        await until(lambda: rig.counts().get("unacknowledged") == 5, "sent")
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as stranger:
            for data in [
                build_message(Ack(epoch=77, through=4)),
                build_message(Ack(epoch=77, through=5)),
                build_message(Ack(epoch=rig.log.epoch, through=1000)),
                b"",
                b"\xff\xfe",
                b'{"v":1,"epoch":1,"through":"4"}',
                b"[" * 60_000,
                b'{"v":1,"epoch":1,"through":-1,"missing":[[3,1]]}',
            ]:
                await stranger.publish(ACK_TOPIC, data, qos=1)
            await until(lambda: rig.counts()["refused_acks"] == 6, "rubbish is counted")
            assert rig.counts()["foreign_acks"] == 2
            assert caplog.text.count("acknowledgements of epoch 77 are ignored") == 1
            assert rig.counts()["acknowledged"] == -1
            # One of them speaks of numbers we do not have, which is told.
            await until(lambda: rig.log.next_seq == 6, "it is on record")
            [told] = await rig.log.read(4, kinds=frozenset({"event"}), limit=9)
            assert (told.fields["what"], told.fields["first"], told.fields["until"]) == ("log-behind", 5, 1001)
            await stranger.publish(ACK_TOPIC, build_message(Ack(epoch=rig.log.epoch, through=5)), qos=1)
        await rig.all_acknowledged()


async def test_a_restarted_station_goes_on_from_its_place(broker: Any, tmp_path: Path) -> None:
    async with centre_of(broker.port) as centre:
        async with Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
            rig.connect()
            await rig.events(50)
            await rig.all_acknowledged()
        await until(lambda: bool(centre.states) and not centre.states[-1].online, "it said goodbye")
        assert [state.online for state in centre.states] == [True, False]
        sent = len(centre.arrived)
        async with Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
            await rig.events(700)
            rig.connect()
            await rig.all_acknowledged()
            await assert_complete(rig, centre)
            assert len(centre.arrived) == sent + rig.log.next_seq - 50


async def test_an_earlier_epoch_is_finished_as_backfill(broker: Any, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    days = ManualClock(datetime(2026, 1, 1, 6, tzinfo=UTC))
    old = Log(folder, days, station_id="tower-01", signer=SIGNER, commit_s=0.0)
    task = asyncio.create_task(old.run())
    bodies = [(await old.append("event", {"what": "first day", "i": i})).body for i in range(300)]
    days.step(86400)
    bodies.append((await old.append("event", {"what": "first of the second day"})).body)
    await old.append("event", {"what": "lost with its file"})
    await old.save_place("centre", Place(1, 99))
    task.cancel()
    await asyncio.wait([task])
    newest = sorted(folder.glob("log-*.db"))[-1]
    newest.write_bytes(b"rubbish" * 1000)

    async with centre_of(broker.port) as centre, Rig(folder, RealClock(), port=broker.port) as rig:
        assert rig.log.epoch == 2
        rig.connect()
        await rig.events(20)
        await Salvaging(folder, rig.log, None, days.now()).run()
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert rig.counts()["earlier_epochs"] == 0
        old_rows = {seq: body for (epoch, seq), body in centre.bodies.items() if epoch == 1}
        assert set(old_rows) >= set(range(100, 300))
        assert all(bodies[seq] == body for seq, body in old_rows.items())
        assert centre.coverage[1].spans[-1][1] == max(old_rows)


async def test_a_kind_that_is_no_longer_selected_leaves_no_hole_at_the_centre(broker: Any, tmp_path: Path) -> None:
    async with centre_of(broker.port) as centre:
        async with Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
            rig.connect()
            await rig.events(5, "scan")
            await rig.events(5)
            await rig.all_acknowledged()
            await rig.log.save_place("centre", Place(rig.log.epoch, 1, ((5, 9),)))
        centre.coverage = {1: Coverage(((0, 1), (5, 9)))}
        async with Rig(tmp_path / "log", RealClock(), port=broker.port, kinds=["event"]) as rig:
            rig.connect()
            await rig.events(2)
            await rig.all_acknowledged()
            assert centre.coverage[1].spans == ((0, rig.log.next_seq - 1),)


class Certificates:
    """A certification authority and what it signs, as PEM files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.ca = folder / "ca.pem"
        self._write(self.ca, self._sign(self._name, self._key.public_key(), ca=True))

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(True, False, False, False, False, ca, ca, False, False), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @staticmethod
    def _write(path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._write(self.folder / f"{name}.pem", self._sign(subject, key.public_key(), ca=False))
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def context(self, name: str) -> ssl.SSLContext:
        return client_context(self.ca, *self.issue(name))


ACCESS = """
user centre
topic read plumeline/v1/+/+/up/#
topic write plumeline/v1/+/+/down/ack
pattern write plumeline/v1/+/%u/up/#
pattern read plumeline/v1/+/%u/down/#
"""


@pytest.fixture
def guarded(broker_with: Callable[[str], Any], tmp_path: Path) -> tuple[Any, Certificates]:
    """A broker that wants certificates and gives each station its own branch."""
    certificates = Certificates(tmp_path / "pki")
    certificate, key = certificates.issue("broker")
    rules = tmp_path / "acl"
    rules.write_text(ACCESS)
    rules.chmod(0o600)
    listener = (
        f"cafile {certificates.ca}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\n"
        f"use_identity_as_username true\nacl_file {rules}"
    )
    return broker_with(listener), certificates


async def test_a_station_delivers_with_its_certificate(guarded: tuple[Any, Certificates], tmp_path: Path) -> None:
    broker, pki = guarded
    async with (
        centre_of(broker.port, pki.context("centre")) as centre,
        Rig(tmp_path / "log", RealClock(), port=broker.port, tls=pki.context("tower-01")) as rig,
    ):
        rig.connect()
        await rig.events(20)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)


async def test_the_certificate_of_another_station_is_of_no_use(
    guarded: tuple[Any, Certificates], tmp_path: Path
) -> None:
    broker, pki = guarded
    async with (
        centre_of(broker.port, pki.context("centre")) as centre,
        Rig(tmp_path / "log", HurriedClock(), port=broker.port, tls=pki.context("tower-02")) as rig,
    ):
        rig.connect()
        await rig.events(5)
        await until(lambda: "Not authorized" in str(rig.counts()["last_error"]), "the denial is told")
        assert UP + "event" in rig.counts()["denied"]
        assert centre.bodies == {}
        assert rig.counts()["acknowledged"] == -1


@contextlib.asynccontextmanager
async def acl_broker(broker_with: Callable[[str], Any], folder: Path, *denied: str) -> AsyncIterator[Any]:
    """A broker without names that denies some topics to everybody."""
    rules = folder / "rules"
    lines = ["topic readwrite plumeline/#", *(f"topic deny plumeline/v1/demo/tower-01/{leaf}" for leaf in denied)]
    rules.write_text("\n".join(lines) + "\n")
    rules.chmod(0o600)
    yield broker_with(f"allow_anonymous true\nacl_file {rules}")


async def test_a_denied_kind_is_named_and_kept_while_the_others_travel(
    broker_with: Callable[[str], Any], tmp_path: Path
) -> None:
    async with (
        acl_broker(broker_with, tmp_path, "up/scan") as broker,
        centre_of(broker.port) as centre,
        Rig(tmp_path / "log", RealClock(), port=broker.port) as rig,
    ):
        rig.connect()
        await rig.events(3)
        await rig.events(2, "scan")
        await rig.events(3)
        await until(lambda: rig.counts()["denied"] == [UP + "scan"], "the denial is told")
        await until(lambda: {0, 1, 2, 5, 6, 7, 8} <= {seq for _, seq in centre.bodies}, "the others arrive")
        assert rig.counts()["connected"]
        assert await rig.own_events() == ["uplink-denied"]
        assert not {3, 4} & {seq for _, seq in centre.bodies}
        await until(lambda: rig.counts()["acknowledged"] == 2, "what is denied is not done")


async def test_in_3_1_1_a_denied_publish_shows_as_never_acknowledged(
    broker_with: Callable[[str], Any], tmp_path: Path
) -> None:
    async with (
        acl_broker(broker_with, tmp_path, "up/#") as broker,
        centre_of(broker.port) as centre,
        Rig(tmp_path / "log", HurriedClock(), port=broker.port, version="3.1.1") as rig,
    ):
        rig.connect()
        await rig.events(5)
        await until(lambda: UP + "#" in str(rig.counts()["last_error"]), "what to look at is said")
        assert rig.counts()["connected"]
        assert rig.counts()["acknowledged"] == -1
        assert centre.bodies == {}


SUBSCRIPTIONS_DENIED = """{ "defaultACLAccess":
  { "publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true } }"""


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_denied_subscription_is_told(broker_with: Callable[[str], Any], tmp_path: Path, version: str) -> None:
    """An access list of mosquitto denies no subscription; its plugin does."""
    plugin = next(Path("/usr/lib").rglob("mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("mosquitto has no plugin that denies subscriptions")
    (tmp_path / "denied.json").write_text(SUBSCRIPTIONS_DENIED)
    broker = broker_with(f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {tmp_path / 'denied.json'}")
    async with Rig(tmp_path / "log", HurriedClock(), port=broker.port, version=version) as rig:
        rig.connect()
        await rig.events(5)
        await until(lambda: f"refuses us {ACK_TOPIC}" in str(rig.counts()["last_error"]), "the topic is named")
        assert not rig.counts()["connected"]


async def test_records_arrive_by_mqtt_3_1_1(broker: Any, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "log", RealClock(), port=broker.port, version="3.1.1")
    async with centre_of(broker.port) as centre, rig:
        rig.connect()
        await rig.events(300)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert rig.counts()["mqtt_version"] == "3.1.1"


@contextlib.asynccontextmanager
async def old_door(broker_port: int) -> AsyncIterator[int]:
    """A way to a broker that speaks MQTT 3.1.1 alone: a CONNECT of MQTT 5 is answered by return code 1."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readuntil(b"MQTT")
        if (level := await reader.readexactly(1)) != b"\x04":
            writer.write(b"\x20\x02\x00\x01")
            writer.close()
            return
        inner, outer = await asyncio.open_connection("127.0.0.1", broker_port)
        outer.write(first + level)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pipe(reader, outer), pipe(inner, writer))

    server = await asyncio.start_server(enter, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_broker_that_knows_no_mqtt_5_is_spoken_to_in_3_1_1(
    broker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        centre_of(broker.port) as centre,
        old_door(broker.port) as port,
        Rig(tmp_path / "log", RealClock(), port=port) as rig,
    ):
        rig.connect()
        await rig.events(20)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert rig.counts()["mqtt_version"] == "3.1.1"
        assert await rig.own_events() == []
    assert caplog.text.count("does not speak MQTT 5") == 1


async def test_the_next_broker_serves_while_the_first_is_away_and_hands_back(
    broker_with: Callable[[str], Any], tmp_path: Path
) -> None:
    first, second = broker_with("allow_anonymous true"), broker_with("allow_anonymous true")
    further = [{"host": "127.0.0.1", "port": second.port}]
    rig = Rig(tmp_path / "log", HurriedClock(), port=first.port, brokers=further, return_s=10)
    async with centre_of(first.port) as centre, centre_of(second.port) as other, rig:
        rig.connect()
        await rig.events(20)
        await rig.all_acknowledged()
        assert rig.counts()["broker_number"] == 1
        first.kill()
        # One centre behind two brokers: what came by either is known by both ways.
        other.coverage, other.bodies = centre.coverage, centre.bodies
        await rig.events(20)
        await until(lambda: rig.counts()["broker_number"] == 2 and rig.counts()["connected"], "the second serves")
        await rig.all_acknowledged()
        assert rig.counts()["broker"] == f"127.0.0.1:{second.port}"
        sent = len(other.messages)
        first.start()
        await until(lambda: rig.counts()["broker_number"] == 1 and rig.counts()["connected"], "back with the first")
        await rig.events(5)
        await rig.all_acknowledged()
        await assert_complete(rig, centre)
        assert sent == len(other.messages)
        # One place, whichever the broker: what was done by one way is not sent by the other.
        assert not set(centre.arrived) & set(other.arrived)


async def test_a_new_uplink_begins_where_it_is_told_and_the_centre_misses_nothing(broker: Any, tmp_path: Path) -> None:
    async with centre_of(broker.port) as centre:
        async with Rig(tmp_path / "log", RealClock(), port=broker.port, since="now") as rig:
            await rig.events(30)
            first = rig.log.next_seq
            rig.connect()
            await until(lambda: "acknowledged" in rig.counts(), "it knows where it is")
            await rig.log.append("event", {"what": "first that counts", "origin": "test"})
            await rig.uplink.drain(15)
            assert sorted(seq for _, seq in centre.bodies) == [first]
            assert [(m.prev, m.last) for m in centre.messages] == [(-1, first)]
            assert centre.coverage[1].spans == ((0, first),)
        # What it did not send once it does not send later, whatever the key says now.
        async with Rig(tmp_path / "log", RealClock(), port=broker.port, since="beginning") as rig:
            rig.connect()
            await rig.events(3)
            await rig.all_acknowledged()
            assert min(seq for _, seq in centre.bodies) == first


async def test_a_new_uplink_begins_at_a_time(broker: Any, tmp_path: Path) -> None:
    days = ManualClock(datetime(2026, 1, 1, 6, tzinfo=UTC))
    rig = Rig(tmp_path / "log", days, port=broker.port, since="2026-01-01T15:00:00+08:00")
    async with centre_of(broker.port) as centre, rig:
        await rig.events(10)
        days.step(3600)
        await rig.events(10)
        rig.connect()
        await until(lambda: len(centre.bodies) == 10, "the second hour arrives")
        assert min(seq for _, seq in centre.bodies) == 10
        assert centre.messages[0].prev == -1


# The MQTT library leaves a socket whose handshake failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stranger", ["no certificate", "another authority"])
async def test_a_connection_the_broker_or_we_do_not_trust_carries_nothing(
    guarded: tuple[Any, Certificates], tmp_path: Path, stranger: str
) -> None:
    broker, pki = guarded
    if stranger == "no certificate":
        tls = ssl.create_default_context(cafile=str(pki.ca))
    else:
        tls = Certificates(tmp_path / "other").context("tower-01")
    async with Rig(tmp_path / "log", HurriedClock(), port=broker.port, tls=tls) as rig:
        rig.connect()
        await rig.events(5)
        await until(lambda: bool(rig.counts()["last_error"]), "the failure is told")
        assert not rig.counts()["connected"]
        assert rig.counts()["acknowledged"] == -1


async def test_simulated_records_are_refused_to_a_foreign_broker(tmp_path: Path) -> None:
    simulated = STATION.model_copy(update={"simulated": True})
    async with Rig(tmp_path / "log", RealClock(), port=1883, host="192.0.2.1", station=simulated) as rig:
        rig.connect()
        await until(lambda: bool(rig.counts()["last_error"]), "refusal is told")
        assert "192.0.2.1" in rig.counts()["last_error"]
        assert not rig.counts()["connected"]
        await until(lambda: rig.log.next_seq == 1, "and recorded")
        assert await rig.own_events() == ["uplink-down"]


async def test_simulated_records_may_go_to_this_machine(broker: Any, tmp_path: Path) -> None:
    simulated = STATION.model_copy(update={"simulated": True})
    async with (
        centre_of(broker.port) as centre,
        Rig(tmp_path / "log", RealClock(), port=broker.port, station=simulated) as rig,
    ):
        rig.connect()
        await rig.events(3)
        await rig.all_acknowledged()
        assert len(centre.bodies) == 3


async def test_a_drain_without_a_broker_ends_in_time_and_moves_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path / "log", HurriedClock(), port=1) as rig:
        rig.connect()
        await rig.events(3)
        await rig.uplink.drain(0.2)
        assert rig.counts()["acknowledged"] == -1
        await until(lambda: bool(rig.counts()["last_error"]), "the refusal is shown")


def test_retries_find_a_restarted_broker_soon_and_spare_a_dead_one() -> None:
    first_minute = [retry_delay_s(attempt, 1.5 * attempt, 0.0) for attempt in range(40)]
    assert first_minute[:3] == [0.5, 1.0, 2.0]
    assert max(first_minute) == 2.0
    assert retry_delay_s(10_000, 10**6, 0.0) == 60.0
    assert retry_delay_s(10_000, 10**6, 1.0) == 30.0


def test_stations_that_lost_one_broker_do_not_return_together() -> None:
    stations = [spread(f"tower-{number}-centre", 0) for number in range(1000)]
    tenths = [sum(tenth <= value * 10 < tenth + 1 for value in stations) for tenth in range(10)]
    assert min(tenths) > 60
    assert spread("tower-1-centre", 0) == stations[1] != spread("tower-1-centre", 1)


async def test_no_record_expires(broker: Any, tmp_path: Path) -> None:
    """The record is the message: however late it arrives, it counts."""
    expiries: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as listener:
        await listener.subscribe("plumeline/#", qos=1)
        async with Rig(tmp_path / "log", RealClock(), port=broker.port) as rig:
            rig.connect()
            for kind in sorted(KINDS):
                await rig.log.append(kind, {"what": "tick"})
            async with asyncio.timeout(10):
                async for message in listener.messages:
                    expiries[message.topic.value.removeprefix(UP)] = getattr(
                        message.properties, "MessageExpiryInterval", None
                    )
                    if expiries.keys() >= KINDS | {"state", "birth"}:
                        break
    assert set(expiries.values()) == {None}
