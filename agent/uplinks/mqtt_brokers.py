"""Which broker an MQTT uplink goes to: the first that answers, in the order of the configuration."""

import hashlib
import math
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.config import MqttBroker
from agent.uplinks.mqtt_link import Version
from protocols.mqtt.payload import PAYLOAD_BYTES_MAX

RETRY_FIRST_S: Final = 0.5
RETRY_FIRST_MINUTE_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
BYTES_MIN: Final = 2048
FORGET_WALL_S: Final = 6 * 3600.0
PATIENCE_DOUBLINGS_MAX: Final = 5


@dataclass
class _Sizes:
    """Bytes of messages: the largest that passed, what a message of several records may have, and one of a single."""

    passed: int = 0
    several: int = PAYLOAD_BYTES_MAX
    single: int = PAYLOAD_BYTES_MAX
    cut_off: int = 0
    blamed: int = 0
    until: float = math.inf


@dataclass
class _Known:
    address: MqttBroker
    tls: ssl.SSLContext | None
    version: Version
    sizes: "_Sizes" = field(default_factory=lambda: _Sizes())
    silences: int = 0


class Brokers:
    """One uplink's. Where a broker turns out to speak 3.1.1 alone, that is remembered until the station restarts.

    How large a message it does not take 3.1.1 can say only by ending the connection; that is remembered for
    FORGET_WALL_S.
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
        now = self.current.sizes
        now.passed = max(now.passed, size)
        now.several, now.single = max(now.several, size), max(now.single, size)

    def cut_off(self, size: int) -> None:
        """A message of so many bytes had no PUBACK when the connection ended."""
        self.current.sizes.cut_off = max(self.current.sizes.cut_off, size)

    def ended(self, wall_s: float, *, by_us: bool) -> None:
        """A connection to the current one ended.

        Where no message so large as the largest cut off ever passed, the next are half as large; a single record that
        was it twice is not sent again.
        """
        now = self.current.sizes
        size, now.cut_off = now.cut_off, 0
        if by_us or self.current.version != "3.1.1" or size <= now.passed:
            return
        if size > now.several or now.several == BYTES_MIN:
            now.single = size - 1 if size == now.blamed else now.single
            now.blamed = size
        now.several = max(now.passed, min(now.several, size // 2), BYTES_MIN)
        now.until = wall_s + FORGET_WALL_S

    def fitting(self, most: int, wall_s: float) -> tuple[int, int]:
        """Bytes of a message of a single record, and of one of several, to the current one; it says `most` itself."""
        if wall_s > self.current.sizes.until:
            self.current.sizes = _Sizes(self.current.sizes.passed)
        return min(most, self.current.sizes.single), min(most, self.current.sizes.several)

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
