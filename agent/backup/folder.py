"""A backup as it lies on a disk: whole under its name, or not there.

    DEST/plumeline-STATION-TIME/segments/log-*.db     the log up to one number, closed files and the live one's copy
    DEST/plumeline-STATION-TIME/segments/restored     has a start from here begin an epoch (`agent/store/opening.py`)
    DEST/plumeline-STATION-TIME/config.hjson          the configuration; secrets are references in it, and not here
    DEST/plumeline-STATION-TIME/maintenance.json      whether somebody had locked the station
    DEST/plumeline-STATION-TIME/manifest.json, .note  every file's SHA-256; the station's signature over it

The station database is not in it: a start makes it from the log. Neither are keys, nor the accounts of the page.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from agent.backup.live import HEADER
from agent.gas.valves import LOCK_FILE
from agent.ledger.chain import first_key, rotations_of_files
from agent.ledger.places import rows_of_files
from agent.ledger.walk import Finding, Walk
from agent.store.copying import copy_segment, sha256_of
from agent.store.opening import RESTORED
from agent.store.segment import Segment, sync_folder
from host.sqlite import DatabaseRefusedError
from metrology.periods import iso, parse_iso
from protocols import record
from protocols.tlog import NoteError, Verifier, open_note

MANIFEST: Final = "manifest.json"
NOTE: Final = "manifest.note"
CONFIG: Final = "config.hjson"
VERSION: Final = 1


class BackupError(Exception):
    """A backup that is not what it says."""


@dataclass(frozen=True, slots=True)
class Station:
    """What is backed up: its files of the log, the newest last, as they are to be copied."""

    id: str
    store: Path
    config: Path
    vkeys: Sequence[str]
    closed: Sequence[Path]
    live: Path
    epoch: int
    next_seq: int


def copied(station: Station, partial: Path, taken: str, since: str | None) -> dict[str, Any]:
    """Copy everything, make it durable, and give the manifest. Raises OSError, apsw.Error."""
    segments = partial / "segments"
    segments.mkdir(parents=True)
    wanted = [path for path in station.closed if since is None or _until(path) >= since]
    for path in wanted:
        copy_segment(path, segments / path.name)
    copy_segment(station.live, segments / station.live.name)
    _put(segments / RESTORED, f"a backup taken {taken}\n".encode())
    _put(partial / CONFIG, station.config.read_bytes())
    if (lock := station.store / LOCK_FILE).exists():
        _put(partial / LOCK_FILE, lock.read_bytes())
    manifest = {
        "v": VERSION, "station": station.id, "taken": taken, "since": since, "epoch": station.epoch,
        "next_seq": station.next_seq, "vkeys": [*station.vkeys], "files": _hashes(partial),
    }  # fmt: skip
    _put(partial / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def finished(partial: Path, note: str | None) -> Path:
    """Give a backup that was verified its name; before this it has none anybody would trust."""
    if note is not None:
        _put(partial / NOTE, note.encode())
    whole = partial.with_suffix("")
    sync_folder(partial)
    partial.replace(whole)
    sync_folder(whole.parent)
    return whole


def checked(folder: Path, vkeys: Sequence[str]) -> tuple[dict[str, Any], Walk, list[Finding]]:
    """The manifest, and the walk over what it names, with what that found. Raises BackupError.

    `vkeys` are those to believe; without them, those the manifest tells, whose word it then is.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        files, told, station = dict(manifest["files"]), list(manifest["vkeys"]), str(manifest["station"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder}: no whole backup: {error}") from error
    if folder.suffix == ".part":
        raise BackupError(f"{folder}: was not finished")
    there = _hashes(folder)
    if wrong := sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name)):
        raise BackupError(f"{', '.join(wrong[:5])}: not as the manifest says")
    keys = vkeys or told
    _signed(folder, station, keys, given=bool(vkeys))
    walk, found = _walked(folder / "segments", keys)
    # What a backup leaves out on purpose is no hole in the log.
    known = [one for one in found if not one.told and not (manifest["since"] and one.what in SINCE)]
    return manifest, walk, known


SINCE: Final = frozenset({"numbers-missing", "unproven"})


def _signed(folder: Path, station: str, keys: Sequence[str], *, given: bool) -> None:
    note = folder / NOTE
    if not note.exists():
        if given:
            raise BackupError("nobody signed it")
        return
    digest = sha256_of(folder / MANIFEST)
    try:
        text, _ = open_note(note.read_text(encoding="utf-8"), [Verifier.from_vkey(one) for one in keys])
    except (NoteError, UnicodeDecodeError) as error:
        raise BackupError(f"{NOTE}: {error}") from error
    if text != f"{HEADER}\n{station}\n{digest}\n":
        raise BackupError(f"{NOTE}: signs another manifest")


def _walked(segments: Path, keys: Iterable[str]) -> tuple[Walk, list[Finding]]:
    try:
        rotations = rotations_of_files(segments)
        walk, found = Walk(dict.fromkeys(first_key(rotations, one) for one in keys)), []
        for row in rows_of_files(segments):
            found += [row] if isinstance(row, Finding) else list(walk.take(row))
        return walk, [*found, *walk.end()]
    except (LookupError, apsw.Error, DatabaseRefusedError, NoteError) as error:
        raise BackupError(f"the log in it cannot be read: {error}") from error


def _until(path: Path) -> str:
    """When the last record of a closed file was written."""
    segment = Segment(path, exclusive=False)
    try:
        rows = segment.read(segment.next_seq - 2, record.KINDS, 1, None)
        return iso(parse_iso(rows[-1].fields["t"])) if rows else ""
    finally:
        segment.close()


def _put(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _hashes(folder: Path) -> Mapping[str, str]:
    own = {folder / MANIFEST, folder / NOTE}
    # What reading a file of SQLite leaves beside it is no part of a backup.
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {str(path.relative_to(folder)): sha256_of(path) for path in paths if path not in own}
