"""Every key of the examples misspelled and every value made wrong: each is told at its place, with what was meant."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.checks.keys import explained
from agent.config import Config
from host.document import KeyPath, line_and_column
from host.hjson import read, validate
from host.hjson_scan import Node
from host.problems import ConfigErrors, Lang, Problem

EXAMPLES = ("stack", "tower", "field")
WRONG_FOR = {str: ("5", "{}", "[]", "true"), bool: ('"x"', "5", "{}"), int: ('"x"', "true", "{}", "-1e300")}


def keys(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, int, Node]]:
    """Every key of a document with its offset and value."""
    if isinstance(node.value, dict):
        for key, (at, inner) in node.value.items():
            yield (*path, key), at, inner
            yield from keys(inner, (*path, key))
    elif isinstance(node.value, list):
        for place, inner in enumerate(node.value):
            yield from keys(inner, (*path, place))


def is_ours(path: KeyPath) -> bool:
    """True for a key the shape names, not the site."""
    for known in (row.key.replace("[]", ".0").split(".") for row in explained("en")):
        if len(known) == len(path) and known[-1] != "*":
            pairs = zip(known, path, strict=True)
            if all(mine == "*" or mine == step or isinstance(step, int) for mine, step in pairs):
                return True
    return False


def problems(path: Path, text: str, lang: Lang = "en") -> list[Problem]:
    path.write_text(text, encoding="utf-8")
    try:
        validate(read(path, lang)[0], Config)
    except ConfigErrors as errors:
        return errors.problems
    return []


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_misspelled_key_is_one_error_at_its_place_that_names_the_right_one(
    example: str, root: Path, tmp_path: Path
) -> None:
    document, _ = read(root / "config" / f"{example}.hjson")
    tried = 0
    for path, at, _ in keys(document.root):
        if not is_ours(path):
            continue
        key = str(path[-1])
        written = key + "s" if len(key) < 4 else key[:1] + key[2:]
        text = document.text[:at] + written + document.text[at + len(key) :]
        found = problems(tmp_path / "station.hjson", text)
        [one] = found
        assert (one.line, one.column) == line_and_column(text, at), path
        assert one.code == "key-unknown-near"
        assert f'"{written}"' in one.what
        assert f'Did you mean "{key}"?' in one.remedy, (path, one.remedy)
        tried += 1
    assert tried > 50


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_wrong_value_is_told_at_its_place_with_what_was_found(example: str, root: Path, tmp_path: Path) -> None:
    document, _ = read(root / "config" / f"{example}.hjson")
    tried = 0
    for path, _, node in keys(document.root):
        if not is_ours(path) or isinstance(node.value, dict | list):
            continue
        kind = bool if isinstance(node.value, bool) else str if isinstance(node.value, str) else int
        matched = re.compile(r'"[^"]*"|[^\s,\]}]+').match(document.text, node.start)
        assert matched
        for wrong in WRONG_FOR[kind]:
            text = document.text[: node.start] + wrong + document.text[matched.end() :]
            places = {(one.line, one.column): one for one in problems(tmp_path / "station.hjson", text)}
            if not places and (wrong == "-1e300" or (path[-1], wrong) == ("stop_bits", "true")):
                continue  # a number without a lower limit; among choices true is 1
            one = places[line_and_column(text, node.start)]
            assert f"Found {wrong.replace('1e', '1e+')}" in one.what or one.code == "out-of-limits", (path, str(one))
            assert one.remedy.startswith(("Write ", "Did you mean "))
            tried += 1
    assert tried > 100


def test_several_errors_are_told_at_once_by_place(root: Path, tmp_path: Path) -> None:
    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8")
    for old, new in (
        ("timeout_s: 1", "timeout_s: 0"), ("poll_s: 1", "pol_s: 1"), ('kind: "tcp"', 'knd: "tcp"'),
        ("sample: { coil: 0 }", "sample: { coil: true }"), ("flow_L_min: 2", "flow_L_min: 200"),
        ('station: {', 'station: {\n    xyz: "x"'),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new, 1)
    found = problems(tmp_path / "station.hjson", text)
    assert [one.code for one in found] == [
        "key-unknown", "key-unknown-near", "out-of-limits", "key-unknown-near", "wrong-type", "out-of-limits",
    ]  # fmt: skip
    assert found == sorted(found)
    chinese = problems(tmp_path / "station.hjson", text, "zh")
    assert [(one.line, one.column, one.code) for one in chinese] == [(one.line, one.column, one.code) for one in found]
    assert all("\u4e00" <= one.remedy[0] <= "\u9fff" for one in chinese)
