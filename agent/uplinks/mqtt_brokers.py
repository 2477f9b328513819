"""Which broker an MQTT uplink goes to: the first that answers, in the order of the configuration."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.config import MqttBroker
from agent.uplinks.mqtt_link import Version

RETRY_FIRST_S: Final = 0.5
RETRY_FIRST_MINUTE_S: Final = 2.0
RETRY_MAX_S: Final = 60.0


@dataclass
class _Known:
    address: MqttBroker
    tls: ssl.SSLContext | None
    version: Version


class Brokers:
    """One uplink's. Where a broker turns out to speak 3.1.1 alone, that is remembered until the station restarts."""

    def __init__(
        self, addresses: Sequence[MqttBroker], contexts: Sequence[ssl.SSLContext | None], version: Version
    ) -> None:
        self._known = [_Known(*pair, version) for pair in zip(addresses, contexts, strict=True)]
        self._at = 0

    @property
    def current(self) -> _Known:
        """The one in use, or to be tried now."""
        return self._known[self._at]

    @property
    def first(self) -> _Known:
        """The one the configuration prefers."""
        return self._known[0]

    @property
    def preferred(self) -> bool:
        """Whether the current one is the first."""
        return self._at == 0

    def next(self) -> bool:
        """Turn to the next; True where that is the first again: all were tried."""
        self._at = (self._at + 1) % len(self._known)
        return self._at == 0

    def back(self) -> None:
        """Turn to the first."""
        self._at = 0

    def is_old(self) -> bool:
        """The current one does not speak MQTT 5; False where 3.1.1 was spoken already."""
        news, self.current.version = self.current.version == "5", "3.1.1"
        return news

    def status(self) -> dict[str, Any]:
        """Address and MQTT version of the current one, and which in the order it is (1 is preferred)."""
        now = self.current
        return {
            "broker": f"{now.address.host}:{now.address.port}",
            "broker_number": self._at + 1,
            "mqtt_version": now.version,
        }


def retry_delay_s(attempt: int, broken_s: float, jitter: float) -> float:
    """Wall seconds before the next round of connects. `jitter` in 0..1 takes off up to half.

    0.5 s doubling to 2 s in the first minute of an outage, so that a restarted broker is found at once; then a
    thirtieth of the outage so far, at most 60 s.
    """
    if broken_s < 60:
        delay = min(RETRY_FIRST_S * 2.0 ** min(attempt, 10), RETRY_FIRST_MINUTE_S)
    else:
        delay = min(broken_s / 30, RETRY_MAX_S)
    return delay * (1 - jitter / 2)


def spread(who: str, attempt: int) -> float:
    """A number in 0..1, another for each client and attempt: stations that lost one broker do not return together.

    Of a hash and not of chance, so that a simulated run can be repeated.
    """
    digest = hashlib.sha256(f"{who} {attempt}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
