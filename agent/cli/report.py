"""`plumeline report`: reports of the station's past as files, signed; and whether a file is what was signed.

Exit 0: made, nothing wrong in it; 1: made, and it holds a failed verdict (out of control, does not agree, too little
captured), or it could not be made; 2: the request makes no sense.
"""

import argparse
import getpass
import hashlib
import json
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from agent.cli.words import say
from agent.config import Config
from agent.history.daemon import DaemonSource
from agent.history.opened import history_of
from calibration.reports.document import Kind, Report
from calibration.reports.performance_charts import Recorded, Turn
from host.control import RequestError, ask_now
from host.fuel_files import read_books
from host.history import History
from host.hjson import load
from host.problems import ConfigErrors
from host.reports.files import EXTRA, FORMS, ExtraMissingError, write
from host.reports.make import Asked, make, now
from host.reports.power import electricity
from host.reports.spans import interval
from host.reports.twin import Statement
from host.reports.verify import verify as verified
from host.secrets import SecretError, read_secret
from metrology.fuel.account import Options
from metrology.periods import EPOCH, iso
from protocols.tlog import NoteError, Signer, Verifier, signer_from_seed

CHINA_H: Final = 8.0
# Stands for the station in a report of files alone.
RECORDED: Final = "recorded"


class _Station:
    """Where the records are, and who signs: a configuration's station, or the daemon behind a socket."""

    def __init__(self, line: argparse.Namespace) -> None:
        """Raises ConfigErrors, RequestError, LookupError; without a station files alone can be reported on."""
        self.history: History | None = None
        self.config: Config | None = load(line.config, Config, line.lang) if line.config else None
        self.socket = self.config.socket if self.config else line.socket
        self.who = line.who or getpass.getuser()
        if self.config is not None:
            self.id, self.offset_h = self.config.station.id, self.config.station.day_start_utc_offset_h
            self.history = history_of(self.config)
            return
        try:
            station = next(ask_now(self.socket, {"do": "status"}))["station"]
        except RequestError:
            if "recorded" not in line:
                raise
            self.id, self.offset_h = RECORDED, CHINA_H
            return
        self.id, self.offset_h = station["id"], float(station["day_start_utc_offset_h"])
        self.history = History(DaemonSource(self.socket))

    @property
    def page(self) -> str:
        """Address of the station's page, where it has one."""
        page = self.config.page if self.config else None
        return f"http://{page.host}:{page.port}/" if page else ""

    def sign(self, stated: Statement) -> str | None:
        """By the daemon, which keeps a record of it; by the key's file where none runs; None where neither can."""
        request = {"do": "report-sign", "who": self.who, "kind": stated.kind, "since": stated.since,
                   "until": stated.until, "twin": stated.twin, "page": stated.page}  # fmt: skip
        try:
            return str(next(ask_now(self.socket, request))["note"])
        except RequestError:
            signer = self._signer()
        return signer.sign(stated.text) if signer else None

    def _signer(self) -> Signer | None:
        if self.config is None:
            return None
        try:
            return _signer_of(self.config)
        except (SecretError, NoteError):
            return None


def _signer_of(config: Config) -> Signer:
    """The station's key. Raises SecretError, NoteError."""
    seed = read_secret(config.ledger.key).decode("ascii", "replace")
    return signer_from_seed(seed, f"plumeline/{config.station.id}")


def drift(line: argparse.Namespace) -> int:
    """Checks with gas, standards, cylinders, runs, coverage, uncertainty."""
    return _made(line, "drift")


def calibration(line: argparse.Namespace) -> int:
    """Every run with its gases and coefficients."""
    return _made(line, "calibration")


def capture(line: argparse.Namespace) -> int:
    """Hours by what they were."""
    return _made(line, "capture")


def emission(line: argparse.Namespace) -> int:
    """Amounts with the hours missing and those filled in."""
    return _made(line, "emission", substitution=_scheme(line))


def account(line: argparse.Namespace) -> int:
    """Fuel beside measurement."""
    try:
        books = read_books(line.fuel, line.lang)
        power = electricity(line.electricity, line.meter, line.lang)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    options = Options(idle_kWh=line.idle)
    return _made(line, "account", substitution=_scheme(line), books=books, options=options, electricity=power)


def performance(line: argparse.Namespace) -> int:
    """The performance test on recorded files; a station is only needed to sign."""
    from agent.qa.performance.carry import outcomes
    from agent.qa.performance.check import declaration
    from agent.qa.performance.rows import read
    from agent.qa.performance.windows import windows
    from calibration.qa.performance.limits import judge

    try:
        rules = declaration(line.rules, line.lang)
        tracks, _ = read(line.recorded, rules)
    except (ConfigErrors, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    found = [judge(one, rules.standard, rules.own_limits()) for one in outcomes(tracks, rules)]
    times = [time for track in tracks.values() for time in (*track.times[:1], *track.times[-1:])]
    if not found or not times:
        print(say("report.no-tests", line.lang), file=sys.stderr)
        return 1
    line.since, line.until = (iso(EPOCH + timedelta(seconds=one)) for one in (min(times), max(times) + 1.0))
    line.series, line.instrument = "", None
    files = [(Path(name).name, hashlib.sha256(Path(name).read_bytes()).hexdigest()) for name in line.recorded]
    recorded = [_recorded(name, block.unit, tracks[name], windows(name, tracks[name], rules))
                for name, block in rules.series.items()]  # fmt: skip
    return _made(line, "performance", judged=found, files=files, recorded=recorded)


def _recorded(series: str, unit: str, track: Any, turns: Any) -> Recorded:
    """Readings and gases of a series, for its charts."""
    told = [Turn(one.gas, one.start, one.counts, one.end, one.assigned, one.mean) for one in turns]
    return Recorded(series, unit, track.times, track.values, told)


def _scheme(line: argparse.Namespace) -> Any:
    return None if line.substitute == "none" else line.substitute


def _made(line: argparse.Namespace, kind: Kind, **members: Any) -> int:
    try:
        station = _Station(line)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except (RequestError, LookupError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        since, until = interval(line.since, line.until, station.offset_h)
    except ValueError as error:
        print(say("report.span", line.lang, reason=error), file=sys.stderr)
        return 2
    series = tuple(one for one in (*line.series.split(","), line.instrument or "") if one)
    page = line.page if not line.page or line.page.endswith("/") else f"{line.page}/"
    asked = Asked(kind, since, until, line.lang, now(), station.who, series, page or station.page, **members)
    outs = [Path(one) for one in line.out] or [Path(_name(station, asked))]
    if wrong := [one.name for one in outs if one.suffix.lower() not in FORMS]:
        print(say("report.form", line.lang, names=", ".join(wrong), forms=", ".join(FORMS)), file=sys.stderr)
        return 2
    report = make(station.history, station.id, asked, _progress(line))
    _progress_over(line)
    return _written(line, station, report, outs)


def _name(station: _Station, asked: Asked) -> str:
    span = "-".join(iso(one)[:10].replace("-", "") for one in (asked.since, asked.until))
    return f"{station.id}-{asked.kind}-{span}.html"


def _progress(line: argparse.Namespace) -> Any:
    if not sys.stderr.isatty():
        return None
    return lambda part: print(
        f"\r{say('report.progress', line.lang, percent=round(100 * part))}", end="", file=sys.stderr
    )


def _progress_over(line: argparse.Namespace) -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def _written(line: argparse.Namespace, station: _Station, report: Report, outs: list[Path]) -> int:
    for path in outs:
        try:
            signed = write(report, path, station.sign)
        except ExtraMissingError as error:
            print(say("report.extra", line.lang, form=error.form, extra=EXTRA), file=sys.stderr)
            return 1
        except OSError as error:
            print(say("report.file", line.lang, file=path, reason=error.strerror), file=sys.stderr)
            return 1
        print(say("report.signed" if signed else "report.unsigned", line.lang, file=path))
    print(say("report.verdict", line.lang, verdict=report.verdict.text))
    return int(report.verdict.level == "bad")


def verify(line: argparse.Namespace) -> int:
    """Whether a file is the report that was signed; 0 only where a known key signed it."""
    try:
        data = Path(line.file).read_bytes()
        vkeys = [line.vkey] if line.vkey else []
        for vkey in vkeys:
            Verifier.from_vkey(vkey)
        if line.config:
            config = load(line.config, Config, line.lang)
            vkeys.append(_signer_of(config).vkey)
    except (OSError, ConfigErrors, SecretError, NoteError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        found = verified(data, vkeys)
    except ImportError:
        print(say("report.extra", line.lang, form=Path(line.file).suffix, extra=EXTRA), file=sys.stderr)
        return 2
    if line.json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        stated = found.statement
        said = (
            {"station": stated.station, "kind": stated.kind, "since": stated.since, "until": stated.until}
            if stated
            else {}
        )
        print(say(f"report.{found.outcome}-file", line.lang, why=found.why, signers=", ".join(found.signers), **said))
        if found.outcome == "verified":
            print(say(f"report.proves-{found.form}", line.lang))
    return int(found.outcome != "verified")
