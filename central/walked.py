"""A station walks its own log each day and says so: the centre notices one that no longer does, or tells another root.

The statement is a record, so it is signed like any other. It proves little by itself (whoever holds the machine may
make it up); that it stays out is what tells.
"""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apsw

from central.events import put_event
from metrology.periods import DAY_S, iso, parse_iso

EVERY_WALL_S: Final = 3600.0
WHAT: Final = "ledger-walked"
LOOKED_AT_MAX: Final = 20
# A station that is heard has sent something within this time.
HEARD_WALL_S: Final = 6 * 3600.0
_TOLD: Final = "CAST(body AS TEXT) ->> '$.t'"


class Walks:
    """Works on the writer's thread; a statement is due within `walk_h` (0: none is)."""

    def __init__(self, db: apsw.Connection, wall: Callable[[], float], walk_h: float) -> None:
        self._db, self._wall, self._within_s = db, wall, walk_h * 3600
        self._next = 0.0

    def look(self, stations: Iterable[str]) -> None:
        """Once in EVERY_WALL_S; what is found is an event, once."""
        now = self._wall()
        if self._within_s and now >= self._next:
            self._next = now + EVERY_WALL_S
            for station_id in stations:
                self._look(station_id, now)

    def _look(self, station_id: str, now: float) -> None:
        walked: float | None = None
        for committed, epoch, seq, body in self._statements(station_id):
            walked = max(walked or 0.0, committed)
            self._compare(station_id, epoch, seq, json.loads(body))
        begun, heard = (self._cosigned(station_id, order) for order in ("ASC", "DESC"))
        since = walked if walked is not None else begun
        if heard is not None and since is not None and now - heard < HEARD_WALL_S and now - since > self._within_s:
            at = iso(datetime.fromtimestamp(now, UTC))
            detail = {"since_wall": since, "walked": walked is not None}
            put_event(self._db, f"walk-overdue/{since:.0f}", station_id, at, "walk-overdue", detail)

    def _statements(self, station_id: str) -> list[Any]:
        """Those of the time that counts, by the station's own clock."""
        newest: str | None = self._db.execute(
            f"SELECT {_TOLD} FROM record WHERE station_id = ? AND kind = 'event' ORDER BY {_TOLD} DESC LIMIT 1",
            (station_id,),
        ).get
        if newest is None:
            return []
        since = iso(parse_iso(newest) - timedelta(seconds=self._within_s + DAY_S))
        found: Any = self._db.execute(
            f"SELECT committed_wall, epoch, seq, body FROM record WHERE station_id = ? AND kind = 'event'"
            f" AND {_TOLD} >= ? AND CAST(body AS TEXT) ->> '$.what' = ? LIMIT ?",
            (station_id, since, WHAT, LOOKED_AT_MAX),
        ).fetchall()
        return list(found)

    def _cosigned(self, station_id: str, order: str) -> float | None:
        """When a checkpoint of the station was first or last believed (unix s)."""
        found: float | None = self._db.execute(
            f"SELECT at_wall FROM cosignature WHERE station_id = ? ORDER BY epoch {order}, size {order} LIMIT 1",
            (station_id,),
        ).get
        return found

    def _compare(self, station_id: str, epoch: int, seq: int, told: Any) -> None:
        """The trees that were walked, against those believed here."""
        for part in _parts(told):
            size, root, origin = (part.get(name) for name in ("size", "root", "origin"))
            own: str | None = self._db.execute(
                "SELECT root FROM checkpoint WHERE station_id = ? AND epoch = ? AND size = ?"
                " AND verdict = 'consistent'",
                (station_id, _epoch(origin), size if isinstance(size, int) else -1),
            ).get
            if own is not None and base64.b64decode(own).hex() != root:
                detail = {"epoch": epoch, "seq": seq, "size": size, "walked": root, "witnessed": own, "origin": origin}
                put_event(self._db, f"{epoch}/{seq}/walk-differs/{size}", station_id, told["t"], "walk-differs", detail)


def _parts(told: Any) -> list[dict[str, Any]]:
    """What a station says may be of any shape."""
    found = told.get("parts")
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _epoch(origin: object) -> int:
    number = str(origin).rpartition("/")[2]
    return int(number) if number.isdecimal() and len(number) < 16 else -1
