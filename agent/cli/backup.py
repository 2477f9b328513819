"""`plumeline backup`: a copy of a station, running or stopped, verified before it gets its name; `restore --check`."""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from agent.backup.folder import MANIFEST, BackupError, Station, checked, copied, finished
from agent.backup.live import Snapshot, head_of, said
from agent.cli.words import say
from agent.config import Config
from agent.history.opened import own_vkey
from agent.store.held import StoreHeldError, held
from agent.store.segment import Segment, segment_files
from host.clock import RealClock
from host.control import RequestError, ask_now
from host.hjson import load
from host.problems import ConfigErrors
from host.secrets import SecretError, read_secret
from host.sqlite import DatabaseRefusedError
from metrology.periods import iso, parse_iso
from protocols.tlog import NoteError, signer_from_seed

PART: Final = ".part"
UNREADABLE: Final = (OSError, apsw.Error, DatabaseRefusedError, BackupError, StoreHeldError, LookupError)


def backup(line: argparse.Namespace) -> int:
    """Copy, verify, name; 1 where the copy does not hold, 2 where there is nothing to copy or no room for it."""
    try:
        config = load(line.config, Config, line.lang)
        since = None if line.since is None else iso(parse_iso(line.since))
        taken, dest = iso(RealClock().now()), Path(line.dest)
        if dest.resolve().is_relative_to(Path(config.store.path).resolve()):
            raise BackupError(say("backup.inside", line.lang, dest=line.dest, store=config.store.path))
        dest.mkdir(parents=True, exist_ok=True)
        partial = dest / f"plumeline-{config.station.id}-{taken.replace(':', '').replace('.', '-')}{PART}"
        with _station(config, Path(line.config)) as station:
            copied(station, partial, taken, since)
        told = _named(config, partial)
    except (ConfigErrors, RequestError, ValueError, *UNREADABLE) as error:
        print(error, file=sys.stderr)
        return 2
    return _tell(line, told)


def restore(line: argparse.Namespace) -> int:
    """Whether a backup is whole and proves itself; 1 where not."""
    try:
        told = _told(Path(line.folder), line.vkey)
    except UNREADABLE as error:
        print(error, file=sys.stderr)
        return 1
    return _tell(line, told)


def _tell(line: argparse.Namespace, told: dict[str, Any]) -> int:
    if line.json:
        print(json.dumps(told))
    else:
        print(say("backup.well" if not told["findings"] else "backup.wrong", line.lang, **told))
    return int(bool(told["findings"]))


@contextmanager
def _station(config: Config, path: Path) -> Iterator[Station]:
    """What is to be copied, from the daemon, or from the store where none runs, which is held meanwhile."""
    store = Path(config.store.path)
    try:
        answer = next(ask_now(config.socket, {"do": "backup"}))
    except RequestError:
        with held(store):
            yield _stopped(config, store, path)
        shutil.rmtree(store / "backup", ignore_errors=True)
        return
    closed = [Path(one) for one in answer["closed"]]
    told = (answer["station"], store, path, answer["vkeys"], closed, Path(answer["live"]))
    yield Station(*told, answer["epoch"], answer["next_seq"])


def _stopped(config: Config, store: Path, path: Path) -> Station:
    paths = segment_files(store / "segments")
    if not paths:
        raise LookupError(f"{store}: no log of a station here")
    segment = Segment(paths[-1], fold=False)
    try:
        of = head_of(segment, paths[:-1])
        snapshot, after = Snapshot(store / "backup" / of.path.name, of), of.first_seq - 1
        while rows := segment.raw(after, of.next_seq, 500):
            snapshot.take(rows)
            after = rows[-1][0]
        snapshot.end()
    finally:
        segment.close()
    vkey = own_vkey(config)
    live = store / "backup" / of.path.name
    return Station(config.station.id, store, path, [vkey] if vkey else [], paths[:-1], live, of.epoch, of.next_seq)


def _named(config: Config, partial: Path) -> dict[str, Any]:
    digest = hashlib.sha256((partial / MANIFEST).read_bytes()).hexdigest()
    note = _note(config, digest)
    whole = finished(partial, note)
    told = _told(whole, [])
    if told["findings"]:
        # It stays for whoever looks into it, under a name that says what it is.
        whole.replace(partial)
    return {**told, "signed": note is not None}


def _note(config: Config, digest: str) -> str | None:
    try:
        return str(next(ask_now(config.socket, {"do": "backup-sign", "sha256": digest}))["note"])
    except RequestError:
        pass
    try:
        seed = read_secret(config.ledger.key).decode("ascii", "replace")
        return signer_from_seed(seed, f"plumeline/{config.station.id}").sign(said(config.station.id, digest))
    except (SecretError, NoteError):
        return None


def _told(folder: Path, vkeys: list[str]) -> dict[str, Any]:
    manifest, walk, findings = checked(folder, vkeys)
    return {
        "folder": str(folder), "station": manifest["station"], "taken": manifest["taken"], "epoch": manifest["epoch"],
        "next_seq": manifest["next_seq"], "files": len(manifest["files"]), "records": walk.counts["records"],
        "findings": [f"{one.what} {one.epoch}.{one.seq}" for one in findings[:20]],
    }  # fmt: skip
