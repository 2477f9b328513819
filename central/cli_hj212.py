"""`plumeline-central hj212`: stations that speak HJ 212, what was said, and commands to them, by the running centre."""

import argparse
import asyncio
import getpass
import json
import sys
from datetime import UTC, datetime
from typing import Any

from central.config import Config
from central.control import socket_path
from host.control import RequestError, ask
from host.hjson import load
from host.problems import ConfigErrors
from host.table import table


def stations(line: argparse.Namespace) -> int:
    """Show every outlet: is it connected, when it spoke last, what was refused or forgiven, what is missing."""
    answers = _asked(line, {"do": "hj212-stations"})
    if answers is None:
        return 1
    outlets = answers[-1]["outlets"]
    if line.json:
        print(json.dumps(outlets, ensure_ascii=False))
        return 0
    head = ("MN", "station", "outlet", "edition", "connected", "last", "uploads", "refused", "forgiven", "missing")
    print(table(head, [_row(one) for one in outlets]))
    return 0


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    last = datetime.fromtimestamp(one["last_wall"], UTC).strftime("%Y-%m-%d %H:%M:%SZ") if one["last_wall"] else "-"
    found = [one["mn"], one["station"], one["outlet"], str(one["edition"]), "yes" if one["connected"] else "no", last]
    return (*found, str(one["uploads"]), *(_counts(one[name]) for name in ("refused", "deviations", "missing")))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "-"


def dialogue(line: argparse.Namespace) -> int:
    """Show the last frames of an MN, oldest first, without passwords and keys."""
    answers = _asked(line, {"do": "hj212-dialogue", "mn": line.mn})
    if answers is None:
        return 1
    lines = answers[-1]["lines"]
    if line.json:
        print(json.dumps(lines, ensure_ascii=False))
        return 0
    for one in lines:
        arrow = "->" if one["way"] == "sent" else "<-"
        print(f"{one['at']} {arrow} {one['cn']} {one[f'name_{line.lang}']} {one['note']}".rstrip())
        print(f"    {one['text']}")
    return 0


def send(line: argparse.Namespace) -> int:
    """Send a command to a station and wait for its end; exit 1 where it was not done."""
    request = {"do": "hj212-send", "mn": line.mn, "cn": line.cn, "fields": line.fields, "who": getpass.getuser()}
    answers = _asked(line, request)
    if answers is None:
        return 1
    outcome = answers[-1]
    if line.json:
        print(json.dumps(outcome, ensure_ascii=False))
    else:
        print(*[outcome["outcome"], outcome["code"] or "", outcome.get("error", "")])
        for area in outcome["data"]:
            print(area)
    return 0 if outcome["outcome"] == "done" else 1


def _asked(line: argparse.Namespace, request: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Answers of the running centre; None after the reason was said."""
    try:
        config = load(line.config, Config, line.lang)
        return asyncio.run(_answers(config, request))
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
    except RequestError as error:
        print(error, file=sys.stderr)
    return None


async def _answers(config: Config, request: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [answer async for answer in ask(str(socket_path(config)), request)]
    if not answers:
        raise RequestError("the centre hung up")
    return answers
