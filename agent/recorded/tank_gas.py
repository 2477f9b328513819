"""Rows of plateaus that were found: tank gas, and what flowed around it, not air."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from agent.recorded.rules import Plateaus
from calibration.recorded.plateaus import Plateau
from metrology.quality import Cause
from metrology.recorded import SECOND, Row

# The word for gas of which only that is known.
TANK: Final = "tank"


class TankGas:
    """Marks rows by plateaus, which do not overlap; `rules` say how long before and after is flush."""

    def __init__(self, found: Iterable[Plateau], rules: Plateaus) -> None:
        self._spans = sorted({(one.start, one.end) for one in found})
        self._starts = [start for start, _ in self._spans]
        self._before, self._after = round(rules.flush_before_s * SECOND), round(rules.flush_after_s * SECOND)

    def mark(self, row: Row) -> None:
        """Say of a row of tank gas that it is one, unless its file says which; of one beside it that it is flush."""
        place = bisect_right(self._starts, row.at)
        last = self._spans[place - 1] if place else None
        if last is not None and row.at <= last[1]:
            row.gas = row.gas or TANK
            return
        after = last is not None and row.at <= last[1] + self._after
        before = place < len(self._spans) and row.at >= self._spans[place][0] - self._before
        if after or before:
            row.samples = [one._replace(cause=one.cause or Cause.FLUSH) for one in row.samples]
