"""A centre whose store was put back to an older copy: it is noticed by what the new opening of the store says.

Within one opening a store only grows, so a late or repeated acknowledgement that says less proves nothing. The first
one of another opening counts whole: what the centre no longer holds is sent again from the log.
"""

import math
from collections import deque
from typing import Final

from agent.config_since import Since
from agent.store.log import Log, Place
from agent.uplinks.mqtt_notes import Notes
from agent.uplinks.since import floor_of
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Ack
from protocols.mqtt.window import OPEN, SendWindow

REMEMBERED_MAX: Final = 20
# Whoever invents openings makes us send again at most so often.
AT_MOST_EVERY_WALL_S: Final = 60.0


class Openings:
    """Those heard of in this run, by epoch: REMEMBERED_MAX of each.

    `first` is the number an epoch began with for this uplink, where that is not 0 and nothing is acknowledged yet.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._known: dict[int, deque[str]] = {}
        self._fell: dict[int, float] = {}
        self._epochs: frozenset[int] = frozenset()
        self._floor = (0, 0)
        self.first: dict[int, int] = {}

    async def load(self, log: Log, place: Place, since: Since) -> None:
        """Learn what was ever meant for this uplink."""
        self._floor = await floor_of(log, place, since)
        self._epochs = frozenset(await log.epochs())
        if place.through < 0 and place.above and place.above[0][0] == 0:
            self.first[place.epoch] = place.above[0][1] + 1

    def foreign(self, epoch: int) -> bool:
        """Whether an epoch is of another log under our name; those before ours are of the hardware before it."""
        return epoch not in self._epochs and epoch >= min(self._epochs, default=0)

    def compare(self, ack: Ack, windows: dict[int, SendWindow], now: float) -> bool:
        """Hold what is done against what a store says that was opened anew (wall s); True where something goes again.

        An epoch that was finished gets a window again, to see whether all of it is still there.
        """
        epoch, (begins, first) = ack.epoch, self._floor
        if epoch not in self._epochs or epoch < begins or ack.store is None:
            return False
        known = self._known.setdefault(epoch, deque(maxlen=REMEMBERED_MAX))
        if ack.store in known:
            return False
        held = Coverage.of([*ack.stored(), *([(0, first - 1)] if epoch == begins else [])])
        window = windows.get(epoch)
        if window is not None and window.lacks(held) and now - self._fell.get(epoch, -math.inf) < AT_MOST_EVERY_WALL_S:
            return False
        known.append(ack.store)
        if epoch == begins and ack.through < first:
            self.first[epoch] = first
        if window is None:
            ordered = sorted([*windows.items(), (epoch, SendWindow(held, OPEN))])
            windows.clear()
            windows.update(ordered)
            return True
        before = window.coverage.through
        if fell := window.fall_back(held):
            self._fell[epoch] = now
            self._notes.fell_back(epoch, before, window.coverage.through)
        return fell
