"""The keys of a log as its own records tell them: from any of them back to the first, by statements both signed."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from agent.history.daemon import DaemonSource
from agent.store.packing import unpack
from agent.store.segment import segment_files
from host.sqlite import DatabaseRefusedError, open_database
from protocols.record import RecordError, decode
from protocols.tlog import NoteError
from protocols.tlog_keys import read_rotation

WHAT: Final = "key-rotated"
# More keys than a station has in its life.
KEYS_MAX: Final = 200

Fields = Mapping[str, Any]


def first_key(rotations: Iterable[Fields], vkey: str) -> str:
    """The key with which the chain began that `vkey` belongs to; a statement that one of its two keys did not sign
    leads nowhere. Whose word it is stays that of `vkey`: it vouches for the key before it as that one does for it.
    """
    before: dict[str, str] = {}
    for fields in rotations:
        former = str(fields.get("former"))
        try:
            before.setdefault(
                read_rotation(fields, former.partition("+")[0].removeprefix("plumeline/"), former), former
            )
        except NoteError:
            continue
    seen = {vkey}
    while (vkey := before.get(vkey, vkey)) not in seen:
        seen.add(vkey)
    return vkey


def rotations_of_files(folder: Path) -> list[Fields]:
    """Every `key-rotated` in the files of a folder; what cannot be read is the walk's to tell. May raise BusyError."""
    found: list[Fields] = []
    for path in segment_files(folder):
        try:
            found += _in_file(path)
        except (apsw.CorruptError, apsw.NotADBError, DatabaseRefusedError, apsw.SQLError):
            continue
    return found[:KEYS_MAX]


def _in_file(path: Path) -> Iterator[Fields]:
    db = open_database(str(path), exclusive=False, read_only=True)
    try:
        for (packed,) in db.execute("SELECT body FROM rec WHERE kind = 'event'"):
            body = unpack(packed)
            if body and WHAT.encode() in body:
                try:
                    fields = decode(body)
                except RecordError:
                    continue
                if fields.get("what") == WHAT:
                    yield fields
    finally:
        db.close()


def rotations_of_daemon(source: DaemonSource) -> list[Fields]:
    """Those a running station tells. Raises RequestError where no daemon answers."""
    return [*source.indexed("event", [WHAT], None, ("", -1, -1), "~", KEYS_MAX)]
