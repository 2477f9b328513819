"""The Picarro driver against a recorded hour of a G2301, and the marks it sets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Ask, PolledDriver, Text
from drivers.registry import describe, driver, entry
from metrology.declaration import DriverError, settled
from metrology.quality import Cause
from metrology.reading import Scan

AT = datetime(2026, 1, 2, tzinfo=UTC)
COLUMNS = [
    "ALARM_STATUS", "INST_STATUS", "species", "MPVPosition", "solenoid_valves",
    "CH4", "CH4_dry", "CO2", "CO2_dry", "H2O", "h2o_reported",
]  # fmt: skip
VALUES = {
    "CH4": "ch4", "CH4_dry": "ch4_dry", "CO2": "co2", "CO2_dry": "co2_dry", "H2O": "h2o", "h2o_reported": "h2o_reported"
}  # fmt: skip
# Which columns a row renews, by what the file itself shows: see test_the_file_renews_what_species_says.
FRESH = {1: {"CO2"}, 2: {"CH4"}, 3: {"H2O", "h2o_reported", "CO2_dry", "CH4_dry"}}


def made(**options: Any) -> PolledDriver:
    return driver("picarro", instrument="crds", unit=None, options={"columns": COLUMNS, "clock": "UTC", **options})


def polled(analyzer: PolledDriver, lines: list[str], end: str = "\r") -> list[Scan]:
    """One poll answered with these records."""
    questions = analyzer.poll()
    step = next(questions)
    assert isinstance(step, Ask)
    answer = "".join(line + end for line in [f"{len(lines)};", *lines, ""]).encode()
    assert step.complete(answer)
    assert len(answer) <= step.answer_bytes_max
    with pytest.raises(StopIteration) as stop:
        questions.send(Text(answer, AT))
    return list(stop.value.value)


def row(seconds: float, **columns: object) -> str:
    shown = {"INST_STATUS": 963, "species": 1, "MPVPosition": 1} | columns
    stamp = (datetime(2015, 8, 31, 17, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%y/%m/%d %H:%M:%S.%f")[:-3]
    return ";".join([stamp, *(str(shown.get(column, 1.5)) for column in COLUMNS)]) + ";"


def marks(scan: Scan, measurand: str = "co2") -> set[tuple[Cause, str]]:
    (reading,) = (r for r in scan.readings if r.measurand == measurand)
    return {(mark.cause, mark.origin) for mark in reading.quality.marks}


@pytest.fixture
def recorded(recorded_data: Path) -> list[dict[str, str]]:
    """Rows of the user log, 2015-08-31 (Ben Bond-Lamberty, R-data-picarro, MIT)."""
    (file,) = (recorded_data / "picarro_g2301").glob("*.dat")
    header, *lines = file.read_text().splitlines()
    return [dict(zip(header.split(), line.split(), strict=True)) for line in lines]


def as_records(rows: list[dict[str, str]]) -> list[str]:
    return [
        ";".join([f"{r['DATE'][2:].replace('-', '/')} {r['TIME']}", *(f"{float(r[c]):.10f}" for c in COLUMNS)]) + ";"
        for r in rows
    ]


def batches(records: list[str]) -> Iterator[list[str]]:
    """As a poller finds them: nothing, one, a few, a full FIFO."""
    sizes = [0, 1, 2, 3, 0, 5, 512, 7, 40, 1]
    at = 0
    while at < len(records):
        size = sizes[0]
        sizes = [*sizes[1:], size]
        yield records[at : at + size]
        at += size


def test_the_file_renews_what_species_says(recorded: list[dict[str, str]]) -> None:
    """Ground for FRESH: wet values and water without exception; the dry columns came a row late 14 times of 2678."""
    late = 0
    for before, after in pairwise(recorded):
        changed = {column for column in VALUES if before[column] != after[column]}
        extra = changed - FRESH[int(float(after["species"]))]
        assert extra <= {"CH4_dry", "CO2_dry"}
        late += bool(extra)
    assert late == 14


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r"])
def test_every_recorded_row_once_in_order_with_its_marks(recorded: list[dict[str, str]], end: str) -> None:
    analyzer = made()
    scans = [scan for batch in batches(as_records(recorded)) for scan in polled(analyzer, batch, end)]
    assert len(scans) == len(recorded)
    port: float | None = None
    settled_at = datetime.min.replace(tzinfo=UTC)
    for scan, want in zip(scans, recorded, strict=True):
        at = datetime.fromisoformat(f"{want['DATE']}T{want['TIME']}+00:00")
        assert scan.at == at
        assert scan.status["MPVPosition"] == pytest.approx(float(want["MPVPosition"]))
        position, species = float(want["MPVPosition"]), int(float(want["species"]))
        between = position != int(position)
        if not between:
            if port is not None and port != position:
                settled_at = at + timedelta(seconds=60)
            port = position
        for column, measurand in VALUES.items():
            (reading,) = (r for r in scan.readings if r.measurand == measurand)
            assert reading.value == pytest.approx(float(want[column]), abs=1e-9)
            causes = set() if column in FRESH[species] else {Cause.STALE}
            if between or at < settled_at:
                causes.add(Cause.FLUSH)
            assert reading.quality.causes == causes
    flushed = sum(bool(scan.readings[0].quality.causes & {Cause.FLUSH}) for scan in scans)
    assert 300 < flushed < len(scans), "the file holds changes of port"


def test_no_settling_before_the_first_change_of_port() -> None:
    (scan,) = polled(made(), [row(0, MPVPosition=10)])
    assert marks(scan) == set()


def test_settling_counts_from_the_first_row_on_the_new_port() -> None:
    ports = [(0, 1), (1, 1.4), (2, 1.8), (3, 2), (32.9, 2), (33, 2), (34, 2.5), (35, 2), (36, 1)]
    scans = polled(made(settle_s=30), [row(at, MPVPosition=port) for at, port in ports])
    turning, settling = (Cause.FLUSH, "valve between ports"), (Cause.FLUSH, "settling after port 2")
    back = {(Cause.FLUSH, "settling after port 1")}
    assert [marks(scan) for scan in scans] == [
        set(), {turning}, {turning}, {settling}, {settling}, set(), {turning}, set(), back,
    ]  # fmt: skip


def test_a_valve_seen_turning_before_anything_else_has_changed_port() -> None:
    scans = polled(made(), [row(0, MPVPosition=1.5), row(1, MPVPosition=2)])
    assert marks(scans[1]) == {(Cause.FLUSH, "settling after port 2")}


def test_settling_goes_on_over_polls_and_ends_after_a_clock_set_back() -> None:
    analyzer = made(settle_s=30)
    polled(analyzer, [row(0, MPVPosition=1), row(3600, MPVPosition=2)])
    scans = polled(analyzer, [row(10, MPVPosition=2), row(39, MPVPosition=2), row(40, MPVPosition=2)])
    assert [bool(marks(scan)) for scan in scans] == [True, True, False]


def test_equal_rows_are_all_kept() -> None:
    assert len(polled(made(), [row(0), row(0), row(0)])) == 3


@pytest.mark.parametrize(
    ("register", "causes"),
    [
        (963, set()),
        (963 + 4, set()),  # an error waits in the queue: no state of the measurement
        (962, {(Cause.WARM_UP, "not ready")}),
        (8192, {(Cause.WARM_UP, "warming up")}),
        (961, {(Cause.FAULT, "not measuring")}),
        (835, {(Cause.FAULT, "cavity pressure not locked")}),
        (771, {(Cause.FAULT, "no gas flow"), (Cause.FAULT, "cavity pressure not locked")}),
        (707, {(Cause.FAULT, "cavity temperature not locked")}),
        (451, {(Cause.FAULT, "warm box temperature not locked")}),
        (963 + 16384, {(Cause.FAULT, "system error")}),
    ],
)
def test_status_register(register: int, causes: set[tuple[Cause, str]]) -> None:
    (scan,) = polled(made(), [row(0, INST_STATUS=register)])
    assert marks(scan) == causes
    assert scan.status["INST_STATUS"] == register


def test_unknown_species_renews_nothing_and_another_model_may_say_what_it_renews() -> None:
    (scan,) = polled(made(), [row(0, species=4)])
    assert {r.quality.causes for r in scan.readings} == {frozenset({Cause.STALE})}
    (scan,) = polled(made(species=["4=co2 ch4"]), [row(0, species="4.000")])
    assert {r.measurand for r in scan.readings if not r.quality.marks} == {"co2", "ch4"}


def test_a_row_whose_state_cannot_be_read_has_no_values() -> None:
    scans = polled(made(), [row(0), row(1, species="x"), row(2)])
    assert [scan.readings[0].value for scan in scans] == [1.5, None, 1.5]
    assert scans[1].at == scans[0].at
    assert {r.quality.causes for r in scans[1].readings} == {frozenset({Cause.COMMUNICATION})}


def test_units_and_clock_of_the_analyzer() -> None:
    (scan,) = polled(made(units=["CH4=nmol/mol"], clock=-5.5), [row(0, CH4="1900.5")])
    (methane,) = (r for r in scan.readings if r.measurand == "ch4")
    assert (methane.value, methane.unit) == (1.9005, "umol/mol")
    assert scan.at == datetime(2015, 8, 31, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["species"]}, "at least one of"),
        ({"columns": ["CH4", "CH4"]}, "once"),
        ({"clock": "local"}, 'write "UTC"'),
        ({"clock": 480}, "between -12 and 14"),
        ({"units": ["CH5=ppb"]}, "did you mean 'CH4'"),
        ({"units": ["CH4=furlong"]}, "no conversion"),
        ({"species": ["co2"]}, "1=co2"),
        ({"species": ["1=co"]}, "did you mean 'co2'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverError, match=words):
        made(**options)


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, ["picarro-decimals", "picarro-decimals"]),
        ({"decimals": 4}, []),
        ({"units": ["CH4=nmol/mol", "CH4_dry=nmol/mol"]}, []),
        ({"columns": ["species", "CO2"]}, []),
        ({"columns": ["CH4"], "decimals": 6}, ["picarro-no-species"]),
    ],
)
def test_advice_for_the_configuration_check(options: dict[str, Any], codes: list[str]) -> None:
    given = settled(describe("picarro"), {"columns": COLUMNS, "clock": "UTC", **options})
    advice = entry("picarro").advise(given)
    assert [one.code for one in advice] == codes
    assert all(one.en and one.zh and one.option in describe("picarro").options for one in advice)
