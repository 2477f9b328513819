"""The log and who gets it: damage, witnesses, what waits for the disk, uplinks, calibrations that are due."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from agent.config import MqttUplink
from agent.history.daemon import DaemonSource
from agent.inspection.finding import Finding, Subject
from agent.store.opening import QUARANTINE, unsalvaged
from agent.store.segment import segment_files
from agent.store.witness import seen
from host.control import RequestError
from host.history import Fields
from host.sqlite import DatabaseRefusedError, open_database
from metrology.periods import iso, parse_iso

# A minute's records: behind a crash a start reads them again.
LAG_RECORDS: Final = 2_000
DOWN_S: Final = 3600
CALIBRATION_DAYS: Final = 35
# A tower signs each hour, and the centre answers within minutes.
COSIGNED_WITHIN: Final = timedelta(hours=6)


def _segments(subject: Subject) -> Path:
    return Path(subject.config.store.path) / "segments"


def quarantine(subject: Subject) -> Iterator[Finding]:
    """Files that were set aside."""
    folder = _segments(subject)
    for lost in unsalvaged(folder):
        yield Finding("log-unsalvaged", {"file": lost.kept_as, "why": lost.why})
    count = len(list((folder / QUARANTINE).glob("log-*.db")))
    if count:
        yield Finding("log-quarantine", {"count": count, "folder": folder / QUARANTINE}, note=True)


def witness(subject: Subject) -> Iterator[Finding]:
    """What says how far the log was committed must be there, and not say more than the log holds."""
    folder = _segments(subject)
    if not segment_files(folder):
        return
    noted = seen(folder)
    if noted is None:
        yield Finding("witness-files", {"folder": folder})
    elif subject.status is not None:
        log = subject.status["log"]
        if noted > (log["epoch"], log["records"] + subject.config.store.commit_records):
            yield Finding("log-ends-before", {"next": noted.next_seq, "records": log["records"]})


def index(subject: Subject) -> Iterator[Finding]:
    """Of a stopped station: how much of the log its database does not know yet; a start reads that."""
    paths = segment_files(_segments(subject))
    if subject.status is not None or not paths:
        return
    with suppress(apsw.Error, DatabaseRefusedError):
        log = open_database(str(paths[-1]), exclusive=False, read_only=True)
        known = open_database(str(_segments(subject).parent / "station.db"), exclusive=False, read_only=True)
        epoch, end = log.execute("SELECT epoch, next_seq FROM head").fetchone() or (0, 0)
        built = known.execute("SELECT epoch, next_seq FROM built").fetchone() or (0, 0)
        behind = end - built[1] if built[0] == epoch else end
        log.close()
        known.close()
        if behind > LAG_RECORDS:
            yield Finding("index-behind", {"count": behind}, note=True)


def waiting(subject: Subject) -> Iterator[Finding]:
    """More waits than one commit takes: the disk does not keep up."""
    if subject.status is not None:
        count, bound = subject.status["log"]["uncommitted"], subject.config.store.commit_records
        if count > bound:
            yield Finding("log-waits", {"count": count, "bound": bound})


def uplinks(subject: Subject) -> Iterator[Finding]:
    """Lines that are down, and why."""
    for name, one in (subject.status or {}).get("uplinks", {}).items():
        down = one.get("down_wall_s")
        if down is not None and down > DOWN_S:
            values = {"name": name, "hours": round(down / 3600, 1), "why": one.get("last_error") or "-"}
            yield Finding("uplink-down", values)
        if one.get("set_aside"):
            yield Finding("uplink-aside", {"name": name, "count": one["set_aside"]})


def cosigned(subject: Subject) -> Iterator[Finding]:
    """Where a witness is named: what it has not signed could be altered unseen."""
    uplinks = subject.config.uplinks.values()
    if subject.status is None or not any(isinstance(one, MqttUplink) and one.witness for one in uplinks):
        return
    with suppress(RequestError):
        newest, age = _newest(subject, "event", "cosigned")
        if newest is None:
            yield Finding("cosigned-none")
        elif age > COSIGNED_WITHIN:
            values = {"hours": round(age.total_seconds() / 3600, 1), "size": newest["checkpoint"]["size"]}
            yield Finding("cosigned-old", values)


def calibrations(subject: Subject) -> Iterator[Finding]:
    """A station with sequences that made no coefficients for weeks measures by old ones."""
    if subject.status is None or not subject.config.sequences:
        return
    with suppress(RequestError):
        newest, age = _newest(subject, "calibration", "coefficients")
        if newest is None:
            yield Finding("calibration-none")
        elif age > timedelta(days=CALIBRATION_DAYS):
            yield Finding("calibration-old", {"days": age.days, "most": CALIBRATION_DAYS})


def _newest(subject: Subject, kind: str, what: str) -> tuple[Fields | None, timedelta]:
    """The newest record of a kind, and how old it is. Raises RequestError."""
    now = datetime.now(UTC)
    newest = DaemonSource(subject.config.socket).newest(kind, [what], iso(now))
    return newest, now - parse_iso(newest["t"]) if newest else timedelta()
