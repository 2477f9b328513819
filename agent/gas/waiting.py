"""Sequences that wait for a valve or an instrument another one has: by priority, bounded in number and in time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agent.config import Config
from agent.gas.outcome import RefusalKind, RefusedError
from agent.gas.plan import share
from agent.store.log import Log
from metrology.clock import Clock
from metrology.periods import iso

# No station has more reasons to calibrate at one time.
WAITING_MAX: Final = 16
# A valve or an instrument that came free is seen this much later, world time.
LOOK_S: Final = 1.0

Refusal = Callable[[str], tuple[str, RefusalKind] | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who asked for a sequence, since when (world time and monotonic), and what was in its way then."""

    name: str
    who: str
    since: str
    began_s: float
    reason: str


class WaitingList:
    """`begin(name, who)` starts one that may start; `refusal(name)` says why one may not."""

    def __init__(
        self, config: Config, log: Log, clock: Clock, refusal: Refusal, begin: Callable[[str, str], object]
    ) -> None:
        self._config = config
        self._log = log
        self._clock = clock
        self._refusal = refusal
        self._begin = begin
        self._entries: list[Waiting] = []
        self._some = asyncio.Event()

    def __iter__(self) -> Iterator[Waiting]:
        """Highest priority first, in the order asked among equals."""
        return iter(sorted(self._entries, key=lambda one: -self._config.sequences[one.name].priority))

    def behind(self, name: str) -> str | None:
        """Who waits for what `name` needs with at least its priority; None where it need not queue."""
        own = self._config.sequences[name]
        for one in self:
            other = self._config.sequences[one.name]
            if other.priority >= own.priority and share(own, other):
                return f"{one.name} waits for the same since {one.since}"
        return None

    def put(self, name: str, who: str, reason: str) -> int:
        """Have a sequence wait; gives its place from 1 on. Raises RefusedError where it waits already, or too many."""
        if any(one.name == name for one in self._entries):
            raise RefusedError(f"{name} waits already: {reason}", "busy")
        if len(self._entries) >= WAITING_MAX:
            raise RefusedError(f"{WAITING_MAX} sequences wait already: {reason}", "busy")
        entry = Waiting(name, who, iso(self._clock.now()), self._clock.monotonic(), reason)
        self._entries.append(entry)
        self._some.set()
        return list(self).index(entry) + 1

    async def run(self) -> None:
        """Start what may start and drop what waited too long, for ever."""
        while True:
            await self._some.wait()
            await self._serve()
            if self._entries:
                await self._clock.sleep(LOOK_S)
            else:
                self._some.clear()

    async def _serve(self) -> None:
        blocked: list[Waiting] = []
        for one in list(self):
            own = self._config.sequences[one.name]
            refusal = self._refusal(one.name)
            # What is free is kept for those of higher priority that need more than that.
            ahead = any(share(own, self._config.sequences[other.name]) for other in blocked)
            if refusal is None and not ahead:
                self._entries.remove(one)
                self._begin(one.name, one.who)
            elif refusal is not None and refusal[1] != "busy":
                self._entries.remove(one)
                await self._event("calibration-refused", one, refusal[0])
            elif self._clock.monotonic() - one.began_s >= own.wait_max_s:
                self._entries.remove(one)
                await self._event("calibration-dropped", one, refusal[0] if refusal else one.reason)
            else:
                blocked.append(one)

    async def clear(self, reason: str) -> list[str]:
        """Drop all, with an event each; gives their names."""
        dropped, self._entries = list(self), []
        for one in dropped:
            await self._event("calibration-dropped", one, reason)
        return [one.name for one in dropped]

    async def _event(self, what: str, one: Waiting, reason: str) -> None:
        waited = round(self._clock.monotonic() - one.began_s, 3)
        detail = {"sequence": one.name, "reason": reason, "waited_s": waited}
        await self._log.append("event", {"what": what, "origin": one.who, **detail})

    def status(self) -> list[dict[str, Any]]:
        """For people."""
        return [{"sequence": one.name, "who": one.who, "since": one.since, "reason": one.reason} for one in self]
