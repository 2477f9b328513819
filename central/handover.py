"""What new hardware of a station needs of the centre: where the log ended, what is in force, and who says so.

The file is JSON: `document`, and `note`, a signed note over station, last epoch and the document's hash. The new
machine goes on with the next epoch, so nothing of the old log is claimed again.
"""

import argparse
import base64
import getpass
import hashlib
import sys
import time
from pathlib import Path
from typing import Any, Final

import apsw

from central import keys, witness
from central.config import Config
from central.coverage import read_coverage
from central.history import StoreSource
from central.queries import open_reader
from central.reports import signer_of
from central.store import Store
from host.hjson import load
from host.problems import ConfigErrors
from host.reports.make import now
from host.secrets import SecretError
from metrology.periods import iso
from protocols.record import decode, encode
from protocols.tlog import NoteError, Verifier, checkpoint_text

HEADER: Final = "plumeline/handover/v1"
RECORDS_MAX: Final = 2_000
# Days, minutes, hours.
PERIODS: Final = ("2031", "2051", "2061")


def handover(line: argparse.Namespace) -> int:
    """Write the file; 1 where the centre holds nothing of the station, 2 for a wrong request."""
    who = line.who or getpass.getuser()
    try:
        config = load(line.config, Config, line.lang)
        station = config.stations[line.station]
        signer = signer_of(config, line.key)
        if line.vkey:
            Verifier.from_vkey(line.vkey)
        if signer is None:
            raise ValueError("--key FILE, or report_key in the configuration: a handover is signed")
        db = open_reader(config.store)
    except KeyError:
        print(f"{line.station}: one of {', '.join(sorted(config.stations))}", file=sys.stderr)
        return 2
    except (ConfigErrors, SecretError, NoteError, ValueError, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    document = _document(db, line.station, station.vkey, [outlet.mn for outlet in station.outlets.values()])
    if document is None:
        print(f"{line.station}: nothing of it was ever received", file=sys.stderr)
        return 1
    document |= {"vkey": line.vkey, "who": who, "reason": line.reason}
    digest = hashlib.sha256(encode(document)).hexdigest()
    note = signer.sign(f"{HEADER}\n{line.station}\n{document['epoch']}\n{digest}\n")
    try:
        # Before the key counts: a new machine needs both, and the file alone lets nobody in.
        Path(line.out).write_bytes(encode({"note": note, "document": document}))
    except OSError as error:
        print(f"--out {line.out}: {error.strerror}", file=sys.stderr)
        return 2
    if line.vkey:
        _accept(config, line.station, document["epoch"] + 1, line.vkey, (who, line.reason, "handover"))
    print(signer.vkey)
    return 0


def _document(db: apsw.Connection, station_id: str, enrolled: str, outlets: list[str]) -> dict[str, Any] | None:
    source = StoreSource(db, station_id)
    epochs = source.epochs()
    if not epochs:
        return None
    last = epochs[-1]
    ends: Any = db.execute("SELECT max(seq) FROM record WHERE station_id = ? AND epoch = ?", (station_id, last)).get
    found = source.newest("config", (), "9999")
    return {
        "v": 1, "station": station_id, "made": iso(now()), "epoch": last, "last_seq": ends,
        "last_t": source.numbered(last, ends - 1, _KINDS, 1)[0]["t"],
        "former": keys.in_force(db, station_id, enrolled, last, ends + 1),
        "checkpoint": _checkpoint(db, station_id, last),
        "coverage": {str(epoch): read_coverage(db, station_id, epoch).spans for epoch in epochs},
        "config": found.get("document") if found else None,
        "records": _in_force(db, station_id),
        "hj212": _delivered(db, outlets),
    }  # fmt: skip


def _delivered(db: apsw.Connection, outlets: list[str]) -> dict[str, dict[str, str]]:
    """By MN and command the newest period (its time on the wire) that came here by HJ 212 and was answered."""
    found: dict[str, dict[str, str]] = {}
    for mn in outlets:
        rows: Any = db.execute(
            f"SELECT cn, max(data_time) FROM hj212_frame WHERE mn = ? AND acknowledged = 1 AND problem = ''"
            f" AND cn IN ({', '.join('?' * len(PERIODS))}) GROUP BY cn ORDER BY cn",
            (mn, *PERIODS),
        )
        if newest := dict(rows.fetchall()):
            found[mn] = newest
    return found


_KINDS: Final = frozenset({"scan", "average", "calibration", "event", "config", "checkpoint", "gap"})


def _checkpoint(db: apsw.Connection, station_id: str, epoch: int) -> dict[str, Any] | None:
    """The largest tree the centre believes, and its own signature on it."""
    row: Any = db.execute(
        "SELECT checkpoint.size, root, line FROM checkpoint LEFT JOIN cosignature USING (station_id, epoch, size)"
        " WHERE station_id = ? AND epoch = ? AND verdict = 'consistent' ORDER BY checkpoint.size DESC LIMIT 1",
        (station_id, epoch),
    ).fetchone()
    if row is None:
        return None
    size, root, line = row
    text = checkpoint_text(f"plumeline/{station_id}/{epoch}", size, base64.b64decode(root))
    return {"size": size, "root": root, "text": text, "cosignature": line}


def _in_force(db: apsw.Connection, station_id: str) -> list[dict[str, Any]]:
    """Newest coefficients of each series or chip, newest word on each cylinder, open adjustments; in their order."""
    rows: Any = db.execute(
        "SELECT body FROM record WHERE station_id = ? AND kind = 'calibration' ORDER BY epoch, seq", (station_id,)
    )
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for (body,) in rows:
        fields = decode(body)
        what = fields.get("what")
        if what == "coefficients":
            names = ("what", "chip", "series", "measurand")
        elif what == "cylinder":
            names = ("what", "number", "fill", "act")
        else:
            continue
        key = tuple(str(fields.get(name, "")) for name in names)
        newest.pop(key, None)
        newest[key] = fields
    return list(newest.values())[-RECORDS_MAX:]


def accept(line: argparse.Namespace) -> int:
    """Take over the key a station says it has; 1 where it says no such thing, 2 for a wrong request."""
    try:
        config = load(line.config, Config, line.lang)
        db = open_reader(config.store)
    except (ConfigErrors, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    epoch: Any = db.execute(
        "SELECT max(epoch) FROM station_key WHERE station_id = ? AND vkey = ? AND how = 'claimed'",
        (line.station, line.vkey),
    ).get
    db.close()
    if epoch is None or line.station not in config.stations:
        print(f"{line.station} does not say that {line.vkey} is its key", file=sys.stderr)
        return 1
    _accept(config, line.station, epoch, line.vkey, (line.who or getpass.getuser(), line.reason, "confirmed"))
    return 0


def _accept(config: Config, station_id: str, epoch: int, vkey: str, by: tuple[str, str, str]) -> None:
    store = Store(config.store, config.stations, time.time)
    try:
        who, reason, how = by
        keys.accept(store.db, station_id, epoch, vkey, who, reason, time.time(), how)
        with store.db:
            for number in StoreSource(store.db, station_id).epochs():
                witness.judge(store.db, station_id, number, config.stations[station_id].vkey)
    finally:
        store.close()


def shown(line: argparse.Namespace) -> int:
    """Show the keys of a station over time."""
    try:
        config = load(line.config, Config, line.lang)
        found = keys.history(open_reader(config.store), line.station, config.stations[line.station].vkey)
    except KeyError:
        print(f"{line.station}: one of {', '.join(sorted(config.stations))}", file=sys.stderr)
        return 2
    except (ConfigErrors, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    for one in found:
        epoch, size = one["from"]
        print(f"{epoch}:{size} {one['how']} {one['vkey']} {one['at']} {one['who']} {one['reason']}".rstrip())
    return 0
