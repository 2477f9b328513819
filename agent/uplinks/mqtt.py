"""The uplink to a centre of ours by MQTT 5 or 3.1.1: the record is the message, done means acknowledged by the centre.

Nothing relies on the broker's memory or on the client library's queue: every connection starts clean, and a record
counts as delivered only when `down/ack` covers it. A PUBACK proves nothing; one that denies a topic is an alarm.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from agent.config import MqttUplink as MqttUplinkConfig
from agent.config import Station
from agent.store.log import Log
from agent.uplinks.challenged import Challenges
from agent.uplinks.cosigned import Cosigned
from agent.uplinks.mqtt_brokers import Brokers, retry_delay_s, spread
from agent.uplinks.mqtt_denials import Denials
from agent.uplinks.mqtt_link import DeniedError, Link, LinkError, MakeLink, Target, VersionError
from agent.uplinks.mqtt_sender import Sender
from agent.uplinks.outage import Outage
from host.address import is_loopback
from metrology.clock import Clock
from metrology.periods import iso
from protocols.mqtt.messages import Birth, State, build_message
from protocols.mqtt.topics import Direction, Topic

FAREWELL_WALL_S: Final = 2.0
EXPIRE_WALL_S: Final = 0.5
STABLE_WALL_S: Final = 10.0
SILENCE_WALL_S: Final = 10.0
# So long a broker that lives is given to reach the centre, where there is another.
LEAVE_WALL_S: Final = 60.0
# What answers a question of the centre is worth nothing later; a record always is and never expires.
ANSWER_EXPIRY_S: Final = 3600

logger = logging.getLogger(__name__)


Handler = Callable[[bytes], Awaitable[tuple[str, bytes] | None]]
"""Takes a message of the centre; may answer with a leaf below `up/` and its payload."""


class _LeftError(LinkError):
    """We end a connection that stands, for a broker that may serve better."""


class _ReturningError(_LeftError):
    """The preferred broker is there again."""


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
        make_link: MakeLink,
        tls: Sequence[ssl.SSLContext | None] = (),
    ) -> None:
        self._name = name
        self._config = config
        self._station = station
        self._log = log
        self._clock = clock
        self._birth = birth
        self._make_link = make_link
        addresses = config.addresses
        self._brokers = Brokers(addresses, tls or [None] * len(addresses), config.version)
        self._denials = Denials(name, log)
        self._sender = Sender(name, config, station.id, log, clock)
        self._cosigned = Cosigned(name, log, config.witness)
        # Leaf below `down/`: who takes what comes there. Without acknowledgements nothing is ever done.
        self._handlers: dict[str, Handler] = {"ack": self._acknowledged, "witness": self._cosigned.take}
        self._challenges = Challenges(station.id, log, clock)
        self._handlers["challenge"] = self._challenges.take
        self._loaded = asyncio.Event()
        self._connected_at: float | None = None
        self._outage = Outage(name, log, clock)

    async def run(self) -> None:
        """Connect, send, and connect again, until cancelled. Simulated records never leave this machine."""
        await self._sender.load()
        self._loaded.set()
        if (self._station.simulated or self._clock.rate != 1.0) and (far := self._far()):
            self._outage.broken(f"simulated records are refused to {far}: only a loopback broker may have them")
            await asyncio.Event().wait()
        try:
            await self._connect_for_ever()
        finally:
            await self._sender.save_place()

    def _far(self) -> str:
        """Brokers that are not on this machine."""
        return ", ".join(one.host for one in self._config.addresses if not is_loopback(one.host))

    async def _connect_for_ever(self) -> None:
        attempt, since = 0, self._clock.wall_monotonic()
        while True:
            why, at_once = await self._connection_ended()
            if at_once:
                logger.warning("%s: %s", self._name, why)
                continue
            self._outage.broken(why)
            now, connected_at, self._connected_at = self._clock.wall_monotonic(), self._connected_at, None
            # One that is thrown out at once was no success: two clients of one name would take turns for ever.
            if connected_at is not None and now - connected_at > STABLE_WALL_S:
                attempt, since = 0, now
            if self._brokers.next():
                jitter = spread(self._client_id, attempt)
                await self._clock.sleep_wall(retry_delay_s(attempt, now - since, jitter))
                attempt += 1

    async def _connection_ended(self) -> tuple[str, bool]:
        """Why the connection ended or did not come, and whether another is to be had at once."""
        why, at_once = "", False
        try:
            await self._connection()
        except* LinkError as group:
            why, at_once = self._judged(group)
        return why, at_once

    def _judged(self, error: BaseException) -> tuple[str, bool]:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._brokers.ended(self._clock.wall_monotonic(), by_us=isinstance(error, _LeftError))
        old = isinstance(error, VersionError) and self._brokers.is_old()
        return str(error), old or isinstance(error, _ReturningError)

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
            **self._brokers.status(),
            **self._denials.status(),
            **counts,
            **self._cosigned.status(),
            **self._challenges.status(),
        }

    # -- one connection

    async def _connection(self) -> None:
        async with self._make_link(self._target()) as link:
            await self._greet(link)

            async def publish(kind: str, payload: bytes) -> bool:
                try:
                    taken = await self._denials.publish(link, self._topic("up", kind), payload)
                except (LinkError, asyncio.CancelledError):
                    self._brokers.cut_off(len(payload))
                    raise
                self._brokers.passed(len(payload) if taken else 0)
                return taken

            try:
                async with asyncio.TaskGroup() as group:
                    for part in (
                        self._listen(link),
                        self._sender.send_live(publish),
                        self._sender.send_backfill(publish),
                        self._expire(),
                        self._look_back(),
                        self._sender.save_places(),
                    ):
                        group.create_task(part)
            except asyncio.CancelledError:
                await self._farewell(link)
                raise

    def _target(self, *, preferred: bool = False) -> Target:
        broker = self._brokers.first if preferred else self._brokers.current
        return Target(
            broker.address.host,
            broker.address.port,
            client_id=self._client_id,
            will_topic=self._topic("up", "state"),
            will_payload=self._state(online=False),
            window=self._config.window,
            version=broker.version,
            tls=broker.tls,
        )

    async def _look_back(self) -> None:
        """While another broker serves, look from time to time whether the preferred one does; leave only then."""
        while not self._brokers.preferred:
            await self._clock.sleep_wall(self._config.return_s * self._brokers.patience)
            try:
                async with self._make_link(self._target(preferred=True)):
                    pass
            except LinkError:
                continue
            self._brokers.back()
            raise _ReturningError(f"{self._brokers.status()['broker']} is there again")

    async def _greet(self, link: Link) -> None:
        await link.subscribe(self._topic("down", "ack"))
        for leaf in self._handlers.keys() - {"ack"}:
            try:
                await link.subscribe(self._topic("down", leaf))
            except DeniedError as error:
                # Records are delivered without it; only what the centre asks or tells there does not come.
                logger.warning("%s: %s", self._name, error)
        await self._denials.publish(link, self._topic("up", "state"), self._state(online=True), retain=True)
        now = {"epoch": self._log.epoch, "vkey": self._log.vkey, "t": iso(self._clock.now())}
        birth = self._birth.model_copy(update=now).fitted()
        if birth.series_left_out:
            logger.warning("%s: the birth has no room for %d series", self._name, birth.series_left_out)
        await self._denials.publish(link, self._topic("up", "birth"), build_message(birth))
        link.payload_max, several = self._brokers.fitting(link.payload_max, self._clock.wall_monotonic())
        self._sender.restart(several)
        self._connected_at = self._clock.wall_monotonic()

    async def _farewell(self, link: Link) -> None:
        # A clean DISCONNECT cancels the will, so the state is said here; a dead broker may not hold up the end.
        try:
            await link.publish(
                self._topic("up", "state"), self._state(online=False), retain=True, timeout_s=FAREWELL_WALL_S
            )
        except LinkError as error:
            logger.info("%s: state not said at the end: %s", self._name, error)

    async def _listen(self, link: Link) -> None:
        async for topic, payload in link.messages():
            handler = self._handlers.get(topic.rpartition("/")[2])
            if handler and (answer := await handler(payload)):
                leaf, said = answer
                await self._denials.publish(link, self._topic("up", leaf), said, expiry_s=ANSWER_EXPIRY_S)

    async def _acknowledged(self, payload: bytes) -> None:
        if self._sender.acknowledge(payload):
            self._brokers.heard()
            self._outage.well()

    async def _expire(self) -> None:
        while True:
            await self._clock.sleep_wall(EXPIRE_WALL_S)
            self._sender.expire()
            if self._sender.silence_s > SILENCE_WALL_S:
                self._outage.broken(self._silence())
            if self._brokers.several and self._sender.silence_s > LEAVE_WALL_S:
                self._brokers.silent()
                raise _LeftError(self._silence())

    def _silence(self) -> str:
        """Why nothing is acknowledged, as far as can be told from here."""
        if self._denials.reason:
            return self._denials.reason
        # What a broker does not deliver to us it does not tell; nor, in MQTT 3.1.1, what it does not take.
        down, up = self._topic("down", "ack"), self._topic("up", "state").removesuffix("state") + "#"
        topics = down if self._brokers.current.version == "5" else f"{down} and {up}"
        return f"the centre does not acknowledge; where it runs, see whether the broker allows {topics}"

    @property
    def _client_id(self) -> str:
        return f"{self._station.id}-{self._name}"

    def _topic(self, direction: Direction, leaf: str) -> str:
        return str(Topic(self._station.network, self._station.id, direction, leaf))

    def _state(self, *, online: bool) -> bytes:
        return build_message(State(station_id=self._station.id, online=online, t=iso(self._clock.now())))
