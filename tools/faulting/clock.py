"""Steps of the wall clock under a running daemon, forwards and backwards, by seconds, minutes and hours.

    tools/faults clock [--minutes 5] [--state DIR] [--seed N] [--quick]

The daemon runs in this process with its own parts and real sockets; its clock is an accelerated one that is stepped as
a person or NTP would: world time jumps, the monotonic scale goes on. Then its log is read: numbers in order, no period
twice, no minute without an average or a `gap` record.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from campaign import Campaign, Result, main
from line import Line, Shape
from line_verdict import of_station

from agent.config import Config
from agent.daemon import Daemon
from host.clock import AcceleratedClock
from host.hjson import read, validate
from metrology.periods import MINUTE_S, parse_iso

STEPS, QUICK_STEPS = 25, 6
RATE = 30.0
CALM_S, QUICK_CALM_S = (0.5, 5.0), (0.3, 2.0)
# An accelerated clock turns its own jitter into seconds: below half a second of wall time nothing counts as a step.
SIZES = ((20.0, 60.0), (60.0, 600.0), (600.0, 10_800.0))


class Stepped(AcceleratedClock):
    """Goes on evenly, but for `step`."""

    def step(self, seconds: float) -> None:
        self._world_anchor += seconds


async def measure(
    line: Line, clock: Stepped, dice: random.Random, steps: int, calm_s: tuple[float, float]
) -> list[float]:
    """Run the daemon through so many steps; their sizes in seconds."""
    config = validate(read(str(line.config), "en")[0], Config)
    config.uplinks.clear()
    daemon = Daemon(config, clock, line.config)
    running = asyncio.create_task(daemon.run())
    sizes = []
    await asyncio.sleep(CALM_S[1])
    for number in range(steps):
        size = dice.uniform(*SIZES[number % len(SIZES)]) * dice.choice((-1, 1))
        clock.step(size)
        sizes.append(round(size, 1))
        await asyncio.sleep(dice.uniform(*calm_s))
    daemon.stop()
    await running
    return sizes


def judge(store: Path, result: Result) -> None:
    """Read the log back."""
    rows = list(of_station(store))
    result.out_of_order = sum(row.seq != number for number, row in enumerate(rows))
    periods: Counter[tuple[str, str, int, int]] = Counter()
    minutes: set[int] = set()
    last = 0
    gaps: list[tuple[float, float]] = []
    told = 0
    for fields in (row.fields for row in rows):
        if fields["kind"] == "average":
            for series, one in fields["rows"].items():
                periods[series, fields["start"], fields["period_s"], one["rev"]] += 1
            if fields["period_s"] == MINUTE_S:
                last = int(parse_iso(fields["start"]).timestamp()) // MINUTE_S
                minutes.add(last)
        elif fields["kind"] == "gap":
            gaps.append((parse_iso(fields["from"]).timestamp(), parse_iso(fields["to"]).timestamp()))
        told += fields["kind"] == "event" and fields["what"] == "clock-step"
    result.doubled = sum(count - 1 for count in periods.values())
    # A station that went back has yet to come to what lies behind its last minute.
    coming = range(last, min((at for at in minutes if at > last), default=last))
    lacking = [at for at in range(min(minutes), max(minutes)) if at not in minutes and at not in coming and not any(
        since < (at + 1) * MINUTE_S and until > at * MINUTE_S for since, until in gaps)]  # fmt: skip
    result.periods_missing = len(lacking)
    result.figures |= {"records": len(rows), "minutes": len(minutes), "gaps": len(gaps), "steps_told": told}
    if lacking:
        at = datetime.fromtimestamp(lacking[0] * MINUTE_S, UTC)
        result.failures.append(f"{len(lacking)} minutes have neither average nor gap, first {at.isoformat()}")
    if twice := [key for key, count in periods.items() if count > 1]:
        result.failures.append(f"{len(twice)} periods twice, first {twice[0]}")
    if told < result.points:
        result.failures.append(f"{told} of {result.points} steps are on record")


def one(seed: int, folder: Path, quick: bool) -> Result:
    """One run of steps."""
    dice, result = random.Random(seed), Result()
    now = time.time()
    clock = Stepped(now, now, RATE)
    line = Line(folder / "line", Shape(units=5, hj212=False))
    with line.instruments():
        # The driver of the instruments is found as an installed package would bring it.
        sys.path.insert(0, str(line.folder / "site"))
        steps = QUICK_STEPS if quick else STEPS
        sizes = asyncio.run(measure(line, clock, dice, steps, QUICK_CALM_S if quick else CALM_S))
    result.points = len(sizes)
    judge(line.store, result)
    result.figures["largest_s"] = max(sizes, key=abs)
    return result


if __name__ == "__main__":
    sys.exit(main(Campaign("clock", "steps", 100, one), __doc__))
