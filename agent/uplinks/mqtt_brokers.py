"""Which broker an MQTT uplink goes to: the first that answers, in the order of the configuration."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.config import MqttBroker
from agent.uplinks.mqtt_link import Version
from protocols.mqtt.payload import PAYLOAD_BYTES_MAX

RETRY_FIRST_S: Final = 0.5
RETRY_FIRST_MINUTE_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
BYTES_MIN: Final = 2048
PATIENCE_DOUBLINGS_MAX: Final = 5


@dataclass
class _Known:
    address: MqttBroker
    tls: ssl.SSLContext | None
    version: Version
    bytes_max: int = PAYLOAD_BYTES_MAX
    passed: int = 0
    suspect: int = 0
    silences: int = 0


class Brokers:
    """One uplink's. What a broker turns out to be is remembered until the station restarts.

    That is: whether it speaks 3.1.1 alone, and how large a message it does not take, which 3.1.1 cannot say.
    """

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

    def passed(self, size: int) -> None:
        """The current one took a message of so many bytes."""
        self.current.passed = max(self.current.passed, size)

    def broke(self, size: int) -> None:
        """The connection ended with a message of so many bytes under way: the largest of them may be to blame."""
        self.current.suspect = max(self.current.suspect, size)

    def bytes_max(self) -> int:
        """Of a message on a new connection to the current one: half of what ended the last, where none so large passed.

        MQTT 5 has words for it.
        """
        now = self.current
        if now.version == "3.1.1" and now.suspect > now.passed:
            now.bytes_max = max(now.passed, min(now.bytes_max, now.suspect) // 2, BYTES_MIN)
        now.suspect = 0
        return now.bytes_max

    @property
    def several(self) -> bool:
        """Whether there is another way."""
        return len(self._known) > 1

    def silent(self) -> None:
        """The centre was not heard by the current one. If that holds of all, none of them is to blame."""
        self.current.silences += 1
        if all(one.silences for one in self._known):
            for one in self._known:
                one.silences = 0

    def heard(self) -> None:
        """The centre was heard by the current one."""
        self.current.silences = 0

    @property
    def patience(self) -> int:
        """How many times longer than usual the first is left alone: it may live and not reach the centre."""
        return 1 << min(self.first.silences, PATIENCE_DOUBLINGS_MAX)

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
