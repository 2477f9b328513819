"""What a start reads back from the log: the gap since the last record, open averages, coefficients in force."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from agent.store.index import Index
from agent.store.log import Log, Record
from agent.values.averaging import Averager, SeriesSpec
from agent.values.intake import Intake
from calibration.correction import Coefficients, coefficients_of, succeed
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from metrology.reading import Average
from protocols import record

# Scans of the open minute lie among the last ones; a station writes fewer than this in the grace of a period.
REPLAY_SCANS: Final = 5_000
COEFFICIENTS_MAX: Final = 10_000
FIRST_EPOCH: Final = 1
LOOK_BACK: Final = timedelta(days=2)
# A clock that was set back while the station was off: so far its periods are waited for, as in a run (decision 12).
LOOK_AHEAD: Final = timedelta(hours=1)
FOREVER: Final = "9999"
# Among so many average records is one of a minute that was not made again later.
LAST_MAX: Final = 500


async def last_record_time(log: Log) -> datetime | None:
    """When the last committed record was written by a clock that was believed; None in an empty log, and elsewhere."""
    found = await log.read(log.started - 2, kinds=record.KINDS, limit=1, before=log.started)
    return written_at(found[-1]) if found else None


def last_known(log: Log, index: Index) -> datetime | None:
    """The same before the log runs; where the last record does not tell, the end of the minute written last."""
    found = log.files.live.read(log.next_seq - 2, record.KINDS, 1, None)
    if (at := written_at(found[-1]) if found else None) is not None:
        return at
    return last_written(index)


def written_at(row: Record) -> datetime | None:
    """What a record says of the time; None where its clock was not believable."""
    fields = row.fields
    return None if fields.get("clk") == "R" else parse_iso(fields["t"])


async def write_gap(log: Log, now: datetime, averaged_until: datetime, known: datetime | None = None) -> None:
    """Say since when nothing is kept: since the last record, or, where its file was damaged, since the last average.

    Where the last record was dated by a clock that was wrong it is `known`, the end of the last period before now. A
    first start has no gap.
    """
    since, reason = await last_record_time(log), "not running"
    if log.started and (since is None or since > now + LOOK_AHEAD):
        since = known
    if since is None and log.epoch > FIRST_EPOCH:
        since, reason = averaged_until, "log damaged" if log.quarantined or log.unsalvaged else reason
    if since is not None:
        await log.append("gap", {"from": iso(since), "to": iso(now), "reason": reason})


def newest_minute(index: Index, since: datetime, until: datetime) -> datetime | None:
    """End of the minute that begins last between these; None where none does."""
    newest = index.last_average(MINUTE_S, iso(since), iso(until))
    return parse_iso(newest["end"]) if newest else None


def last_written(index: Index) -> datetime | None:
    """End of the minute written last, whatever time its clock showed; None where none was."""
    rows = (row for row in index.newest("average", None, LAST_MAX) if row["period_s"] == MINUTE_S)
    return next((parse_iso(row["end"]) for row in rows if "recompute" not in row), None)


def next_written(index: Index, after: datetime) -> datetime | None:
    """Start of the first minute from a time on that is in the log already."""
    starts = index.starts(MINUTE_S, iso(after - timedelta(milliseconds=1)), FOREVER, 1)
    return parse_iso(starts[0]) if starts else None


def written_ahead(index: Index, now: datetime) -> datetime | None:
    """End of the last minute that was written under a clock ahead of `now`; None where none was."""
    newest = index.last_average(MINUTE_S, iso(now), FOREVER)
    return parse_iso(newest["end"]) if newest else None


def open_periods(index: Index, until: datetime, day_offset_s: int) -> list[Average]:
    """Averages before `until` of the hour and of the day that are open then, as they were last measured."""
    found: dict[tuple[str, datetime, int], Average] = {}
    for lower, upper in ((HOUR_S, DAY_S), (MINUTE_S, HOUR_S)):
        since = period_start(until, upper, day_offset_s)
        for fields in index.averages(lower, iso(since), iso(until)):
            # What was made again later is no second member of the hour that is open.
            if "recompute" not in fields:
                found |= {(one.series, one.start, lower): one for one in record.averages_of(fields)}
    return list(found.values())


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
    until = last_written(index)
    if until is not None and until > now + LOOK_AHEAD:
        until = newest_minute(index, now - LOOK_BACK, period_start(now, MINUTE_S))
    if until is None or until < now - LOOK_BACK:
        return Averager(specs, now, day_offset_s, resumed=False)
    averager = Averager(specs, until, day_offset_s)
    averager.restore(open_periods(index, until, day_offset_s))
    return averager


async def replay(
    log: Log, intake: Intake, since: datetime, until: datetime | None = None, before: int | None = None
) -> int:
    """Feed the committed scans of the open minute to the averages again, up to `until`. Gives how many."""
    end = log.next_seq if before is None else before
    after, fed = end - 1 - REPLAY_SCANS, 0
    while rows := await log.read(after, kinds=frozenset({"scan"}), limit=500, before=before):
        after = rows[-1].seq
        for row in rows:
            scan = record.scan_of(row.fields)
            if since <= scan.at and (until is None or scan.at <= until):
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
