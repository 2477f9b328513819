"""What the machine knows of its own clock: the kernel, chrony or timesyncd say whether it follows a time server.

All of it only reads. A sandbox that forbids the kernel's call (`ProtectClock=` of systemd) leaves the other two.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from host.chrony import Chrony
from host.clock import RealClock
from metrology.clock import Clock

# A quartz that nobody corrects (20 ppm: 1.7 s a day).
DRIFT: Final = 20e-6
# timesyncd touches it with each answer of a server, which it asks at least every 2048 s (timesyncd.conf(5)).
TIMESYNCD: Final = Path("/run/systemd/timesync/synchronized")
TIMESYNCD_AGE_MAX_S: Final = 4 * 2048
TIMESYNCD_ERROR_S: Final = 0.1
# adjtimex(2): bits of `status`, state of an unsynchronised clock, and how fast the kernel lets `maxerror` grow.
_UNSYNCED: Final = 0x0040
_NANO: Final = 0x2000
_ERROR: Final = 5
_KERNEL_DRIFT: Final = 500e-6


@dataclass(frozen=True, slots=True)
class Reference:
    """What keeps the clock: whether it follows it now, how far it may be off in seconds, and who says so."""

    synced: bool
    error_s: float
    source: str


class _Timex(ctypes.Structure):
    # struct timex; room behind `status` for the rest, whose size differs between machines.
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_long * 40),
    )  # fmt: skip


def kernel() -> Reference | None:
    """What the kernel says (adjtimex(2), read only), whoever disciplines it; None where the call is forbidden."""
    told = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    if state < 0:
        return None
    unit = 1e-9 if told.status & _NANO else 1e-6
    # The kernel's own bound grows with the age of the last correction, at a rate no quartz has.
    aged = told.maxerror * 1e-6 * DRIFT / _KERNEL_DRIFT
    synced = state != _ERROR and not told.status & _UNSYNCED
    return Reference(synced, abs(told.offset) * unit + told.esterror * 1e-6 + aged, "kernel")


def timesyncd(now: datetime, path: Path = TIMESYNCD) -> Reference | None:
    """What systemd-timesyncd(8) leaves behind; None where it never had an answer."""
    try:
        age_s = now.timestamp() - path.stat().st_mtime
    except OSError:
        return None
    synced = -TIMESYNCD_ERROR_S <= age_s <= TIMESYNCD_AGE_MAX_S
    return Reference(synced, TIMESYNCD_ERROR_S + abs(age_s) * DRIFT, "timesyncd")


class Machine:
    """The real clock's reference: the first of the three that says it is followed, else what is known at all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chrony = Chrony()

    def __call__(self) -> Reference | None:
        """Look. Never waits: chrony's answer is that to the look before."""
        found = [kernel()]
        if found[0] is None or not found[0].synced:
            with suppress(OSError):
                found += [Reference(*told, "chrony") if (told := self._chrony.look()) else None]
            found += [timesyncd(self._clock.now())]
        known = [one for one in found if one is not None]
        return next((one for one in known if one.synced), known[0] if known else None)


def reference_of(clock: Clock, *, trusted: bool) -> Callable[[], Reference | None]:
    """The reference of a program's clock; a simulated world and a `trusted` machine are their own."""
    if isinstance(clock, RealClock) and not trusted:
        return Machine(clock)
    source = "trusted" if isinstance(clock, RealClock) else "world"
    return lambda: Reference(synced=True, error_s=0.0, source=source)
