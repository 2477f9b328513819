"""The readings a run looks at while gas flows: gathered for a while, or until all of them are steady."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agent.values.intake import Intake
from calibration.evaluate import Sample
from calibration.sequence import Stability
from calibration.stability import Settling
from metrology.clock import Clock
from metrology.quality import Cause
from metrology.reading import Reading, Scan

# Causes that say that a number is no fresh indication of the gas on the port; range and calibration marks do not.
UNUSABLE: Final = frozenset(
    {
        Cause.STOPPED,
        Cause.COMMUNICATION,
        Cause.FAULT,
        Cause.WARM_UP,
        Cause.FLUSH,
        Cause.BLOWBACK,
        Cause.SUBSTITUTED,
        Cause.INCOMPLETE,
        Cause.STALE,
    }
)
Samples = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Settled:
    """How a wait ended: after how long, and which measurands were not steady then, and why."""

    seconds: float
    restless: dict[str, str]

    def against(self, measurand: str) -> list[str]:
        """What speaks against the readings of a measurand taken after it."""
        why = self.restless.get(measurand)
        return [] if why is None else [f"not steady after {self.seconds:.0f} s: {why}"]


def usable(scan: Scan) -> Iterator[Reading]:
    """Readings of a scan that are numbers of what is there."""
    return (one for one in scan.readings if one.value is not None and not one.quality.causes & UNUSABLE)


def sample(reading: Reading) -> Sample:
    """A usable reading as the statistics take it."""
    assert reading.value is not None, "usable readings have a value"
    return Sample(reading.at.timestamp(), reading.value, reading.unit)


async def gather(
    intake: Intake,
    instruments: Iterable[str],
    work: Coroutine[Any, Any, None],
    choose: Callable[[Scan], Iterator[Reading]] = usable,
) -> Samples:
    """The readings that come while some work is done and that `choose` takes of a scan, by series."""
    found: Samples = defaultdict(list)

    def take(scan: Scan) -> None:
        for reading in choose(scan):
            found[reading.series].append(sample(reading))

    async with contextlib.AsyncExitStack() as stack:
        heard = [await stack.enter_async_context(intake.subscribe(name)) for name in sorted(set(instruments))]
        await _beside(work, [_each(scans, take) for scans in heard])
    return found


async def settle(intake: Intake, clock: Clock, instrument: str, limits: Stability | None, seconds: float) -> Settled:
    """Wait until an instrument is steady, `seconds` (world time) at the most; without limits exactly so long."""
    began = clock.monotonic()
    if limits is None:
        await clock.sleep(seconds)
        return Settled(seconds, {})
    settling = Settling(limits, clock.now().timestamp())
    restless = settling.restless(clock.now().timestamp())
    steady = asyncio.Event()

    def take(scan: Scan) -> None:
        for reading in usable(scan):
            settling.take(reading.measurand, sample(reading))
        restless.clear()
        restless.update(settling.restless(scan.at.timestamp()))
        if not restless:
            steady.set()

    async with intake.subscribe(instrument) as scans:
        waiting = asyncio.create_task(steady.wait())
        try:
            await _beside(first(clock.sleep(seconds), waiting), [_each(scans, take)])
        finally:
            waiting.cancel()
    return Settled(clock.monotonic() - began, {} if steady.is_set() else dict(restless))


async def _each(scans: AsyncIterator[Scan], take: Callable[[Scan], None]) -> None:
    async for scan in scans:
        take(scan)


async def first(work: Coroutine[Any, Any, None], other: "asyncio.Task[Any]") -> None:
    """Until the work or the other is done; a fault of the work is raised."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, other}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def _beside(work: Coroutine[Any, Any, None], others: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do the work while others run, which end with it; a fault of one of them is raised."""
    tasks = [asyncio.create_task(other) for other in others]
    try:
        await work
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
