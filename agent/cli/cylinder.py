"""`plumeline cylinder`: the standards register, asked of the daemon; read from the station's files while it is down."""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import apsw

from agent.cli.cylinder_csv import CertificateFileError, cylinders_in
from agent.cli.cylinder_told import proposal_text, register_text, whole_text
from agent.cli.firmware import Answer, dialogue
from agent.cli.words import say
from agent.config import Config
from agent.history.opened import history_of
from calibration.standards.register import WHAT, Register
from calibration.standards.summary import summary, whole
from host.clock import RealClock
from host.control import RequestError, ask_now
from host.hjson import load
from host.problems import ConfigErrors
from metrology.periods import EPOCH, iso

AHEAD: Final = timedelta(days=1)


def listed(line: argparse.Namespace) -> int:
    """Every cylinder; 1 where something speaks against one that is in use."""
    if line.station:
        answer = _offline(line)
        if answer is None:
            return 2
        print(json.dumps(answer, ensure_ascii=False) if line.json else register_text(answer, line.lang))
    else:
        answer = dialogue(line, {"do": "cylinders"}, lambda found: register_text(found, line.lang))
    if answer is None:
        return 1
    return int(any(one["cautions"] and one["in_use"] for one in answer["cylinders"]))


def show(line: argparse.Namespace) -> int:
    """One cylinder with its whole past."""
    if line.station:
        answer = _offline(line, line.name, line.fill)
        if answer is None:
            return 2
        print(json.dumps(answer, ensure_ascii=False) if line.json else whole_text(answer["cylinder"], line.lang))
        return 0
    request = {"do": "cylinder", "name": line.name, "fill": line.fill, "lang": line.lang}
    return int(dialogue(line, request, lambda found: whole_text(found["cylinder"], line.lang)) is None)


def _offline(line: argparse.Namespace, name: str | None = None, fill: str | None = None) -> Answer | None:
    """What the daemon would answer, folded here from the station's records; None, and the reason told, without any."""
    now = RealClock().now()
    try:
        history = history_of(load(line.station, Config, line.lang))
        register = Register(history.told("calibration", EPOCH, now + AHEAD, [WHAT]))
    except (ConfigErrors, LookupError, RequestError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return None
    if name is None:
        return {"now": iso(now), "cylinders": [summary(one, now) for one in register.cylinders.values()]}
    found = register.found(name, fill)
    if found is None:
        print(say("no-cylinder", line.lang, name=name), file=sys.stderr)
        return None
    return {"cylinder": whole(found, now)}


def add(line: argparse.Namespace) -> int:
    """A new cylinder, which takes the place of its name."""
    cylinder = {
        "name": line.name, "number": line.number, "fill": line.fill, "supplier": line.supplier, "lot": line.lot,
        "volume_L": line.volume, "filling_pressure_bar": line.filling_pressure, "pressure_bar": line.pressure,
        "pressure_series": line.pressure_series, "certificate": _certificate(line), "roles": _roles(line),
    }  # fmt: skip
    return _act(line, "add", cylinder={name: one for name, one in cylinder.items() if one is not None})


def revalue(line: argparse.Namespace) -> int:
    """A new certificate of a known cylinder."""
    return _act(line, "revalue", name=line.name, fill=line.fill, certificate=_certificate(line) or {})


def imported(line: argparse.Namespace) -> int:
    """Certificates from a CSV file: cylinders that are not known are added, the others revalued; 2 for a wrong file."""
    try:
        found = cylinders_in(Path(line.file))
        known = {(one["number"], one["fill"]) for one in next(ask_now(line.socket, {"do": "cylinders"}))["cylinders"]}
    except (CertificateFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except RequestError as error:
        print(error, file=sys.stderr)
        return 1
    failed = 0
    for one in found:
        if (one["number"], one.get("fill", "A")) in known:
            which = {"name": one["number"], "fill": one.get("fill", "A")}
            failed |= _act(line, "revalue", **which, certificate=one["certificate"])
        else:
            failed |= _act(line, "add", cylinder=one)
            known.add((one["number"], one.get("fill", "A")))
    return failed


def pressure(line: argparse.Namespace) -> int:
    """A person read the gauge."""
    return _act(line, "pressure", name=line.name, fill=line.fill, pressure={"value": line.value, "unit": line.unit})


def install(line: argparse.Namespace) -> int:
    """A known cylinder is connected."""
    return _act(line, "install", name=line.name, fill=line.fill, place=line.place)


def remove(line: argparse.Namespace) -> int:
    """It was taken away."""
    return _act(line, "remove", name=line.name, fill=line.fill)


def retire(line: argparse.Namespace) -> int:
    """It will not be used again."""
    return _act(line, "retire", name=line.name, fill=line.fill)


def roles(line: argparse.Namespace) -> int:
    """What it is used for, by measurand."""
    return _act(line, "roles", name=line.name, fill=line.fill, roles={"roles": _roles(line)})


def assign(line: argparse.Namespace) -> int:
    """What runs say a cylinder is worth; with a certificate's name, who and why it is written."""
    asked = {"runs": line.runs, "series": line.series, "certificate": line.certificate, "expires": line.expires}
    request = {
        "do": "cylinder-assign", "name": line.name, "fill": line.fill, "who": line.who, "reason": line.reason,
        "assignment": asked, "lang": line.lang,
    }  # fmt: skip
    return int(dialogue(line, request, lambda found: proposal_text(found, line.lang)) is None)


def _act(line: argparse.Namespace, act: str, **members: Any) -> int:
    request = {"do": f"cylinder-{act}", "who": line.who, "reason": line.reason, "lang": line.lang, **members}
    return int(dialogue(line, request, lambda found: whole_text(found["cylinder"], line.lang)) is None)


def _roles(line: argparse.Namespace) -> dict[str, str]:
    """`co2=span`, once for each measurand."""
    pairs = [text.partition("=") for text in line.roles]
    return {measurand.strip(): role.strip() for measurand, _, role in pairs}


def _certificate(line: argparse.Namespace) -> Mapping[str, Any] | None:
    """What the line says of a certificate; None where it says nothing of one."""
    told = {"number": line.certificate, "certified": line.certified, "expires": line.expires}
    assigned = dict(_value(text) for text in line.values)
    if not assigned and not any(told.values()):
        return None
    return {name: one for name, one in told.items() if one is not None} | {"assigned": assigned}


def _value(text: str) -> tuple[str, dict[str, Any]]:
    """`co2=400.12,0.03,umol/mol,WMO CO2 X2019`; unit and scale may be left out. Ends the program for nonsense."""
    measurand, _, rest = text.partition("=")
    parts = [one.strip() for one in rest.split(",", 3)]
    try:
        numbers = {"value": float(parts[0]), "uncertainty": float(parts[1])}
    except (ValueError, IndexError):
        print(f"--value {text}: MEASURAND=VALUE,UNCERTAINTY[,UNIT,SCALE]", file=sys.stderr)
        raise SystemExit(2) from None
    return measurand.strip(), numbers | dict(zip(("unit", "scale"), parts[2:], strict=False))
