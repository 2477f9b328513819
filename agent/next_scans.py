"""The next reading of every instrument as a running daemon takes it: the ports are its own, so nobody else can ask."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agent.changes import fingerprint
from agent.config import Config, Instrument
from agent.dry_run import Failure, Outcome, listen_s, row_of
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Scan


async def next_scans(config: Config, intake: Intake, clock: Clock) -> AsyncIterator[dict[str, Any]]:
    """First the fingerprint of the configuration that runs, then one row for each instrument as its scan comes."""
    yield {"config": fingerprint(config)}
    names = {asyncio.create_task(_next(intake, name, _patience_s(block, clock))): name
             for name, block in config.instruments.items()}  # fmt: skip
    waiting = set(names)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                block = config.instruments[names[task]]
                yield row_of(_outcome(names[task], block, task.result(), _patience_s(block, clock)), intake.ranges)
    finally:
        for task in waiting:
            task.cancel()


def _patience_s(block: Instrument, clock: Clock) -> float:
    """As long as a listener of the instrument itself would wait."""
    return listen_s(iter([block])) if clock.rate == 1 else listen_s(iter([block])) / clock.rate + 1


async def _next(intake: Intake, name: str, seconds: float) -> Scan | None:
    try:
        async with asyncio.timeout(seconds), intake.subscribe(name) as scans:
            return await anext(aiter(scans))
    except TimeoutError:
        return None


def _outcome(name: str, block: Instrument, scan: Scan | None, seconds: float) -> Outcome:
    if scan is None:
        return Outcome(name, block.bus, None, failure=Failure("late", "", {"seconds": seconds}))
    marks = [mark for reading in scan.readings for mark in reading.quality.marks]
    if scan.readings and all(reading.value is None for reading in scan.readings):
        for cause, code in ((Cause.COMMUNICATION, "silent"), (Cause.FAULT, "nonsense")):
            if why := next((mark.origin for mark in marks if mark.cause is cause), None):
                return Outcome(name, block.bus, None, failure=Failure(code, why))
    return Outcome(name, block.bus, None, scan=scan)
