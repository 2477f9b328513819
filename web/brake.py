"""The brake on guessing: each name closes for longer with every wrong guess, and too many guesses close the door."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

FREE_FAILURES: Final = 3
DELAY_S: Final = 5.0
DELAY_MAX_S: Final = 900.0
NAMES_MAX: Final = 1000
EVERYBODY_FAILURES: Final = 20
EVERYBODY_WINDOW_S: Final = 60.0


class Brake:
    """`clock` gives monotonic seconds. A name that nobody has is braked as any other: it must not tell itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._names: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=EVERYBODY_FAILURES)

    def wait_s(self, name: str) -> float:
        """Seconds until a guess at this name is looked at again; 0 where it is now."""
        now = self._clock()
        full = len(self._all) == EVERYBODY_FAILURES
        everybody = self._all[0] + EVERYBODY_WINDOW_S - now if full else 0.0
        return max(0.0, everybody, self._names.get(name.casefold(), (0, now))[1] - now)

    def failed(self, name: str) -> None:
        """One wrong guess."""
        now, key = self._clock(), name.casefold()
        count = self._names.pop(key, (0, 0.0))[0] + 1
        over = count - FREE_FAILURES
        # The exponent is bounded as well: nothing grows without end.
        delay = min(DELAY_S * 2 ** min(over, 16), DELAY_MAX_S) if over >= 0 else 0.0
        self._names[key] = (count, now + delay)
        while len(self._names) > NAMES_MAX:
            self._names.popitem(last=False)
        self._all.append(now)

    def passed(self, name: str) -> None:
        """A right password: the name's count begins anew, that of everybody does not."""
        self._names.pop(name.casefold(), None)
