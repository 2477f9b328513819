"""A bus that is only listened to."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from agent.config import Bus
from agent.wires.bus_wire import KeptWire, OnEvent
from agent.wires.wire import WireError
from agent.wires.wire_kinds import MakeWire, wire_of
from metrology.clock import Clock


class StreamBus:
    """Gives `feed` the bytes and the world time they came."""

    def __init__(
        self,
        name: str,
        config: Bus,
        clock: Clock,
        on_event: OnEvent,
        feed: Callable[[bytes, datetime], Awaitable[None]],
        make_wire: MakeWire = wire_of,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._kept = KeptWire(name, config, clock, on_event, make_wire)
        self._bytes = 0

    async def run(self) -> None:
        """Listen for ever; the wire is opened anew where it fails."""
        try:
            while True:
                try:
                    await self._listen()
                except WireError as error:
                    self._kept.failed(error)
                await self._clock.sleep_wall(self._kept.wait_s)
        finally:
            self._kept.wire.close()

    async def _listen(self) -> None:
        await self._kept.open()
        while True:
            data = await self._kept.wire.read()
            self._kept.alive()
            self._bytes += len(data)
            await self._feed(data, self._clock.now())

    async def write(self, data: bytes) -> None:
        """Send bytes to instruments that speak unasked and may be asked too. Raises WireError."""
        await self._kept.wire.write(data)

    def status(self) -> dict[str, Any]:
        """State of the wire."""
        return {"open": self._kept.wire.is_open, "error": self._kept.error, "bytes": self._bytes}
