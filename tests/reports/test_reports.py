"""Reports of a station whose past is known: their figures, files and signatures, by the command line."""

import base64
import hashlib
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl
import pypdfium2  # type: ignore[import-untyped]
import pytest

from agent.__main__ import main
from agent.history.files import FileSource
from calibration.qa.checks import check_of
from calibration.qa.control import out_of_control
from calibration.reports.words import Words
from central.__main__ import main as central_main
from central.config import Station
from central.entries import Delivery, Entry
from central.store import Store
from host.history import History
from host.shapes import Position
from metrology.periods import iso
from protocols import record
from protocols.tlog import signer_from_seed

Made = Callable[..., tuple[Path, int]]
KINDS = ("drift", "calibration", "capture", "emission", "account")
SINCE, UNTIL = datetime(2026, 5, 31, 16, tzinfo=UTC), datetime(2026, 6, 30, 16, tzinfo=UTC)


def twin(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["report"]
    return found


def table(document: dict[str, Any], title: str) -> dict[str, Any]:
    tables = [one for section in document["sections"] for one in section.get("tables", ()) if one["title"] == title]
    return dict(next(iter(tables)))


def past(station: Path) -> History:
    return History(FileSource(station))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made_in_both_languages_and_is_what_was_signed(
    report: Made, station: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for lang in ("en", "zh"):
        page, code = report(kind, "html", lang)
        assert code == (1 if kind in ("drift", "calibration") else code)
        said = page.read_text(encoding="utf-8")
        assert Words("en" if lang == "en" else "zh")(f"{kind}.title") in said
        # Nothing is fetched from anywhere.
        assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", said)
        assert main(["report", "verify", str(page), "--config", str(station / "station.hjson")]) == 0
        assert "plumeline/stack-01" in capsys.readouterr().out


def test_drift_tells_what_the_records_tell(report: Made, station: Path) -> None:
    path, code = report("drift", "json")
    assert code == 1
    document = twin(path)
    records = list(past(station).told("calibration", SINCE, UNTIL))
    checks = [one for fields in records if (one := check_of(fields)) is not None]
    rows = table(document, "Verdict of each check")["rows"]
    assert sum(row["cells"][2] for row in rows) == len(checks)
    so2 = next(row for row in rows if row["cells"][0].startswith("cems.so2") and row["cells"][1] == "span")
    ours = [one for one in checks if (one.series, one.role) == ("cems.so2", "span")]
    largest = max(ours, key=lambda one: abs(one.deviation))
    assert so2["cells"][3] == pytest.approx(largest.deviation)
    assert so2["records"] == [list(largest.record)]
    assert so2["cells"][8]["word"] == "out-of-control"
    assert so2["cells"][8]["verified"] is False
    (interval,) = out_of_control(records)
    (row,) = table(document, "Out of control, and suspect before it")["rows"]
    assert row["cells"][2] == iso(interval.start)
    assert row["cells"][3] == iso(interval.end or UNTIL)
    assert [1, largest.record[1]] in row["records"]
    assert document["verdict"]["word"] == "out-of-control"


def test_bodies_are_the_records_as_they_lie_in_the_log(report: Made, station: Path) -> None:
    path, _ = report("drift", "json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert len(found["bodies"]) > 100
    source = FileSource(station)
    for name, body in list(found["bodies"].items())[:20]:
        epoch, seq = map(int, name.split("-"))
        (fields,) = source.numbered(epoch, seq - 1, ("calibration", "average", "event", "config"), 1)
        assert json.loads(body) == fields


def test_capture_counts_every_hour_once(report: Made) -> None:
    path, _ = report("capture", "json")
    document = twin(path)
    found = table(document, "Hours by state")
    heads = [column["title"] for column in found["columns"]]
    for row in found["rows"]:
        counts = [
            cell for cell, column in zip(row["cells"], found["columns"], strict=True) if column.get("unit") == "h"
        ]
        assert sum(counts) == 30 * 24, row["cells"][0]
        by_name = dict(zip(heads, row["cells"], strict=True))
        assert by_name["No record"] == 5
        stopped = by_name["Source stopped"]
        assert stopped == (0 if row["cells"][0].startswith("crds") else 30)
        valid = by_name["Valid"] + by_name["Suspect"]
        assert by_name["Capture"] == pytest.approx(100 * valid / (720 - stopped))
    (gap,) = table(document, "Gaps of the record")["rows"]
    assert gap["cells"][2] == 5


def test_emission_adds_up_the_valid_hours_and_fills_in_beside_them(report: Made, station: Path) -> None:
    path, _ = report("emission", "json")
    row = next(one for one in table(twin(path), "Amounts of the period")["rows"] if "co2_rate" in one["cells"][0])
    valid = [
        fields["rows"]["main.co2_rate"]
        for fields in past(station).averages(3600, SINCE, UNTIL)
        if "q" not in fields["rows"]["main.co2_rate"]
    ]
    assert row["cells"][1] == pytest.approx(sum(one["mean"] for one in valid) / 1000)
    assert row["cells"][3] == len(valid)
    missing = row["cells"][4] + row["cells"][5]
    # What the rule has nothing to go by for is left to a person.
    assert row["cells"][9] + row["cells"][10] == missing == 720 - 30 - len(valid)
    # HJ 75 with a short gap takes the largest of the last 180 valid hours: not less than the mean.
    assert row["cells"][8] / row["cells"][9] >= row["cells"][1] / len(valid)
    terms = [
        one for one in table(twin(path), "What the uncertainty is made of")["rows"] if "co2_rate" in one["cells"][0]
    ]
    assert {one["cells"][1].split(":")[0] for one in terms} >= {"velocity-field coefficient Kv", "concentration"}
    assert math.hypot(*(one["cells"][2] for one in terms)) == pytest.approx(row["cells"][2], rel=0.02)


def test_account_judges_only_with_uncertainties_on_both_sides(report: Made) -> None:
    path, _ = report("account", "json")
    document = twin(path)
    (whole,) = table(document, "The whole period")["rows"]
    # Of the first lot 15 of its 22 days lie in June.
    carbon = 42000 * 15 / 22 * 0.542 * 0.985 + 28900 * 0.549 * 0.985
    assert whole["cells"][2] == pytest.approx(carbon * 44.0095 / 12.0107, rel=2e-4)
    days = table(document, "By day")["rows"]
    assert len(days) == 30
    causes = [row["cells"][0] for row in table(document, "What explains the difference")["rows"]]
    assert {"flow, within its uncertainty", "humidity, within its uncertainty"} <= set(causes)
    assert whole["cells"][15]["word"] in ("agrees", "disagrees")
    assert sum(row["cells"][5] for row in days) == pytest.approx(whole["cells"][5])


def test_a_stopped_stack_with_a_running_meter_is_told(report: Made, tmp_path: Path) -> None:
    start = SINCE.timestamp()
    rows = ["unit,start,energy_kWh"]
    for hour in range(720):
        at = datetime.fromtimestamp(start + 3600 * hour, UTC)
        # The station stood still from its 577th hour on, for 30; the meter went on for the first ten of them.
        rows.append(f"main,{iso(at)},{300 if 586 <= hour < 606 else 21000}")
    readings = tmp_path / "electricity.csv"
    readings.write_text("\n".join(rows), encoding="utf-8")
    path, code = report("account", "json", "en", "--electricity", str(readings), "--idle", "500")
    document = twin(path)
    (counted,) = table(document, "What the meters counted")["rows"]
    assert counted["cells"] == ["main", 700 * 21000 + 20 * 300, 720, 10 * 21000 + 20 * 300, 30]
    (found,) = table(document, "Stack and meter contradict each other")["rows"]
    begin = datetime.fromtimestamp(start + 3600 * 576, UTC)
    assert (found["cells"][1]["word"], found["cells"][2], found["cells"][4:]) == (
        "stack-stopped-meter-running", iso(begin), [10, 210000]
    )  # fmt: skip
    assert (code, document["verdict"]["level"]) == (1, "bad")
    (chart,) = [one for part in document["sections"] for one in part.get("charts", ()) if "Electricity" in one["title"]]
    assert (len(chart["spans"]), chart["spans"][0]["start"]) == (1, iso(begin))
    # What the plant uses at rest must be given: without it nothing is judged.
    path, _ = report("account", "json", "zh", "--electricity", str(readings))
    assert "烟囱与电表矛盾" not in path.read_text(encoding="utf-8")
    (part,) = [one for one in twin(path)["sections"] if one["title"] == "用电与烟囱对照"]
    assert "--idle" in part["notes"][1]


def test_a_workbook_holds_numbers_and_sums_as_formulas(report: Made) -> None:
    path, _ = report("emission", "xlsx", "zh")
    formulas, values = (openpyxl.load_workbook(path, data_only=cached) for cached in (False, True))
    found = 0
    for sheet in formulas:
        for cells in sheet.iter_rows():
            for cell in cells:
                if isinstance(cell.value, str) and cell.value.startswith("=SUM("):
                    low, high = re.findall(r"[A-Z]+(\d+)", cell.value)
                    cells_of = [sheet.cell(row, cell.column).value for row in range(int(low), int(high) + 1)]
                    numbers = [float(one) for one in cells_of if isinstance(one, int | float)]
                    assert len(numbers) == len(cells_of)
                    cached = values[sheet.title].cell(cell.row, cell.column).value
                    assert cached == pytest.approx(sum(numbers))
                    found += 1
    assert found >= 21
    assert any("[t]" in str(cell.value) for sheet in formulas for row in sheet.iter_rows() for cell in row)
    first = formulas.worksheets[0]
    assert [first.cell(1, 1).value, first.cell(3, 1).value] == ["排放量报告", "站点"]
    assert any("plumeline/stack-01/report" in str(cell.value) for row in first.iter_rows() for cell in row)


@pytest.mark.parametrize(("lang", "heading"), [("zh", "漂移报告"), ("en", "Drift report")])
def test_a_pdf_can_be_read_and_is_not_blank(report: Made, lang: str, heading: str) -> None:
    path, _ = report("drift", "pdf", lang)
    document = pypdfium2.PdfDocument(path)
    texts = [document[at].get_textpage().get_text_bounded() for at in range(len(document))]
    assert heading in texts[0]
    assert Words("zh" if lang == "zh" else "en")("section.cylinders") in "".join(texts)
    last = Words("zh" if lang == "zh" else "en")("page.page", page=len(document), pages=len(document))
    assert last in texts[-1]
    assert "plumeline/stack-01/report" in "".join(texts[-2:])
    image = document[1].render(scale=0.5).to_pil().convert("RGB")
    colours = image.getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 50
    document.close()


def test_whatever_is_altered_is_found(report: Made, station: Path, tmp_path: Path) -> None:
    page, _ = report("drift", "html")
    said = page.read_text(encoding="utf-8")
    document, _ = report("drift", "json")
    plain = document.read_text(encoding="utf-8")
    key = ["--config", str(station / "station.hjson")]
    shown = re.search(r'<td class="n">(\d+\.\d+)</td>', said)
    assert shown is not None
    number = re.search(r'"percent":|"cells":\["cems\.[a-z0-9]+[^"]*","zero",27,([0-9.]+)', plain)
    assert number is not None
    tampered = {
        "shown.html": said.replace(shown.group(), '<td class="n">0.01</td>', 1),
        "word.html": said.replace("out of control", "pass", 1),
        "script.html": said.replace("</body>", "<script>1</script></body>"),
        "note.html": said.replace('<pre id="note">', '<b>all well</b><pre id="note">'),
        "record.html": said.replace("Li Na", "Wang Wei"),
        "number.json": plain.replace('"word":"out-of-control"', '"word":"pass"', 1),
        "body.json": plain.replace('\\"reading\\":', '\\"readinG\\":', 1),
        "cut.html": said[:-400],
    }
    for name, text in tampered.items():
        assert text not in (said, plain), name
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert main(["report", "verify", str(tmp_path / name), *key]) == 1, name
    assert main(["report", "verify", str(document), *key]) == 0
    # Another's key did not sign it; without a key nobody can say who did.
    other = signer_from_seed(base64.b64encode(b"o" * 32).decode(), "plumeline/stack-01").vkey
    assert main(["report", "verify", str(page), "--vkey", other]) == 1
    assert main(["report", "verify", str(page), "--vkey", "plumeline/stack-01+00000000+AAAA"]) == 2, "no key at all"
    assert main(["report", "verify", str(page)]) == 1


def test_a_byte_of_a_pdf_is_found(report: Made, station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = report("drift", "pdf")
    data, key = path.read_bytes(), ["--config", str(station / "station.hjson")]
    changed = path.with_name("changed.pdf")

    def told(text: bytes) -> tuple[int, str]:
        changed.write_bytes(text)
        return main(["report", "verify", str(changed), *key]), capsys.readouterr().out

    code, said = told(data)
    assert (code, "as signed by plumeline/stack-01" in said, "every byte of the PDF" in said) == (0, True, True)
    attached = data.index(b"stream\n", data.index(b"/Type /EmbeddedFile\n")) + 100
    for at in (9, len(data) // 3, attached, len(data) // 2, data.index(b"/Type /Page"), data.rindex(b"xref\n0 "), -2):
        other = bytearray(data)
        other[at] ^= 1
        assert told(bytes(other)) == (1, "ALTERED: this is not what was signed (page)\n"), at
    assert told(data + b"% one line more\n")[0] == 1
    begin = data.index(b"%plumeline-note ")
    other = bytearray(data)
    other[begin + 60] ^= 1
    assert told(bytes(other))[0] == 1
    assert told(data[:begin] + data[data.index(b"\n", begin) + 1 :]) == (1, "This report is unsigned.\n")


def test_a_cell_of_a_workbook_is_found(
    report: Made, station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = report("emission", "xlsx")
    key = ["--config", str(station / "station.hjson")]

    def told(change: Callable[[Any], object]) -> tuple[int, str]:
        book = openpyxl.load_workbook(path)
        change(book)
        book.save(tmp_path / "changed.xlsx")
        return main(["report", "verify", str(tmp_path / "changed.xlsx"), *key]), capsys.readouterr().out

    assert main(["report", "verify", str(path), *key]) == 0
    assert "not charts, colours, widths" in capsys.readouterr().out
    book = openpyxl.load_workbook(path)
    sheet = next(one for one in book if any("SUM(" in str(cell.value) for row in one.iter_rows() for cell in row))
    cells = [cell for row in sheet.iter_rows() for cell in row]
    number = next(cell for cell in cells if isinstance(cell.value, float))
    formula = next(cell for cell in cells if "SUM(" in str(cell.value))
    text = next(cell for cell in cells if cell.data_type == "s")
    place = f"{sheet.title}!{number.coordinate}"
    code, said = told(lambda book: book[sheet.title].__setitem__(number.coordinate, number.value + 0.001))
    assert (code, f"({place}: {number.value + 0.001:.12g}" in said, f"signed {number.value:.12g}" in said) == (
        1, True, True
    ), said  # fmt: skip
    changes: list[tuple[str, Callable[[Any], object]]] = [
        (text.coordinate, lambda book: book[sheet.title].__setitem__(text.coordinate, "all well")),
        (formula.coordinate, lambda book: book[sheet.title].__setitem__(formula.coordinate, "=SUM(1)")),
        (number.coordinate, lambda book: setattr(book[sheet.title][number.coordinate], "number_format", '"0.1"')),
        (number.coordinate, lambda book: book[sheet.title].__setitem__(number.coordinate, None)),
        ("Z99", lambda book: book[sheet.title].__setitem__("Z99", 1)),
        ("A1", lambda book: book.create_sheet("more").__setitem__("A1", 1)),
        (sheet.title, lambda book: book.remove(book[sheet.title])),
        ("", lambda book: book["plumeline-proof"].__setitem__("A1", "AAAA")),
    ]
    for named, change in changes:
        code, said = told(change)
        assert (code, named in said) == (1, True), (named, said)
    assert told(lambda book: book.remove(book["plumeline-proof"])) == (1, "This report is unsigned.\n")
    code, said = told(lambda book: book[sheet.title].__setitem__("XFD1048576", 1))
    assert (code, "more than 5000000 cells" in said) == (1, True), said


def test_a_workbook_that_unpacks_without_end_is_refused_before_it_is_read(
    report: Made, station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = report("capture", "xlsx")
    bomb = tmp_path / "bomb.xlsx"
    with ZipFile(path) as kept, ZipFile(bomb, "w", ZIP_DEFLATED) as packed:
        for name in kept.namelist():
            packed.writestr(name, kept.read(name))
        with packed.open("xl/media/image1.png", "w") as member:
            for _ in range(257):
                member.write(bytes(1024 * 1024))
    assert bomb.stat().st_size < 2 * 1024 * 1024
    capsys.readouterr()
    assert main(["report", "verify", str(bomb), "--config", str(station / "station.hjson")]) == 1
    assert "unpacks to more than 256 MiB" in capsys.readouterr().out


def test_without_a_key_the_report_says_that_it_is_unsigned(
    report: Made, station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, hidden = station / "key", station / "key-away"
    key.rename(hidden)
    try:
        page, _ = report("capture", "html")
    finally:
        hidden.rename(key)
    assert "unsigned" in capsys.readouterr().out
    assert "Unsigned" in page.read_text(encoding="utf-8")
    assert main(["report", "verify", str(page), "--config", str(station / "station.hjson"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "unsigned"


def test_a_missing_extra_is_told_with_its_remedy(
    report: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fpdf", None)
    monkeypatch.delitem(sys.modules, "host.reports.pdf", raising=False)
    path, code = report("capture", "pdf")
    assert code == 1
    assert not path.exists()
    assert "plumeline[reports]" in capsys.readouterr().err


def test_a_request_that_makes_no_sense_is_refused(
    report: Made, station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("drift", "docx")[1] == 2
    where = ["--config", str(station / "station.hjson"), "--out", str(station / "never.html")]
    assert main(["report", "drift", "--from", "2026-07", "--to", "2026-06", *where]) == 2
    assert main(["report", "drift", "--from", "yesterday", "--to", "2026-06", *where]) == 2
    assert "2026-Q2" in capsys.readouterr().err
    assert not (station / "never.html").exists()


def test_a_period_without_records_says_so(report: Made, station: Path, tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    forms = [part for form in ("html", "pdf") for part in ("--out", str(out.with_suffix(f".{form}")))]
    where = ["--config", str(station / "station.hjson"), "--out", str(out), *forms]
    for kind in ("drift", "calibration", "capture", "emission"):
        assert main(["report", kind, "--from", "2027-01", "--to", "2027-01", *where]) == 0
        assert twin(out)["verdict"]["word"] == "unjudged"


def test_a_figure_leads_to_its_records_and_to_the_page_that_traces_it(report: Made) -> None:
    page, _ = report("emission", "html", "en", "--page", "http://127.0.0.1:8080")
    said = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'<details id="(r-\d+-\d+)">', said))
    linked = set(re.findall(r'<a href="#(r-\d+-\d+)">', said))
    assert linked
    assert linked <= anchors
    assert "http://127.0.0.1:8080/trace?series=main.co2_rate&amp;at=2026-" in said


def test_control_lost_before_the_period_is_told(report: Made, station: Path, tmp_path: Path) -> None:
    # The check that failed was before 19 June, the good one on 20 June; none was in this half day.
    out = tmp_path / "between.json"
    forms = [part for form in ("html", "pdf") for part in ("--out", str(out.with_suffix(f".{form}")))]
    where = ["--config", str(station / "station.hjson"), "--out", str(out), *forms]
    assert main(["report", "drift", "--from", "2026-06-19", "--to", "2026-06-19T12:00:00", *where]) == 1
    document = twin(out)
    assert document["verdict"]["word"] == "out-of-control"
    (row,) = table(document, "Out of control, and suspect before it")["rows"]
    assert row["cells"][2] < "2026-06-18T16:00"


def test_the_performance_test_of_recorded_readings_is_a_report(station: Path, tmp_path: Path, root: Path) -> None:
    rows = ["time,so2"]
    start = datetime(2026, 6, 15, tzinfo=UTC).timestamp()
    for second in range(0, 3600, 5):
        value = 0.4 if second < 1800 else 80.9
        rows.append(f"{datetime.fromtimestamp(start + second, UTC):%Y-%m-%dT%H:%M:%SZ},{value + 0.05 * (second % 7)}")
    readings, rules, out = tmp_path / "run.csv", tmp_path / "rules.hjson", tmp_path / "performance.json"
    readings.write_text("\n".join(rows), encoding="utf-8")
    rules.write_text(RULES, encoding="utf-8")
    forms = [part for form in ("html", "pdf") for part in ("--out", str(out.with_suffix(f".{form}")))]
    where = ["--config", str(station / "station.hjson"), "--out", str(out), *forms]
    assert main(["report", "performance", str(readings), "--rules", str(rules), *where]) in (0, 1)
    found = table(twin(out), "Results")["rows"]
    assert {row["cells"][1] for row in found} >= {"zero error", "repeatability"}
    (file,) = table(twin(out), "Files")["rows"]
    assert file["cells"] == ["run.csv", hashlib.sha256(readings.read_bytes()).hexdigest()]
    (drawn, errors) = [chart for one in twin(out)["sections"] for chart in one.get("charts", ())]
    assert (len(drawn["lines"][0]["x"]), drawn["lines"][1]["y"]) == (720, [0, 0, None, 80.2, 80.2])
    assert [span["name"] for span in drawn["spans"]] == ["flushing", "gas, counted"] * 2
    assert errors["lines"][0]["x"] == [0, 80.2]
    assert errors["lines"][0]["y"] == pytest.approx([0.55, 0.85], abs=0.02)
    assert {abs(one["value"]) for one in errors["limits"]} == {2.5}, "2.5 % of 100 mg/m3"
    for form in ("html", "pdf"):
        key = ["--config", str(station / "station.hjson")]
        assert main(["report", "verify", str(out.with_suffix(f".{form}")), *key]) == 0
    assert "As recorded" in out.with_suffix(".html").read_text(encoding="utf-8")


RULES = """{
  standard: "hj76"
  series: { so2: { unit: "mg/m3", full_scale: 100 } }
  gases: [
    { gas: "zero", assigned: { so2: 0 }, from: "2026-06-15T00:00:00Z", to: "2026-06-15T00:30:00Z", flush_s: 60 }
    { gas: "span", assigned: { so2: 80.2 }, from: "2026-06-15T00:30:00Z", to: "2026-06-15T01:00:00Z", flush_s: 60 }
  ]
}
"""


def test_the_daemon_imports_no_renderer(made_station: ModuleType) -> None:
    script = "import sys, agent.daemon; print([m for m in sys.modules if m in ('fpdf', 'xlsxwriter', 'fontTools')])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_centre_sets_electricity_beside_the_stack_as_the_station_does(
    report: Made, station: Path, tmp_path: Path, made_station: ModuleType
) -> None:
    start = SINCE.timestamp()
    rows = ["unit,start,energy_kWh"]
    rows += [f"main,{iso(datetime.fromtimestamp(start + 3600 * hour, UTC))},21000" for hour in range(720)]
    readings, out = tmp_path / "electricity.csv", tmp_path / "centre.json"
    readings.write_text("\n".join(rows), encoding="utf-8")
    known = Station(
        network="net", name_zh="烟囱", name_en="Stack", vkey=made_station.signer().vkey,
        position=Position(latitude=34.75, longitude=113.62, height_m=3, datum="WGS-84"),
    )  # fmt: skip
    store = Store(str(tmp_path / "store.db"), {"stack-01": known}, lambda: 1000.0)
    store.add([Delivery("stack-01", 1, -1, tuple(Entry.of(record.encode(one), one) for one in everything(station)))])
    store.close()
    config = tmp_path / "central.hjson"
    stations = {"stack-01": known.model_dump(mode="json")}
    config.write_text(json.dumps({"store": str(tmp_path / "store.db"), "stations": stations}), encoding="utf-8")
    words = ["--fuel", str(station / "fuel.csv"), "--electricity", str(readings), "--idle", "500", "--out", str(out)]
    span = ["--station", "stack-01", "--from", "2026-06", "--to", "2026-06"]
    assert central_main(["report", "account", str(config), *span, *words]) == 1
    own, _ = report("account", "json", "en", "--electricity", str(readings), "--idle", "500")
    for title in ("What the meters counted", "Stack and meter contradict each other"):
        assert [one["cells"] for one in table(twin(out), title)["rows"]] == [
            one["cells"] for one in table(twin(own), title)["rows"]
        ]
    for scheme, filled in (("hj75", True), ("none", False)):
        out.unlink()
        line = [*span, "--series", "main.co2_rate", "--substitute", scheme, "--out", str(out)]
        central_main(["report", "emission", str(config), *line])
        (row,) = table(twin(out), "Amounts of the period")["rows"]
        assert (row["cells"][8] > 0) is filled


def everything(station: Path) -> list[dict[str, Any]]:
    source = FileSource(station)
    found: list[dict[str, Any]] = []
    while page := source.numbered(1, len(found) - 1, record.KINDS, 500):
        found += page
    return found
