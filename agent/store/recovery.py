"""What a start reads back from the log: the gap since the last record, open averages, coefficients in force."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from agent.store.index import Index
from agent.store.log import Log
from agent.values.averaging import Averager, SeriesSpec
from agent.values.intake import Intake
from calibration.correction import Coefficients, coefficients_of, succeed
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from protocols import record

# Scans of the open minute lie among the last ones; a station writes fewer than this in the grace of a period.
REPLAY_SCANS: Final = 5_000
COEFFICIENTS_MAX: Final = 10_000
FIRST_EPOCH: Final = 1
LOOK_BACK: Final = timedelta(days=2)
# A clock that was set back while the station was off: periods written before stay written once. What lies farther
# ahead came from a clock that was never right, and must not stop the averages of years.
LOOK_AHEAD: Final = timedelta(days=1)


async def last_record_time(log: Log) -> datetime | None:
    """When the last committed record was written; None in an empty log."""
    found = await log.read(log.started - 2, kinds=record.KINDS, limit=1, before=log.started)
    return parse_iso(found[-1].fields["t"]) if found else None


async def write_gap(log: Log, now: datetime, averaged_until: datetime) -> None:
    """Say since when nothing is kept: since the last record, or, where its file was damaged, since the last average.

    A first start has no gap.
    """
    since, reason = await last_record_time(log), "not running"
    if since is None and log.epoch > FIRST_EPOCH:
        since, reason = averaged_until, "log damaged" if log.quarantined or log.unsalvaged else reason
    if since is not None:
        await log.append("gap", {"from": iso(since), "to": iso(now), "reason": reason})


def kept_until(log: Log, index: Index, averaged_until: datetime) -> datetime:
    """Until when a damaged log is known to have been written: the last average, or the newest record before the first.

    A station that has averaged nothing begins with the minute of its start, which says nothing of the time before.
    """
    newest = index.last(log.epoch, log.started)
    if newest is None or newest.get("clk") == "R":
        return averaged_until
    return min(averaged_until, parse_iso(newest["t"]))


def restored_averager(index: Index, specs: list[SeriesSpec], now: datetime, day_offset_s: int) -> Averager:
    """Averager that goes on where the last average record ended, with the open hour and day filled."""
    newest = index.last_average(MINUTE_S, iso(now - LOOK_BACK), iso(now + LOOK_AHEAD))
    if newest is None:
        return Averager(specs, now, day_offset_s, resumed=False)
    until = parse_iso(newest["end"])
    averager = Averager(specs, until, day_offset_s)
    for lower, upper in ((HOUR_S, DAY_S), (MINUTE_S, HOUR_S)):
        since = period_start(until, upper, day_offset_s)
        for fields in index.averages(lower, iso(since), iso(until)):
            # A later revision is no second member of the hour that is open.
            averager.restore(one for one in record.averages_of(fields) if one.revision == 0)
    return averager


async def replay(log: Log, intake: Intake, since: datetime) -> int:
    """Feed the committed scans of the open minute to the averages again. Gives how many."""
    after, fed = log.next_seq - 1 - REPLAY_SCANS, 0
    while rows := await log.read(after, kinds=frozenset({"scan"}), limit=500):
        after = rows[-1].seq
        for row in rows:
            scan = record.scan_of(row.fields)
            if scan.at >= since:
                intake.replay(scan)
                fed += 1
    return fed


def coefficients_in_force(index: Index) -> dict[str, Coefficients]:
    """Newest coefficients of each series, older ones behind them; those of a board go with its chip, not its name."""
    found: dict[str, list[Coefficients]] = defaultdict(list)
    for fields in index.newest("calibration", "coefficients", COEFFICIENTS_MAX):
        if "chip" in fields:
            continue
        found[fields["series"]].append(coefficients_of(fields))
    chained = {series: succeed(rows) for series, rows in found.items()}
    return {series: newest for series, newest in chained.items() if newest}
