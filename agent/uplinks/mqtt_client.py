"""A client of paho for one connection of ours, and the properties MQTT 5 has beside a packet."""

from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.uplinks.mqtt_link import Target
from protocols.mqtt.messages import MESSAGE_BYTES_MAX

ANSWER_WALL_S: Final = 5.0
WILL_DELAY_S: Final = 30


def client_of(target: Target) -> paho.Client:
    """Ready to connect: its will, its bounds, its certificate."""
    five = target.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=target.client_id,
        clean_session=None if five else True,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = ANSWER_WALL_S
    will = properties_of(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S) if five else None
    client.will_set(target.will_topic, target.will_payload, qos=1, retain=True, properties=will)
    client.max_inflight_messages_set(target.window)
    client.max_queued_messages_set(target.window + 10)
    if target.tls is not None:
        client.tls_set_context(target.tls)
    return client


def connect_properties() -> Properties:
    """Of CONNECT: no session is kept, and what is too large for us is not sent."""
    return properties_of(
        PacketTypes.CONNECT,
        SessionExpiryInterval=0,
        MaximumPacketSize=MESSAGE_BYTES_MAX + 1024,
        RequestProblemInformation=1,
    )


def properties_of(packet: int, **values: int | None) -> Properties:
    """Properties of a kind of packet by their names."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
