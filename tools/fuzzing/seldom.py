"""An event loop's selector that asks the system seldom while there is something to do: that is most of a short turn."""

from selectors import EpollSelector, SelectorKey
from typing import Final

TURNS: Final = 16


class Seldom(EpollSelector):
    """Where the loop would not wait, only each 16th turn looks at sockets; where it would, every one."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """See `EpollSelector`."""
        self._turn += 1
        if timeout is not None and timeout <= 0 and self._turn % TURNS:
            return []
        return super().select(timeout)
