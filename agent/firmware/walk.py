"""Walks an update: carries its messages, waits where it waits, watches the board's readings, tells how it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agent.firmware.links import Link
from agent.values.intake import Intake
from firmware_bridge.smp_talk import Send
from firmware_bridge.update import Outcome, Pause, Progress, Update, Watch
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Scan


async def walk(
    steps: Update, link: Link, clock: Clock, watch: Callable[[], Awaitable[bool]], told: Callable[[Progress], None]
) -> Outcome:
    """Carry an update out. It may be cancelled anywhere: run again, it goes on where the board is."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer = None
        match step:
            case Send(message, timeout_s):
                answer = await link.ask(message, timeout_s)
            case Pause(seconds):
                await clock.sleep_wall(seconds)
            case Watch():
                answer = await watch()
            case Progress():
                told(step)


class Readings:
    """What a board delivers while it is watched."""

    def __init__(self) -> None:
        self.good = 0
        self.restarted = False
        self._boot: object = None

    def take(self, scan: Scan) -> None:
        """Count a scan; those the board had kept from before prove nothing of its new image."""
        if scan.status.get("kept"):
            return
        boot = scan.status.get("boot")
        if boot is not None:
            self.restarted = self.restarted or self._boot not in (None, boot)
            self._boot = boot
        self.good += any(one.value is not None and Cause.FAULT not in one.quality.causes for one in scan.readings)


async def delivers(intake: Intake, clock: Clock, instrument: str, watch_s: float, readings_min: int) -> bool:
    """Whether an instrument gave enough good readings within so many seconds of world time, without a restart."""
    readings = Readings()
    async with intake.subscribe(instrument) as scans:
        taking = asyncio.create_task(_take(scans, readings))
        try:
            await clock.sleep(watch_s)
        finally:
            taking.cancel()
    return readings.good >= readings_min and not readings.restarted


async def _take(scans: AsyncIterator[Scan], readings: Readings) -> None:
    async for scan in scans:
        readings.take(scan)
