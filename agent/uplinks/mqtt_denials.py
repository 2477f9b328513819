"""Topics the broker does not let us write: said once each, as long as it lasts."""

import logging
from typing import Any

from agent.store.log import Log
from agent.uplinks.mqtt_link import DeniedError, Link

logger = logging.getLogger(__name__)


class Denials:
    """Those of one uplink; at most as many as there are topics of ours."""

    def __init__(self, name: str, log: Log) -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._reasons: dict[str, str] = {}

    @property
    def reason(self) -> str | None:
        """What the broker said of the first, None where all is allowed."""
        return next(iter(self._reasons.values()), None)

    async def publish(
        self, link: Link, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None
    ) -> bool:
        """Whether the broker took it. Raises LinkError, but no DeniedError."""
        try:
            await link.publish(topic, payload, retain=retain, expiry_s=expiry_s)
        except DeniedError as error:
            if topic not in self._reasons:
                logger.warning("%s: %s", self._origin, error)
                detail = {"topic": topic, "reason": str(error)}
                self._log.post("event", {"what": "uplink-denied", "origin": self._origin, **detail})
            self._reasons[topic] = str(error)
            return False
        self._reasons.pop(topic, None)
        return True

    def status(self) -> dict[str, Any]:
        """The topics."""
        return {"denied": sorted(self._reasons)}
