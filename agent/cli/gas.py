"""Commands about gas that need no daemon: rehearsing a sequence, and the safe state after a daemon ended."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

from agent.cli.words import say
from agent.config import Config
from agent.gas.maintenance import held_in
from agent.gas.plan import sequence_of
from agent.gas.valves import lock_path, safe_state
from calibration.sequence import Collect, OpenPort, Sequence, Wait, plan
from host.clock import RealClock
from host.control import RequestError, ask
from host.hjson import load
from host.problems import ConfigErrors, Lang


def _config(line: argparse.Namespace) -> Config | None:
    """The configuration by its shape alone: a missing password must not keep the inlet from sample air."""
    try:
        return load(line.config, Config, line.lang)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return None


def safe(line: argparse.Namespace) -> int:
    """Put every valve block to sample air, unless a daemon runs or a person holds the maintenance lock."""
    config = _config(line)
    if config is None:
        return 1
    if asyncio.run(_answers(config.socket)):
        print(say("running", line.lang), file=sys.stderr)
        return 1
    clock = RealClock()
    if (held := held_in(lock_path(config), clock.now())) is not None:
        return _told(line, {"locked": held.fields()}, say("locked", line.lang, **held.fields()), 0)
    failed = asyncio.run(safe_state(config, clock))
    return _told(line, {"failed": failed}, "\n".join(failed) or say("safe", line.lang), int(bool(failed)))


async def _answers(socket: str) -> bool:
    """Tell whether a daemon answers on its socket."""
    try:
        async for _ in ask(socket, {"do": "status"}):
            return True
    except RequestError:
        pass  # nobody there
    return False


def _told(line: argparse.Namespace, answer: dict[str, Any], text: str, code: int) -> int:
    print(json.dumps(answer, ensure_ascii=False) if line.json else text)
    return code


def rehearse(line: argparse.Namespace) -> int:
    """Walk the same plan as a run does; nothing is moved."""
    config = _config(line)
    if config is None:
        return 1
    if line.name not in config.sequences:
        known = ", ".join(sorted(config.sequences)) or "-"
        print(say("no-sequence", line.lang, name=line.name, known=known), file=sys.stderr)
        return 1
    sequence = sequence_of(config, line.name)
    litres = _litres(sequence, config.sequences[line.name].flow_L_min)
    steps = list(_steps(sequence, line.lang))
    answer = {
        "seconds": sequence.seconds,
        "litres": litres,
        "steps": [{"at_s": at, "step": text} for at, text in steps],
    }
    text = "\n".join([*(f"{at:8.0f} s  {text}" for at, text in steps), _total(sequence, litres, line.lang)])
    return _told(line, answer, text, 0)


def _steps(sequence: Sequence, lang: Lang) -> Iterator[tuple[float, str]]:
    """Seconds since the start and what happens then."""
    at = 0.0
    gas_of = {one.port: f"{one.cylinder.name} ({one.cylinder.number})" for one in sequence.injections}
    if sequence.blowback:
        gas_of[sequence.blowback.port] = say("blow-port", lang)
    for step in plan(sequence):
        match step:
            case OpenPort(port):
                yield at, say("open", lang, port=port, gas=gas_of.get(port) or say("sample", lang))
            case Wait(seconds, phase):
                yield at, say(phase, lang, seconds=seconds)
                at += seconds
            case Collect(injection, seconds):
                roles = ", ".join(f"{measurand} {role}" for measurand, role in injection.roles.items())
                yield at, say("collect", lang, seconds=seconds, roles=roles)
                at += seconds


def _litres(sequence: Sequence, flow_L_min: float | None) -> dict[str, float] | None:
    """Gas taken from each cylinder; None where the flow is not declared."""
    if flow_L_min is None:
        return None
    taken: dict[str, float] = {}
    for one in sequence.injections:
        litres = (one.flush_s + one.average_s) / 60 * flow_L_min
        taken[one.cylinder.name] = taken.get(one.cylinder.name, 0.0) + litres
    return taken


def _total(sequence: Sequence, litres: dict[str, float] | None, lang: Lang) -> str:
    gas = say("no-flow", lang)
    if litres is not None:
        gas = ", ".join(say("litres", lang, gas=name, litres=taken) for name, taken in litres.items())
    return say("total", lang, minutes=sequence.seconds / 60, gas=gas)
