"""The clock every program is given; the real and the accelerated form live in `host.clock`."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """World time for schedules and stamps, wall time for protocol and bus time-outs (design, section 5)."""

    @property
    def rate(self) -> float:
        """World seconds per wall second; 1.0 for a real clock."""

    def now(self) -> datetime:
        """World time, aware, UTC."""

    def monotonic(self) -> float:
        """World seconds on a scale that never steps; schedules run on it."""

    def wall_monotonic(self) -> float:
        """Wall seconds on a scale that never steps; time-outs of protocols and buses run on it."""

    async def sleep(self, world_s: float) -> None:
        """Wait for a span of world time."""

    async def sleep_wall(self, wall_s: float) -> None:
        """Wait for a span of wall time."""

    async def set_wall(self, at: datetime) -> bool:
        """Set the machine's clock to an aware time; False where that is not allowed or the clock is not real."""
