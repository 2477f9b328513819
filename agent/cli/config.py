"""`plumeline check` and `plumeline config`: what a configuration says, may say, and means."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from agent.checks.check import check_file
from agent.checks.findings import sentences
from agent.checks.keys import explained, matching, near
from agent.cli.words import say
from agent.config import Config
from host.explain import nearest
from host.hjson import load
from host.problems import ConfigErrors, Problem, shown

# The example of the other program, which lies in the same folder.
CENTRE: Final = "central"


# Errors elsewhere, a secret that only the service may read for one, keep no instrument from being read.
READ_BY: Final = ("buses", "instruments")


def check(line: argparse.Namespace) -> int:
    """Print every problem; 1 where one is an error. With `--dry-run` the instruments are read as well."""
    problems = check_file(line.config, now=datetime.now(UTC), lang=line.lang).problems
    config = _readable(line, problems) if line.dry_run else None
    if config is not None and line.json:
        return _read(line, config, problems)
    if line.json:
        print(json.dumps([dataclasses.asdict(problem) for problem in problems], indent=1, ensure_ascii=False))
    else:
        for problem in problems:
            print(problem)
    if config is not None:
        return _read(line, config, problems)
    return int(any(problem.severity == "error" for problem in problems))


def _read(line: argparse.Namespace, config: Config, problems: Sequence[Problem]) -> int:
    from agent.cli.dry_run import dry_run  # wires and protocols: only who reads instruments waits for them

    return dry_run(line, config, problems)


def _readable(line: argparse.Namespace, problems: Sequence[Problem]) -> Config | None:
    """The configuration where its shape and its instruments are right."""
    if any(one.severity == "error" and one.key.split(".")[0] in READ_BY for one in problems):
        return None
    try:
        return load(line.config, Config, line.lang)
    except ConfigErrors:
        return None  # told with the other problems


def schema(line: argparse.Namespace) -> int:
    """Print the JSON Schema."""
    from agent.checks.schema import schema as schema_of  # every driver is loaded for it

    print(json.dumps(schema_of(line.lang), indent=1, ensure_ascii=False))
    return 0


def example(line: argparse.Namespace) -> int:
    """Print an example station or the block of a driver, or the names of all."""
    stations = {path.stem: path for path in _examples() if path.stem != CENTRE}
    if line.example is None:
        print("\n".join(sorted(stations)))
        return 0
    if line.example in stations:
        print(stations[line.example].read_text(encoding="utf-8"), end="")
        return 0
    from agent.checks.example import block  # drivers: only who asks for one waits for them
    from drivers.registry import driver_names, entry
    from drivers.tables import is_own

    drivers = driver_names()
    if is_own(line.example) and not _is_map(line):
        return 1
    if is_own(line.example) or line.example in drivers:
        print(block(entry(line.example).info, line.lang), end="")
        return 0
    return _unknown(line, line.example, [*sorted(stations), *drivers])


def _is_map(line: argparse.Namespace) -> bool:
    """Tell whether a map of the station's own is one, and what is wrong with it."""
    from drivers.register_table import RegisterMap

    try:
        load(line.example, RegisterMap, line.lang)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return False
    return True


def _unknown(line: argparse.Namespace, name: str, known: Sequence[str]) -> int:
    """Say that there is no such thing, what is nearest, and all there are."""
    like = nearest(name, known)
    hint = sentences().word("did-you-mean", line.lang) or ""
    said = hint.format(near=like) if like else ""
    print(say("unknown-example", line.lang, name=name, hint=said, known=", ".join(known) or "-"), file=sys.stderr)
    return 2


def _examples() -> Iterator[Path]:
    """Examples beside the sources, else where the wheel's shared data went."""
    beside = Path(__file__).resolve().parents[2] / "config"
    if beside.is_dir():
        yield from beside.glob("*.hjson")
        return
    for file in metadata.files("plumeline") or []:
        if file.match("share/plumeline/config/*.hjson"):
            yield Path(str(file.locate()))


def explain(line: argparse.Namespace) -> int:
    """Print what is known of a key and of those below it, else of the keys that hold the text."""
    every = explained(line.lang)
    rows = matching(every, line.key)
    if line.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1, ensure_ascii=False))
    for row in () if line.json else rows:
        default = "" if row.required else f" [{shown(row.default)}]"
        print(f"{row.key}: {row.kind}{default}\n    {row.meaning}")
    if not rows:
        like = near(every, line.key)
        hint = (sentences().word("did-you-mean", line.lang) or "").format(near=like) if like else ""
        print(say("unknown-key", line.lang, name=line.key, hint=hint), file=sys.stderr)
    return 0 if rows else 1
