"""How much may be recorded of what others repeat at will, so that nobody fills the log."""

from typing import Final

# One more record is allowed each time this span has passed.
REFILL_S: Final = 60.0


class Allowance:
    """At most `most` records in a row, then one every REFILL_S of the caller's clock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = float(most)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Use one, where one is left."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) / REFILL_S)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
