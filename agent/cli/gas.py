"""The safe state after a daemon ended, and what commands about gas that need no daemon share."""

import argparse
import asyncio
import json
import sys
from typing import Any

from agent.cli.words import say
from agent.config import Config
from agent.gas.maintenance import held_in
from agent.gas.valves import lock_path, safe_state
from host.clock import RealClock
from host.control import RequestError, ask
from host.hjson import load
from host.problems import ConfigErrors


def shape_of(line: argparse.Namespace) -> Config | None:
    """The configuration by its shape alone: a missing password must not keep the inlet from sample air."""
    try:
        return load(line.config, Config, line.lang)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return None


def safe(line: argparse.Namespace) -> int:
    """Put every valve block to sample air, unless a daemon runs or a person holds the maintenance lock."""
    config = shape_of(line)
    if config is None:
        return 1
    if asyncio.run(_answers(config.socket)):
        print(say("running", line.lang), file=sys.stderr)
        return 1
    clock = RealClock()
    if (held := held_in(lock_path(config), clock.now())) is not None:
        return told(line, {"locked": held.fields()}, say("locked", line.lang, **held.fields()), 0)
    failed = asyncio.run(safe_state(config, clock))
    return told(line, {"failed": failed}, "\n".join(failed) or say("safe", line.lang), int(bool(failed)))


async def _answers(socket: str) -> bool:
    """Tell whether a daemon answers on its socket."""
    try:
        async for _ in ask(socket, {"do": "status"}):
            return True
    except RequestError:
        pass  # nobody there
    return False


def told(line: argparse.Namespace, answer: dict[str, Any], text: str, code: int) -> int:
    """Print an answer as text or as JSON; gives the exit code."""
    print(json.dumps(answer, ensure_ascii=False) if line.json else text)
    return code
