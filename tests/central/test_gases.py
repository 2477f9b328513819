"""Standard gases of a station at the centre, from the records that came."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from central.gases import gases
from central.queries import open_reader
from central.store import Store
from host.clock import ManualClock
from metrology.periods import parse_iso

Maker = Callable[..., Any]


def test_the_centre_folds_what_the_station_wrote(make_store: Maker, make_log: Maker, tmp_path: Path) -> None:
    value = {"value": 402.1, "unit": "umol/mol", "uncertainty": 0.03, "scale": "WMO CO2 X2019"}
    paper = {"number": "C1", "certified": "2024-01-01", "expires": "2026-02-01", "assigned": {"co2": value}}
    row = {"name": "span", "number": "CB1", "certificate": paper}
    gauge = {**row, "pressure": {"at": "2026-03-01T04:00:00.000Z", "bar": 12.0}}
    log = make_log()
    log.add("calibration", what="cylinder", act="declared", name="span", who="root", reason="r", row=row)
    log.add("calibration", what="drift", run="r")
    log.add("calibration", what="cylinder", act="pressure", name="span", who="li", reason="r", row=gauge)
    store: Store = make_store("gases.db")
    store.add([log.delivery(0, 2)])
    clock = ManualClock(parse_iso("2026-03-01T05:00:00Z"))
    db = open_reader(str(tmp_path / "gases.db"))
    (one,) = gases(db, clock, "tower")["cylinders"]
    assert (one["name"], one["number"], one["in_use"], one["pressure"]["bar"]) == ("span", "CB1", True, 12.0)
    assert one["values"]["co2"]["value"] == 402.1
    assert [each["kind"] for each in one["cautions"]] == ["expired", "low"]
    assert gases(db, clock, "nobody")["cylinders"] == []
    db.close()
    store.close()
