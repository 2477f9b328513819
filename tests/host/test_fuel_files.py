"""Tables of fuel and of measured hours, as people keep them."""

from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest

from host.fuel_files import read_books, read_measured
from host.problems import ConfigErrors
from metrology.stack.hours import HourState

HEAD = "unit,fuel,start,end,amount"


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> str:
    path = tmp_path / "fuel.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def problems(path: str, read: object = read_books) -> list[tuple[int, int, str]]:
    with pytest.raises(ConfigErrors) as caught:
        read(path, "en")  # type: ignore[operator]
    return [(p.line, p.column, p.code) for p in caught.value.problems]


def test_the_examples_are_read(root: Path) -> None:
    books = read_books(str(root / "config" / "fuel.csv"), "en")
    assert [lot.fuel for lot in books.lots] == ["coal", "coal", "diesel"]
    assert [other.kind for other in books.others] == ["limestone"]
    first = books.lots[0]
    assert (first.start, first.end) == (datetime(2025, 12, 31, 16, tzinfo=UTC), datetime(2026, 1, 1, 16, tzinfo=UTC))
    assert first.carbon_fraction is not None
    assert first.carbon_fraction.value == pytest.approx(0.621 * (100 - 11.2) / (100 - 3.4))
    assert first.carbon_fraction.u == pytest.approx(first.carbon_fraction.value * 0.008)
    assert books.others[0].co2_t.origin == "default"
    measured = read_measured(str(root / "config" / "measured.csv"), "en")["1"]
    assert len(measured.hours) == 48
    assert [hour.state for hour in measured.hours].count(HourState.STOPPED) == 3
    assert len(measured.energy_kWh) == 48


def test_a_chinese_table_says_the_same(tmp_path: Path) -> None:
    text = (
        "机组,燃料,开始,结束,数量,数量单位,元素碳含量%,碳含量基准,收到基水分%\n"
        "1,燃煤,2026/1/1,2026/1/31,100,吨,60,干基,10\n"
        "1,石灰石,2026-01-01,2026-01-31,10,,,,\n"
    )
    chinese = read_books(write(tmp_path, text, "utf-8-sig"), "zh")
    lot = chinese.lots[0]
    assert lot.fuel == "coal"
    assert (lot.end - lot.start).days == 31
    assert lot.carbon_fraction is not None
    assert lot.carbon_fraction.value == pytest.approx(0.54)
    assert not lot.carbon_fraction.verified
    assert chinese.others[0].kind == "limestone"


def test_a_workbook_is_read_like_the_csv(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Unit", "fuel", "start", "end", "amount", "carbon_percent", "oxidation_percent"])
    sheet.append([1, "coal", datetime(2026, 1, 1), datetime(2026, 1, 2), 100, 60.0, 99])  # noqa: DTZ001  as a spreadsheet has it
    sheet.append([None] * 7)
    sheet.append([2, "diesel", "2026-01-01 08:00", "2026-01-01T12:00Z", 3.5, None, None])
    path = tmp_path / "fuel.xlsx"
    book.save(path)
    first, second = read_books(str(path), "en").lots
    assert (first.unit, second.unit) == ("1", "2")
    assert first.end == datetime(2026, 1, 2, 16, tzinfo=UTC)
    assert (second.start.hour, second.end.hour) == (0, 12)


def test_everything_wrong_is_said_with_its_row_and_column(tmp_path: Path) -> None:
    text = (
        f"{HEAD},carbon_percent,carbon_basis,oxidation_percent\n"
        "1,coal,2026-01-01,2026-01-02,ten,60,ar,99\n"
        "1,coal,soon,2026-01-02,10,60,ar,99\n"
        "1,,2026-01-01,2026-01-02,10,60,ar,99\n"
        "1,coal,2026-01-01,2026-01-02,10,60,wet,99\n"
        "1,coal,2026-01-01,2026-01-02,10,60,ad,99\n"
        "1,coal,2026-01-05,2026-01-02,10,60,ar,99\n"
        "1,peat,2026-01-01,2026-01-02,10,,,\n"
        "1,coal,2026-01-01,2026-01-02,inf,60,ar,99\n"
    )
    assert problems(write(tmp_path, text)) == [
        (2, 5, "sheet-number"), (3, 3, "sheet-time"), (4, 2, "sheet-cell-empty"), (5, 7, "sheet-word"),
        (6, 1, "fuel-moisture"), (7, 1, "fuel-times"), (8, 1, "fuel-oxidation"), (9, 5, "sheet-number"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("unit,fuel,start,end", "sheet-column-missing"),
        (f"{HEAD},carbon", "sheet-column"),
        (f"{HEAD},amount", "sheet-column-twice"),
        ("", "sheet-column-missing"),
    ],
)
def test_a_wrong_head_is_one_problem(tmp_path: Path, head: str, code: str) -> None:
    assert [p[2] for p in problems(write(tmp_path, f"{head}\n1,coal,2026-01-01,2026-01-02,10\n"))] == [code]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert problems(str(tmp_path / "none.csv"))[0][2] == "sheet-missing"
    assert problems(write(tmp_path, "机组", "gbk"))[0][2] == "file-encoding"
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK\x03\x04 and no more")
    assert problems(str(broken))[0][2] == "sheet-unreadable"


def test_hours_are_whole_single_and_valid_only_with_an_amount(tmp_path: Path) -> None:
    text = (
        "unit,start,co2_t,state\n"
        "1,2026-01-01 00:30,1,\n"
        "1,2026-01-01 01:00,1,\n"
        "1,2026-01-01 01:00,1,\n"
        "1,2026-01-01 02:00,1,missing\n"
        "1,2026-01-01 03:00,,valid\n"
        "1,2026-01-01 04:00,1,running\n"
    )
    found = problems(write(tmp_path, text), read_measured)
    assert found == [
        (2, 2, "hour-start"), (4, 2, "hour-twice"), (5, 3, "hour-amount"), (6, 3, "hour-amount"), (7, 4, "sheet-word")
    ]  # fmt: skip
    good = read_measured(
        write(tmp_path, "机组,时间,二氧化碳t,状态\nA,2026-01-01 00:00,1.5,有效\nA,2026-01-01 01:00,,停运\n"), "zh"
    )
    assert [(hour.state, hour.amount) for hour in good["A"].hours] == [
        (HourState.VALID, 1500.0), (HourState.STOPPED, None)
    ]  # fmt: skip
