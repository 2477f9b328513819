"""The generated parts of docs/hj212.md: commands and what is done with them, leniencies, diagrams of the dialogues."""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocols.hj212.commands import Command, Direction, commands
from protocols.hj212.profile import REASONS, Edition, Leniency
from protocols.hj212.tables import lists
from protocols.hj212.tables.rows import EVIDENCE
from protocols.hj212.transitions import mermaid

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hj212.md"
COVERAGE = Path(__file__).with_name("hj212_coverage.csv")
MARK = re.compile(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end of generated -->", re.DOTALL)
GROUPS = {
    "init": "Set-up",
    "parameter": "Parameters",
    "data": "Data",
    "control": "Control",
    "interaction": "Answers and heartbeat",
}
SENDERS = {"to_platform": "station", "to_station": "platform"}
# How an edition is known, in a word.
WORDS = {"std2017": "text", "code2025": "code", "code2005": "code", "recall": "memory", "own": "ours"}
DIALOGUES = {"notice": "`9013`", "upload": "`9014`", "data": "none: inside a request", "answer": "none"}


def rows_of(key: tuple[str, Direction]) -> list[Command]:
    """A command in every edition that has it."""
    return [table[key] for edition in Edition if key in (table := commands(edition))]


def command_tables() -> str:
    """A table for each group: every command in each direction."""
    with COVERAGE.open(encoding="utf-8") as file:
        done = {(row["cn"], row["direction"]): row for row in csv.DictReader(file)}
    keys = sorted({key for edition in Edition for key in commands(edition)}, key=lambda key: (key[0], SENDERS[key[1]]))
    parts = []
    for group, title in GROUPS.items():
        lines = [
            _line(rows_of(key), done[key]["station"], done[key]["platform"])
            for key in keys
            if rows_of(key)[0].group == group
        ]
        head = ("CN", "from", "name", "2005", "2017", "2025", "answered by", "our station", "our platform")
        parts.append(f"### {title}\n\n{_table(head, lines)}")
    return "\n\n".join(parts)


def _line(known: list[Command], station: str, platform: str) -> tuple[str, ...]:
    newest = known[-1]
    names = dict.fromkeys(form.name_en for command in known for form in command.forms)
    evidence = {command.edition: _word(command) for command in known}
    marks = [evidence.get(edition, "") for edition in Edition]
    return (f"`{newest.cn}`", SENDERS[newest.direction], "; ".join(names), *marks, _answered(known), station, platform)


def _word(command: Command) -> str:
    """How the edition has it; all layouts beside the first are named with it."""
    return ", ".join(dict.fromkeys(WORDS[form.evidence[command.edition]] for form in command.forms))


def _answered(known: list[Command]) -> str:
    command = known[-1]
    if command.dialogue != "request":
        return DIALOGUES[command.dialogue]
    returns = {one for each in known for form in each.forms for one in form.returns}
    data = {"answer": "data, ", "records": "records, "}
    return "`9011`, " + "".join(text for one, text in data.items() if one in returns) + "`9012`"


def layouts() -> str:
    """Every layout of a data area by edition."""
    found: dict[tuple[str, ...], list[str]] = {}
    for edition in Edition:
        for command in commands(edition).values():
            for form in command.forms:
                area = f"`{form.area}`" if form.area else "empty"
                key = (command.cn, SENDERS[command.direction], " ".join(sorted(form.st)), area, form.notes)
                found.setdefault(key, []).append(str(edition.value))
    head = ("CN", "from", "ST", "editions", "data area", "remark")
    lines = [
        (f"{cn}", sender, st, " ".join(years), area, note) for (cn, sender, st, area, note), years in found.items()
    ]
    return _table(head, sorted(lines))


def evidence() -> str:
    """What the words of the tables mean."""
    means: dict[str, list[str]] = {}
    for name, word in WORDS.items():
        means.setdefault(word, []).append(EVIDENCE[name][0])
    return _table(("word", "means"), [(word, "; or ".join(texts)) for word, texts in means.items()])


def leniency_table() -> str:
    """Every named departure, and why a strict profile refuses it."""
    lines = []
    for name, english, chinese in lists.leniencies():
        reason = REASONS.get(Leniency(name))
        lines.append((f"`{name}`", english, chinese, f"`{reason}`" if reason else "named, never refused"))
    return _table(("name", "what comes", "含义", "without it"), lines)


def error_table() -> str:
    """Every reason of a refused frame."""
    return _table(("reason", "what is wrong", "含义"), [(f"`{name}`", en, zh) for name, en, zh in lists.frame_errors()])


def diagrams() -> str:
    """The state diagram of each dialogue."""
    return "\n\n".join(
        f"### {str(name).capitalize()}\n\n```mermaid\n{diagram}\n```" for name, diagram in mermaid().items()
    )


PARTS = {
    "commands": command_tables,
    "layouts": layouts,
    "evidence": evidence,
    "leniencies": leniency_table,
    "frame-errors": error_table,
    "transitions": diagrams,
}


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    heads = tuple(head)
    return "\n".join(_cells([heads, ["---"] * len(heads), *lines]))


def _cells(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def written(text: str) -> str:
    """A page with its generated parts as they are now. Raises KeyError for a part that nobody makes."""
    return MARK.sub(
        lambda found: f"<!-- generated: {found[1]} -->\n{PARTS[found[1]]()}\n<!-- end of generated -->", text
    )


def main() -> int:
    """Write the page; with --check only compare, 1 where it differs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare only: 1 where the page is not up to date")
    line = arguments.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = written(before)
    if line.check:
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
