"""A broker in memory: QoS 1 as brokers really keep it. It may forget, repeat, refuse, hang, and be away."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiomqtt
from sim_loop import PROCESS, Process, SimLoop

from agent.uplinks.mqtt_link import PUBLISH_WALL_S, DeniedError, LinkError, Target
from protocols.mqtt.payload import PAYLOAD_BYTES_MAX

QUEUE_MAX = 5000
EVERYTHING = "plumeline/v1/"  # of what goes up


@dataclass
class Manners:
    """How the broker behaves now; shares are of messages."""

    away: bool = False
    forgets: float = 0.0
    repeats: float = 0.02
    late: float = 0.02
    denies: bool = False
    hangs: bool = False
    late_s: float = 3.0


@dataclass(eq=False)
class Letter:
    """A message as the centre's client library gives it."""

    topic: str
    payload: bytes


@dataclass(eq=False)
class Ear:
    """A subscriber: one connection of a station, or the centre with its durable memory at the broker."""

    topics: list[str] = field(default_factory=list)
    waiting: deque[Letter] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    process: Process | None = None
    error: str | None = None

    def __len__(self) -> int:
        return len(self.waiting)

    def put(self, letter: Letter) -> None:
        """A message comes; beyond the bound the oldest goes."""
        self.waiting.append(letter)
        if len(self.waiting) > QUEUE_MAX:
            self.waiting.popleft()
        self.changed.set()

    def end(self, error: str) -> None:
        """The connection is gone."""
        self.error = self.error or error
        self.changed.set()

    def __aiter__(self) -> "Ear":
        return self

    async def __anext__(self) -> Letter:
        while not self.waiting:
            if self.error is not None:
                raise aiomqtt.MqttError(self.error)
            self.changed.clear()
            await self.changed.wait()
        return self.waiting.popleft()


class Broker:
    """Topics are matched by their prefix: all this network needs. Order within a topic is kept, between topics not."""

    def __init__(self, loop: SimLoop, seed: object) -> None:
        self.loop, self.dice, self.manners = loop, Random(f"{seed}/broker"), Manners()
        self.ears: list[Ear] = []
        self.memory: deque[Letter] = deque(maxlen=QUEUE_MAX)
        self._due: dict[tuple[int, str], float] = {}
        self.forgotten = 0

    # -- faults

    def disconnect(self) -> None:
        """Break every connection."""
        for ear in list(self.ears):
            ear.end("Disconnected by the broker")
        self.ears.clear()

    def forget(self) -> None:
        """Start anew with an empty memory."""
        self.forgotten += len(self.memory)
        self.memory.clear()
        self.disconnect()

    # -- what both ends do

    async def answer(self, ear: Ear, timeout_s: float) -> None:
        """The way to the broker and back; raises TimeoutError, and LinkError where the connection is gone."""
        if self.manners.hangs:
            await asyncio.sleep(timeout_s)
            raise TimeoutError
        await asyncio.sleep(0.001 + 0.01 * self.dice.random())
        if ear.error is not None or self.manners.away:
            raise LinkError(ear.error or "no broker")

    def take(self, topic: str, payload: bytes) -> None:
        """A message was taken; what becomes of it."""
        manners, dice = self.manners, self.dice
        if manners.forgets and dice.random() < manners.forgets:
            self.forgotten += 1
            return
        for _ in range(2 if dice.random() < manners.repeats else 1):
            self._route(Letter(topic, payload))

    def _route(self, letter: Letter) -> None:
        up = "/up/" in letter.topic
        heard = False
        for ear in self.ears:
            if any(letter.topic.startswith(topic) and (up or topic != EVERYTHING) for topic in ear.topics):
                late = self.manners.late_s * self.dice.random() if self.dice.random() < self.manners.late else 0.002
                key = (id(ear), letter.topic)
                due = self._due[key] = max(self.loop.time() + late, self._due.get(key, 0.0) + 1e-6)
                self.loop.call_at(due, self._deliver, ear, letter, context=self.loop.net.context)
                heard = True
        if up and not heard:
            self.memory.append(letter)

    def _deliver(self, ear: Ear, letter: Letter) -> None:
        if ear.error is None and (ear.process is None or ear.process.alive):
            ear.put(letter)
        elif "/up/" in letter.topic:
            self.memory.append(letter)

    def _ear(self) -> Ear:
        if self.manners.away:
            raise LinkError("Connection refused")
        return Ear(process=PROCESS.get())

    # -- the station's end

    @asynccontextmanager
    async def link(self, target: Target) -> AsyncIterator["StationLink"]:
        """`make_link` of the daemon."""
        ear = self._ear()
        try:
            await self.answer(ear, 5.0)
        except TimeoutError:
            raise LinkError("timed out") from None
        self.ears.append(ear)
        try:
            yield StationLink(self, ear)
        finally:
            ear.end("closed")
            if ear in self.ears:
                self.ears.remove(ear)

    def client(self) -> "CentreClient":
        """What stands for the client library in the centre."""
        return CentreClient(self)


class StationLink:
    """See agent.uplinks.mqtt_link.Link."""

    payload_max = PAYLOAD_BYTES_MAX

    def __init__(self, broker: Broker, ear: Ear) -> None:
        self._broker, self._ear = broker, ear

    async def subscribe(self, topic: str) -> None:
        """See Link."""
        try:
            await self._broker.answer(self._ear, 5.0)
        except TimeoutError:
            raise LinkError("no SUBACK") from None
        self._ear.topics.append(topic)

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None,
        timeout_s: float = PUBLISH_WALL_S,
    ) -> None:  # fmt: skip
        """See Link."""
        try:
            await self._broker.answer(self._ear, timeout_s)
        except TimeoutError:
            raise LinkError("no PUBACK") from None
        if self._broker.manners.denies and self._broker.dice.random() < 0.7:
            raise DeniedError("not authorized")
        self._broker.take(topic, payload)

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """See Link."""
        try:
            async for letter in self._ear:
                yield letter.topic, letter.payload
        except aiomqtt.MqttError as error:
            raise LinkError(str(error)) from error


class CentreClient:
    """The part of aiomqtt.Client that the centre uses."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.messages = Ear()

    async def __aenter__(self) -> "CentreClient":
        try:
            self.messages = self._broker._ear()
            await self._broker.answer(self.messages, 5.0)
        except (LinkError, TimeoutError) as error:
            raise aiomqtt.MqttError(str(error)) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        ear, broker = self.messages, self._broker
        ear.end("closed")
        if ear in broker.ears:
            broker.ears.remove(ear)

    async def subscribe(self, topic: str, qos: int = 1) -> None:
        """All that goes up; what came while nobody heard comes now."""
        self.messages.topics.append(EVERYTHING)
        self._broker.ears.append(self.messages)
        while self._broker.memory:
            self.messages.put(self._broker.memory.popleft())

    async def publish(self, topic: str, payload: Any, qos: int = 1, **_: Any) -> None:
        """To a station."""
        try:
            await self._broker.answer(self.messages, 10.0)
        except (LinkError, TimeoutError) as error:
            raise aiomqtt.MqttError(str(error)) from error
        data = payload if isinstance(payload, bytes) else str(payload).encode()
        self._broker.take(topic, data)
