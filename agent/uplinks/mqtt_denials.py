"""Topics the broker does not let us write: said once each, as long as it lasts."""

import hashlib
import logging
from typing import Any, Final

from agent.store.log import Log
from agent.uplinks.mqtt_link import DeniedError, Link, TooLargeError

REASONS_MAX: Final = 100

logger = logging.getLogger(__name__)


class Denials:
    """Those of one uplink, at most REASONS_MAX."""

    def __init__(self, name: str, log: Log) -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._reasons: dict[str, tuple[str, str]] = {}

    @property
    def reason(self) -> str | None:
        """What the broker said of the first, None where all is allowed."""
        return next((reason for _, reason in self._reasons.values()), None)

    async def publish(
        self, link: Link, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        """Whether the broker took it. Raises LinkError, but no DeniedError."""
        try:
            await link.publish(topic, payload, retain=retain, expiry_s=expiry_s)
        except TooLargeError as error:
            # Of one record, which is offered again and again, by this topic or that, and said once.
            self._say(hashlib.sha256(payload.partition(b"\n")[2]).hexdigest(), topic, str(error))
            return False
        except DeniedError as error:
            self._say(topic, topic, str(error))
            return False
        self._reasons.pop(topic, None)
        return True

    def _say(self, key: str, topic: str, reason: str) -> None:
        if key not in self._reasons and len(self._reasons) < REASONS_MAX:
            logger.warning("%s: %s", self._origin, reason)
            self._log.post("event", {"what": "uplink-denied", "origin": self._origin, "topic": topic, "reason": reason})
            self._reasons[key] = topic, reason

    def status(self) -> dict[str, Any]:
        """The topics."""
        return {"denied": sorted({topic for topic, _ in self._reasons.values()})}
