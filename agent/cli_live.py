"""Commands that speak with a running daemon over its socket."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from agent.control import RequestError, ask
from metrology.periods import iso, parse_iso

Answer = Mapping[str, Any]
Show = Callable[[Answer], str]


def _ask(line: argparse.Namespace, request: Answer, show: Show) -> int:
    """Send a request and print each answer; 1 where the daemon is absent or refuses."""

    async def answers() -> None:
        async for answer in ask(line.socket, request):
            print(json.dumps(answer, ensure_ascii=False) if line.json else show(answer), flush=True)

    try:
        asyncio.run(answers())
    except RequestError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _who(line: argparse.Namespace) -> str:
    return str(line.who or getpass.getuser())


def _values(values: Answer) -> str:
    """A table of latest values: series, value, unit, time, causes."""
    rows = []
    for series, row in values.items():
        value = "-" if row["value"] is None else f"{row['value']:.6g}"
        rows.append(f"{series:<32}{value:>14} {row['unit']:<10}{row['at'][11:19]}  {' '.join(row['causes'])}")
    return "\n".join(rows)


def _state(part: Any) -> str:
    """One line of a part's state."""
    if isinstance(part, Mapping):
        return "  ".join(f"{key}={_state(value)}" for key, value in part.items())
    return json.dumps(part, ensure_ascii=False) if isinstance(part, str | list) else str(part)


def _status(answer: Answer) -> str:
    lines = [f"{answer['station']['id']}  {answer['now']}"]
    for section in ("log", "buses", "instruments", "uplinks", "calibration", "maintenance"):
        part = answer.get(section)
        if section in ("buses", "instruments", "uplinks") and part:
            lines += [f"{section}.{name}: {_state(state)}" for name, state in part.items()]
        elif part:
            lines.append(f"{section}: {_state(part)}")
    return "\n".join([*lines, _values(answer["values"])])


def status(line: argparse.Namespace) -> int:
    """Print the daemon's state once."""
    return _ask(line, {"do": "status"}, _status)


def watch(line: argparse.Namespace) -> int:
    """Print latest values again and again."""
    return _ask(line, {"do": "watch"}, lambda answer: f"{answer['now']}\n{_values(answer['values'])}\n")


def calibrate_start(line: argparse.Namespace) -> int:
    """Start a sequence."""
    return _ask(line, {"do": "calibrate-start", "name": line.name, "who": _who(line)}, _state)


def calibrate_abort(line: argparse.Namespace) -> int:
    """Abort the running sequence."""
    return _ask(line, {"do": "calibrate-abort", "who": _who(line)}, _state)


def maintenance_on(line: argparse.Namespace) -> int:
    """Take the maintenance lock until so many hours from now."""
    request = {"do": "maintenance", "on": True, "who": _who(line), "reason": line.reason}

    async def with_end() -> Answer:
        # The end is a time of the daemon's world, whose clock need not be ours.
        async for answer in ask(line.socket, {"do": "status"}):
            return {**request, "until": iso(parse_iso(answer["now"]) + timedelta(hours=line.hours))}
        raise RequestError(f"{line.socket}: the daemon gave no answer")

    try:
        ended = asyncio.run(with_end())
    except RequestError as error:
        print(error, file=sys.stderr)
        return 1
    return _ask(line, ended, _state)


def maintenance_off(line: argparse.Namespace) -> int:
    """Release the maintenance lock."""
    return _ask(line, {"do": "maintenance", "on": False, "who": _who(line)}, _state)
