"""Tables of peaks through `plumeline process`: known mole fractions found again through a drifting response."""

import csv
import io
import json
import math
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main

BEGIN = datetime(2026, 3, 1)  # noqa: DTZ001
NOISE = 0.002
RULES: dict[str, Any] = {
    "time": {"columns": ["time"]},
    "gas": {"column": "type", "air": ["air"]},
    "standards": {
        "H1": {"gases": ["std"],
               "assigned": {"sf6": {"value": 10.0, "uncertainty": 0.03, "unit": "pmol/mol", "scale": "X2014"}}},
        "T1": {"role": "target", "gases": ["tgt"]},
    },
    "gc": {"species": "species", "height": "Height", "area": "Area", "retention": "RT", "baseline": "BL",
           "limits": {"gap_max_s": 3600, "retention_change_s": 5}},
}  # fmt: skip
TRUTH = {"std": 10.0, "air": 11.3, "tgt": 9.2}


def peaks(folder: Path, hours: int = 48, seed: int = 1) -> Path:
    """std, air, std, tgt, ... every ten minutes; the response falls by a tenth a day, and swings."""
    rng = random.Random(seed)
    path = folder / "peaks.csv"
    with path.open("w", newline="") as file:
        put = csv.writer(file).writerow
        put(["time", "type", "species", "Height", "Area", "RT", "BL"])
        for at in range(hours * 6):
            kind = ("std", "air", "std", "tgt" if at % 8 == 3 else "air")[at % 4]
            response = (100 - 10 * at / 144 + 2 * math.sin(at / 30)) * TRUTH[kind] * (1 + rng.gauss(0, NOISE))
            row = [
                BEGIN + timedelta(minutes=10 * at),
                kind,
                "SF6",
                round(response, 6),
                round(9 * response, 6),
                180,
                "BB",
            ]
            put(row)
    return path


def run(
    folder: Path, *arguments: object, rules: object = RULES
) -> tuple[int, list[dict[str, str]], list[dict[str, str]]]:
    (folder / "rules.hjson").write_text(json.dumps(rules))
    out, samples = folder / "out.csv", folder / "samples.csv"
    line = ["process", *map(str, arguments), "--format", "gc-peaks", "--rules", folder / "rules.hjson", "--out", out]
    code = main([*map(str, line), "--samples", str(samples)])
    tables = [list(csv.DictReader(io.StringIO(one.read_text()))) if one.exists() else [] for one in (out, samples)]
    return code, tables[0], tables[1]


def test_samples_between_standards_are_the_truth_and_say_how_sure_they_are(tmp_path: Path) -> None:
    code, rows, samples = run(tmp_path, peaks(tmp_path), "--average", "1d")
    assert code == 0
    assert list(rows[0]) == ["time", "species", "mean", "sd", "n", "quality"]
    assert [(row["time"], row["species"], row["quality"]) for row in rows] == [
        ("2026-03-01T00:00:00", "sf6", "good"), ("2026-03-02T00:00:00", "sf6", "one_sided"),
    ]  # fmt: skip
    assert all(float(row["mean"]) == pytest.approx(11.3, abs=0.02) for row in rows)
    air = [row for row in samples if not row["gas"]]
    assert sum(int(row["n"]) for row in rows) == len(air)
    own = [math.hypot(float(row["u_sample"]), float(row["u_response"])) for row in air]
    # Every sample by what its own repeatability says, 95 % of them within two of it.
    inside = sum(abs(float(row["value"]) - 11.3) <= 2 * u for row, u in zip(air, own, strict=True))
    assert inside / len(air) > 0.88
    assert own[5] == pytest.approx(11.3 * NOISE * math.sqrt(1.5), rel=0.25)
    assert float(air[5]["u_assigned"]) == pytest.approx(0.03 * 1.13, rel=0.01)
    assert float(air[5]["u"]) == pytest.approx(math.hypot(own[5], 0.03 * 1.13), rel=0.01)
    target = [float(row["value"]) for row in samples if row["gas"] == "T1"]
    assert sum(target) / len(target) == pytest.approx(9.2, abs=0.02)


def test_doubtful_peaks_and_strangers_have_no_part_and_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = peaks(tmp_path, 6)
    lines = path.read_text().splitlines()
    lines[6] = lines[6].replace(",BB", ",XX")
    lines[10] = lines[10].replace(",180,", ",240,")
    lines[12:14] = []
    lines += ["2026-03-01 09:00:00,air,SF6,900,8100,180,BB", "2026-03-01 09:10:00,cal9,SF6,900,8100,180,BB"]
    lines += ["2026-03-01 09:20:00,air,N2O,900,8100,180,BB", lines[3]]
    path.write_text("\n".join(lines))
    code, rows, samples = run(tmp_path, path)
    assert code == 0
    by = {row["time"][11:16]: row for row in samples}
    assert (by["00:50"]["quality"], by["00:50"]["value"]) == ("peak_baseline", "")
    assert by["01:30"]["quality"] == "peak_retention"
    assert by["09:00"]["quality"] == "peak_gap"
    assert rows[0]["quality"] == "peak_baseline"
    assert {row["time"]: row["mean"] for row in rows}["2026-03-01T09:00:00"] == ""
    told = capsys.readouterr().err
    assert "cal9 sf6" in told
    assert "a species without a standard" in told


def test_a_cylinder_counts_while_it_was_there_and_after_its_expiry_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # From the second day on the standard is another cylinder: what the first was worth is no matter there.
    rules = json.loads(json.dumps(RULES))
    first = rules["standards"].pop("H1")
    value = first["assigned"]["sf6"]
    rules["standards"] = {
        "H0": {**first, "to": "2026-03-02", "assigned": {"sf6": value}},
        "H1": {**first, "from": "2026-03-02", "expires": "2026-03-02T12:00", "assigned": {"sf6": value}},
        **rules["standards"],
    }
    rules["standards"]["T1"]["from"] = "2026-03-02"
    code, _, samples = run(tmp_path, peaks(tmp_path), rules=rules)
    assert code == 0
    assert min(row["time"] for row in samples if row["gas"] == "T1")[:10] == "2026-03-02"
    told = capsys.readouterr().err
    assert "H1: 36 peaks after the end of its certificate" in told
    assert "H0:" not in told


def test_few_standards_leave_the_uncertainty_open_and_rules_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, samples = run(tmp_path, peaks(tmp_path, 1))
    assert samples[0]["value"]
    path = tmp_path / "peaks.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:4]))
    _, _, samples = run(tmp_path, path)
    assert (samples[0]["u"], bool(samples[0]["value"])) == ("", True)
    assert run(tmp_path, path, rules={**RULES, "gc": {**RULES["gc"], "height": ""}})[0] == 2
    assert "height" in capsys.readouterr().err
    assert run(tmp_path, path, rules={"gc": RULES["gc"]})[0] == 2
    assert "standards" in capsys.readouterr().err
    double = path.read_text() + "\n2026-03-01 00:00:00,std,SF6,5,5,180,BB"
    path.write_text(double)
    assert run(tmp_path, path)[0] == 2
    assert "two peaks of one gas" in capsys.readouterr().err


def test_area_gives_the_same_as_height_where_both_are_proportional(tmp_path: Path) -> None:
    path = peaks(tmp_path, 12)
    by_height = run(tmp_path, path)[2]
    by_area = run(tmp_path, path, rules={**RULES, "gc": {**RULES["gc"], "quantity": "area"}})[2]
    for one, other in zip(by_height, by_area, strict=True):
        assert float(one["value"]) == pytest.approx(float(other["value"]), rel=1e-6)
