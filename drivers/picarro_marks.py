"""What a Picarro row says about its own values: the valve's port, the status register, which gas is fresh."""

from datetime import datetime, timedelta
from typing import Final

from drivers.base import DriverError
from metrology.quality import Cause, Mark

# Status register, guide 40-0063 rev. A (2019); other bits are reserved. 963 is normal.
READY, MEASURING, GAS_FLOWING, PRESSURE_LOCKED, CAVITY_LOCKED, WARM_BOX_LOCKED, WARMING_UP, SYSTEM_ERROR = (
    1 << bit for bit in (0, 1, 6, 7, 8, 9, 13, 14)
)
_FAULTS: Final = {
    MEASURING: "not measuring",
    GAS_FLOWING: "no gas flow",
    PRESSURE_LOCKED: "cavity pressure not locked",
    CAVITY_LOCKED: "cavity temperature not locked",
    WARM_BOX_LOCKED: "warm box temperature not locked",
}


def status_marks(register: int, at: datetime) -> list[Mark]:
    """Causes of a status register. While warming up nothing is locked yet: that is the warm-up, not a fault."""
    warming = bool(register & WARMING_UP)
    marks = []
    if warming or not register & READY:
        marks.append(Mark(Cause.WARM_UP, "warming up" if warming else "not ready", at))
    if register & SYSTEM_ERROR:
        marks.append(Mark(Cause.FAULT, "system error", at))
    if not warming:
        marks += [Mark(Cause.FAULT, what, at) for bit, what in _FAULTS.items() if not register & bit]
    return marks


class PortWatch:
    """Follows the port of the valve from row to row.

    A non-integer port means the valve was turning; after it stands on another port the cell still holds the gas of the
    last one, until `settle` has passed since the first row on the new port. What stood before the first row is unknown.
    """

    def __init__(self, settle: timedelta) -> None:
        self._settle = settle
        self._port: float | None = None
        self._arrived: datetime | None = None
        self._turning: datetime | None = None

    def marks(self, port: float, at: datetime) -> list[Mark]:
        """Causes of a row with this port at this time."""
        if not port.is_integer():
            self._turning = self._turning or at
            return [Mark(Cause.FLUSH, "valve between ports", self._turning)]
        if self._port is None and self._turning is None:
            self._port = port
        elif port != self._port:
            self._port, self._arrived = port, at
        self._turning = None
        # A clock set back must not stretch the settling by the step.
        arrived = self._arrived if self._arrived is None else min(self._arrived, at)
        self._arrived = arrived
        if arrived is None or at - arrived >= self._settle:
            return []
        return [Mark(Cause.FLUSH, f"settling after port {port:.0f}", arrived)]


def fresh_by_species(entries: list[str]) -> dict[float, frozenset[str]]:
    """Read the option `species`: `["1=co2", "3=h2o ch4_dry"]`, which values a row of a species renews."""
    fresh = {}
    for entry in entries:
        number, equals, measurands = entry.partition("=")
        if not equals or not number.strip().isdecimal():
            raise DriverError(f'species: write "1=co2" instead of {entry!r}')
        fresh[float(number)] = frozenset(measurands.split())
    return fresh
