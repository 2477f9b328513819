"""`plumeline scan` and `plumeline probe`: what is on a line, and how it answers."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from agent.cli.scan_line import BAUDS, PARITIES
from agent.cli.words import say
from agent.doctor.asker import OtherMasterError
from agent.doctor.orders import telling
from agent.doctor.places import WAYS, Place, Plan, places, setting
from agent.doctor.probe import Probed
from agent.doctor.probe import probe as probed
from agent.doctor.propose import proposed, text
from agent.doctor.scan import Found, Progress, Report
from agent.doctor.scan import scan as scanned
from agent.wires.wire import WireError
from drivers.base import ReadRegisters
from host.control import RequestError, ask
from host.problems import Lang

BAR_COLUMNS: Final = 78


def scan(line: argparse.Namespace) -> int:
    """Print what was found; 1 where nothing was, or a line could not be asked."""
    reports = _reports(line, lent=True)
    if reports is None:
        return 1
    blocks = proposed((report.place, report.found) for report in reports)
    if line.json:
        told = {"places": [report.fields() for report in reports], "proposed": blocks}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        for report in reports:
            _tell(report, line)
        _propose(blocks, reports, line.lang)
    return int(not any(report.found for report in reports) or any(report.error or report.stopped for report in reports))


def probe(line: argparse.Namespace) -> int:
    """Print what is known of every instrument at one place; 1 where there is none, or it could not be asked."""
    reports = _reports(line, lent=False)
    if reports is None:
        return 1
    found = [one for report in reports for one in report.found]
    try:
        told = asyncio.run(_probed(line, found))
    except (WireError, OtherMasterError) as error:
        print(error, file=sys.stderr)
        return 1
    blocks = proposed((report.place, report.found) for report in reports)
    if line.json:
        answer = {"places": [report.fields() for report in reports], "probed": [one.fields() for one in told]}
        print(json.dumps(answer | {"proposed": blocks}, indent=1, ensure_ascii=False))
    else:
        for report in reports:
            _tell(report, line)
        for one in told:
            _describe(one, line.lang)
        _propose(blocks, reports, line.lang)
    return int(not found or any(report.error or report.stopped for report in reports))


def _reports(line: argparse.Namespace, *, lent: bool) -> list[Report] | None:
    """What is at each place; None, and said, where the line names none.

    With `lent` the lines of a running daemon are asked by it.
    """
    try:
        wanted = places(line.places)
    except ValueError as error:
        print(error, file=sys.stderr)
        return None
    if not wanted:
        print(say("no-ports", line.lang), file=sys.stderr)
        return None
    return asyncio.run(_scanned(line, wanted, lent))


async def _scanned(line: argparse.Namespace, wanted: Iterable[Place], lent: bool) -> list[Report]:
    found = []
    for place in wanted:
        report = await _lent(line, place) if lent else None
        found.append(report or await scanned(place, _plan(line), _progress(str(place))))
    return found


async def _lent(line: argparse.Namespace, place: Place) -> Report | None:
    """What the daemon that owns the place found there; None where none does."""
    request = {
        "do": "scan", "place": place.name, "port": place.port, "who": line.who or getpass.getuser(),
        "units": line.units, "ask": line.ask, "timeout_s": line.timeout, "bauds": line.bauds, "parities": line.parities,
    }  # fmt: skip
    show = _progress(str(place))
    owner = None
    try:
        async for answer in ask(line.socket, request):
            if (owner := answer["bus"]) is None:
                return None
            at = replace(place, bus=owner)
            if "progress" in answer:
                show(*answer["progress"])
            elif "report" in answer:
                told = answer["report"]
                return Report(
                    at, [Found.of(one) for one in told["found"]], told["tried"], told["stopped"], told["error"]
                )
            else:
                return Report(at, error=answer.get("refused") or say(f"cut-{answer['cut']}", line.lang))
    except RequestError as error:
        return None if owner is None else Report(replace(place, bus=owner), error=str(error))
    return Report(replace(place, bus=owner), error=say("cut-stop", line.lang))


async def _probed(line: argparse.Namespace, found: list[Found]) -> list[Probed]:
    block = ReadRegisters(*line.block) if line.block else None
    told = []
    for one in found:
        more = await probed(one, _plan(line), line.questions, block, _progress(line.places[0]))
        told += [more] if more else []
    return told


def _plan(line: argparse.Namespace) -> Plan:
    ways = (line.ask,) if line.ask else WAYS
    return Plan(
        line.bauds or BAUDS, line.parities or PARITIES, line.units, line.timeout, line.listen, line.bus_is_ours, ways
    )


def _progress(place: str) -> Progress:
    """One line that is written over, on a terminal; none elsewhere."""

    def show(what: str, done: int, of: int, found: int) -> None:
        share = f" {done + 1}/{of}" if of else ""
        shown = f"{place} {what}{share} [{found}]"[:BAR_COLUMNS]
        print(f"\r{shown:<{BAR_COLUMNS}}\r", end="", file=sys.stderr, flush=True)

    return show if sys.stderr.isatty() else lambda *_: None


def _tell(report: Report, line: argparse.Namespace) -> None:
    place = str(report.place)
    for one in report.found:
        print(_told(place, one, line.lang))
    if report.error:
        print(f"{place}: {report.error}", file=sys.stderr)
        if (
            report.place.bus is None
            and report.place.port is None
            and (station := asyncio.run(_station(line.socket))) is not None
        ):
            print(say("daemon-owns", line.lang, station=station), file=sys.stderr)
    elif report.stopped:
        print(say(f"scan-{report.stopped}", line.lang, place=place, heard=report.heard), file=sys.stderr)
    elif not report.found:
        print(say("nobody-answers", line.lang, place=place, tried=", ".join(filter(None, report.tried)) or "-"))


async def _station(socket: str) -> str | None:
    """The station whose daemon answers on its socket."""
    try:
        async for answer in ask(socket, {"do": "status"}):
            return str(answer["station"]["id"])
    except RequestError:
        pass  # no daemon, so somebody else has the port
    return None


def _told(place: str, found: Found, lang: Lang) -> str:
    known = found.known
    where = " ".join(filter(None, [place, setting(found.wire), found.protocol]))
    unit = "" if found.unit is None else " " + say("at-unit", lang, unit=found.unit)
    name = f"{known.title} ({known.driver})" if known.driver else say("unknown-instrument", lang)
    extra = [
        say("configured", lang, name=found.configured) if found.configured else "",
        say("or-else", lang, names=", ".join(known.also)) if known.also else "",
        ", ".join(f"{key}={value}" for key, value in known.identity.items()),
        ", ".join(f"{key} {'-' if value is None else f'{value:g}'}" for key, value in known.values.items()),
    ]
    return "; ".join([f"{where}{unit}: {name}", *filter(None, extra)])


def _propose(blocks: dict[str, Any], reports: list[Report], lang: Lang) -> None:
    """The blocks to paste, and what only the site can say, as comments between them."""
    found = [one for report in reports for one in report.found if not one.configured]
    if blocks["instruments"]:
        print(f"\n// {say('paste', lang)}")
    for one in found:
        if one.known.needs:
            print("// " + say("needs", lang, driver=one.known.driver, options=", ".join(one.known.needs)))
        elif one.known.also:
            print("// " + say("choose", lang, unit=one.unit, names=", ".join([str(one.known.driver), *one.known.also])))
    if blocks["instruments"]:
        print(text(blocks), end="")


def _describe(probed: Probed, lang: Lang) -> None:
    """Response times, errors and registers of one instrument."""
    print("\n" + say("probed", lang, unit=probed.found.unit if probed.found.unit is not None else "-",
                     asked=probed.tally.asked, **probed.errors()))  # fmt: skip
    most = max(probed.histogram().values(), default=0) or 1
    for label, count in probed.histogram().items():
        if count:
            print(f"  {label:>9} {count:6d} {'#' * max(1, 40 * count // most)}")
    for row in probed.rows:
        values = "  ".join(
            f"{order} {value:13.6g}{' ' if good else '!'}" for order, (value, good) in row.values.items()
        )
        print(f"  {row.address:5d}  {values}  {row.measurand or ''}")
    if probed.rows:
        counts = ", ".join(f"{order} {count}" for order, count in probed.fields()["plausible"].items())
        print("  " + say("plausible", lang, counts=counts, of=len(telling(probed.rows))))
    for single in probed.singles:
        print(f"  {single.address:5d}  u16 {single.u16:6d}  i16 {single.i16:6d}")
