"""`plumeline check` on what is declared and on limits of the site."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.checks.check import check_file
from host.problems import Lang

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def written(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`written(text)`: the stack example with text added to its analyzer's block, as a file, and its line."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "station-key").write_bytes(base64.b64encode(bytes(range(32))))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    def write(added: str) -> tuple[Path, int]:
        text = (root / "config" / "stack.hjson").read_text(encoding="utf-8")
        text = text.replace("/var/lib/plumeline", str(tmp_path / "store"))
        anchor = '      rule: "hj-stack"\n'
        assert text.count(anchor) == 1
        path = tmp_path / "station.hjson"
        path.write_text(text.replace(anchor, f"{anchor}{added}\n"), encoding="utf-8")
        return path, text[: text.index(anchor)].count("\n") + 2

    return write


def found(path: Path, lang: Lang = "en") -> list[tuple[int, str, str]]:
    ours = {"serial-twice", "range-twice", "limit-empty", "limit-order", "chart-without-sd", "measurand-unknown"}
    return [(p.line, p.severity, p.code) for p in check_file(path, now=NOW, lang=lang).problems if p.code in ours]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ('serial_number: "1"\ndeclared: {serial: "2"}', [(1, "error", "serial-twice")]),
        ("declared: {range: {so2: 99}}", [(0, "error", "range-twice")]),
        ("declared: {range: {so2: 100}, slope: {nox: 1.0}}", []),
        ("declared: {offset: {so3: 0}}", [(0, "error", "measurand-unknown")]),
        ('qa: {limits: [{role: "zero", source: "s"}]}', [(0, "error", "limit-empty")]),
        ('qa: {limits: [{role: "zero", pass_percent: 5, out_percent: 2.5, source: "s"}]}',
         [(0, "error", "limit-order")]),
        ('qa: {limits: [{role: "zero", pass_percent: 2, measurands: ["so3"], source: "s"}]}',
         [(0, "error", "measurand-unknown")]),
        ('qa: {rules: "en14181"}', [(0, "warning", "chart-without-sd")]),
        ('qa: {rules: "en14181", sd: {so2: {zero: 0.5, span: 1.0}}}', []),
        ("qa: {sd: {so3: {zero: 0.5}}}", [(0, "error", "measurand-unknown")]),
        ('qa: {rules: "40cfr60", limits: [{role: "span", warn_percent: 1, pass_absolute: 3, source: "s"}]}', []),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_told_at_its_line(
    written: Any, added: str, expected: list[tuple[int, str, str]]
) -> None:
    path, line = written(added)
    assert found(path) == [(line + offset, severity, code) for offset, severity, code in expected]
    assert found(path, "zh") == found(path)


def test_a_rule_set_that_does_not_exist_is_told_with_those_that_do(written: Any) -> None:
    path, line = written('qa: {rules: "hj99"}')
    (problem,) = check_file(path, now=NOW).problems
    assert problem.line == line
    assert "hj75" in problem.what + problem.remedy
