"""Rules of the house that hold for all folders."""

import argparse
import ast
import statistics
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import agent.__main__ as agent
import central.__main__ as central
import simulation.__main__ as simulation

FILE_LINES_MAX = 280
FUNCTION_LINES_MAX = 60
MEDIAN_FUNCTION_LINES_MAX = 8


@pytest.fixture
def folders(root: Path) -> list[str]:
    """Our import names."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return list(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_our_names_belong_to_no_other_distribution(folders: list[str]) -> None:
    owners = metadata.packages_distributions()
    assert {name: owners[name] for name in folders if set(owners.get(name, [])) - {"plumeline"}} == {}


def test_every_folder_is_typed_and_says_what_it_is(root: Path, folders: list[str]) -> None:
    for name in folders:
        assert (root / name / "py.typed").is_file(), name
        assert ast.get_docstring(ast.parse((root / name / "__init__.py").read_text(encoding="utf-8"))), name


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Place and length of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_files_and_functions_stay_short(root: Path, folders: list[str]) -> None:
    files = [path for name in [*folders, "tools"] for path in (root / name).rglob("*.py")]
    lengths = {str(path): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}
    tests = (root / "tests").rglob("*.py")
    found = {place: lines for path in [*files, *tests] for place, lines in functions(path)}
    assert {place: lines for place, lines in found.items() if lines > FUNCTION_LINES_MAX} == {}
    assert statistics.median(lines for path in files for _, lines in functions(path)) <= MEDIAN_FUNCTION_LINES_MAX


def commands(tree: argparse.ArgumentParser, before: str) -> list[str]:
    """All commands of a parser, with their groups."""
    groups = [action for action in tree._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return [before]
    return [
        one for group in groups for name, inner in group.choices.items() for one in commands(inner, f"{before} {name}")
    ]


@pytest.mark.parametrize(
    ("tree", "least"),
    [(agent.PROGRAM.parser("en"), 10), (central.PROGRAM.parser("en"), 4), (simulation._parser(), 3)],
    ids=["plumeline", "plumeline-central", "plumeline-sim"],
)
def test_every_command_is_documented(root: Path, tree: argparse.ArgumentParser, least: int) -> None:
    documents = [root / "README.md", *(root / "docs").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    found = commands(tree, tree.prog)
    assert len(found) >= least
    assert [command for command in found if f"{command} " not in text.replace("`", " ")] == []


def test_there_is_a_changelog(root: Path) -> None:
    version = metadata.version("plumeline")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {version}" in changelog


def test_the_contracts_between_floors_name_every_folder(root: Path, folders: list[str]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]
    layers = {name.strip() for layer in contract["contracts"][0]["layers"] for name in layer.split("|")}
    assert layers == set(folders) == set(contract["root_packages"])


def test_nothing_names_a_place_outside_the_project(root: Path, folders: list[str]) -> None:
    """Paths of the machine a part was written on have no business in what is shipped."""
    shipped = [path for name in [*folders, "config", "systemd", "docs"] for path in (root / name).rglob("*") if
               path.suffix in {".py", ".toml", ".hjson", ".md", ".service", ".csv", ".html", ".js"}]  # fmt: skip
    home = "/" + "work/"
    assert [str(path) for path in shipped if home in path.read_text(encoding="utf-8")] == []
