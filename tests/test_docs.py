"""What the documents say, held against the code."""

import ast
import csv
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from central.shapes import shape
from metrology.quality import Cause
from protocols.hj212.commands import commands
from protocols.hj212.profile import Edition
from protocols.record import KINDS, decode, encode
from web.words import table

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LANGUAGES = ("README.md", "README.zh-CN.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# The documents speak of the project alone: of no place on somebody's machine, of no work left to somebody.
FORBIDDEN = re.compile(r"(?i:/(?:root|home|mnt|srv|work)/|pip (?:index|config)|index-url)|\b(?:TODO|FIXME|TBD)\b")
# Calls whose first argument, and calls whose fifth, names an event or a calibration record.
NAMED_FIRST = {"event", "on_event", "post", "of_entry", "record", "fields"}
NAMED_FIFTH = {"put_event", "accuse"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def names(document: str) -> set[str]:
    """Everything a document sets in code type."""
    return set(re.findall(r"`([^`\n]+)`", text_of(document)))


def called(node: ast.Call) -> str:
    """Name of what is called, without module, object and leading underscore."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name.lstrip("_")


def texts(node: ast.expr | None, verdicts: set[str]) -> Iterator[str]:
    """Constant texts an expression may give; a formatted one stands for each verdict of its module."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from texts(body, verdicts)
            yield from texts(other, verdicts)
        case ast.JoinedStr(values=[ast.Constant(value=str(head)), ast.FormattedValue(value=ast.Name(id="verdict"))]):
            yield from (head + verdict for verdict in verdicts)


def assigned(tree: ast.Module, name: str) -> set[str]:
    """Constant texts that a module assigns to a name, alone or first in a tuple."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            value: ast.expr = node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                target, value = target.elts[0], value.elts[0]
            if isinstance(target, ast.Name) and target.id == name:
                found |= set(texts(value, set()))
    return found


def emitted(tree: ast.Module) -> set[str]:
    """Every `what` a module writes."""
    verdicts = assigned(tree, "verdict")
    accusing = verdicts - {"pending", "consistent", "unverifiable"}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found |= {
                t for k, v in pairs if isinstance(k, ast.Constant) and k.value == "what" for t in texts(v, accusing)
            }
        elif isinstance(node, ast.Call):
            at = 0 if called(node) in NAMED_FIRST else 4 if called(node) in NAMED_FIFTH else None
            if at is not None and len(node.args) > at:
                found |= set(texts(node.args[at], accusing))
    return found - KINDS


def emitted_by_module() -> dict[str, set[str]]:
    """What each module of the two programs writes, by its path without the ending."""
    paths = [path for folder in ("agent", "central") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {
        p.relative_to(ROOT).with_suffix("").as_posix(): emitted(ast.parse(p.read_text(encoding="utf-8"))) for p in paths
    }


def test_every_event_a_program_writes_is_described() -> None:
    found = emitted_by_module()
    # The search itself must find what is known to be there.
    assert "clock-step" in found["agent/values/periods"]
    assert "unit-silent" in found["agent/wires/bus"]
    assert {"coefficients", "run-aborted"} <= found["agent/gas/results"]
    assert {"drift", "standard-check", "target"} <= found["agent/gas/judged"]
    assert "platform-request" in found["agent/uplinks/hj212_acts"]
    assert {"checkpoint-fork", "checkpoint-malformed", "record-edited"} <= found["central/witness"]
    described = names("docs/records.md")
    assert {module: missing for module, written in found.items() if (missing := written - described)} == {}


def test_every_event_described_is_written_by_a_program() -> None:
    written = set().union(*emitted_by_module().values())
    rows = re.findall(r"^\| `([a-z0-9]+(?:-[a-z0-9]+)+)` \|", text_of("docs/records.md"), re.MULTILINE)
    assert len(rows) > 30
    assert set(rows) - written - {"hj-stack", "hj-ambient"} == set()


def told(text: str) -> set[str]:
    """First cells of the tables of things that happen: those whose first column is `what`."""
    tables = re.findall(r"^\| `what` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return {name for rows in tables for name in re.findall(r"^\| `([a-z0-9-]+)`", rows, re.MULTILINE)}


def test_pages_have_words_in_both_languages_for_whatever_happens() -> None:
    text = text_of("docs/records.md")
    described = told(text)
    assert {"bus-lost", "board-drifting", "recompute-finished", "run-aborted", "source-persists"} <= described
    # The centre shows what happened at its stations; a station shows nothing of the centre.
    of_stations = told(text.partition("## What the centre adds")[0])
    for page, wanted in (("central", described), ("agent", of_stations)):
        shown = table(page)
        missing = {name for name in wanted | {"cylinder", "adjustment"} if f"event_{name}" not in shown}
        assert (page, missing) == (page, set())
        chinese = re.compile("[\u4e00-\u9fff]")
        texts = [shown[f"event_{name}"] for name in wanted]
        assert [one for one in texts if not chinese.search(one["zh"]) or chinese.search(one["en"])] == []


def test_every_verdict_kind_and_cause_is_described() -> None:
    described = names("docs/records.md")
    verdicts = assigned(ast.parse(text_of("central/witness.py")), "verdict")
    assert {"pending", "fork"} <= verdicts
    assert verdicts - described == set()
    assert {cause.value for cause in Cause} - described == set()
    headings = set(re.findall(r"^## (\w+)$", text_of("docs/records.md"), re.MULTILINE))
    assert headings >= KINDS


def test_examples_of_records_are_records() -> None:
    bodies = re.findall(r"^```json\n(.*)\n```$", text_of("docs/records.md"), re.MULTILINE)
    fields = [decode(body.encode()) for body in bodies]
    assert {one["kind"] for one in fields} == KINDS
    assert [body for body, one in zip(bodies, fields, strict=True) if encode(one) != body.encode()] == []
    assert [problem for one in fields if isinstance(problem := shape(one), str)] == []


def hj212_page() -> ModuleType:
    """The program that writes the generated parts of docs/hj212.md."""
    spec = importlib.util.spec_from_file_location("docs_hj212", ROOT / "tools" / "docs_hj212.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_of_every_edition_is_described_with_what_both_ends_do() -> None:
    known = {key for edition in Edition for key in commands(edition)}
    with (ROOT / "tools" / "hj212_coverage.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["cn"], row["direction"]) for row in rows} == known
    assert len(rows) == len(known) > 70
    # What a station never does needs no words of a platform, and the other way round, but every cell has some.
    assert [row for row in rows if row["direction"] == "to_station" and not (row["station"] and row["platform"])] == []
    described = re.findall(r"^\| `(\d{4})` \| (\w+) \|", text_of("docs/hj212.md"), re.MULTILINE)
    senders = {"to_station": "platform", "to_platform": "station"}
    assert sorted(described) == sorted((cn, senders[direction]) for cn, direction in known)


def test_the_generated_parts_of_the_hj_212_page_are_those_of_the_tables() -> None:
    page = hj212_page()
    text = text_of("docs/hj212.md")
    assert set(page.MARK.findall(text)) == set(page.PARTS)
    assert page.written(text) == text, "run tools/docs"
    # The comparison itself must see a change.
    assert page.written(text.replace("Set the real-time interval", "Set it")) == text


def anchors(document: Path) -> set[str]:
    """Fragments a document's headings answer to."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    prose = CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for link in (link for link in LINK.findall(prose) if not re.match(r"https?:", link)):
        target, _, anchor = link.partition("#")
        document = path.parent / target if target else path
        if not document.exists() or (anchor and anchor not in anchors(document)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_no_place_of_anybody(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text(encoding="utf-8")) == []


def test_both_readmes_have_one_structure() -> None:
    english, chinese = (text_of(name) for name in LANGUAGES)
    levels = [
        [len(m) for m in re.findall(r"^(#+) ", CODE_BLOCK.sub("", text), re.MULTILINE)] for text in (english, chinese)
    ]
    assert levels[0] == levels[1]
    assert len(levels[0]) > 6
    blocks = [CODE_BLOCK.findall(text) for text in (english, chinese)]
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) >= 3
    commands = [re.findall(r"`(tools/[^`]+)`", text) for text in (english, chinese)]
    assert commands[0] == commands[1]


@pytest.mark.parametrize("readme", LANGUAGES)
def test_commands_of_a_readme_exist_and_are_executable(readme: str) -> None:
    text = text_of(readme)
    named = set(re.findall(r"(tools/[a-z_]+)\b(?!/)", text)) - {"tools/"}
    assert {"tools/demo", "tools/check"} <= named
    assert [name for name in named if not os.access(ROOT / name, os.X_OK)] == []


@pytest.mark.parametrize("readme", LANGUAGES)
def test_folders_of_a_readme_exist(readme: str) -> None:
    rows = re.findall(r"^\| (`[^|]*/`) \|", text_of(readme), re.MULTILINE)
    folders = [folder for row in rows for folder in re.findall(r"`([a-z_]+)/`", row)]
    assert len(folders) > 10
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
