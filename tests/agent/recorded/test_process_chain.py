"""Recorded files through the calibration chain by a rules file."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.__main__ import main

RULES = """{
    time: { columns: ["time"], counts: "epoch_s" }
    columns: { "CO2": { range: [300, 600] } }
    valve: { column: "port" }
    standards: {
        S1: { ports: ["2"], number: "D1001", assigned: { co2: { value: 380.00, uncertainty: 0.02, scale: "X2019" } } }
        S2: { ports: ["3"], number: "D1002", assigned: { co2: { value: 420.00, uncertainty: 0.02, scale: "X2019" } } }
        S3: { ports: ["4"], number: "D1003", assigned: { co2: { value: 460.00, uncertainty: 0.02, scale: "X2019" } } }
        T1: { role: "target", ports: ["5"], assigned: { co2: { value: 410.00, uncertainty: 0.02, scale: "X2019" } } }
    }
    calibration: [
        { set: { standards: ["S1", "S2", "S3"], cal_flush_s: 240, sample_flush_s: 240, response_from: "linear" } }
    ]
}"""
AIR = 405.0


def recorded(path: Path) -> None:
    """Four days of minutes: air of a known amount, standards every 12 h, an analyzer that reads wrong and drifts."""
    rng = np.random.default_rng(4)
    with path.open("w") as file:
        file.write("time,CO2,port\n")
        for minute in range(4 * 1440):
            turn = minute % 720
            port, true = next(
                (place, value)
                for place, (last, value) in enumerate(
                    ((15, 380.0), (30, 420.0), (45, 460.0), (60, 410.0), (720, AIR)), 2
                )
                if turn < last
            )
            shown = true * 1.003 - 0.8 + 0.3 * minute / 1440 + rng.normal(0, 0.02)
            file.write(f"{1.7e9 // 3600 * 3600 + 60 * minute:.0f},{shown:.4f},{port if port < 6 else 1}\n")


def test_calibrated_averages_come_after_the_plain_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, rules, out = tmp_path / "tower.csv", tmp_path / "rules.hjson", tmp_path / "out.csv"
    recorded(data)
    rules.write_text(RULES)
    line = ["process", str(data), "--format", "csv", "--rules", str(rules), "--out", str(out)]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["summary"]["calibration"]["co2"]
    with out.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = [row for row in table if row["species"] == "co2_cal"]
    valid = [float(row["mean"]) for row in rows if row["mean"]]
    assert len(valid) > 80
    # Between two calibrations the drift is taken off, after the last one half a day of it is left.
    assert np.abs(np.array(valid[:-12]) - AIR).max() < 0.03
    assert np.abs(np.array(valid) - AIR).max() < 0.16
    plain = next(row for row in table if row["species"] == "co2")
    assert (plain["n"], plain["quality"]) == ("0", "calibration"), "a tank on its port is no air"
    assert told["calibrations"] == 8
    assert all(check["passed"] for check in told["checks"])
    assert 0.005 < told["uncertainty"] < 0.2
    assert main(line) == 0
    assert "co2: 8 calibrations used" in capsys.readouterr().err


@pytest.fixture
def tower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the recording by rules in which some words are others; gives the calibrated rows and what was found."""

    def run(*changes: tuple[str, str]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        data, rules, out = tmp_path / "tower.csv", tmp_path / "rules.hjson", tmp_path / "out.csv"
        recorded(data)
        text = RULES
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        rules.write_text(text)
        assert main(["process", str(data), "--format", "csv", "--rules", str(rules), "--out", str(out), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["summary"]["calibration"]["co2"]
        with out.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if row["species"] == "co2_cal"], told

    return run


BEGIN = datetime.fromtimestamp(1.7e9 // 3600 * 3600, UTC).replace(tzinfo=None)


def day(n: float) -> str:
    """A time of the recording, days from its begin."""
    return (BEGIN + timedelta(days=n)).isoformat()


def test_an_expired_standard_is_used_and_named(tower: Any) -> None:
    rows, told = tower(('number: "D1002",', f'number: "D1002", expires: "{day(2)}",'))
    [found] = [one for one in told["findings"] if one["what"] == "expired"]
    assert found["about"] == "S2 (D1002)"
    assert told["calibrations"] == 8
    late = [row for row in rows if row["mean"] and row["time"] >= day(2.1)]
    assert late
    assert all("expired" in row["quality"].split(";") for row in late)
    assert not any("expired" in row["quality"] for row in rows if row["time"] < day(1.9))
    assert np.abs(np.array([float(row["mean"]) for row in late[:-12]]) - AIR).max() < 0.03


def test_the_day_of_the_expiry_still_counts(tower: Any) -> None:
    rows, _ = tower(('number: "D1002",', f'number: "D1002", expires: "{day(2)[:10]}",'))
    marked = [row["time"] for row in rows if "expired" in row["quality"]]
    assert min(marked)[:10] == (BEGIN + timedelta(days=3)).isoformat()[:10]


def test_a_cylinder_that_was_taken_away_is_used_no_more_and_its_successor_is(tower: Any) -> None:
    # On port 3 another cylinder stands from the second day on; the first one's value would be wrong by 20 umol/mol.
    changes = (
        ('S2: { ports: ["3"], number: "D1002", assigned: { co2: { value: 420.00',
         f'S0: {{ ports: ["3"], number: "D9", to: "{day(-1)}", assigned: {{ co2: {{ value: 400.00, uncertainty: 0.02,'
         f' scale: "X2019" }} }} }}\n        S2: {{ ports: ["3"], number: "D1002", from: "{day(-1)}",'
         ' assigned: { co2: { value: 420.00'),
    )  # fmt: skip
    rows, told = tower(*changes)
    assert told["calibrations"] == 8
    valid = [float(row["mean"]) for row in rows if row["mean"]]
    assert np.abs(np.array(valid[:-12]) - AIR).max() < 0.03


def test_a_port_whose_cylinder_is_not_there_is_no_air(tower: Any) -> None:
    rows, told = tower(('T1: { role: "target",', f'T1: {{ role: "target", from: "{day(2)}",'))
    assert 0 < len(told["checks"]) < 8
    assert min(check["at_s"] for check in told["checks"]) >= (BEGIN.replace(tzinfo=UTC) + timedelta(days=2)).timestamp()
    hours = [float(row["mean"]) for row in rows if row["mean"]]
    assert np.abs(np.array(hours[:-12]) - AIR).max() < 0.03, "410 umol/mol of the tank would show"


@pytest.mark.parametrize("wrong", ['from: "2026-02-01", to: "2026-01-01",', 'expires: "2026-01-01T00:00:00Z",'])
def test_dates_that_cannot_be_are_mistakes_in_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    rules = tmp_path / "rules.hjson"
    rules.write_text(RULES.replace('number: "D1002",', f'number: "D1002", {wrong}'))
    assert main(["process", str(rules), "--format", "csv", "--rules", str(rules)]) == 2
    assert "rules.hjson:7" in capsys.readouterr().err


def test_a_wrong_setting_of_the_chain_is_a_mistake_in_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.hjson"
    rules.write_text(RULES.replace("response_from", "response_form"))
    assert main(["process", str(rules), "--format", "csv", "--rules", str(rules)]) == 2
    assert "response_form" in capsys.readouterr().err
