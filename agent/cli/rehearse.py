"""Rehearsing a sequence: its steps, how long it takes, the gas it takes and leaves, and what else is due meanwhile."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from agent.cli.gas import shape_of, told
from agent.cli.status import local
from agent.cli.words import say
from agent.config import Config
from agent.gas.agenda import Turn, agenda
from agent.gas.plan import sequence_of
from agent.gas.register import gas_of
from agent.history.opened import history_of
from calibration.sequence import ClosePorts, Collect, Leak, OpenPort, Sequence, Wait, least_s, plan
from calibration.standards.register import WHAT, Register
from host.clock import RealClock
from host.control import RequestError
from host.problems import Lang
from metrology.periods import EPOCH, iso

AHEAD: Final = timedelta(hours=24)


def rehearse(line: argparse.Namespace) -> int:
    """Walk the same plan as a run does; nothing is moved."""
    config = shape_of(line)
    if config is None:
        return 1
    if line.name not in config.sequences:
        known = ", ".join(sorted(config.sequences)) or "-"
        print(say("no-sequence", line.lang, name=line.name, known=known), file=sys.stderr)
        return 1
    now = RealClock().now()
    register = _register(config, now)
    sequence = sequence_of(config, line.name, lambda name: gas_of(register, name, now))
    flow = config.sequences[line.name].flow_L_min
    least, most = _litres(sequence, flow, least=True), _litres(sequence, flow)
    left = {name: _left(register, name) for name in dict.fromkeys(one.cylinder.name for one in sequence.injections)}
    steps = list(_steps(sequence, line.lang))
    clashes = [one for one in _turns(config, line.name, now) if one.behind is not None]
    answer = {
        "seconds": sequence.seconds,
        "least_seconds": sequence.least_s,
        "litres": most,
        "least_litres": least,
        "left_litres": left,
        "clashes": [_fields(one) for one in clashes],
        "steps": [{"at_s": at, "step": text} for at, text in steps],
    }
    rows = [f"{at:8.0f} s  {text}" for at, text in steps]
    rows.append(_total(sequence, least, most, line.lang))
    rows += [_cylinder(name, (most or {}).get(name), litres, line.lang) for name, litres in left.items() if litres]
    rows += [_clash(one, line.lang) for one in clashes]
    return told(line, answer, "\n".join(rows), 0)


def _register(config: Config, now: datetime) -> Register:
    """What is written of the cylinders; nothing where there is neither a daemon nor a log yet."""
    register = Register()
    with suppress(LookupError, RequestError, OSError):
        for fields in history_of(config).told("calibration", EPOCH, now + AHEAD, [WHAT]):
            register.take(fields)
    return register


def _left(register: Register, name: str) -> float | None:
    """Litres above the reserve of the cylinder."""
    found = register.named(name)
    return found.stock.usable_litres if found else None


def _turns(config: Config, name: str, now: datetime) -> Iterator[Turn]:
    """What the coming day brings to a sequence, and what a run begun now brings to others."""
    for turn in agenda(config, now, now + AHEAD, by_hand=name):
        if name in (turn.name, turn.behind):
            yield turn


def _fields(turn: Turn) -> dict[str, Any]:
    begins = iso(turn.begins) if turn.begins else None
    return {"sequence": turn.name, "due": iso(turn.due), "behind": turn.behind, "begins": begins}


def _steps(sequence: Sequence, lang: Lang) -> Iterator[tuple[float, str]]:
    """Seconds since the start, at the most, and what happens then."""
    at = 0.0
    gas_of = {one.port: f"{one.cylinder.name} ({one.cylinder.number})" for one in sequence.injections}
    if sequence.blowback:
        gas_of[sequence.blowback.port] = say("blow-port", lang)
    if sequence.leak and sequence.leak.port:
        gas_of[sequence.leak.port] = say("closed", lang)
    for step in plan(sequence):
        match step:
            case OpenPort(port):
                yield at, say("open", lang, port=port, gas=gas_of.get(port) or say("sample", lang))
            case ClosePorts():
                yield at, say("close", lang)
            case Wait(seconds, phase, settle):
                text = say(phase, lang, seconds=seconds)
                if settle is not None:
                    text += say("until-steady", lang, seconds=least_s(seconds, settle))
                yield at, text
                at += seconds
            case Leak(check):
                yield at, say("leak", lang, seconds=check.seconds, series=check.series)
                at += check.seconds
            case Collect(injection, seconds):
                roles = ", ".join(f"{measurand} {role}" for measurand, role in injection.roles.items())
                yield at, say("collect", lang, seconds=seconds, roles=roles)
                at += seconds


def _litres(sequence: Sequence, flow_L_min: float | None, *, least: bool = False) -> dict[str, float] | None:
    """Gas taken from each cylinder, at the most or at the least; None where the flow is not declared."""
    if flow_L_min is None:
        return None
    taken: dict[str, float] = {}
    for one in sequence.injections:
        flush_s = least_s(one.flush_s, one.settle) if least else one.flush_s
        litres = sequence.loops * (flush_s + one.average_s) / 60 * flow_L_min
        taken[one.cylinder.name] = taken.get(one.cylinder.name, 0.0) + litres
    return taken


def _total(sequence: Sequence, least: dict[str, float] | None, most: dict[str, float] | None, lang: Lang) -> str:
    gas = say("no-flow", lang)
    if most is not None and least is not None:
        gas = ", ".join(
            say("litres-between" if least[name] < taken else "litres", lang, gas=name, least=least[name], litres=taken)
            for name, taken in most.items()
        )
    minutes = say("at-least", lang, minutes=sequence.least_s / 60) if sequence.least_s < sequence.seconds else ""
    return say("total", lang, minutes=sequence.seconds / 60, least=minutes, gas=gas)


def _cylinder(name: str, taken: float | None, litres: float, lang: Lang) -> str:
    after = say("left-after", lang, litres=max(0.0, litres - taken)) if taken is not None else ""
    short = say("left-short", lang) if taken is not None and taken > litres else ""
    return say("left", lang, gas=name, litres=litres) + after + short


def _clash(turn: Turn, lang: Lang) -> str:
    word = "clash-dropped" if turn.begins is None else "clash-waits"
    begins = local(iso(turn.begins)) if turn.begins else ""
    return say(word, lang, name=turn.name, due=local(iso(turn.due)), behind=turn.behind, begins=begins)
