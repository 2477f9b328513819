"""`plumeline account` on the examples."""

import json
from pathlib import Path

import pytest

from agent.__main__ import main


def test_the_examples_make_an_account(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(root / "config" / "fuel.csv"), "--measured", str(root / "config" / "measured.csv")]
    code = main(["account", *files, "--period", "day", "--substitute", "hj75", "--idle", "500", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert [row["key"] for row in found["rows"]] == ["2026-01-01", "2026-01-02", "total"]
    first, _, total = found["rows"]
    assert first["agrees"] is True
    assert (first["substituted_hours"], first["hours"]["missing"], first["hours"]["counted"]) == (2, 2, 22)
    assert total["agrees"] is False
    assert "carbon_t_GJ" in total["assumed"]
    assert [one["what"] for one in found["contradictions"]["1"]] == ["stack-stopped-meter-running"]
    assert found["contradictions"]["1"][0]["hours"] == 3


@pytest.mark.parametrize(("lang", "word"), [("en", "by fuel t"), ("zh", "核算 t")])
def test_people_read_it_in_their_language(root: Path, lang: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(root / "config" / "fuel.csv"), "--measured", str(root / "config" / "measured.csv")]
    assert main(["--lang", lang, "account", *files]) == 1
    assert word in capsys.readouterr().out


def test_without_hours_the_books_stand_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["account", str(root / "config" / "fuel.csv"), "--period", "total"]) == 0
    assert "-100.0 %" in capsys.readouterr().out


def test_a_bad_file_is_told_by_row_and_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fuel.csv"
    path.write_text("unit,fuel,start,end,amount\n1,coal,2026-01-01,2026-01-02,much\n", encoding="utf-8")
    assert main(["--lang", "en", "account", str(path)]) == 2
    assert f"{path}:2:5: error" in capsys.readouterr().err
