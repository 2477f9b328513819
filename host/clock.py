"""The real clock, the accelerated one, and one moved by hand."""

import asyncio
import contextlib
import heapq
import itertools
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Final

# How long the helper that sets the clock may take, and what it may set beyond the step that was seen here.
HELPER_WALL_S: Final = 10.0
SLACK_S: Final = 1.0

logger = logging.getLogger(__name__)


class RealClock:
    """World time is wall time."""

    rate = 1.0

    def __init__(self, helper: str | None = None) -> None:
        """`helper` is the socket of `host.clock_helper`, which sets the clock where this process may not."""
        self.helper = helper

    def now(self) -> datetime:
        """Wall time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """CLOCK_BOOTTIME in seconds: since the machine was started, whatever it slept."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_monotonic(self) -> float:
        """CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    async def sleep(self, world_s: float) -> None:
        """Wait."""
        await asyncio.sleep(world_s)

    async def sleep_wall(self, wall_s: float) -> None:
        """Wait."""
        await asyncio.sleep(wall_s)

    async def set_wall(self, at: datetime) -> bool:
        """Have CLOCK_REALTIME set by the helper; False where there is none or it refuses, which the journal says."""
        if self.helper is None:
            return False
        step_s = abs((at - self.now()).total_seconds())
        request = json.dumps({"set": at.isoformat(), "limit_s": step_s + SLACK_S, "by": "plumeline"})
        try:
            async with asyncio.timeout(HELPER_WALL_S):
                reader, writer = await asyncio.open_unix_connection(self.helper)
                with contextlib.closing(writer):
                    writer.write(request.encode() + b"\n")
                    told = json.loads(await reader.readline())
        except (OSError, TimeoutError, ValueError) as error:
            told = {"error": str(error) or type(error).__name__}
        if "error" in told:
            logger.warning("clock helper %s: %s", self.helper, told["error"])
        return "error" not in told


class AcceleratedClock:
    """World time runs `rate` times as fast as wall time from the pair (`wall0`, `world0`), unix seconds."""

    def __init__(self, wall0: float, world0: float, rate: float) -> None:
        self.rate = rate
        self._anchor = time.monotonic()
        self._world_anchor = world0 + (time.time() - wall0) * rate

    def now(self) -> datetime:
        """World time, UTC."""
        return datetime.fromtimestamp(self._world_anchor, UTC) + timedelta(
            seconds=(time.monotonic() - self._anchor) * self.rate
        )

    def monotonic(self) -> float:
        """World seconds that never step."""
        return time.monotonic() * self.rate

    def wall_monotonic(self) -> float:
        """CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    async def sleep(self, world_s: float) -> None:
        """Wait for a span of world time."""
        await asyncio.sleep(world_s / self.rate)

    async def sleep_wall(self, wall_s: float) -> None:
        """Wait for a span of wall time."""
        await asyncio.sleep(wall_s)

    async def set_wall(self, at: datetime) -> bool:
        """Refuse: a simulated world has its own time."""
        return False


class ManualClock:
    """Time that moves only by `advance`: a whole station can be rehearsed without waiting."""

    rate = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """World time, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def wall_monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    async def sleep(self, world_s: float) -> None:
        """Wait until `advance` has gone past."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + max(world_s, 0.0), next(self._order), future))
        await future

    async def sleep_wall(self, wall_s: float) -> None:
        """Wait until `advance` has gone past."""
        await self.sleep(wall_s)

    async def set_wall(self, at: datetime) -> bool:
        """Step to `at`."""
        self._now = at
        return True

    def step(self, seconds: float) -> None:
        """Step the wall clock without the monotonic one, as NTP or a person does."""
        self._now += timedelta(seconds=seconds)

    def pass_by(self, seconds: float) -> None:
        """Move on without waking anybody: for what is called and does not sleep."""
        self._move(self._elapsed + seconds)

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own instant and letting tasks run in between."""
        target = self._elapsed + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._move(due)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._move(target)
        await self._settle()

    def _move(self, elapsed: float) -> None:
        self._now += timedelta(seconds=elapsed - self._elapsed)
        self._elapsed = elapsed

    @staticmethod
    async def _settle() -> None:
        # Enough turns of the loop for chains of awaits between two instants; bounded so that a busy loop shows.
        for _ in range(50):
            await asyncio.sleep(0)


def clock_from(spec: str | None) -> RealClock | AcceleratedClock:
    """Clock of a program: real, or accelerated by `WALL0,WORLD0,RATE`. Raises ValueError with the remedy."""
    if spec is None:
        return RealClock()
    try:
        wall0, world0, rate = (float(part) for part in spec.split(","))
    except ValueError:
        raise ValueError(
            f"--clock {spec!r}: write WALL0,WORLD0,RATE, three numbers (unix seconds, unix seconds, factor)"
        ) from None
    if not 0 < rate <= 1000:
        raise ValueError(f"--clock rate {rate}: allowed is above 0 up to 1000")
    return AcceleratedClock(wall0, world0, rate)
