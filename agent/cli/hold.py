"""`plumeline hold`: spans of time of which nothing is deleted, set and lifted by named persons."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.cli.status import local
from agent.cli.trace import instant
from agent.cli.words import say
from agent.config import Config
from agent.history.opened import history_of
from agent.space.holds import LIFTED, SET, in_force
from host.control import RequestError, ask_now
from host.hjson import load
from host.problems import ConfigErrors, Lang
from host.table import table
from metrology.periods import iso, parse_iso

BEGINNING = parse_iso("1970-01-01T00:00:00Z")


def put(line: argparse.Namespace) -> int:
    """Set one; the running station makes the record."""
    try:
        span = {"from": iso(instant(line.since)), "to": iso(instant(line.until))}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return _asked(line, {"do": "hold-set", **span, "who": line.who, "reason": line.reason})


def lift(line: argparse.Namespace) -> int:
    """Lift one."""
    return _asked(line, {"do": "hold-lift", "hold": line.hold, "who": line.who, "reason": line.reason})


def show(line: argparse.Namespace) -> int:
    """Those in force, of a running station or a stopped one."""
    try:
        history = history_of(load(line.config, Config, line.lang))
        told = history.told(
            "event", BEGINNING, datetime.max.replace(tzinfo=BEGINNING.tzinfo) - timedelta(days=1), (SET, LIFTED)
        )
        holds = [hold.fields() for hold in in_force(told)]
    except (ConfigErrors, RequestError, LookupError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"holds": holds}, ensure_ascii=False) if line.json else _table(holds, line.lang))
    return 0


def _asked(line: argparse.Namespace, request: Mapping[str, Any]) -> int:
    """Ask the running station; 1 where it refuses or is not there, 2 where the file cannot be read."""
    try:
        config = load(line.config, Config, line.lang)
        hold = next(ask_now(config.socket, request))["hold"]
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except RequestError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(hold, ensure_ascii=False) if line.json else _table([hold], line.lang))
    return 0


def _table(holds: Iterable[Mapping[str, str]], lang: Lang) -> str:
    rows = [
        (one["id"], local(one["since"]), local(one["until"]), one["who"], one["reason"], local(one["made"]))
        for one in holds
    ]
    if not rows:
        return say("hold.none", lang)
    return table([say(f"hold.head.{word}", lang) for word in ("id", "from", "to", "who", "reason", "made")], rows)
