"""`plumeline archive`: second copies of closed days on a removable medium, verified there by root hash."""

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import Any

import apsw

from agent.cli.words import say
from agent.config import Config
from agent.space.archive import ABOUT, copied, fields, listed, medium_of, verified
from agent.space.proof import Root, UnprovenError
from host.control import RequestError, ask_now
from host.hjson import load
from host.problems import ConfigErrors, Lang
from host.table import table


def copy(line: argparse.Namespace) -> int:
    """Copy what the medium lacks, verify it, have it recorded; 1 where one is refused, 2 where nothing can be done."""
    try:
        config = load(line.config, Config, line.lang)
        folder = Path(line.dest)
        medium = medium_of(folder)
        answer = _ask(config, "archive-days")
    except (ConfigErrors, RequestError, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 2
    who, counts = line.who or getpass.getuser(), {"copied": 0, "there": 0, "waiting": 0, "refused": 0}
    for day in answer["days"]:
        told = "there" if medium in day["media"] else _one(config, folder, day, answer, who, line.lang)
        counts[told] += 1
    if line.json:
        print(json.dumps({"medium": medium, **counts}))
    else:
        print(say("archive.sum", line.lang, medium=medium, **counts))
    return int(counts["refused"] > 0)


def _ask(config: Config, do: str, **members: Any) -> dict[str, Any]:
    return next(ask_now(config.socket, {"do": do, **members}))


def _one(config: Config, folder: Path, day: dict[str, Any], station: dict[str, Any], who: str, lang: Lang) -> str:
    """Copy one day; what became of it."""
    path = Path(day["path"])
    try:
        told = _ask(config, "archive-root", file=path.name)["root"]
        if told is None:
            print(say("archive.waiting", lang, file=path.name), file=sys.stderr)
            return "waiting"
        one = copied(path, folder, station["station"], Root.of(told), station["vkeys"])
        members = {"size": one.proven.size, "root": one.proven.root, "sha256": one.sha256, "medium": one.medium}
        _ask(config, "archived", file=path.name, who=who, **members)
    except (UnprovenError, RequestError, OSError, apsw.Error) as error:
        print(say("archive.refused", lang, why=error), file=sys.stderr)
        return "refused"
    return "copied"


def verify(line: argparse.Namespace) -> int:
    """Walk every day on a medium to its signed root; 1 where one does not hold, 2 where there is none."""
    return _each(line, prove=True)


def show(line: argparse.Namespace) -> int:
    """What lies on a medium, by what is told beside it."""
    return _each(line, prove=False)


def _each(line: argparse.Namespace, *, prove: bool) -> int:
    folder = Path(line.dest)
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        medium = str(about["medium"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(say("archive.none", line.lang, folder=folder, why=error), file=sys.stderr)
        return 2
    found: list[dict[str, Any]] = []
    for path in listed(folder):
        try:
            row = fields(verified(path, medium, line.vkey)) if prove else _told(path)
        except UnprovenError as error:
            row = {"file": path.name, "wrong": str(error)}
        except (OSError, ValueError, KeyError) as error:
            row = {"file": path.name, "wrong": f"{type(error).__name__}: {error}"}
        found.append({"station": path.parent.name, **row})
    wrong = sum("wrong" in row for row in found)
    if line.json:
        print(json.dumps({"medium": medium, "files": found, "wrong": wrong}, ensure_ascii=False))
    else:
        _print(found, medium, wrong, line.lang, prove=prove)
    return int(wrong > 0)


def _told(path: Path) -> dict[str, Any]:
    note = json.loads(path.with_name(path.name + ".json").read_bytes())
    checkpoint = note["checkpoint"]
    return {"file": path.name, "sha256": note["sha256"], "size": checkpoint["size"], "root": checkpoint["root"]}


def _print(found: list[dict[str, Any]], medium: str, wrong: int, lang: Lang, *, prove: bool) -> None:
    rows = [(row["station"], row["file"], str(row.get("size", "-")), row.get("wrong") or row["root"]) for row in found]
    if rows:
        head = [say(f"archive.head.{word}", lang) for word in ("station", "file", "size", "root")]
        print(table(head, rows, (2,)))
    name = "archive.listed" if not prove else "archive.wrong" if wrong else "archive.well"
    print(say(name, lang, medium=medium, count=len(found), wrong=wrong))
