"""The threat model, held against the tree: what it names exists, and it names all there is to name."""

import re
from pathlib import Path

import pytest

PATHS = re.compile(r"`((?:[\w.-]+/)+[\w.-]+|constraints\.txt|SECURITY\.md)`")
REQUIREMENTS = (
    *(f"1.{n}" for n in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14)), "2.1", *(f"2.{n}" for n in range(5, 13)),
    "3.1", *(f"3.{n}" for n in range(3, 10)), "4.1", "4.2", "4.3", "5.1", "6.1", "6.2",
    "7.1", "7.2", "7.3", "7.4", "7.6", "7.7", "7.8",
    "EDR 2.4", "EDR 3.2", "EDR 3.10", "EDR 3.11", "EDR 3.12", "EDR 3.13", "EDR 3.14",
)  # fmt: skip
PROVISIONS = tuple(f"5.{number}" for number in range(1, 14))
STATES = {"": {"met", "in part", "not met"}, ".zh-CN": {"满足", "部分满足", "未满足"}}


def page(root: Path, language: str) -> str:
    return (root / "docs" / f"threat-model{language}.md").read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """Rows of cells of each table, without its head."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in block.splitlines()]
        found.append(rows[2:])
    return found


@pytest.mark.parametrize("language", STATES)
def test_every_file_named_exists(root: Path, language: str) -> None:
    named = set(PATHS.findall(page(root, language)))
    assert len(named) > 80
    assert sorted(one for one in named if not (root / one).exists()) == []


@pytest.mark.parametrize("language", STATES)
def test_every_threat_and_requirement_has_its_row(root: Path, language: str) -> None:
    threats, requirements, provisions = tables(page(root, language))
    assert [row[0] for row in threats] == [f"T{number}" for number in range(1, 13)]
    assert tuple(row[0] for row in requirements) == REQUIREMENTS
    assert tuple(row[0] for row in provisions) == PROVISIONS


@pytest.mark.parametrize("language", STATES)
def test_what_is_met_names_code_and_a_test_and_what_is_not_says_why(root: Path, language: str) -> None:
    threats, requirements, provisions = tables(page(root, language))
    for row in threats:
        assert (bool(PATHS.search(row[4])), "`tests/" in row[5], bool(row[6])) == (True, True, True), row
    for row in [*requirements, *provisions]:
        state, why, code, test = row[2:6]
        assert state in STATES[language], row
        assert why, row
        met = state not in {"not met", "未满足"}
        assert (bool(PATHS.search(code)), "`tests/" in test) == (met, met), row


def test_both_languages_say_the_same(root: Path) -> None:
    english, chinese = (tables(page(root, language)) for language in ("", ".zh-CN"))
    states = dict(zip(("met", "in part", "not met"), ("满足", "部分满足", "未满足"), strict=True))
    for of_english, of_chinese in zip(english, chinese, strict=True):
        for one, other in zip(of_english, of_chinese, strict=True):
            assert PATHS.findall(" ".join(one)) == PATHS.findall(" ".join(other)), one[0]
            assert states.get(one[2], "") == (other[2] if one[2] in states else ""), one[0]


def test_weaknesses_have_an_address_and_times(root: Path) -> None:
    text = (root / "SECURITY.md").read_text(encoding="utf-8")
    assert re.search(r"\S+@\S+", text)
    assert re.search(r"\d+ working days", text)
    assert "two years" in text
