"""Averages of recorded rows: totals against numpy, and what does not count."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.recorded.averaging import OPEN_MAX, Average, Averages
from calibration.recorded.dry import RELLA_CH4, RELLA_CO2, Correction, Drying, by_dilution, quadratic
from calibration.recorded.repeats import Repeats
from calibration.recorded.screen import Screen
from calibration.recorded.total import Total
from drivers.recorded import picarro_log
from drivers.recorded.text import lines
from metrology.quality import Cause
from metrology.recorded import FLAGGED, HOUR, MINUTE, SECOND, Row, Sample


def averaged(rows: list[Row], period: int = HOUR) -> list[Average]:
    made = Averages(period)
    found = []
    for row in rows:
        made.add(row)
        found += made.ready()
    return [*found, *made.end()]


def row(at: int, *values: float | None, species: str = "co2", **more: object) -> Row:
    return Row(at, [Sample(species, value) for value in values], **more)  # type: ignore[arg-type]


def test_the_total_spread_of_minutes_is_that_within_and_between() -> None:
    # calibration.md, section 10.
    parts = [Sample("co2", m, n, s) for m, s, n in ((400.0, 0.1, 10), (401.0, 0.2, 20), (400.5, 0.15, 15))]
    (one,) = averaged([Row(at * MINUTE, [part]) for at, part in enumerate(parts)])
    assert one.mean == pytest.approx(400.611111, abs=1e-6)
    assert one.sd == pytest.approx(0.429308, abs=1e-6)
    assert one.n == 45


@given(st.lists(st.lists(st.floats(-500, 2500), min_size=1, max_size=8), min_size=1, max_size=8))
@settings(max_examples=200)
def test_means_of_parts_give_the_mean_and_spread_of_all(parts: list[list[float]]) -> None:
    whole, merged = Total(), Total()
    for part in parts:
        sd = float(np.std(part, ddof=1)) if len(part) > 1 else None
        sample = Sample("co2", float(np.mean(part)), len(part), sd)
        whole.add(sample)
        own = Total()
        own.add(sample)
        merged.merge(own)
    values = [value for part in parts for value in part]
    for total in (whole, merged):
        assert total.n == len(values)
        assert total.mean == pytest.approx(np.mean(values), abs=1e-9)
        if len(values) > 1:
            assert total.sd == pytest.approx(np.std(values, ddof=1), abs=1e-6)
        else:
            assert total.sd is None


def test_a_spread_that_is_not_known_is_not_made_up() -> None:
    (one,) = averaged([Row(0, [Sample("co2", 400.0, 20, None)]), Row(MINUTE, [Sample("co2", 401.0, 20, 0.1)])])
    assert (one.mean, one.sd, one.n) == (400.5, None, 40)


def test_the_recorded_hour_against_numpy(recorded_data: Path) -> None:
    path = next((recorded_data / "picarro_g2301").glob("*.dat"))
    header, *table = [line.split() for line in path.read_text().splitlines()]
    column = {name: np.array([float(cells[at]) for cells in table]) for at, name in enumerate(header) if at > 1}
    on_port = column["MPVPosition"] % 1 == 0
    hour = np.array([cells[1][:2] for cells in table])
    found = averaged([one for one in picarro_log.read(lines([path.read_bytes()])) if isinstance(one, Row)])
    assert len(found) == 12
    for one in found:
        fresh = {"co2": 1, "ch4": 2}.get(one.species, 3)
        name = next(name for name in column if name.lower() == one.species)
        own = column[name][on_port & (column["species"] == fresh) & (hour == f"{one.start // HOUR % 24:02d}")]
        assert one.n == len(own)
        assert one.mean == pytest.approx(own.mean(), rel=1e-12)
        assert one.sd == pytest.approx(own.std(ddof=1), rel=1e-9)
        assert one.quality == "good"


def test_tanks_flags_and_holes_do_not_count() -> None:
    rows = [
        row(0, 400.0), row(MINUTE, 500.0, gas="std"), row(2 * MINUTE, None),
        Row(3 * MINUTE, [Sample("co2", 900.0, cause=FLAGGED)]), row(4 * MINUTE, 402.0, notes=frozenset({Cause.FAULT})),
        row(HOUR, 500.0, gas="std"), row(2 * HOUR, None),
    ]  # fmt: skip
    first, second, third = averaged(rows)
    assert first[2:] == (401.0, math.sqrt(2.0), 2, "calibration;fault;flagged")
    assert second == (HOUR, "co2", None, None, 0, "calibration")
    assert third == (2 * HOUR, "co2", None, None, 0, "missing")


def test_one_reading_has_no_spread() -> None:
    assert averaged([row(0, 400.0)]) == [Average(0, "co2", 400.0, None, 1, "good")]


def test_periods_are_given_out_in_order_and_late_rows_are_counted() -> None:
    made = Averages(MINUTE)
    found = []
    for at in range(OPEN_MAX + 10):
        made.add(row(at * MINUTE, float(at)))
        found += made.ready()
    assert len(found) == 10
    made.add(row(3 * MINUTE, 1.0))
    assert made.late == 1
    made.add(row((OPEN_MAX - 5) * MINUTE + SECOND, 0.0))
    found += made.end()
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert {one.n for one in found} == {1, 2}


def test_dry_values_take_the_wet_one_last_renewed() -> None:
    drying = Drying([Correction("co2", "h2o_reported", "co2_dry", RELLA_CO2)])
    drying.add(row(0, 400.0))
    made = drying.add(row(SECOND, 2.0, species="h2o_reported"))
    assert made.samples[-1].species == "co2_dry"
    assert made.samples[-1].value == pytest.approx(410.285698, abs=1e-6)
    assert len(drying.add(row(62 * SECOND, 2.0, species="h2o_reported")).samples) == 1, "the wet value is too old"
    fresh = Drying([Correction("co2", "h2o_reported", "co2_dry", RELLA_CO2)])
    begun = row(0, 2.0, species="h2o_reported", repeated=[Sample("co2", 400.0)])
    assert fresh.add(begun).samples[-1].value == pytest.approx(410.285698, abs=1e-6), "shown again in the first row"
    own = Row(0, [Sample("co2", 400.0), Sample("h2o_reported", 2.0), Sample("co2_dry", 411.0)])
    assert [one.value for one in drying.add(own).samples] == [400.0, 2.0, 411.0]
    instead = Drying([Correction("co2", "h2o_reported", "co2_dry", RELLA_CO2)], instead=True)
    assert [round(one.value or 0, 6) for one in instead.add(own).samples] == [400.0, 2.0, 410.285698]


def test_corrections_by_their_vectors() -> None:
    # calibration.md, section 11.
    assert RELLA_CH4(2.0, 3.0) == pytest.approx(2.065292, abs=1e-6)
    assert quadratic(-0.012, -2.674e-4)(400.0, 0.5) == pytest.approx(402.441553, abs=1e-6)
    assert by_dilution("%")(400.0, 1.0) == pytest.approx(404.040404, abs=1e-6)
    assert by_dilution("mmol/mol")(400.0, 10.0) == pytest.approx(404.040404, abs=1e-6)
    assert by_dilution("mmol/mol")(400.0, -0.01) == pytest.approx(400.0, abs=0.01)
    with pytest.raises(ValueError, match="water"):
        RELLA_CO2(400.0, 90.0)


def test_flush_after_a_port_and_what_is_not_plausible() -> None:
    screen = Screen({"co2": (300.0, 600.0)}, flush=2 * MINUTE)
    ports = ["1", "1", "2", "2", "2", "1"]
    rows = [screen.add(row(at * MINUTE, 400.0 if at != 1 else 700.0, port=port)) for at, port in enumerate(ports)]
    assert [one.samples[0].cause for one in rows] == [
        None, Cause.OUT_OF_RANGE, Cause.FLUSH, Cause.FLUSH, None, Cause.FLUSH,
    ]  # fmt: skip


def test_a_clock_set_back_is_doubtful_and_its_rows_count() -> None:
    screen = Screen({})
    rows = [screen.add(row(at, 400.0)) for at in (0, HOUR, 0, HOUR, 2 * HOUR)]
    assert [Cause.CLOCK_DOUBTFUL in one.notes for one in rows] == [False, False, True, False, False]


def test_a_row_counts_once() -> None:
    repeats = Repeats()
    first = [row(at * SECOND, float(at)) for at in range(10)]
    assert [repeats.seen(one, 0) for one in first] == [False] * 10
    assert [repeats.seen(one, 0) for one in first] == [True] * 10, "a file joined to itself"
    assert not repeats.seen(row(3 * SECOND, 99.0), 0), "a clock set back: another reading at the same time"
    assert repeats.seen(row(3 * SECOND, 98.0), 1), "the same time in another file"
    assert not repeats.seen(row(3 * SECOND, 3.0, species="ch4", code="2"), 0), "another species of that moment"
