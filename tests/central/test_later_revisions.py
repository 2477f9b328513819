"""What a station made again: the highest revision is shown, those before are kept, an analysis layer stands beside."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from central import queries, views
from central.store import Store

SPAN = ("2026-03-01T04:00:00.000Z", "2026-03-01T05:00:00.000Z")


@pytest.fixture
def revised(make_store: Callable[..., Store], make_log: Callable[..., Any]) -> Store:
    """A minute with a later revision and a layer, each in a record that names its recomputation."""
    log = make_log()
    log.minute(1, 400.0)
    log.add("calibration", what="recompute", id="recompute-a", who="Li Na", reason="cylinder", series=["gas.co2"])
    for series in ("gas.co2", "gas~analysis.co2"):
        log.minute(1, 402.0, 1, series=series)
    store = make_store("revised.db")
    store.add([log.delivery(0, 3)])
    return store


def test_the_others_are_kept(revised: Store, tmp_path: Path) -> None:
    def rows(sql: str) -> list[Any]:
        with closing(queries.open_reader(str(tmp_path / "revised.db"))) as db:
            return [row[0] if len(row) == 1 else row for row in db.execute(sql)]

    assert revised
    kept = rows("SELECT series, revision, mean FROM average ORDER BY series, revision")
    assert kept == [("gas.co2", 0, 400), ("gas.co2", 1, 402), ("gas~analysis.co2", 1, 402)]
    assert rows("SELECT mean FROM hour WHERE series = 'gas.co2'") == [402]
    assert rows("SELECT what FROM calibration") == ["recompute"]
    assert rows("SELECT what FROM event WHERE what = 'average-conflict'") == []


def test_pages_show_the_highest_revision_and_the_layer_as_a_series(revised: Store, tmp_path: Path) -> None:
    assert revised
    with closing(queries.open_reader(str(tmp_path / "revised.db"))) as db:
        shown = queries.averages(db, "tower", "gas.co2", 60, *SPAN, 10)
        assert [(row["revision"], row["mean"]) for row in shown] == [(1, 402)]
        assert views.averages(db, "tower", "gas~analysis.co2", 60, *SPAN)["unit"] == "umol/mol"
