"""Whether an uplink works: said once when it breaks, once when the peer has a record again."""

import logging
from typing import Any

from agent.store.log import Log
from metrology.clock import Clock

logger = logging.getLogger(__name__)


class Outage:
    """State of one uplink. A connection proves nothing: an outage ends with the first acknowledgement (`well`)."""

    def __init__(self, name: str, log: Log, clock: Clock) -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._clock = clock
        self._since: float | None = None
        self.last_error: str | None = None

    def broken(self, why: str) -> None:
        """Something keeps records from the peer. However often it is called, one outage is one line and one event."""
        self.last_error = why
        if self._since is None:
            self._since = self._clock.wall_monotonic()
            logger.warning("%s: %s", self._origin, why)
            self._log.post("event", {"what": "uplink-down", "origin": self._origin, "reason": why})

    def well(self) -> None:
        """The peer has a record of ours."""
        if (seconds := self._seconds()) is not None:
            self._since = None
            logger.warning("%s: works again after %g s", self._origin, seconds)
            self._log.post("event", {"what": "uplink-up", "origin": self._origin, "outage_wall_s": seconds})

    def _seconds(self) -> float | None:
        return None if self._since is None else round(self._clock.wall_monotonic() - self._since, 1)

    def status(self) -> dict[str, Any]:
        """How long the outage has lasted, None where there is none; and the last error, also of one that is over."""
        return {"down_wall_s": self._seconds(), "last_error": self.last_error}
