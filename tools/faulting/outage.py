"""Thirty days without an uplink: what the log holds of them is delivered once and in order, live values beside it.

    tools/faults outage [--minutes 5] [--state DIR] [--seed N] [--quick]

The days are written by the real log under a clock moved by hand, a minute's averages each minute and a scan every ten;
then daemon, broker and centre are started on them. Points are days; the quick form has one.
"""

import asyncio
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import line as line_module
from campaign import Campaign, Result, main
from line import STATION, Line, Shape, StartError, last_words
from line_verdict import account

from agent.store.log import Log
from host.clock import ManualClock
from metrology.periods import MINUTE_S, iso, parse_iso
from protocols import record
from protocols.tlog import signer_from_seed

DAYS, QUICK_DAYS = 30, 1
SCAN_EVERY = 10
BATCH = 500
DRAIN_S = 1500.0
LIVE_S = 5.0


async def write(line: Line, days: int, dice: random.Random) -> int:
    """Write the log of the days before now; how many records."""
    end = datetime.fromtimestamp(time.time() // MINUTE_S * MINUTE_S, UTC)
    clock = ManualClock(end - timedelta(days=days))
    seed = (line.folder / "key").read_bytes().decode()
    (line.store / "segments").mkdir(parents=True)
    log = Log(line.store / "segments", clock, station_id=STATION, signer=signer_from_seed(seed, f"plumeline/{STATION}"),
              commit_s=0, simulated=True)  # fmt: skip
    task, futures = asyncio.create_task(log.run()), []
    for number in range(days * 1440):
        start = clock.now()
        clock.step(MINUTE_S)
        row = {"u": "mg/m3", "n": 60, "valid": 1.0, "mean": round(dice.uniform(1, 9), 3), "min": 1.0, "max": 9.0,
               "sd": 0.5, "rule": "hj-stack", "rev": 0, "final": True}  # fmt: skip
        futures.append(log.post("average", {"start": iso(start), "end": iso(clock.now()), "period_s": MINUTE_S,
                                            "rows": {"old.dust": row}}))  # fmt: skip
        if number % SCAN_EVERY == 0:
            values = {"dust": {"x": (number // SCAN_EVERY + 1) / 10_000, "u": "mg/m3"}}
            futures.append(log.post("scan", {"instrument": "old", "at": iso(clock.now()), "values": values,
                                             "status": {}}))  # fmt: skip
        if len(futures) >= BATCH:
            await asyncio.gather(*futures)
            futures.clear()
    await log.post_checkpoint()
    written = log.next_seq
    task.cancel()
    await asyncio.wait([task])
    return written


def live_ages(line: Line, until: float) -> list[float]:
    """Seconds from each live answer to its commit at the centre, while the backlog was on its way."""
    import apsw

    centre = apsw.Connection(str(line.central), flags=apsw.SQLITE_OPEN_READONLY)
    rows = centre.execute("SELECT body, committed_wall FROM record WHERE kind = 'scan'").fetchall()
    centre.close()
    found = ((record.decode(body), at) for body, at in rows)
    return sorted(
        at - parse_iso(one["at"]).timestamp() for one, at in found if one["instrument"] != "old" and at < until
    )


def one(seed: int, folder: Path, quick: bool) -> Result:
    """One outage and its end."""
    days, result = (QUICK_DAYS if quick else DAYS), Result(periods_missing=0)
    written: list[int] = []

    def before(line: Line) -> None:
        written.append(asyncio.run(write(line, days, random.Random(seed))))

    try:
        with Line(folder / "line", Shape(units=5, hj212=False, before=before)) as line:
            began = time.monotonic()
            try:
                line.until("the end of the backlog", line.drained, DRAIN_S)
                drained, until = time.monotonic() - began, time.time()
                time.sleep(LIVE_S)
                line.settle()
            except StartError as error:
                result.failures += [str(error), *last_words(line)]
                return result
            account(line, result)
            ages = live_ages(line, until)
            result.points = days
            result.figures |= {
                "backlog": written[0], "drained_s": round(drained, 1), "records_per_s": round(written[0] / drained),
                "live_age_p95_ms": round(1000 * ages[int(0.95 * len(ages))]) if ages else None, "live": len(ages),
            }  # fmt: skip
    except StartError as error:
        result.failures.append(f"the line did not start: {error}")
    return result


if __name__ == "__main__":
    sys.exit(main(Campaign("outage", "days", DAYS, one, line_module.needs), __doc__))
