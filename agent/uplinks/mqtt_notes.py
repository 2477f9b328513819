"""What people are told of acknowledgements: records set aside, and numbers of an epoch that is none of ours."""

import logging
from typing import Final

from agent.store.log import Log
from protocols.mqtt.window import SendWindow

FOREIGN_MAX: Final = 20

logger = logging.getLogger(__name__)


class Notes:
    """Those of one uplink."""

    def __init__(self, name: str, log: Log) -> None:
        self._origin = f"uplink {name}"
        self._log = log
        self._foreign: set[int] = set()

    def foreign(self, epoch: int) -> None:
        """Say once that an epoch is finished here, or of another log under our name; of FOREIGN_MAX epochs at most."""
        if epoch not in self._foreign and len(self._foreign) < FOREIGN_MAX:
            self._foreign.add(epoch)
            logger.warning("%s: acknowledgements of epoch %d are ignored", self._origin, epoch)

    def fell_back(self, epoch: int, before: int, through: int) -> None:
        """Put on record that the centre holds less than it had acknowledged; it gets the rest again."""
        logger.warning("%s: the centre holds epoch %d up to %d, no more up to %d", self._origin, epoch, through, before)
        detail = {"origin": self._origin, "of_epoch": epoch, "acknowledged": before, "held": through}
        self._log.post("event", {"what": "centre-fell-back", **detail})

    def aside(self, epoch: int, window: SendWindow) -> None:
        """Put on record what the window has newly set aside."""
        for one in window.news:
            record = {"epoch": epoch, "seq": one.batch.last}
            logger.warning("%s: record %s is set aside: %s", self._origin, record, one.reason)
            detail = {"origin": self._origin, "record": record, "reason": one.reason}
            self._log.post("event", {"what": "uplink-set-aside", **detail})
        window.news.clear()
