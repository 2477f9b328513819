"""`plumeline-central report`: the reports of a station, made from the centre's store."""

import argparse
import getpass
import sys
from pathlib import Path
from typing import Final

import apsw

from central.config import Config
from central.history import StoreSource
from central.queries import open_reader
from host.fuel_files import read_books
from host.history import History
from host.hjson import load
from host.problems import ConfigErrors
from host.reports.files import EXTRA, FORMS, ExtraMissingError, write
from host.reports.make import Asked, make, now
from host.reports.power import electricity
from host.reports.spans import instant
from host.reports.twin import Statement
from host.secrets import SecretError, read_secret
from metrology.fuel.account import Options
from metrology.periods import iso
from metrology.stack.substitution import Scheme
from protocols.tlog import NoteError, Signer, signer_from_seed

KEY_NAME: Final = "plumeline/centre"
# Days of the stations begin at 00:00 UTC+8, as everywhere where a configuration does not say otherwise.
OFFSET_H: Final = 8.0
PRIVATE: Final = 0o077


def report(line: argparse.Namespace) -> int:
    """Write a report of one station; 1 where it holds a failed verdict or cannot be made, 2 for a wrong request."""
    try:
        config = load(line.config, Config, line.lang)
        books = read_books(line.fuel, line.lang) if line.fuel else None
        power = electricity(line.electricity, line.meter, line.lang)
        signer = signer_of(config, line.key)
        since, until = instant(line.since, OFFSET_H), instant(line.until, OFFSET_H, end=True)
    except (ConfigErrors, SecretError, OSError, NoteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    out = Path(line.out or f"{line.station}-{line.kind}.html")
    wrong = (
        (line.station not in config.stations, f"--station {line.station}: one of {', '.join(sorted(config.stations))}"),
        (line.kind == "account" and books is None, "account: --fuel FILE is needed"),
        (since >= until, f"--from {line.since} --to {line.until}: ends before it begins"),
        (out.suffix.lower() not in FORMS, f"--out {out}: one of {', '.join(FORMS)}"),
    )
    if said := [text for is_wrong, text in wrong if is_wrong]:
        print("\n".join(said), file=sys.stderr)
        return 2
    fills: Scheme | None = None if line.substitute == "none" else line.substitute
    series = tuple(one for one in line.series.split(",") if one)
    asked = Asked(
        line.kind, since, until, line.lang, now(), line.who or getpass.getuser(), series, _page(line.page), books,
        Options(idle_kWh=line.idle), power, fills if line.kind in ("emission", "account") else None,
    )  # fmt: skip
    return _written(config, line.station, asked, out, signer)


def _page(url: str) -> str:
    return url if not url or url.endswith("/") else f"{url}/"


def signer_of(config: Config, path: str | None) -> Signer | None:
    """The centre's key: of the file that is named, else the one of the configuration; None without either.

    Raises OSError, NoteError, SecretError.
    """
    if path is not None or config.report_key is None:
        return signer_from_file(path)
    return signer_from_seed(read_secret(config.report_key).decode("ascii", "replace"), KEY_NAME)


def signer_from_file(path: str | None) -> Signer | None:
    """The centre's key from a file of its seed, closed to others. Raises OSError, NoteError."""
    if path is None:
        return None
    file = Path(path)
    if file.stat().st_mode & PRIVATE:
        raise NoteError(f"{path}: readable by others")
    return signer_from_seed(file.read_text(encoding="ascii"), KEY_NAME)


def _written(config: Config, station: str, asked: Asked, out: Path, signer: Signer | None) -> int:
    def sign(stated: Statement) -> str | None:
        return signer.sign(stated.text) if signer else None

    try:
        db = open_reader(config.store)
        made = make(History(StoreSource(db, station)), station, asked)
        signed = write(made, out, sign)
    except ExtraMissingError as error:
        print(f"{error.form}: pip install {EXTRA}", file=sys.stderr)
        return 1
    except (apsw.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{out}: {iso(asked.since)} .. {iso(asked.until)}, {'signed' if signed else 'unsigned'}: {made.verdict.text}")
    return int(made.verdict.level == "bad")
