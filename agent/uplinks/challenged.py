"""The centre asks for a record behind an accepted checkpoint: the answer is its bytes as they lie on the disk now.

Whether they are what was witnessed only the centre says. Answers are few and bounded: a broker in foreign hands draws
no log out of a station by them.
"""

import base64
import logging
from collections import deque
from typing import Any, Final

import apsw

from agent.store.log import Log, Record
from metrology.clock import Clock
from protocols import record
from protocols.mqtt.messages import Challenge, Challenged, build_message, parse_message
from protocols.mqtt.payload import Refusal

# Somewhat more than a centre of ours asks: 20 a minute where a person demands a range.
ANSWERS_MAX: Final = 1500
WITHIN_WALL_S: Final = 3600.0
LEAF: Final = "challenge"
DELETED: Final = "raw-deleted"
EVENTS_READ: Final = 500

logger = logging.getLogger(__name__)


class Challenges:
    """One uplink's."""

    def __init__(self, station_id: str, log: Log, clock: Clock) -> None:
        self._station_id = station_id
        self._log = log
        self._clock = clock
        self._answered: deque[float] = deque(maxlen=ANSWERS_MAX)
        self.refused = 0

    async def take(self, data: bytes) -> tuple[str, bytes] | None:
        """Answer the bytes of a `down/challenge`: leaf and payload; None where it is none, or one too many."""
        asked, now = parse_message(Challenge, data), self._clock.wall_monotonic()
        full = len(self._answered) == ANSWERS_MAX and now - self._answered[0] < WITHIN_WALL_S
        if isinstance(asked, Refusal) or full:
            self.refused += 1
            return None
        self._answered.append(now)
        row = await self._at_rest(asked.epoch, asked.seq)
        body = _encoded(row.body) if row else None
        gone = None if row else await self._deletion(asked.epoch, asked.seq)
        answer = Challenged(station_id=self._station_id, epoch=asked.epoch, seq=asked.seq, body=body, gone=gone)
        return LEAF, build_message(answer)

    async def _at_rest(self, epoch: int, seq: int) -> Record | None:
        """The record from its file, never from memory; None where it is in none."""
        try:
            rows = await self._log.call(self._read_live, epoch, seq)
            if rows is None:
                rows = await self._log.read(seq - 1, kinds=record.KINDS, limit=1, before=seq + 1, epoch=epoch)
        except apsw.Error as error:
            logger.warning("record %d of epoch %d cannot be read: %s", seq, epoch, error)
            return None
        return rows[0] if rows else None

    def _read_live(self, epoch: int, seq: int) -> list[Record] | None:
        live = self._log.files.live
        if epoch != live.epoch or seq < live.first_seq:
            return None
        return live.read(seq - 1, record.KINDS, 1, seq + 1)

    async def _deletion(self, epoch: int, seq: int) -> tuple[int, int] | None:
        """The newest record that says that these numbers were deleted."""
        found: tuple[int, int] | None = None
        for own in await self._log.epochs():
            after = -1
            while rows := await self._log.read(after, kinds=frozenset({"event"}), limit=EVENTS_READ, epoch=own):
                after = rows[-1].seq
                found = next((one for row in rows if (one := _deletes(row.fields, epoch, seq))), found)
        return found

    def status(self) -> dict[str, Any]:
        """For people."""
        return {"challenges_answered": len(self._answered), "challenges_refused": self.refused}


def _encoded(body: object) -> str:
    # Whoever altered a row may have put text, or anything, where bytes belong.
    return base64.b64encode(body if isinstance(body, bytes) else str(body).encode()).decode()


def _deletes(fields: dict[str, Any], epoch: int, seq: int) -> tuple[int, int] | None:
    if fields.get("what") != DELETED or fields.get("of_epoch") != epoch:
        return None
    return (fields["epoch"], fields["seq"]) if fields["first"] <= seq <= fields["last"] else None
