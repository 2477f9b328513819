"""What HJ 212 uploads mean in the store: their bytes as provenance, live values, averages of revision 0, named items.

A batch is one transaction of a few statements, each run over all rows of its kind: thousands of frames a second pass
here. Repeats change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import apsw

from central.agreement import join
from central.carried import take_carried
from central.events import put_event
from central.hj212_dialogue import decrypted
from central.hj212_routes import Route, impossible
from central.rollup import mark_due
from central.rows import PUT_LATEST
from central.store import Store, printable
from metrology.periods import HOUR_S, MINUTE_S, iso, period_start
from protocols.hj212.message import Area, Message
from protocols.hj212.times import parse_time
from protocols.hj212.uploads import VALUE_CNS, Row, Upload

RULE: Final = "hj212"
# Lines of a log may differ and share a second; of everything else two values for one time contradict each other.
LOGS: Final = "3020"
ITEM_CHARACTERS_MAX: Final = 2000

# HJ 212-2017 table 8 letters, as causes of ours; the letter itself stands in `hj212_average`.
CAUSE_OF_FLAG: Final[Mapping[str, str]] = {
    "N": "",
    "F": "stopped",
    "B": "communication",
    "D": "fault",
    "C": "calibration",
    "M": "maintenance",
    "T": "out_of_range",
    "S": "substituted",
}
# The outlet's own statements that go by another letter in newer editions or platforms count as a fault, never as good.
UNKNOWN_FLAG: Final = "fault"

_FRAME: Final = "INSERT INTO hj212_frame VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SAID: Final = "INSERT OR IGNORE INTO hj212_average VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# Only where nothing better is there: what came by MQTT is exact and signed.
_AVERAGE: Final = (
    "INSERT OR IGNORE INTO average(station_id, series, start, period_s, revision, unit, mean, minimum, maximum,"
    f" causes, rule, final, via) VALUES(?, ?, ?, ?, 0, ?, ?, ?, ?, ?, '{RULE}', 1, 'hj212')"
)
_ITEM: Final = "INSERT OR IGNORE INTO hj212_item VALUES(?, ?, ?, ?, ?, ?)"

_iso = lru_cache(4096)(iso)


@lru_cache(4096)
def _hour_of(at: datetime) -> str:
    return iso(period_start(at, HOUR_S))


@dataclass(slots=True)
class _Batch:
    """Rows to be written, by table, and what they touch."""

    frames: dict[tuple[str, str, str, bytes], tuple[Any, ...]] = field(default_factory=dict)
    said: list[tuple[Any, ...]] = field(default_factory=list)
    averages: list[tuple[Any, ...]] = field(default_factory=list)
    latest: list[tuple[Any, ...]] = field(default_factory=list)
    items: list[tuple[Route, tuple[Any, ...]]] = field(default_factory=list)
    hours: set[tuple[str, str, str]] = field(default_factory=set)
    problems: list[tuple[Route, Message, str, str]] = field(default_factory=list)


def add_uploads(store: Store, uploads: Sequence[tuple[Route, Message, Upload | None]], now: datetime) -> None:
    """Commit data messages in one transaction; each part of a split one stands for itself. `now` is world time."""
    with store.db as db:
        batch = _Batch()
        next_id = (db.execute("SELECT max(id) FROM hj212_frame").get or 0) + 1
        wall = store.wall()
        for route, message, upload in uploads:
            frame = _frame(db, batch, message, next_id + len(batch.frames))
            if frame is not None:
                _sort(batch, route, message, upload, frame, now, wall)
        db.executemany(_FRAME, batch.frames.values())
        _write_averages(db, batch)
        db.executemany(PUT_LATEST, batch.latest)
        _write_items(store, batch)
        mark_due(db, store.hours_due, batch.hours)
        for route, message, at, problem in batch.problems:
            _flag(db, route, message, at, problem, now)


def _frame(db: apsw.Connection, batch: _Batch, message: Message, next_id: int) -> int | None:
    """Id of a message that is new; None for one that is in the store, whose rows are there too."""
    if (message.mn, message.qn, message.cn, message.raw) in batch.frames:
        return None
    known = db.execute(
        "SELECT 1 FROM hj212_frame WHERE mn = ? AND qn = ? AND cn = ? AND bytes = ?",
        (message.mn, message.qn, message.cn, message.raw),
    ).get
    return None if known else next_id


def _sort(
    batch: _Batch, route: Route, message: Message, upload: Upload | None, frame: int, now: datetime, wall: float
) -> None:
    """Put the rows of one new message where they belong. What has an impossible time is kept as bytes only."""
    by_factor = upload is not None and upload.cn in VALUE_CNS
    at = upload.data_time if upload is not None else _data_time(message)
    period_s = route.period_s(upload.period_s) if upload is not None and upload.period_s is not None else None
    problem = impossible(at, period_s, now) if at is not None else ""
    text = _iso(at) if at is not None else ""
    key = (message.mn, message.qn, message.cn, message.raw)
    area = decrypted(message) if route.outlet.sm4_key is not None and message.area else None
    kept = (message.raw, area, message.resent, problem)
    batch.frames[key] = (frame, *key[:3], text, wall, message.wants_answer, *kept)
    if problem:
        batch.problems.append((route, message, text, problem))
    elif not by_factor or upload is None:
        # What states no time is of this moment.
        rows = _items(message.mn, message.cn, text or iso(now), message.area, frame)
        batch.items += [(route, row) for row in rows]
    elif period_s is None:
        batch.latest += [_live(route, row, text) for row in upload.rows if row.code in route.factors]
    else:
        _sort_averages(batch, route, message, upload, (text, period_s, frame))


def _sort_averages(batch: _Batch, route: Route, message: Message, upload: Upload, place: tuple[str, int, int]) -> None:
    start, period_s, frame = place
    texts = {name: value for item in message.area for name, value in item}
    for row in upload.rows:
        # A code that nobody enrolled stays in the bytes of the message.
        factor = route.factors.get(row.code)
        if factor is None:
            continue
        key = (route.station_id, factor.series, start, period_s)
        # `Data` is how noise states its periods.
        suffixes = ("Data" if "Data" in row.values else "Avg", "Min", "Max")
        said = [texts.get(f"{row.code}-{s}") if s in row.values else None for s in suffixes]
        state = factor.state.name if factor.state else None
        batch.said.append((*key, message.mn, factor.unit, state, *said, row.flag or "", frame))
        batch.averages.append((*key, factor.unit, *(row.values.get(s) for s in suffixes), _causes(row)))
        if period_s == MINUTE_S:
            batch.hours.add((route.station_id, factor.series, _hour_of(upload.data_time)))


def _causes(row: Row) -> str:
    return CAUSE_OF_FLAG.get(row.flag or "N", UNKNOWN_FLAG)


def _live(route: Route, row: Row, at: str) -> tuple[Any, ...]:
    factor = route.factors[row.code]
    return (route.station_id, factor.series, "hj212", at, row.values.get("Rtd"), factor.unit, _causes(row), 0, 0)


def _data_time(message: Message) -> datetime | None:
    text = message.value("DataTime") or message.value("AlarmTime")
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


def _write_averages(db: apsw.Connection, batch: _Batch) -> None:
    before = db.total_changes()
    db.executemany(_SAID, batch.said)
    if db.total_changes() - before < len(batch.said):
        for row in batch.said:
            _compare(db, row)
    before = db.total_changes()
    db.executemany(_AVERAGE, batch.averages)
    if db.total_changes() - before < len(batch.averages):
        for row in batch.averages:
            join(db, *row[:4])


def _compare(db: apsw.Connection, row: tuple[Any, ...]) -> None:
    """Keep what was said first of a period; another value later under the same MN is an event."""
    station_id, series, start, period_s, mn, *said, _ = row
    first: Any = db.execute(
        "SELECT unit, state, mean, minimum, maximum, flag FROM hj212_average"
        " WHERE station_id = ? AND series = ? AND start = ? AND period_s = ? AND mn = ?",
        row[:5],
    ).fetchone()
    if first != tuple(said):
        detail = {"series": series, "start": start, "period_s": period_s, "mn": mn, "first": first, "later": said}
        put_event(db, f"hj212/{mn}/{series}/{start}/{period_s}/again", station_id, start, "hj212-conflict", detail)


def _write_items(store: Store, batch: _Batch) -> None:
    db = store.db
    for route, row in batch.items:
        mn, cn, at, name, value, _ = row
        if cn != LOGS and "-" in name and (first := _another(db, row)) is not None:
            detail = {"cn": cn, "name": name, "data_time": at, "mn": mn, "first": first, "later": value}
            put_event(db, f"hj212/{mn}/{cn}/{name}/{at}/again", route.station_id, at, "hj212-conflict", detail)
        db.execute(_ITEM, row)
        if cn == LOGS:
            take_carried(db, route.station_id, store.stations[route.station_id].vkey, mn, at, value)


def _another(db: apsw.Connection, row: tuple[Any, ...]) -> str | None:
    """Another value that stands for the same name and time."""
    found: str | None = db.execute(
        "SELECT value FROM hj212_item WHERE mn = ? AND cn = ? AND data_time = ? AND name = ? AND value <> ?", row[:5]
    ).get
    return found


def add_answer(store: Store, mn: str, cn: str, areas: Sequence[Area], now: datetime) -> None:
    """Keep what a station answered to a request as named items of this moment."""
    with store.db as db:
        for area in areas:
            db.executemany(_ITEM, _items(mn, cn, iso(now), area, None))


def _items(mn: str, cn: str, at: str, area: Area, frame: int | None) -> list[tuple[Any, ...]]:
    pairs = [pair for item in area for pair in item if pair[0] not in ("DataTime", "PW", "NewPW", "NewSK")]
    return [(mn, cn, at, name, printable(value, ITEM_CHARACTERS_MAX), frame) for name, value in pairs]


def _flag(db: apsw.Connection, route: Route, message: Message, at: str, problem: str, now: datetime) -> None:
    """An impossible time is an event, one an hour for each MN and kind."""
    detail = {"mn": message.mn, "cn": message.cn, "data_time": at, "problem": problem}
    key = f"hj212/{message.mn}/{problem}/{_hour_of(now)}"
    put_event(db, key, route.station_id, iso(now), "hj212-impossible-time", detail)
