"""A wire that is opened again whenever it failed, at growing distances, and says so once."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from agent.config import Bus
from agent.wires.wire import Wire, WireError
from agent.wires.wire_kinds import MakeWire, wire_of
from metrology.clock import Clock

OnEvent = Callable[[str, Mapping[str, Any]], None]

REOPEN_STEP_S: Final = 1.0
REOPEN_MAX_S: Final = 15.0
# Looking whether an adapter is there again costs nothing.
REOPEN_SERIAL_MAX_S: Final = 2.0
OPEN_TIMEOUT_S: Final = 5.0


class KeptWire:
    """The wire of a bus. Events: `bus-lost` and `bus-back`, each once per outage. Distances are wall time."""

    def __init__(self, name: str, config: Bus, clock: Clock, on_event: OnEvent, make_wire: MakeWire = wire_of) -> None:
        self._name = name
        self._clock = clock
        self._on_event = on_event
        self._failures = 0
        self._next_at = 0.0
        self._down_since: datetime | None = None
        self._reopen_max_s = REOPEN_SERIAL_MAX_S if config.wire.kind == "serial" else REOPEN_MAX_S
        self.error: str | None = None
        self.wire: Wire = make_wire(name, config)

    @property
    def wait_s(self) -> float:
        """Wall seconds until the next opening is due. The first after a loss is due at once."""
        return max(0.0, self._next_at - self._clock.wall_monotonic()) if self._failures else 0.0

    @property
    def down_since(self) -> datetime:
        """Start of the outage (world time); now where there is none."""
        return self._down_since or self._clock.now()

    async def open(self) -> None:
        """Open the wire. Raises WireError."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self.wire.open()
        except TimeoutError:
            raise WireError(f"cannot be opened within {OPEN_TIMEOUT_S:g} s") from None

    def alive(self) -> None:
        """Note that something came. Opening alone proves nothing: a peer may accept and hang up for ever."""
        self._failures, self.error = 0, None
        if self._down_since is not None:
            self._down_since = None
            self._on_event("bus-back", {"bus": self._name})

    def failed(self, error: WireError) -> None:
        """Close the wire after a failure and set when to open it again."""
        self.wire.close()
        self.error = str(error)
        self._next_at = self._clock.wall_monotonic() + min(REOPEN_STEP_S * self._failures, self._reopen_max_s)
        self._failures += 1
        if self._down_since is None:
            self._down_since = self._clock.now()
            self._on_event("bus-lost", {"bus": self._name, "error": self.error})
