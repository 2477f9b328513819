"""`plumeline kv`: a coefficient from a comparison."""

import json
from pathlib import Path

import pytest

from agent.__main__ import main


def write(tmp_path: Path, *pairs: tuple[float, float], head: str = "reference_m_s,probe_m_s") -> str:
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join([head, *(f"{a},{b}" for a, b in pairs)]) + "\n", encoding="utf-8")
    return str(path)


def test_a_steady_comparison_gives_a_block_to_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, (10.5, 10.0), (11.6, 11.0), (12.7, 12.0))
    assert main(["--lang", "en", "kv", path]) == 0
    said = capsys.readouterr().out
    assert "Kv 1.0543, standard uncertainty 0.0024, from 3 pairs" in said
    assert "value: 1.0543" in said
    assert main(["kv", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == 3
    assert found["limit_verified"] is False


def test_a_scattered_one_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, (10.0, 10.0), (12.0, 10.0), (9.0, 10.0), head="参比流速m/s,测点流速m/s")
    assert main(["--lang", "zh", "kv", path]) == 1
    assert "超过 5 %" in capsys.readouterr().out


@pytest.mark.parametrize(("pairs", "place"), [([(1.0, 1.0)], ":1:1:"), ([(1.0, 1.0), (0.0, 1.0)], ":3:1:")])
def test_what_is_no_comparison_is_told(
    tmp_path: Path, pairs: list[tuple[float, float]], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kv", write(tmp_path, *pairs)]) == 2
    assert place in capsys.readouterr().err
