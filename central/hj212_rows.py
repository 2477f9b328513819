"""What an HJ 212 message means in the store: its bytes as provenance, live values, averages of revision 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from central.agreement import join
from central.config import Station
from central.events import put_event
from central.rollup import Touched, roll_up
from central.rows import put_latest
from central.store import Store
from metrology.periods import iso
from protocols.hj212.factors import Factor
from protocols.hj212.message import Message
from protocols.hj212.uploads import Row, Upload

RULE: Final = "hj212"
SUFFIXES: Final = ("Avg", "Min", "Max")

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


@dataclass(frozen=True, slots=True)
class Route:
    """Whose outlet an MN is, and what its codes stand for."""

    station_id: str
    factors: Mapping[str, Factor]


def routes(stations: Mapping[str, Station]) -> dict[str, Route]:
    """Outlets by MN."""
    return {
        outlet.mn: Route(station_id, outlet.wire_factors())
        for station_id, station in stations.items()
        for outlet in station.outlets.values()
    }


def add_uploads(store: Store, uploads: Sequence[tuple[Route, Message, Upload]]) -> None:
    """Commit data frames in one transaction; each part of a split one stands for itself. Repeats change nothing."""
    touched = Touched()
    with store.db:
        for route, message, upload in uploads:
            frame_id = _frame(store, message, upload)
            for row in upload.rows:
                # A code that nobody enrolled stays in the bytes of the message.
                if row.code in route.factors:
                    _row(store.db, route, message, upload, row, frame_id, touched)
        for period in sorted(touched.periods):
            join(store.db, *period)
        for hour in sorted(touched.hours):
            roll_up(store.db, *hour)


def _row(
    db: apsw.Connection, route: Route, message: Message, upload: Upload, row: Row, frame_id: int, touched: Touched
) -> None:
    factor = route.factors[row.code]
    causes = CAUSE_OF_FLAG.get(row.flag or "N", UNKNOWN_FLAG)
    at = iso(upload.data_time)
    if upload.period_s is None:
        put_latest(db, (route.station_id, factor.series, "hj212", at, row.values.get("Rtd"), factor.unit, causes, 0, 0))
        return
    key = (route.station_id, factor.series, at, upload.period_s)
    state = factor.state.name if factor.state else None
    texts = tuple(message.value(f"{row.code}-{s}") if s in row.values else None for s in SUFFIXES)
    _say(db, key, message.mn, (factor.unit, state, *texts, row.flag or ""), frame_id)
    _average(db, key, row.values, factor.unit, causes)
    touched.add(*key, revision=0)


def _frame(store: Store, message: Message, upload: Upload) -> int:
    """Id of the message in the store. `acknowledged` says that its 9014 is due from this commit on."""
    known: Any = store.db.execute(
        "SELECT id FROM hj212_frame WHERE mn = ? AND qn = ? AND cn = ? AND bytes = ?",
        (message.mn, message.qn, message.cn, message.raw),
    ).get
    if known is not None:
        return int(known)
    store.db.execute(
        "INSERT INTO hj212_frame(mn, qn, cn, data_time, received_wall, acknowledged, bytes)"
        " VALUES(?, ?, ?, ?, ?, ?, ?)",
        (message.mn, message.qn, message.cn, iso(upload.data_time), store.wall(), message.wants_answer, message.raw),
    )
    return store.db.last_insert_rowid()


def _say(
    db: apsw.Connection, key: tuple[str, str, str, int], mn: str, said: tuple[str | None, ...], message: int
) -> None:
    """Keep what was said first of a period; another value later under the same MN is an event."""
    before = db.execute(
        "SELECT unit, state, mean, minimum, maximum, flag FROM hj212_average"
        " WHERE station_id = ? AND series = ? AND start = ? AND period_s = ? AND mn = ?",
        (*key, mn),
    ).fetchone()
    if before is None:
        db.execute("INSERT INTO hj212_average VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*key, mn, *said, message))
    elif before != said:
        station_id, series, start, period_s = key
        detail = {"series": series, "start": start, "period_s": period_s, "mn": mn, "first": before, "later": said}
        put_event(db, f"hj212/{mn}/{series}/{start}/{period_s}/again", station_id, start, "hj212-conflict", detail)


def _average(
    db: apsw.Connection, key: tuple[str, str, str, int], values: Mapping[str, float], unit: str, causes: str
) -> None:
    """Fill the row only where nothing better is there: what came by MQTT is exact and signed."""
    statistics = (values.get("Avg"), values.get("Min"), values.get("Max"))
    db.execute(
        "INSERT OR IGNORE INTO average(station_id, series, start, period_s, revision, unit, mean, minimum, maximum,"
        " causes, rule, final, via) VALUES(?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, 1, 'hj212')",
        (*key, unit, *statistics, causes, RULE),
    )
