"""The outside comparison on a journal and a store made by hand: what is lost, doubled, excused, and how old it is."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

WALL = 1_800_000_000.0
WORLD = datetime(2026, 5, 1, tzinfo=UTC)
RATE = 10.0
SCHEMA = """
CREATE TABLE record(station_id, epoch, seq, kind, body BLOB, committed_wall REAL);
CREATE TABLE raw(station_id, epoch, seq, instrument, measurand, at TEXT, value REAL, unit, causes TEXT);
CREATE TABLE average(station_id, series, start);
CREATE TABLE hj212_frame(mn, acknowledged INTEGER);
CREATE TABLE coverage(station_id, epoch, from_seq, to_seq);
CREATE TABLE gap(station_id, epoch, seq, from_at, to_at, reason);
CREATE TABLE checkpoint(station_id, epoch, size, root, verdict);
"""


def world(second: float) -> str:
    """World time when the wall shows `second` seconds after the beginning."""
    return (WORLD + timedelta(seconds=second * RATE)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Case:
    """Two instruments of one station answered once a second for 100 s, all of it stored half a second later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.sqlite"
        (folder / "journal" / "s").mkdir(parents=True)
        self.sql = sqlite3.connect(self.store)
        self.sql.executescript(SCHEMA)
        self.seq = 0
        for second in range(100):
            self.answer("ndir", second, {"co2": 410 + second // 30})
            self.keep("ndir", second, {"co2": 410 + second // 30})
            self.answer("cems", second, {"so2": 15 + second / 7, "nox": -0.0})
            self.keep("cems", second, {"so2": 15 + second / 7, "nox": 0.0})

    def answer(self, instrument: str, second: float, values: dict[str, float]) -> None:
        line = {"wall": WALL + second, "world": world(second), "values": values}
        with (self.folder / "journal" / "s" / f"{instrument}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def keep(self, instrument: str, second: float, values: dict[str, Any], age_s: float = 0.5) -> None:
        self.seq += 1
        self.sql.execute("INSERT INTO record VALUES('s', 1, ?, 'scan', '', ?)", (self.seq, WALL + second + age_s))
        self.sql.executemany(
            "INSERT INTO raw VALUES('s', 1, ?, ?, ?, ?, ?, '', '')",
            [(self.seq, instrument, name, world(second), value) for name, value in values.items()],
        )

    def gap(self, start: float, end: float, verdict: str = "consistent") -> None:
        self.sql.execute("INSERT INTO gap VALUES('s', 1, 0, ?, ?, 'not running')", (world(start), world(end)))
        self.sql.execute("INSERT INTO checkpoint VALUES('s', 1, 1, '', ?)", (verdict,))

    def compare(self, root: Path, *options: str) -> tuple[int, dict[str, Any]]:
        self.sql.commit()
        command = [sys.executable, str(root / "tools" / "compare.py"), str(self.folder), str(self.store), "--json"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=30)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def case(tmp_path: Path) -> Any:
    made = Case(tmp_path)
    with closing(made.sql):
        yield made


def test_a_store_that_holds_everything_is_accepted(case: Case, root: Path) -> None:
    case.sql.execute("INSERT INTO coverage VALUES('s', 1, 1, 150)")
    case.sql.execute("INSERT INTO hj212_frame VALUES('m', 1), ('m', 0)")
    case.sql.execute("INSERT INTO average VALUES('s', 'cems.so2', '')")
    case.keep("ndir", 50, {"co2": None})  # a silent instrument is a reading without a value
    code, found = case.compare(root)
    assert code == 0
    assert {name: found[name] for name in ("ok", "readings", "averages", "central_rows", "lost", "duplicates")} == {
        "ok": True, "readings": 300, "averages": 1, "central_rows": 301, "lost": 0, "duplicates": 0,
    }  # fmt: skip
    assert (found["hj212_acked"], found["mqtt_acked"], found["rate"]) == (1, 150, 10.0)
    assert found["p95_age_s"] == 0.5


def test_a_planted_loss_is_found_and_named(case: Case, root: Path) -> None:
    case.answer("cems", 42.5, {"so2": 99.125})
    case.answer("ndir", 42.5, {"co2": 411})
    code, found = case.compare(root)
    assert (code, found["lost"], found["duplicates"]) == (1, 2, 0)
    assert {(value["instrument"], value["value"], value["times"]) for value in found["lost_values"]} == {
        ("cems", "99.125", 1),
        ("ndir", "411", 1),
    }


def test_a_planted_duplicate_is_found(case: Case, root: Path) -> None:
    case.keep("ndir", 42, {"co2": 411})
    case.keep("cems", 42, {"so2": 15 + 42 / 7 + 1e-6})
    code, found = case.compare(root)
    assert (code, found["lost"], found["duplicates"]) == (1, 0, 2)


def test_what_lies_in_a_declared_gap_is_not_lost_and_a_gap_excuses_nothing_beside_it(case: Case, root: Path) -> None:
    case.gap(60.0, 63.0)
    for second in (59.6, 61.0, 63.4):
        case.answer("cems", second, {"so2": 70.0 + second})
    code, found = case.compare(root)
    assert (code, found["in_gap"], found["lost"]) == (0, 3, 0)
    code, found = case.compare(root, "--tolerance-s", "0.1")
    assert (code, found["in_gap"], found["lost"]) == (1, 1, 2)
    case.answer("cems", 80.0, {"so2": 75.5})
    assert case.compare(root)[1]["lost"] == 1


@pytest.mark.parametrize("verdict", ["fork", "pending", "bad-signature"])
def test_a_gap_that_no_believed_checkpoint_covers_excuses_nothing(case: Case, root: Path, verdict: str) -> None:
    case.gap(60.0, 63.0, verdict)
    case.answer("cems", 61.0, {"so2": 70.0})
    code, found = case.compare(root)
    assert (code, found["in_gap"], found["lost"]) == (1, 0, 1)


def test_a_gap_of_another_station_excuses_nothing(case: Case, root: Path) -> None:
    case.sql.execute("INSERT INTO gap VALUES('t', 1, 0, ?, ?, '')", (world(0), world(100)))
    case.answer("cems", 61.0, {"so2": 70.0})
    assert case.compare(root)[1]["lost"] == 1


def test_the_age_leaves_out_an_outage_and_five_seconds_after_it(case: Case, root: Path) -> None:
    for second in range(100, 120):
        case.answer("cems", second, {"so2": second})
        case.keep("cems", second, {"so2": second}, age_s=20.0)
    assert case.compare(root)[1]["p95_age_s"] == 20.0
    outage = f"{WALL + 100},{WALL + 115}"
    assert case.compare(root, "--outage", outage)[1]["p95_age_s"] == 0.5
    assert case.compare(root, "--outage", f"{WALL + 100},{WALL + 102}")[1]["p95_age_s"] == 0.5


def test_a_value_lost_in_a_gap_does_not_age_the_equal_ones_after_it(case: Case, root: Path) -> None:
    case.gap(98.0, 200.0)
    for second in range(100, 200):
        case.answer("ndir", second, {"co2": 500})
    for second in range(200, 260):
        case.answer("ndir", second, {"co2": 500})
        case.keep("ndir", second, {"co2": 500}, age_s=1.0)
    code, found = case.compare(root)
    assert (code, found["in_gap"], found["p95_age_s"]) == (0, 100, 1.0)


def test_nothing_answered_is_no_success(case: Case, root: Path) -> None:
    for path in case.folder.glob("journal/*/*.jsonl"):
        path.unlink()
    case.sql.execute("DELETE FROM raw")
    code, found = case.compare(root)
    assert (code, found["ok"], found["p95_age_s"]) == (1, False, None)


def test_a_missing_store_is_told_and_not_made(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, str(root / "tools" / "compare.py"), str(tmp_path), str(tmp_path / "none.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "none.sqlite" in done.stderr
    assert not (tmp_path / "none.sqlite").exists()
