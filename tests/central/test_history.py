"""The past of a station out of the centre's store: by time, by number, with holes, without reading it whole."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from central.history import StoreSource
from central.queries import open_reader
from central.store import Store
from host.history import History
from metrology.periods import parse_iso

Maker = Callable[..., Any]
START = parse_iso("2026-03-01T04:00:00Z")


def filled(make_store: Maker, make_log: Maker) -> Store:
    log = make_log()
    for index in range(250):
        log.minute(index, 400.0 + index)
        log.add("calibration", what="drift" if index % 2 else "target", step=index)
        log.scan(410.0 + index)
    other = make_log("other")
    other.minute(3, 1.0)
    other.add("calibration", what="drift", step=-1)
    store: Store = make_store("past.db")
    store.stations = {**store.stations, "other": next(iter(store.stations.values()))}
    store.add([log.delivery(0, 299), log.delivery(303, len(log.bodies) - 1), other.delivery(0, 1)])
    return store


def test_everything_told_is_found_again_in_order(make_store: Maker, make_log: Maker, tmp_path: Path) -> None:
    store = filled(make_store, make_log)
    db = open_reader(str(tmp_path / "past.db"))
    past = History(StoreSource(db, "tower"))
    since, until = START + timedelta(minutes=10), START + timedelta(minutes=200)
    averages = [row["start"] for row in past.averages(60, since, until)]
    assert averages == sorted(averages)
    # Seqs 300 to 302 are a hole: one average, one calibration, one scan.
    assert len(averages) == 189
    later = START + timedelta(days=1)
    assert [r["step"] for r in past.told("calibration", START, later, ("drift",))] == list(range(1, 250, 2))
    assert len(list(past.told("calibration", START, later))) == 249
    assert [r["seq"] for r in past.scans(("gas",), START, later)] == [s for s in range(2, 750, 3) if s != 302]
    newest = past.newest("calibration", later, ("target",))
    assert newest is not None
    assert newest["step"] == 248
    assert past.record(0, 301, frozenset({"calibration"})) is None
    at = START + timedelta(seconds=400)
    assert [r["seq"] for r in past.written(("calibration",), at, at + timedelta(seconds=5))] == [400, 403]
    for statement in ("average", "calibration"):
        plan = str(list(db.execute(f"EXPLAIN QUERY PLAN {_asked(statement)}")))
        assert "USING INDEX record_" in plan, plan
    db.close()
    store.close()


def _asked(kind: str) -> str:
    """The statement that a question turns into, with its values written out."""
    seen: list[str] = []

    class Watched(StoreSource):
        def _found(self, test: str, *values: Any) -> list[dict[str, Any]]:
            text = f"SELECT body FROM record WHERE station_id = 'tower' AND {test}"
            for value in values:
                text = text.replace("?", repr(value), 1)
            seen.append(text)
            return []

    Watched(None, "tower").indexed(kind, (), 60 if kind == "average" else None, ("2026", 0, 0), "2027", 5)  # type: ignore[arg-type]
    return seen[0]
