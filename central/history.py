"""The past of one station as the centre's store holds it: a `host.history.Source` over the records themselves."""

import base64
from collections.abc import Collection
from typing import Any

import apsw

from central.beginning import tree_at
from host.history import Fields
from protocols import record

_TEXT = "CAST(body AS TEXT)"
_TIME = f"{_TEXT} ->> '$.t'"
_START = f"{_TEXT} ->> '$.start'"


class StoreSource:
    """Reads on a connection of its own (`central.queries.open_reader`). Holes in the records are simply not there."""

    def __init__(self, db: apsw.Connection, station_id: str) -> None:
        self._db = db
        self._station = station_id

    def indexed(
        self,
        kind: str,
        what: Collection[str],
        period_s: int | None,
        since: tuple[str, int, int],
        until: str,
        limit: int,
    ) -> list[Fields]:
        """See `host.history.Source`."""
        at = _START if kind == "average" else _TIME
        test, values = _selected(kind, what, period_s)
        return self._found(
            f"{test} AND {at} >= ? AND ({at}, epoch, seq) > (?, ?, ?) AND {at} < ? ORDER BY {at}, epoch, seq LIMIT ?",
            *values, since[0], *since, until, limit,
        )  # fmt: skip

    def newest(self, kind: str, what: Collection[str], before: str) -> Fields | None:
        """See `host.history.Source`."""
        test, values = _selected(kind, what, None)
        order = f"{_TIME} DESC, epoch DESC, seq DESC"
        found = self._found(f"{test} AND {_TIME} < ? ORDER BY {order} LIMIT 1", *values, before)
        return found[0] if found else None

    def numbered(self, epoch: int, after: int, kinds: Collection[str], limit: int) -> list[Fields]:
        """See `host.history.Source`."""
        test = f"epoch = ? AND seq > ? AND kind IN ({_marks(kinds)}) ORDER BY seq LIMIT ?"
        return self._found(test, epoch, after, *sorted(kinds), limit)

    def seq_at(self, epoch: int, at: str) -> int:
        """See `host.history.Source`; by bisection between the numbers that are there."""
        first, last = self._db.execute(
            "SELECT min(seq), max(seq) FROM record WHERE station_id = ? AND epoch = ?", (self._station, epoch)
        ).get
        if first is None:
            return 0
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            found = self._found("epoch = ? AND seq >= ? ORDER BY seq LIMIT 1", epoch, middle)[0]
            if found["t"] < at:
                low = found["seq"] + 1
            else:
                high = middle
        return int(low)

    def tree_before(self, epoch: int, seq: int) -> str | None:
        """See `host.history.Source`: where an uplink was added later, the tree its first checkpoint continues."""
        tree = tree_at(self._db, (self._station, epoch))
        return base64.b64encode(tree.to_bytes()).decode() if tree.size else None

    def epochs(self) -> list[int]:
        """See `host.history.Source`."""
        rows = self._db.execute("SELECT DISTINCT epoch FROM record WHERE station_id = ? ORDER BY 1", (self._station,))
        return [epoch for (epoch,) in rows]

    def _found(self, test: str, *values: Any) -> list[Fields]:
        rows = self._db.execute(f"SELECT body FROM record WHERE station_id = ? AND {test}", (self._station, *values))
        return [record.decode(body) for (body,) in rows]


def _selected(kind: str, what: Collection[str], period_s: int | None) -> tuple[str, tuple[Any, ...]]:
    # The literal kinds let SQLite see that its partial indexes apply.
    if kind == "average":
        return f"kind = 'average' AND {_TEXT} ->> '$.period_s' = ?", (period_s,)
    test, values = "kind = ? AND kind IN ('calibration', 'event', 'config', 'gap')", (kind, *sorted(what))
    return f"{test}{f' AND {_TEXT} ->> $what IN ({_marks(what)})' if what else ''}".replace("$what", "'$.what'"), values


def _marks(items: Collection[str]) -> str:
    return ", ".join("?" * len(items))
