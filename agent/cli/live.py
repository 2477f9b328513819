"""Commands that speak with a running daemon over its socket."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

from agent.cli.status import Answer, Reader
from host.control import RequestError, ask
from metrology.periods import iso, parse_iso

Show = Callable[[Answer], str]
# Cursor home, then clear (ECMA-48, CUP and ED).
CLEAR: Final = "\x1b[H\x1b[2J"


def _run(asking: Coroutine[Any, Any, None]) -> int:
    """Carry out a dialogue; 1 where the daemon is absent or refuses."""
    try:
        asyncio.run(asking)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _ask(line: argparse.Namespace, request: Answer, show: Show) -> None:
    """Send a request and print each answer."""
    async for answer in ask(line.socket, request):
        print(json.dumps(answer, ensure_ascii=False) if line.json else show(answer), flush=True)


def _who(line: argparse.Namespace) -> str:
    return str(line.who or getpass.getuser())


def status(line: argparse.Namespace) -> int:
    """Print the daemon's state once."""
    return _run(_ask(line, {"do": "status"}, Reader(line.lang).status))


def watch(line: argparse.Namespace) -> int:
    """Print latest values again and again: in place on a terminal, else one table after the other."""
    reader, clear = Reader(line.lang), CLEAR if sys.stdout.isatty() else ""
    return _run(_ask(line, {"do": "watch"}, lambda answer: f"{clear}{reader.values(answer)}\n"))


def calibrate_start(line: argparse.Namespace) -> int:
    """Start a sequence."""
    return _run(_ask(line, {"do": "calibrate-start", "name": line.name, "who": _who(line)}, Reader(line.lang).started))


def calibrate_abort(line: argparse.Namespace) -> int:
    """Abort the running sequence."""
    return _run(_ask(line, {"do": "calibrate-abort", "who": _who(line)}, Reader(line.lang).aborted))


def maintenance_on(line: argparse.Namespace) -> int:
    """Take the maintenance lock until so many hours from now."""

    async def take() -> None:
        # The end is a time of the daemon's world, whose clock need not be ours.
        async for now in ask(line.socket, {"do": "status"}):
            until = iso(parse_iso(now["now"]) + timedelta(hours=line.hours))
            request = {"do": "maintenance", "on": True, "who": _who(line), "reason": line.reason, "until": until}
            await _ask(line, request, Reader(line.lang).lock)

    return _run(take())


def maintenance_off(line: argparse.Namespace) -> int:
    """Release the maintenance lock."""
    return _run(_ask(line, {"do": "maintenance", "on": False, "who": _who(line)}, Reader(line.lang).lock))


def clock_confirm(line: argparse.Namespace) -> int:
    """Say that the clock is right."""
    request = {"do": "clock-confirm", "who": _who(line), "reason": line.reason}
    return _run(_ask(line, request, Reader(line.lang).clock))
