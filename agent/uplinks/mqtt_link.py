"""What an MQTT uplink needs of a broker: one connection, and nothing of it remembered by the next.

The form over a network is in mqtt_paho.py, loaded only by a station with such an uplink; a simulation gives its own.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Version = Literal["5", "3.1.1"]

PUBLISH_WALL_S: Final = 30.0


class LinkError(Exception):
    """The connection cannot be had, or is of no use any more."""


class DeniedError(LinkError):
    """The broker lives but does not let us: it says so of one topic."""


class TooLargeError(DeniedError):
    """The broker does not take a message of this size."""


class VersionError(LinkError):
    """The broker does not speak this version of MQTT."""


@dataclass(frozen=True, slots=True)
class Target:
    """One connection to one broker. `window`: how many messages may wait for their PUBACK at once."""

    host: str
    port: int
    client_id: str
    will_topic: str
    will_payload: bytes
    window: int
    version: Version = "5"
    tls: ssl.SSLContext | None = None


class Link(Protocol):
    """A connection that stands. Everything goes at QoS 1; topics are plain, without wildcards."""

    payload_max: int
    """Bytes of a payload this broker takes: what MQTT 5 lets it say, else the most that a message of ours has."""

    async def subscribe(self, topic: str) -> None:
        """Hear a topic. Raises DeniedError where the broker refuses it, LinkError where it cannot be asked."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        timeout_s: float = PUBLISH_WALL_S,
    ) -> None:
        """Return when the broker has it (PUBACK).

        `expiry_s` is for what is worth nothing later; MQTT 3.1.1 has no such thing and leaves it out. Raises
        DeniedError where an MQTT 5 broker refuses it (3.1.1 cannot say so), LinkError where no answer came.
        """

    def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """What comes: topic and payload, for ever. Raises LinkError when the connection ends."""


MakeLink = Callable[[Target], AbstractAsyncContextManager[Link]]
"""Entering connects (raises LinkError); leaving disconnects in order, which cancels the will."""


def link_of(target: Target) -> AbstractAsyncContextManager[Link]:
    """The link over a network."""
    from agent.uplinks.mqtt_paho import connect

    return connect(target)
