"""Guards: what must hold for gas to start flowing and to go on (design, section 13.5).

They look at the latest committed values. Where there is none, or it is old, invalid or in another unit, nothing flows.
"""

from collections.abc import Sequence
from typing import Final

from agent.config import Config
from agent.config_gas import Guard
from agent.values.live import Live
from metrology.clock import Clock
from metrology.quality import VALID_CAUSES
from metrology.units import UnitError, convert

# How often guards are looked at while a port other than sample air is open, in world time.
GUARD_LOOK_S: Final = 1.0


class GuardError(Exception):
    """A guard that does not hold while a run is going on."""


class Guards:
    """The guards of the station and of one sequence, all of which must hold."""

    def __init__(self, guards: Sequence[tuple[str, Guard]], live: Live, clock: Clock) -> None:
        self._guards = guards
        self._live = live
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._guards)

    def tripped(self, origin: str | None = None) -> str | None:
        """Why gas may not flow, None where it may. Marks of `origin`, the run that asks, make no value invalid."""
        found = ((name, self._reason(guard, origin)) for name, guard in self._guards)
        return next((f"guard {name}: {reason}" for name, reason in found if reason is not None), None)

    def _reason(self, guard: Guard, origin: str | None) -> str | None:
        latest = self._live.latest.get(guard.series)
        if latest is None:
            return f"there is no value of {guard.series}"
        # A value of the future is as little worth as an old one: the clock stepped.
        age_s = abs((self._clock.now() - latest.reading.at).total_seconds())
        if age_s > guard.max_age_s:
            return f"the newest value of {guard.series} is {age_s:.0f} s old, allowed are {guard.max_age_s:g}"
        causes = {mark.cause for mark in latest.reading.quality.marks if mark.origin != origin} - VALID_CAUSES
        if latest.value is None or causes:
            return f"{guard.series} has no valid value ({', '.join(sorted(causes)) or 'none came'})"
        try:
            value = convert(latest.value, latest.reading.unit, guard.unit)
        except UnitError as error:
            return f"{guard.series}: {error}"
        return _bounds(guard, value)


def _bounds(guard: Guard, value: float) -> str | None:
    # Written so that a value that is no number holds no bound.
    if guard.below is not None and not value < guard.below:
        return f"{guard.series} is {value:g} {guard.unit} and must be below {guard.below:g}"
    if guard.above is not None and not value > guard.above:
        return f"{guard.series} is {value:g} {guard.unit} and must be above {guard.above:g}"
    return None


def guards_of(config: Config, sequence: str, live: Live, clock: Clock) -> Guards:
    """Those of the station, then those of a declared sequence."""
    return Guards([*config.guards.items(), *config.sequences[sequence].guards.items()], live, clock)
