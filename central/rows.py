"""What a stored record means: readings, averages, latest values, and so on. Repeats and order change nothing."""

from typing import Final

import apsw

from central.entries import Entry
from central.events import put_event
from central.rollup import Touched
from central.shapes import (
    AverageBody,
    CalibrationBody,
    CheckpointBody,
    ConfigBody,
    EventBody,
    GapBody,
    Row,
    ScanBody,
    causes,
)
from metrology.periods import MINUTE_S
from metrology.quality import Cause
from protocols.record import encode

HEAD = ("v", "epoch", "seq", "kind", "t", "sim")
# A whole row of `latest`: the newest value of a series by source stays.
PUT_LATEST: Final = (
    "INSERT INTO latest VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,"
    " value = excluded.value, unit = excluded.unit, causes = excluded.causes, epoch = excluded.epoch,"
    " seq = excluded.seq WHERE (excluded.at, excluded.epoch, excluded.seq) > (at, epoch, seq)"
)


def write_rows(db: apsw.Connection, station_id: str, epoch: int, entry: Entry, touched: Touched) -> None:
    """Write what a new record means. Members that make no sense leave an event; the record itself is kept."""
    key = (station_id, epoch, entry.seq)
    match entry.shape:
        case ScanBody() as scan:
            _scan(db, key, scan)
        case AverageBody() as average:
            _averages(db, key, average, touched)
        case CalibrationBody() as step:
            db.execute(
                "INSERT OR IGNORE INTO calibration VALUES(?, ?, ?, ?, ?, ?, ?)",
                (*key, step.t, step.what, step.run, _detail(entry)),
            )
        case ConfigBody() as config:
            row = (*key, config.t, config.sha256, str(config.version))
            db.execute("INSERT OR IGNORE INTO config VALUES(?, ?, ?, ?, ?, ?)", row)
        case GapBody() as gap:
            row = (*key, gap.from_, gap.to, gap.reason)
            db.execute("INSERT OR IGNORE INTO gap VALUES(?, ?, ?, ?, ?, ?)", row)
        case EventBody() as event:
            detail = {k: v for k, v in entry.fields.items() if k not in (*HEAD, "what", "origin")}
            put_event(db, f"{epoch}/{entry.seq}", station_id, event.t, event.what, detail, event.origin)
        case CheckpointBody():
            pass  # central.witness judges it once the record stands
        case str() as problem:
            detail = {"epoch": epoch, "seq": entry.seq, "kind": entry.kind, "problem": problem}
            put_event(db, f"{epoch}/{entry.seq}/unreadable", station_id, entry.at, "record-unreadable", detail)


def _detail(entry: Entry) -> str:
    return encode({k: v for k, v in entry.fields.items() if k not in HEAD}).decode()


def _scan(db: apsw.Connection, key: tuple[str, int, int], scan: ScanBody) -> None:
    rows = [(m, scan.at, value.x, value.u, causes(value.q)) for m, value in scan.values.items()]
    db.executemany(
        "INSERT OR IGNORE INTO raw VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((*key, scan.instrument, *row) for row in rows),
    )
    for measurand, at, value, unit, why in rows:
        # A repeat says nothing new: an analyzer that measures its gases in turn repeats the others (quality `stale`).
        if Cause.STALE in why.split(","):
            continue
        latest = (key[0], f"{scan.instrument}.{measurand}", "scan", at, value, unit, why, *key[1:])
        db.execute(PUT_LATEST, latest)


def _averages(db: apsw.Connection, key: tuple[str, int, int], body: AverageBody, touched: Touched) -> None:
    for series, row in body.rows.items():
        _average(db, key, series, body, row)
        if body.period_s == MINUTE_S:
            latest = (key[0], series, "average", body.start, row.mean, row.u, causes(row.q), *key[1:])
            db.execute(PUT_LATEST, latest)
        touched.add(key[0], series, body.start, body.period_s, row.rev)


# One value per business key: a final one before a provisional one, then the first the station wrote. HJ 212 alone
# (epoch is NULL) always gives way, and the row remembers both ways.
_PUT_AVERAGE = """
INSERT INTO average VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'mqtt', ?, ?) ON CONFLICT DO UPDATE SET
    unit = excluded.unit, n = excluded.n, valid = excluded.valid, mean = excluded.mean, minimum = excluded.minimum,
    maximum = excluded.maximum, sd = excluded.sd, causes = excluded.causes, rule = excluded.rule,
    final = excluded.final, uncertainty = excluded.uncertainty, epoch = excluded.epoch, seq = excluded.seq,
    via = iif(via = 'mqtt', 'mqtt', 'mqtt+hj212')
WHERE epoch IS NULL OR (excluded.final, -excluded.epoch, -excluded.seq) > (final, -epoch, -seq)
"""


def _average(db: apsw.Connection, key: tuple[str, int, int], series: str, body: AverageBody, row: Row) -> None:
    station_id, epoch, seq = key
    business = (station_id, series, body.start, body.period_s, row.rev)
    values = (row.u, row.n, row.valid, row.mean, row.min, row.max, row.sd, causes(row.q), row.rule)
    held = db.execute(
        "SELECT unit, n, valid, mean, minimum, maximum, sd, causes, rule FROM average WHERE station_id = ?"
        " AND series = ? AND start = ? AND period_s = ? AND revision = ? AND final = ? AND epoch IS NOT NULL",
        (*business, row.final),
    ).fetchone()
    if row.final and held is not None and held != values:
        detail = {"series": series, "start": body.start, "period_s": body.period_s, "revision": row.rev}
        name = f"average/{series}/{body.start}/{body.period_s}/{row.rev}"
        put_event(db, name, station_id, body.start, "average-conflict", detail)
    uncertainty = sum(part * part for part in row.unc) ** 0.5 if row.unc is not None else None
    db.execute(_PUT_AVERAGE, (*business, *values, row.final, uncertainty, epoch, seq))
