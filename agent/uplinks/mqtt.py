"""The uplink to a centre of ours by MQTT 5: the record is the message, done means acknowledged by the centre.

Nothing relies on the broker's memory or on the client library's queue: every connection starts clean, and a record
counts as delivered only when `down/ack` covers it. Reason codes of PUBACK do not surface in aiomqtt and prove nothing.
"""

import asyncio
import logging
import random
import ssl
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config import MqttUplink as MqttUplinkConfig
from agent.config import Station
from agent.store.log import Log
from agent.uplinks.cosigned import Cosigned
from agent.uplinks.mqtt_sender import Sender
from agent.uplinks.outage import Outage
from host.address import is_loopback
from metrology.clock import Clock
from metrology.periods import iso
from protocols.mqtt.messages import MESSAGE_BYTES_MAX, Birth, State, build_message
from protocols.mqtt.topics import Direction, Topic

KEEPALIVE_WALL_S: Final = 30
ANSWER_WALL_S: Final = 5.0
PUBLISH_WALL_S: Final = 30.0
FAREWELL_WALL_S: Final = 2.0
WILL_DELAY_S: Final = 30
EXPIRE_WALL_S: Final = 0.5
STABLE_WALL_S: Final = 10.0
SILENCE_WALL_S: Final = 10.0
INCOMING_MAX: Final = 100
RETRY_FIRST_S: Final = 0.5
RETRY_FIRST_MINUTE_S: Final = 2.0
RETRY_MAX_S: Final = 60.0

logger = logging.getLogger(__name__)


class SubscriptionRefusedError(aiomqtt.MqttError):
    """The broker does not let us hear the centre's acknowledgements: nothing could ever be done."""


def retry_delay_s(attempt: int, broken_s: float, jitter: float) -> float:
    """Wall seconds before the next connect. `jitter` in 0..1 takes off up to half.

    0.5 s doubling to 2 s in the first minute of an outage, so that a restarted broker is found at once; then a
    thirtieth of the outage so far, at most 60 s.
    """
    if broken_s < 60:
        delay = min(RETRY_FIRST_S * 2.0 ** min(attempt, 10), RETRY_FIRST_MINUTE_S)
    else:
        delay = min(broken_s / 30, RETRY_MAX_S)
    return delay * (1 - jitter / 2)


class MqttUplink:
    """A reader of the log. `birth` says who the station is; its epoch and time are set at each connect."""

    def __init__(
        self,
        name: str,
        config: MqttUplinkConfig,
        station: Station,
        log: Log,
        clock: Clock,
        *,
        birth: Birth,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._name = name
        self._config = config
        self._station = station
        self._log = log
        self._clock = clock
        self._birth = birth
        self._tls = tls
        self._sender = Sender(name, config, station.id, log, clock)
        self._cosigned = Cosigned(name, log, config.witness)
        self._loaded = asyncio.Event()
        self._connected_at: float | None = None
        self._outage = Outage(name, log, clock)

    async def run(self) -> None:
        """Connect, send, and connect again, until cancelled. Simulated records never leave this machine."""
        await self._sender.load()
        self._loaded.set()
        if (self._station.simulated or self._clock.rate != 1.0) and not is_loopback(self._config.host):
            host = self._config.host
            self._outage.broken(f"simulated records are refused to {host}: only a loopback broker may have them")
            await asyncio.Event().wait()
        try:
            await self._connect_for_ever()
        finally:
            await self._sender.save_place()

    async def _connect_for_ever(self) -> None:
        attempt, since = 0, self._clock.wall_monotonic()
        while True:
            try:
                await self._connection()
            except* aiomqtt.MqttError as group:
                self._outage.broken(_first(group))
            now, connected_at, self._connected_at = self._clock.wall_monotonic(), self._connected_at, None
            # One that is thrown out at once was no success: two clients of one name would take turns for ever.
            if connected_at is not None and now - connected_at > STABLE_WALL_S:
                attempt, since = 0, now
            await self._clock.sleep_wall(retry_delay_s(attempt, now - since, random.random()))
            attempt += 1

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything selected and committed so far is acknowledged, at most so many wall seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._loaded.wait()
                await self._sender.drained()
        except TimeoutError:
            logger.warning("%s: not everything is acknowledged after %g s", self._name, timeout_s)

    def status(self) -> dict[str, Any]:
        """State for people: connection, what is acknowledged, what waits, the last error."""
        counts = self._sender.status() if self._loaded.is_set() else {}
        return {
            "connected": self._connected_at is not None,
            **self._outage.status(),
            **counts,
            **self._cosigned.status(),
        }

    # -- one connection

    async def _connection(self) -> None:
        async with self._client() as client:
            client.pending_calls_threshold = self._config.window + 10
            await self._greet(client)
            try:
                async with asyncio.TaskGroup() as group:
                    for part in (
                        self._listen(client),
                        self._sender.send_live(lambda kind, payload: self._publish(client, kind, payload)),
                        self._sender.send_backfill(lambda kind, payload: self._publish(client, kind, payload)),
                        self._expire(),
                        self._sender.save_places(),
                    ):
                        group.create_task(part)
            except asyncio.CancelledError:
                await self._farewell(client)
                raise

    def _client(self) -> aiomqtt.Client:
        will = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S)
        connect = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=0,
            MaximumPacketSize=MESSAGE_BYTES_MAX + 1024,
            RequestProblemInformation=1,
        )
        return aiomqtt.Client(
            self._config.host,
            self._config.port,
            identifier=f"{self._station.id}-{self._name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            timeout=ANSWER_WALL_S,
            keepalive=KEEPALIVE_WALL_S,
            will=aiomqtt.Will(
                self._topic("up", "state"), self._state(online=False), qos=1, retain=True, properties=will
            ),
            max_inflight_messages=self._config.window + 1,
            max_queued_outgoing_messages=self._config.window + 10,
            max_queued_incoming_messages=INCOMING_MAX,
            properties=connect,
            tls_context=self._tls,
        )

    async def _greet(self, client: aiomqtt.Client) -> None:
        codes = await client.subscribe(self._topic("down", "ack"), qos=1)
        if any(getattr(code, "is_failure", False) for code in codes):
            raise SubscriptionRefusedError(f"the broker refuses {self._topic('down', 'ack')}: {codes[0]}")
        if any(
            getattr(code, "is_failure", False) for code in await client.subscribe(self._topic("down", "witness"), qos=1)
        ):
            # Records are delivered without it; only the witness's answers do not come.
            logger.warning("%s: the broker refuses %s", self._name, self._topic("down", "witness"))
        await client.publish(self._topic("up", "state"), self._state(online=True), qos=1, retain=True)
        birth = self._birth.model_copy(update={"epoch": self._log.epoch, "t": iso(self._clock.now())}).fitted()
        if birth.series_left_out:
            logger.warning("%s: the birth has no room for %d series", self._name, birth.series_left_out)
        await client.publish(self._topic("up", "birth"), build_message(birth), qos=1)
        self._sender.restart()
        self._connected_at = self._clock.wall_monotonic()

    async def _farewell(self, client: aiomqtt.Client) -> None:
        # A clean DISCONNECT cancels the will, so the state is said here; a dead broker may not hold up the end.
        try:
            await client.publish(
                self._topic("up", "state"), self._state(online=False), qos=1, retain=True, timeout=FAREWELL_WALL_S
            )
        except aiomqtt.MqttError as error:
            logger.info("%s: state not said at the end: %s", self._name, error)

    async def _publish(self, client: aiomqtt.Client, kind: str, payload: bytes) -> None:
        await client.publish(self._topic("up", kind), payload, qos=1, timeout=PUBLISH_WALL_S)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if not isinstance(message.payload, bytes):
                continue
            if message.topic.value.endswith("/down/witness"):
                await self._cosigned.take(message.payload)
            elif self._sender.acknowledge(message.payload):
                self._outage.well()

    async def _expire(self) -> None:
        while True:
            await self._clock.sleep_wall(EXPIRE_WALL_S)
            self._sender.expire()
            if self._sender.silence_s > SILENCE_WALL_S:
                self._outage.broken("the centre does not acknowledge")

    def _topic(self, direction: Direction, leaf: str) -> str:
        return str(Topic(self._station.network, self._station.id, direction, leaf))

    def _state(self, *, online: bool) -> bytes:
        return build_message(State(station_id=self._station.id, online=online, t=iso(self._clock.now())))


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """What the first error of a group says."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{error}" or type(error).__name__
