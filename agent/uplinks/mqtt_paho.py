"""The MQTT link over a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.uplinks.mqtt_link import PUBLISH_WALL_S, DeniedError, Link, LinkError, Target
from protocols.mqtt.messages import MESSAGE_BYTES_MAX

KEEPALIVE_WALL_S: Final = 30
ANSWER_WALL_S: Final = 5.0
WILL_DELAY_S: Final = 30
INCOMING_MAX: Final = 100


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Link]:
    """Connect. Raises LinkError."""
    try:
        async with _client(target) as client:
            client.pending_calls_threshold = target.window + 10
            yield _AioLink(client)
    except aiomqtt.MqttError as error:
        raise LinkError(str(error) or type(error).__name__) from error


class _AioLink:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def subscribe(self, topic: str) -> None:
        try:
            codes = await self._client.subscribe(topic, qos=1)
        except aiomqtt.MqttError as error:
            raise LinkError(str(error)) from error
        if any(getattr(code, "is_failure", False) for code in codes):
            raise DeniedError(f"the broker refuses {topic}: {codes[0]}")

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        timeout_s: float = PUBLISH_WALL_S,
    ) -> None:
        properties = None if expiry_s is None else _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        try:
            await self._client.publish(topic, payload, qos=1, retain=retain, properties=properties, timeout=timeout_s)
        except aiomqtt.MqttError as error:
            raise LinkError(str(error)) from error

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        try:
            async for message in self._client.messages:
                if isinstance(message.payload, bytes):
                    yield message.topic.value, message.payload
        except aiomqtt.MqttError as error:
            raise LinkError(str(error)) from error


def _client(target: Target) -> aiomqtt.Client:
    will = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S)
    connect_with = _properties(
        PacketTypes.CONNECT,
        SessionExpiryInterval=0,
        MaximumPacketSize=MESSAGE_BYTES_MAX + 1024,
        RequestProblemInformation=1,
    )
    return aiomqtt.Client(
        target.host,
        target.port,
        identifier=target.client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        timeout=ANSWER_WALL_S,
        keepalive=KEEPALIVE_WALL_S,
        will=aiomqtt.Will(target.will_topic, target.will_payload, qos=1, retain=True, properties=will),
        max_inflight_messages=target.window + 1,
        max_queued_outgoing_messages=target.window + 10,
        max_queued_incoming_messages=INCOMING_MAX,
        properties=connect_with,
        tls_context=target.tls,
    )


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
