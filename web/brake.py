"""The brake on guessing: by name and place, by name, by place, and for everybody, each closing for longer and longer.

Who was let in before, from the same place, is held up by wrong guesses at that name from that place alone: a stranger
shall not be able to shut everybody out.
"""

import contextlib
import ipaddress
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

DELAY_S: Final = 5.0
DELAY_MAX_S: Final = 900.0
# Wrong guesses that cost no time: at one name from one place; at one name, or from one place, whatever the other.
FREE_FAILURES: Final = 3
FREE_OF_EITHER: Final = 20
# So long without a wrong guess, and they are counted anew; DELAY_MAX_S for a name or a place alone.
FORGET_S: Final = 86400.0
KNOWN_MAX: Final = 3000
EVERYBODY_FAILURES: Final = 100
EVERYBODY_WINDOW_S: Final = 60.0

Key = tuple[str | None, str | None]


class Brake:
    """`clock` gives monotonic seconds; a place is an address. A name that nobody has is braked as any other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        self._let_in: OrderedDict[Key, None] = OrderedDict()
        self._all: deque[float] = deque(maxlen=EVERYBODY_FAILURES)

    def wait_s(self, name: str, place: str = "") -> float:
        """Seconds until a guess at this name is looked at again; 0 where it is now."""
        now, (both, *either) = self._clock(), _keys(name, place)
        let_in = both in self._let_in
        until = [self._known.get(key, (0, now))[1] for key in ([both] if let_in else [both, *either])]
        if not let_in and len(self._all) == EVERYBODY_FAILURES:
            until.append(self._all[0] + EVERYBODY_WINDOW_S)
        return max(0.0, max(until) - now)

    def failed(self, name: str, place: str = "") -> None:
        """One wrong guess."""
        now, keys = self._clock(), _keys(name, place)
        for key in keys:
            before, until = self._known.pop(key, (0, now))
            count = 1 if now - until > (DELAY_MAX_S if None in key else FORGET_S) else before + 1
            over = count - (FREE_OF_EITHER if None in key else FREE_FAILURES)
            # The exponent is bounded as well: nothing grows without end.
            delay = min(DELAY_S * 2 ** min(over, 16), DELAY_MAX_S) if over >= 0 else 0.0
            self._known[key] = (count, now + delay)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        if keys[0] not in self._let_in:
            self._all.append(now)

    def passed(self, name: str, place: str = "") -> None:
        """A right password: the counts of this name begin anew, those of the place and of everybody do not.

        Who has an account might else guess at those of others without end.
        """
        both, *either = _keys(name, place)
        for key in (both, *(one for one in either if one[0] is not None)):
            self._known.pop(key, None)
        self._let_in[both] = None
        self._let_in.move_to_end(both)
        if len(self._let_in) > KNOWN_MAX:
            self._let_in.popitem(last=False)


def _keys(name: str, place: str) -> list[Key]:
    """Name and place; then each alone, where it is told. One spelling of a name is as another; a /64 is one place."""
    name = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(place)
        if isinstance(address, ipaddress.IPv6Address):
            # What came by IPv4 to a socket of both has its own address behind ::ffff:
            place = str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    either: list[Key] = [(name or None, None), (None, place or None)]
    return [(name, place), *(key for key in either if key != (None, None))]
