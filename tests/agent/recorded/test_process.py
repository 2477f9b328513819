"""`plumeline process` as its user meets it."""

import csv
import gzip
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.__main__ import main
from simulation.plateau_truth import CASES, recording

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "tests" / "drivers" / "recorded_files"
HFD = FILES / "hfd.picarro.1minute.100m.dat"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(tmp_path: Path, *arguments: object) -> tuple[int, list[dict[str, str]]]:
    out = tmp_path / "out.csv"
    code = main(["process", *map(str, arguments), "--out", str(out)])
    return code, table(out) if out.exists() else []


def test_averages_have_the_columns_that_were_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = run(tmp_path, HFD, "--format", "gcwerks-minutes", "--average", "1d")
    assert code == 0
    assert list(rows[0]) == ["time", "species", "mean", "sd", "n", "quality"]
    by = {(row["time"], row["species"]): row for row in rows}
    assert by["2013-12-04T00:00:00", "ch4"] == {
        "time": "2013-12-04T00:00:00", "species": "ch4", "mean": "1993.83", "sd": "1.555", "n": "19", "quality": "good",
    }  # fmt: skip
    assert by["2013-11-27T00:00:00", "co"]["mean"] == ""
    assert "10 rows" in capsys.readouterr().err


def test_without_a_file_to_write_averages_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["process", str(HFD), "--format", "gcwerks-minutes", "--average", "1d"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "time,species,mean,sd,n,quality"
    assert "rows" not in printed.out
    assert main(["process", str(HFD), "--format", "gcwerks-minutes", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["species"] == "ch4"
    assert lines[-1]["summary"]["rows"] == 10


def test_files_that_overlap_count_once_in_any_order(tmp_path: Path) -> None:
    lines = (FILES / "bsd.picarro.1minute.42m.dupes.dat").read_text().splitlines(keepends=True)
    early, late = tmp_path / "early.dat", tmp_path / "late.dat.gz"
    early.write_text("".join(lines[:5]))
    with gzip.open(late, "wt") as file:
        file.write("".join([*lines[:3], *lines[4:6]]))
    expected = run(tmp_path, FILES / "bsd.picarro.1minute.42m.dupes.dat", "--format", "gcwerks-minutes")
    assert expected[1][0]["n"] == str(26 + 26 + 25)
    for order in ((early, late), (late, early), (early, early, late)):
        assert run(tmp_path, *order, "--format", "gcwerks-minutes") == expected


def test_times_in_utc_say_so(tmp_path: Path, recorded_data: Path) -> None:
    path = next((recorded_data / "picarro_g2301").glob("*.dat"))
    _, rows = run(tmp_path, path, "--format", "picarro-log", "--utc", "--species", "co2_dry")
    assert [row["time"] for row in rows] == ["2015-08-31T17:00:00Z", "2015-08-31T18:00:00Z"]
    rules = tmp_path / "rules.hjson"
    rules.write_text('{ time: { utc_offset: "+08:00" } }')
    _, rows = run(tmp_path, FILES / "li840a.txt", "--format", "li840a-log", "--utc", "--rules", rules)
    assert {row["time"] for row in rows} == {"2014-07-15T06:00:00Z", "2014-07-15T07:00:00Z"}


def test_a_wet_log_gives_dry_values(tmp_path: Path, recorded_data: Path) -> None:
    path = next((recorded_data / "picarro_g2301").glob("*.dat"))
    lines = [line.split() for line in path.read_text().splitlines()]
    kept = [at for at, name in enumerate(lines[0]) if not name.endswith("_dry")]
    wet = tmp_path / "wet.dat"
    wet.write_text("".join("  ".join(cells[at] for at in kept) + "\r\n" for cells in lines))
    _, made = run(tmp_path, wet, "--format", "picarro-log", "--average", "1d")
    _, own = run(tmp_path, path, "--format", "picarro-log", "--average", "1d")
    header, *table = lines
    column = {name.lower(): np.array([float(cells[at]) for cells in table]) for at, name in enumerate(header) if at > 1}
    fresh = (column["species"] == 3) & (column["mpvposition"] % 1 == 0)
    h = column["h2o_reported"][fresh]
    for name, wet, (a, b) in (("co2_dry", "co2", (0.012, 2.674e-4)), ("ch4_dry", "ch4", (0.00982, 2.393e-4))):
        dry = column[wet][fresh] / (1 - a * h - b * h * h)
        (row,) = (one for one in made if one["species"] == name)
        assert float(row["mean"]) == pytest.approx(dry.mean(), rel=1e-9)
        assert float(row["sd"]) == pytest.approx(dry.std(ddof=1), rel=1e-9)
        assert int(row["n"]) == len(dry)
        (shown,) = (one for one in own if one["species"] == name)
        assert float(row["mean"]) == pytest.approx(float(shown["mean"]), rel=2e-4)


def test_a_table_by_its_rules(tmp_path: Path) -> None:
    data, rules = tmp_path / "any.csv", tmp_path / "rules.hjson"
    rng = np.random.default_rng(3)
    co2, h2o = rng.normal(410, 2, 240), rng.normal(1.2, 0.1, 240)
    with data.open("w") as file:
        file.write("# site\nWhen;Gas raw;Water;Port;QC\n")
        for at in range(240):
            file.write(f"{at // 60 + 1:02d}/03/2024 {10 + at // 60}:{at % 60:02d};")
            file.write(
                f"{co2[at] * 1000:.3f};{h2o[at]:.4f};{1 + at // 120};{'B' if at == 5 else 'A'}\n".replace(".", ",")
            )
    rules.write_text("""{
        skip_lines: 1
        delimiter: ";"
        decimal: ","
        time: { columns: ["When"], format: "%d/%m/%Y %H:%M" }
        columns: {
            "Gas raw": { name: "co2", factor: 0.001, range: [300, 500], flag: "QC", good: ["A"] }
            "Water": {}
        }
        valve: { column: "Port", flush_s: 600 }
        water: [ { wet: "Gas raw", water: "Water", dry: "dry", form: "rella-co2" } ]
    }""")
    code, rows = run(tmp_path, data, "--format", "csv", "--rules", rules, "--average", "1d")
    assert code == 0
    assert {row["species"] for row in rows} == {"co2", "water", "dry"}
    first, third = (next(row for row in rows if row["species"] == "co2" and row["time"].startswith(f"2024-03-0{day}"))
                    for day in (1, 3))  # fmt: skip
    kept = np.delete(co2[:60], 5)
    assert float(first["mean"]) == pytest.approx(kept.mean(), abs=1e-6)
    assert float(first["sd"]) == pytest.approx(kept.std(ddof=1), rel=1e-5)
    assert (first["n"], first["quality"]) == ("59", "flagged")
    assert (third["n"], third["quality"]) == ("50", "flush")
    dry = co2 / (1 - 0.012 * h2o - 2.674e-4 * h2o**2)
    made = next(row for row in rows if row["species"] == "dry" and row["time"].startswith("2024-03-02"))
    assert float(made["mean"]) == pytest.approx(dry[60:120].mean() * 1000, rel=1e-6)


def test_mistakes_in_rules_are_named_with_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.hjson"
    rules.write_text('{\n  time: { format: "%Q" }\n  colums: {}\n}')
    code, rows = run(tmp_path, HFD, "--format", "csv", "--rules", rules)
    said = capsys.readouterr().err
    assert (code, rows) == (2, [])
    assert f"{rules}:2:" in said
    assert f"{rules}:3:3: error" in said


def test_a_file_that_is_not_there_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path / "none.dat", "--format", "csv") == (2, [])
    assert "none.dat" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_one_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = run(tmp_path, FILES / "bilsdale-md.14.C", "--format", "li840a-log")
    assert (code, rows) == (1, [])
    assert "no row in it could be read" in capsys.readouterr().err


def test_broken_lines_are_counted_and_named_in_both_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.dat"
    broken.write_text(HFD.read_text().replace("131211 125230       air   10", "131211 125230"))
    for lang, words in (("en", "other number of cells"), ("zh", "列数与表头不符")):
        out = tmp_path / "out.csv"
        assert main(["--lang", lang, "process", str(broken), "--format", "gcwerks-minutes", "--out", str(out)]) == 0
        said = capsys.readouterr().err
        assert f"{broken}:6: " in said
        assert words in said


def tower(folder: Path) -> tuple[Path, Any, list[float], list[bool]]:
    """Six hours of air with tanks between as a file; the tanks; of each row its CO2 and whether it is air."""
    rows, truth = recording(CASES[0], 11)
    data = folder / "tower.csv"
    with data.open("w") as file:
        file.write("seconds,CO2_dry,CH4_dry,H2O_reported\n")
        for row in rows:
            file.write(f"{1.7e9 + row.at / 1e6:.3f}," + ",".join(f"{one.value:.5f}" for one in row.samples) + "\n")
    values = [round(row.samples[0].value or 0.0, 5) for row in rows]
    air = [not any(one.start <= row.at / 1e6 < one.end + 300 for one in truth) for row in rows]
    return data, truth, values, air


def test_plateaus_are_left_out_of_the_means_where_the_rules_say_so(tmp_path: Path) -> None:
    data, truth, values, air = tower(tmp_path)
    rules, out = tmp_path / "rules.hjson", tmp_path / "tanks.csv"
    time = 'time: { columns: ["seconds"], counts: "epoch_s" }'
    line = (data, "--format", "csv", "--rules", rules, "--average", "12h", "--species", "co2_dry", "--plateaus", out)
    rules.write_text(f"{{ {time} }}")
    _, plain = run(tmp_path, *line)
    told = table(out)
    # Nothing said: every row counts, whether plateaus are looked for or not.
    assert sum(int(row["n"]) for row in plain) == len(values)
    total = sum(int(row["n"]) * float(row["mean"]) for row in plain)
    assert total / len(values) == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert {row["quality"] for row in plain} == {"good"}
    rules.write_text(f"{{ {time}, plateaus: {{ leave_out: true, flush_before_s: 300, flush_after_s: 300 }} }}")
    _, left = run(tmp_path, *line)
    assert table(out) == told
    assert len(told) == len(truth)
    counted = sum(int(row["n"]) for row in left)
    assert sum(air) * 0.95 < counted <= sum(air) * 1.01
    mean = sum(int(row["n"]) * float(row["mean"]) for row in left) / counted
    true = sum(value for value, is_air in zip(values, air, strict=True) if is_air) / sum(air)
    assert mean == pytest.approx(true, abs=0.15)
    assert abs(sum(values) / len(values) - true) > 0.5, "tanks were in the plain means"
    assert {row["quality"] for row in left} == {"calibration;flush"}


def test_plateaus_cannot_be_left_out_of_what_is_read_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe, rules = tmp_path / "pipe", tmp_path / "rules.hjson"
    os.mkfifo(pipe)
    rules.write_text("{ plateaus: { leave_out: true } }")
    assert run(tmp_path, pipe, "--format", "csv", "--rules", rules) == (2, [])
    assert "reads files twice" in capsys.readouterr().err


def test_plateaus_are_written_beside_the_averages(tmp_path: Path) -> None:
    data, truth, *_ = tower(tmp_path)
    rules, out = tmp_path / "rules.hjson", tmp_path / "tanks.csv"
    rules.write_text('{ time: { columns: ["seconds"], counts: "epoch_s" } }')
    code, _ = run(tmp_path, data, "--format", "csv", "--rules", rules, "--plateaus", out)
    assert code == 0
    found = table(out)
    assert list(found[0]) == ["start", "end", "species", "mean", "sd", "n"]
    own = [row for row in found if row["species"] == "co2_dry"]
    assert [round(float(row["mean"]) - tank.co2, 1) for row, tank in zip(own, truth, strict=True)] == [0.0] * len(truth)
    assert {row["species"] for row in found} == {"co2_dry", "ch4_dry", "h2o_reported"}
    assert all(float(row["sd"]) == pytest.approx(0.05, rel=0.3) and int(row["n"]) > 60 for row in own)


def test_what_is_read_is_never_written_over_and_no_file_is_written_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, other = tmp_path / "minutes.dat", tmp_path / "link.dat"
    data.write_bytes(HFD.read_bytes())
    other.symlink_to(data)
    for out in (("--out", str(data)), ("--plateaus", str(other)), ("--out", "a.csv", "--plateaus", "./a.csv")):
        assert main(["process", str(data), "--format", "gcwerks-minutes", *out]) == 2
        assert out[-1] in capsys.readouterr().err
    assert data.read_bytes() == HFD.read_bytes()
    assert not Path("a.csv").exists()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main(["process", str(HFD), "--format", "gcwerks-minutes", "--out", str(pipe)]) == 0
        assert os.read(reader, 1 << 16).startswith(b"time,species,mean")
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["pipe"]


def test_a_minus_is_standard_output_and_json_has_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["process", str(HFD), "--format", "gcwerks-minutes", "--average", "1d", "--species", "co2"]
    assert main([*line, "--out", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "2013-11-27T00:00:00,co2,,,0,missing"
    assert main([*line, "--json"]) == 0
    first, second, *_ = (json.loads(one) for one in capsys.readouterr().out.splitlines())
    assert (first["mean"], first["sd"], first["n"]) == (None, None, 0)
    assert (second["mean"], second["sd"], second["n"]) == (414.21, 0.109, 19)


def test_the_newest_row_may_come_first(tmp_path: Path) -> None:
    data = tmp_path / "export.csv"
    stamps = [datetime(2021, 1, 1) + timedelta(minutes=30 * at) for at in range(365 * 48)]  # noqa: DTZ001
    data.write_text("time,co2\n" + "".join(f"{at:%Y-%m-%d %H:%M},{at.day}\n" for at in reversed(stamps)))
    code, rows = run(tmp_path, data, "--format", "csv", "--average", "1h")
    assert code == 0
    assert len(rows) == 365 * 24
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert {row["n"] for row in rows} == {"2"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("Date(Y-M-D)\tTime(H:M:S)\tCO2(µmol/mol)\tH2O(mmol/mol)\tH2O(C)", "co2(µmol/mol)"),
        ("System_Date_(Y-M-D)\tSystem_Time_(h:m:s)\tCO2_(ppm)\tH2O_(ppt)\tCell_Temperature_(C)", "co2_(ppm)"),
        ("Date\tTime\tCO2 ppm\tH2O ppt\tDew point C", "co2 ppm"),
        ("Date\tTime\tCO2\tH2O\tH2O(C)", "co2"),
    ],
)
def test_a_licor_log_of_any_program_gives_dry_values(tmp_path: Path, head: str, name: str) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"{head}\n2015-07-08\t23:59:58\t400.0\t10.0\t7.0\n2015-07-08\t23:59:59\t400.0\t10.0\t7.0\n")
    code, rows = run(tmp_path, log, "--format", "li840a-log")
    assert code == 0
    dry = [row for row in rows if row["species"].endswith("_dry")]
    assert [(row["species"], row["mean"], row["n"]) for row in dry] == [(f"{name}_dry", "404.04040404", "2")]
