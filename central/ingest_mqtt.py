"""MQTT into the store: what came together is committed together, and only then acknowledged on `down/ack`.

The client library answers PUBACK as soon as a message is in memory and lets nobody delay that. So a PUBACK proves
nothing, as the design has it: a station keeps a record until `down/ack` covers it, and whatever is lost between the
broker and the commit (a full queue here, a kill) is named as missing or sent again after the station's time-out.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from central import cosigning
from central.challenge import TICK_WALL_S, Challenger
from central.config import Broker, Station
from central.coverage import read_coverage
from central.entries import Delivery
from central.store import Store
from central.writer import Writer
from host.secrets import path_of
from host.tls import client_context
from metrology.clock import Clock
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import (
    REFUSED_MAX,
    Ack,
    Birth,
    Challenged,
    Message,
    State,
    Witnessed,
    build_message,
    parse_message,
)
from protocols.mqtt.payload import Refusal, parse_envelope, parse_payload
from protocols.mqtt.topics import UP_FILTER, Topic, parse_topic

CANCEL_AGAIN_S: Final = 0.2
ACK_S: Final = 0.25
BATCH_MESSAGES_MAX: Final = 500
# Messages that wait for the writer; what comes above it is dropped and comes again.
QUEUE_MESSAGES_MAX: Final = 5000
SESSION_EXPIRY_S: Final = 7 * 86400
KEEPALIVE_S: Final = 30
# How many epochs, the newest ones, a station hears of when it connects.
EPOCHS_TOLD: Final = 50
BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 5.0

log = logging.getLogger(__name__)

ABOUT: Final[dict[str, type[State] | type[Birth] | type[Challenged]]] = {
    "state": State, "birth": Birth, "challenge": Challenged,
}  # fmt: skip

Tree = tuple[str, int]
Letter = tuple[str, bytes]
# By tree and `prev`: why a message that came is not stored.
Refusals = dict[Tree, dict[int, str]]


class MqttIngest:
    """One durable subscriber. `run` never ends; a lost broker is looked for again."""

    def __init__(
        self,
        broker: Broker,
        stations: Mapping[str, Station],
        store: Store,
        writer: Writer,
        clock: Clock,
        challenger: Challenger | None = None,
    ) -> None:
        """Raises SecretError, OSError and ssl.SSLError where the client's certificate cannot be had."""
        self._broker = broker
        self._stations = stations
        self._store = store
        self._writer = writer
        self._clock = clock
        self._challenger = challenger
        self._tls = _tls(broker)
        self._unacknowledged: dict[Tree, Coverage] = {}
        self._refused: Refusals = {}
        self._opening = f"{int(store.wall() * 1e6):x}"
        self._born: set[Tree] = set()
        self._greeted: set[str] = set()
        self._untold: dict[Tree, Witnessed] = {}
        self._told: dict[Tree, Witnessed] = {}
        self._connected = False
        self._messages = 0
        self._last_error: str | None = None

    def status(self) -> dict[str, Any]:
        """What a person wants to know of this ingest."""
        return {"connected": self._connected, "messages": self._messages, "last_error": self._last_error}

    async def run(self) -> None:
        """Subscribe for ever. What the store raises ends it: nothing is acknowledged that was not committed."""
        pause = BACKOFF_MIN_S
        while True:
            try:
                async with self._client() as client:
                    await client.subscribe(UP_FILTER, qos=1)
                    self._connected, pause = True, BACKOFF_MIN_S
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                self._last_error = str(error)
                log.warning("broker %s:%d: %s", self._broker.host, self._broker.port, error)
            finally:
                self._connected = False
            await self._clock.sleep_wall(pause)
            pause = min(pause * 2, BACKOFF_MAX_S)

    def _client(self) -> aiomqtt.Client:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=self._broker.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            keepalive=KEEPALIVE_S,
            tls_context=self._tls,
            max_queued_incoming_messages=QUEUE_MESSAGES_MAX,
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Take and acknowledge until either fails; the first failure is the one that counts."""
        tasks = [asyncio.ensure_future(part) for part in (
            self._take(client), self._acknowledge(client), self._challenge(client)
        )]  # fmt: skip
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # Once may not be enough: `wait_for` of Python 3.11 loses a cancellation that meets its result (gh-86296).
            while pending := [task for task in tasks if not task.done()]:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, client: aiomqtt.Client) -> None:
        messages = client.messages
        async for message in messages:
            batch = [_letter(message)]
            while len(messages) and len(batch) < BATCH_MESSAGES_MAX:
                batch.append(_letter(await anext(messages)))
            self._messages += len(batch)
            covered, refused = await self._writer.run(self._commit, batch)
            self._unacknowledged.update(covered)
            self._refused.update(refused)
            seen = await self._writer.run(self._cosigned, list(self._unacknowledged))
            self._untold.update((tree, found) for tree, found in seen.items() if self._told.get(tree) != found)

    async def _acknowledge(self, client: aiomqtt.Client) -> None:
        """Tell each station what is committed; what a broken connection left untold is told by the next."""
        while True:
            await self._clock.sleep_wall(ACK_S)
            for tree, coverage in list(self._unacknowledged.items()):
                ack = Ack.of(tree[1], coverage, self._refused.pop(tree, None), self._opening)
                await self._tell(client, tree, "ack", ack)
                if self._unacknowledged[tree] is coverage:
                    del self._unacknowledged[tree]
            for tree, seen in list(self._untold.items()):
                await self._tell(client, tree, "witness", seen)
                self._told[tree] = seen
                if self._untold[tree] is seen:
                    del self._untold[tree]

    async def _challenge(self, client: aiomqtt.Client) -> None:
        """Ask stations for records behind their checkpoints, where the centre is to."""
        while self._challenger is not None:
            for station_id, question in await self._writer.run(self._challenger.due):
                await self._tell(client, (station_id, question.epoch), "challenge", question)
            await self._clock.sleep_wall(TICK_WALL_S)
        await asyncio.Event().wait()

    async def _tell(self, client: aiomqtt.Client, tree: Tree, leaf: str, message: Message) -> None:
        topic = Topic(self._stations[tree[0]].network, tree[0], "down", leaf)
        await client.publish(str(topic), build_message(message), qos=1)

    def _commit(self, letters: Iterable[Letter]) -> tuple[dict[Tree, Coverage], Refusals]:
        """On the writer's thread: all records of the letters in one transaction."""
        refused: Refusals = {}
        deliveries = [delivery for letter in letters if (delivery := self._read(*letter, refused)) is not None]
        added = self._store.add(deliveries)
        # Who stayed connected while we were away has not said a birth to us.
        for station_id, epoch in added:
            if station_id not in self._greeted:
                self._greet(station_id, epoch)
        # Who is refused or connects shall hear how far we are, also where nothing of the tree was taken just now.
        told, self._born = self._born | refused.keys(), set()
        return {**{tree: read_coverage(self._store.db, *tree) for tree in told}, **added}, refused

    def _cosigned(self, trees: Iterable[Tree]) -> dict[Tree, Witnessed]:
        """On the writer's thread: the newest cosignature of each tree that has one."""
        found = ((tree, cosigning.newest(self._store.db, *tree)) for tree in trees)
        return {tree: seen for tree, seen in found if seen is not None}

    def _read(self, text: str, data: bytes, refused: Refusals) -> Delivery | None:
        topic = parse_topic(text)
        if topic is None:
            self._store.count_refused("mqtt", text, "no topic of ours")
            return None
        station = self._stations.get(topic.station_id)
        if station is None or station.network != topic.network:
            self._store.count_refused("mqtt", f"{topic.network}/{topic.station_id}", "not enrolled")
            return None
        found = self._message(topic, data)
        if isinstance(found, Refusal):
            self._store.put_dead_letter("mqtt", text, found.reason, data)
            _refuse(refused, topic, found, data)
        return found if isinstance(found, Delivery) else None

    def _message(self, topic: Topic, data: bytes) -> Delivery | Refusal | None:
        if topic.leaf in ("state", "birth", "challenge"):
            return self._about(topic, data)
        payload = parse_payload(topic, data)
        return payload if isinstance(payload, Refusal) else Delivery.of(payload)

    def _about(self, topic: Topic, data: bytes) -> Refusal | None:
        """State, birth or answer to a challenge: what a station says of itself under its own name."""
        found = parse_message(ABOUT[topic.leaf], data)
        if isinstance(found, Refusal):
            return found
        if found.station_id != topic.station_id:
            return Refusal(f"station {found.station_id} on the topic of {topic.station_id}")
        if isinstance(found, State):
            self._store.put_state(found)
        elif isinstance(found, Birth):
            self._store.put_birth(found)
            self._greet(topic.station_id, found.epoch)
        elif self._challenger is not None:
            self._challenger.take(found)
        return None

    def _greet(self, station_id: str, epoch: int) -> None:
        """Say how far we are, of earlier epochs too: a store that was put back to an older copy lacks some."""
        self._greeted.add(station_id)
        self._born |= {(station_id, one) for one in range(max(epoch - EPOCHS_TOLD + 1, 0), epoch + 1)}


def _refuse(refused: Refusals, topic: Topic, found: Refusal, data: bytes) -> None:
    """Keep for the next acknowledgement why a message of records is refused, if it says which one it is."""
    envelope = parse_envelope(data)
    if envelope is not None and envelope.station_id == topic.station_id:
        reasons = refused.setdefault((topic.station_id, envelope.epoch), {})
        if len(reasons) < REFUSED_MAX:
            reasons[envelope.prev] = found.reason


def _letter(message: aiomqtt.Message) -> Letter:
    payload = message.payload
    return str(message.topic), payload if isinstance(payload, bytes) else str(payload).encode()


def _tls(broker: Broker) -> ssl.SSLContext | None:
    if broker.tls is None:
        return None
    return client_context(Path(broker.tls.ca), Path(broker.tls.certificate), path_of(broker.tls.key))
