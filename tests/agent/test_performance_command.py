"""`plumeline performance` on files: what it finds, what it prints, what it says of files and rules that are wrong."""

import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main

# Stamps of the files have no zone.
START = datetime(2026, 3, 1)  # noqa: DTZ001
TAU_S, NOISE, DRIFT_A_DAY, DAYS = 20.0, 0.2, 0.4, 9


def readings() -> Iterator[tuple[datetime, float]]:
    """A station of nine days: each day air, zero gas, 160, 80 and air again, ten minutes each, every five seconds."""
    source, value = random.Random(3), 50.0
    for day in range(DAYS):
        at = START + timedelta(days=day, minutes=55)
        for minutes, gas in ((5, 50.0), (10, 0.0), (10, 160.0), (10, 80.0), (10, 50.0)):
            target = gas + DRIFT_A_DAY * day
            for _ in range(minutes * 12):
                yield at, value + source.gauss(0.0, NOISE)
                value = target + (value - target) * math.exp(-5.0 / TAU_S)
                at += timedelta(seconds=5)


def rules(**changes: Any) -> dict[str, Any]:
    def gas(name: str, assigned: float, start: str, end: str) -> dict[str, Any]:
        return {
            "gas": name, "assigned": {"so2": assigned}, "from": f"2026-03-01T{start}", "to": f"2026-03-01T{end}",
            "flush_s": 180, "every_h": 24, "times": DAYS,
        }  # fmt: skip

    return {
        "standard": "hj76",
        "series": {"so2": {"unit": "mg/m3", "full_scale": 200}, "rm": {"measurand": "so2", "unit": "mg/m3"}},
        "gases": [gas("N2", 0, "01:00", "01:10"), gas("high", 160, "01:10", "01:20"), gas("mid", 80, "01:20", "01:30")],
        "references": [
            {"series": "so2", "reference": "rm", "tolerance_s": 60, "u": 0.2, "u_reference": 0.3},
            {"series": "so2", "reference": "rm", "runs": [
                {"from": f"2026-03-0{day}T01:34", "to": f"2026-03-0{day}T01:40"} for day in range(1, DAYS + 1)]},
        ],
        **changes,
    }  # fmt: skip


class Desk:
    """A folder with a recording and rules, and the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        rows = list(readings())
        lines = ["time,series,value"]
        lines += [f"{at.isoformat()},so2,{value:.4f}" for at, value in rows]
        # The reference reads 3 % less, once a minute.
        lines += [f"{at.isoformat()},rm,{0.97 * value:.4f}" for at, value in rows[::12]]
        self.file("long.csv", "\n".join(lines) + "\n")

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def run(
        self, declared: dict[str, Any], *words: str, lang: str = "en", file: str = "long.csv"
    ) -> tuple[int, str, str]:
        path = self.file("rules.hjson", json.dumps(declared, indent=1))
        code = main(["--lang", lang, "performance", str(self.folder / file), "--rules", path, *words])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def tests(self, declared: dict[str, Any], **line: str) -> dict[tuple[str, str], dict[str, Any]]:
        _, out, err = self.run(declared, "--json", **line)
        assert err == "" or "no reading of: rm" in err, err
        return {(row["test"], row["about"].split(" ")[0]): row for row in json.loads(out)["tests"]}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_the_whole_test_finds_what_was_put_in(desk: Desk) -> None:
    found = desk.tests(rules())

    def figure(test: str, about: str, basis: str) -> float:
        return float(found[test, about]["figures"][basis])

    # Steady noise of 0.2 of a gas of 160, and three of them as the detection limit.
    assert figure("repeatability", "high", "absolute") == pytest.approx(NOISE, rel=0.1)
    assert figure("detection-limit", "N2", "absolute") == pytest.approx(3 * NOISE, rel=0.1)
    # 0.4 a day of 200: 0.2 % in a day, 1.4 % in a week; on the average of nine days 1.6.
    assert figure("drift-24h", "N2", "percent_scale") == pytest.approx(0.2, abs=0.03)
    assert figure("drift-7d", "high", "percent_scale") == pytest.approx(1.4, abs=0.04)
    assert figure("indication-error", "mid", "absolute") == pytest.approx(1.6, abs=0.05)
    assert figure("zero-error", "N2", "percent_scale") == pytest.approx(0.8, abs=0.03)
    assert figure("linearity", "0,", "r2") == pytest.approx(1.0, abs=1e-5)
    for step in ("rise,", "fall,"):
        assert figure("response", step, "seconds") == pytest.approx(TAU_S * math.log(10), abs=3.0)
    beside = found["comparison", "rm"]
    # A minute's straight line between two readings of the reference is off where the gas changes.
    assert beside["detail"]["slope"] == pytest.approx(1 / 0.97, abs=0.015)
    assert beside["n"] > 4000
    assert figure("accuracy", "rm", "percent_error") == pytest.approx(-100 * 0.03 / 0.97, abs=0.1)
    judged = [row for row in found.values() if row["limit"] is not None]
    assert len(judged) >= 8
    assert {row["verdict"] for row in judged} == {"pass"}
    assert all(row["source"] and row["verified"] is False for row in judged)


def test_a_failed_test_is_told_in_both_languages_and_ends_with_1(desk: Desk) -> None:
    strict = [{"test": "drift-7d", "basis": "percent_scale", "limit": 1.0, "source": "contract 7", "verified": True}]
    code, out, _ = desk.run(rules(limits=strict, tests=["drift-7d"]))
    assert code == 1
    assert "FAIL" in out
    assert "contract 7" in out
    assert "unverified" not in out
    code, out, _ = desk.run(rules(tests=["response"]), lang="zh")
    assert code == 0
    assert "响应时间 T90" in out
    assert "未核对原文" in out


def test_a_column_for_each_series_and_stamps_with_zones_read_the_same(desk: Desk) -> None:
    plain = desk.tests(rules(references=[]))
    lines = ["Date_Time,SO2 mg,flag"]
    for at, value in readings():
        lines.append(f"{(at + timedelta(hours=8)).isoformat()}+08:00,{value:.4f},x")
    desk.file("wide.csv", "\n".join(lines) + "\n")
    series = {"so2": {"unit": "mg/m3", "full_scale": 200, "column": "so2 mg"}}
    assert desk.tests(rules(references=[], series=series), file="wide.csv") == plain
    # Local stamps without a zone need the offset, in the file and in the rules alike.
    desk.file("local.csv", "\n".join(line.replace("+08:00", "") for line in lines) + "\n")
    declared = rules(references=[], series=series, utc_offset_h=8)
    for one in declared["gases"]:
        one["from"], one["to"] = (f"{one[end]}:00Z" for end in ("from", "to"))
    assert desk.tests(declared, file="local.csv").keys() == plain.keys()


def test_what_process_writes_can_be_read(desk: Desk) -> None:
    """Means with their counts; a plateau is one reading at its middle."""
    raw = desk.file("raw.csv", "time,so2\n" + "".join(f"{at.isoformat()},{value:.4f}\n" for at, value in readings()))
    out = str(desk.folder / "minutes.csv")
    assert main(["process", raw, "--format", "csv", "--average", "1min", "--out", out]) == 0
    desk.capsys.readouterr()
    found = desk.tests(rules(references=[], tests=["zero-error", "drift-7d"]), file="minutes.csv")
    assert found["zero-error", "N2"]["figures"]["absolute"] == pytest.approx(1.6, abs=0.05)
    desk.file("plateaus.csv", "start,end,species,mean,sd,n\n2026-03-01T01:04:00,2026-03-01T01:09:00,so2,0.5,0.2,60\n")
    found = desk.tests(rules(references=[], tests=["zero-error"]), file="plateaus.csv")
    assert found["zero-error", "N2"]["figures"]["absolute"] == 0.5


def test_lines_that_cannot_be_read_are_named_and_left_out(desk: Desk) -> None:
    text = (desk.folder / "long.csv").read_text(encoding="utf-8").splitlines()
    text[2:2] = [
        "2026-03-01T00:55:02,so2,nan",
        "not a time,so2,1",
        "2026-03-01T00:55:03,so2",
        "2026-03-01T00:55:04,x,y",
    ]
    desk.file("bad.csv", "\n".join(text))
    code, out, err = desk.run(rules(tests=["zero-error"]), file="bad.csv")
    path = desk.folder / "bad.csv"
    assert code == 1
    assert "pass" in out
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"{path}:4", f"{path}:5"]
    desk.file("head.csv", "when,so2\n1,2\n")
    code, _, err = desk.run(rules(), file="head.csv")
    assert code == 1
    assert err.startswith(f"{desk.folder / 'head.csv'}:1: no column of times")
    code, _, err = desk.run(rules(), file="none.csv")
    assert (code, "none.csv" in err) == (2, True)


NITROGEN = {"gas": "N2", "assigned": {"so2": 0}, "from": "2026-03-01T01:00", "to": "2026-03-01T02:00"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gases": [{**NITROGEN, "assigned": {"so3": 0}}]}, "so3"),
        ({"gases": [{**NITROGEN, "from": "2026-03-01T03:00"}]}, "later"),
        ({"gases": [{**NITROGEN, "from": "yesterday"}]}, "yesterday"),
        ({"gases": [], "references": []}, "nothing can be tested"),
        ({"references": [{"series": "so2", "reference": "so2"}]}, "own reference"),
        ({"standard": "hj99"}, "hj76"),
    ],
)
def test_rules_that_make_no_sense_are_refused_at_their_line(desk: Desk, change: dict[str, Any], expected: str) -> None:
    code, _, err = desk.run(rules(**change))
    assert code == 2
    assert expected in err
    path, line, column, severity, _ = err.splitlines()[0].split(":", 4)
    assert (path, severity.strip()) == (str(desk.folder / "rules.hjson"), "error")
    assert int(line) >= 1
    assert int(column) >= 1


def test_two_gases_at_one_time_are_refused(desk: Desk) -> None:
    declared = rules()
    declared["gases"][1]["from"] = "2026-03-01T01:09"
    code, _, err = desk.run(declared)
    assert code == 2
    assert err.count("flows for so2 while") == 1
    code, _, err = desk.run(declared, lang="zh")
    assert "重叠" in err
