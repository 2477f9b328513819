"""A line's accounts: the instruments' journal, the station's log and the centre's store, held against each other."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
from campaign import Result
from line import Line

from agent.store.segment import Record, Segment
from metrology.periods import MINUTE_S, parse_iso
from protocols import record

# How long an answer is on its way, and how far the journal's clock and the records' may be apart.
IN_FLIGHT_S, IN_FLIGHT_WORLD_S_MAX = 2.0, 300.0
SHOWN = 5

Key = tuple[int, int]
Span = tuple[float, float]


def of_station(store: Path) -> Iterator[Record]:
    """All records of the station's own log, once the daemon has ended."""
    for path in sorted((store / "segments").glob("log-*.db")):
        segment, after = Segment(path), -1
        while rows := segment.read(after, record.KINDS, 500, None):
            yield from rows
            after = rows[-1].seq
        segment.close()


def account(line: Line, result: Result) -> None:
    """Fill in a result after `settle`."""
    centre = apsw.Connection(str(line.central), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        bodies = {(epoch, seq): body for epoch, seq, body in centre.execute("SELECT epoch, seq, body FROM record")}
        fields = [record.decode(body) for _, body in sorted(bodies.items())]
        gaps = [(parse_iso(one["from"]).timestamp(), parse_iso(one["to"]).timestamp())
                for one in fields if one["kind"] == "gap"]  # fmt: skip
        _records(line, result, bodies)
        _readings(line, result, centre, gaps)
        _periods(result, fields, gaps)
        result.figures["alarms"] = centre.execute("SELECT count(*) FROM event WHERE what LIKE 'ledger%'").get
    finally:
        centre.close()


def _lost(result: Result, what: str, keys: list[Any]) -> None:
    if keys:
        result.lost = (result.lost or 0) + len(keys)
        result.failures.append(f"{len(keys)} {what}: {keys[:SHOWN]}")


def _records(line: Line, result: Result, bodies: dict[Key, bytes]) -> None:
    """Whatever the daemon said to be taken, and whatever stands in its log, is at the centre as it stands there."""
    declared = {key for body in bodies.values() if b'"of_epoch"' in body for key in _declared(record.decode(body))}
    told = {(epoch, seq) for epoch, end in line.told.items() for seq in range(end)}
    _lost(result, "records said to be taken are not at the centre", sorted(told - bodies.keys() - declared))
    count = left = 0
    missing, other = [], []
    for row in of_station(line.store):
        count += 1
        found = bodies.get((row.epoch, row.seq))
        if found is None and row.seq < line.told.get(row.epoch, 0):
            missing.append((row.epoch, row.seq))
        elif found is None:
            left += 1
        elif found != row.body:
            other.append((row.epoch, row.seq))
    _lost(result, "records of the log are not at the centre", [key for key in missing if key not in told])
    if other:
        result.failures.append(f"{len(other)} records differ at the centre: {other[:SHOWN]}")
    result.figures |= {"told": len(told), "records": len(bodies), "epochs": len({epoch for epoch, _ in bodies}),
                       "declared": len(declared), "left_for_next_start": left}  # fmt: skip
    if not count:
        result.failures.append("the station's log is empty")


def _declared(fields: dict[str, Any]) -> Iterator[Key]:
    if fields["kind"] == "gap" and "first" in fields:
        yield from ((fields["of_epoch"], seq) for seq in range(fields["first"], fields["last"] + 1))


def _readings(line: Line, result: Result, centre: apsw.Connection, gaps: list[Span]) -> None:
    """Each answer of each unit once, in the order in which it was given."""
    stored: dict[str, list[int]] = defaultdict(list)
    query = "SELECT instrument, value FROM raw WHERE measurand = 'dust' AND value IS NOT NULL ORDER BY epoch, seq"
    for instrument, value in centre.execute(query):
        stored[instrument].append(round(value * 10_000))
    result.doubled = sum(len(counts) - len(set(counts)) for counts in stored.values())
    result.out_of_order = sum(a > b for counts in stored.values() for a, b in pairwise(counts))
    there = {instrument: set(counts) for instrument, counts in stored.items()}
    answers, missing = 0, []
    for row in line.journal.read_text().splitlines():
        unit, count, at = row.split()
        answers += 1
        if int(count) not in there.get(f"dev{int(unit):03d}", set()):
            missing.append((f"dev{int(unit):03d}", int(count), float(at)))
    margin = min(IN_FLIGHT_S * line.shape.rate, IN_FLIGHT_WORLD_S_MAX)
    excused = [(line.world(since), line.world(until)) for since, until in line.excused]
    away = [(since - margin, until + margin) for since, until in [*excused, *gaps]]
    silent = [(*one, nearest(line.world(one[2]), away), instead(centre, *one[:2])) for one in missing
              if not any(since <= line.world(one[2]) <= until for since, until in away)]  # fmt: skip
    _lost(result, "answers are neither at the centre nor in a gap", silent)
    result.figures |= {"answers": answers, "in_gaps": len(missing) - len(silent)}


def instead(centre: apsw.Connection, instrument: str, count: int) -> list[str]:
    """The marks of the readings without a value that stand where an answer is missing: what the daemon says it was."""
    row = "SELECT epoch, seq FROM raw WHERE instrument = ? AND measurand = 'dust' AND value"
    asked = "SELECT causes FROM raw WHERE instrument = ? AND measurand = 'dust' AND value IS NULL AND (epoch, seq)"
    numbers = (instrument, count / 10_000)
    before = centre.execute(f"{row} < ? ORDER BY epoch DESC, seq DESC LIMIT 1", numbers).fetchone() or (0, 0)
    behind = centre.execute(f"{row} > ? ORDER BY epoch, seq LIMIT 1", numbers).fetchone() or (2**62, 0)
    found = centre.execute(f"{asked} > (?, ?) AND (epoch, seq) < (?, ?)", (instrument, *before, *behind))
    return [causes for (causes,) in found.fetchall()[:SHOWN]]


def nearest(at: float, spans: list[Span]) -> str:
    """How far a moment is from the end of the span before it and from the next."""
    behind = min((at - until for _, until in spans if until < at), default=None)
    ahead = min((since - at for since, _ in spans if since > at), default=None)
    return f"{behind and round(behind, 2)} s behind a gap, {ahead and round(ahead, 2)} s before the next"


def _periods(result: Result, records: list[dict[str, Any]], gaps: list[Span]) -> None:
    """Minutes between the first and the last average: each has one, or lies in a gap; none of them twice."""
    starts: dict[tuple[str, int], int] = defaultdict(int)
    for fields in records:
        if fields["kind"] == "average" and fields["period_s"] == MINUTE_S:
            at = int(parse_iso(fields["start"]).timestamp()) // MINUTE_S
            for series, row in fields["rows"].items():
                starts[f"{series} {row['rev']}", at] += 1
    result.doubled = (result.doubled or 0) + sum(count - 1 for count in starts.values())
    minutes = {at for _, at in starts}
    every = range(min(minutes), max(minutes)) if minutes else range(0)
    lacking = [at for at in every if at not in minutes
               and not any(since < (at + 1) * MINUTE_S and until > at * MINUTE_S for since, until in gaps)]  # fmt: skip
    result.periods_missing = len(lacking)
    result.figures |= {"minutes": len(minutes), "gaps": len(gaps)}
