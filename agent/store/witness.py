"""The witness beside the log: how far it was committed, kept apart from the files it speaks of.

A damaged write-ahead file makes committed rows vanish while every check of SQLite passes. So after each commit the
next number goes into one of two small files; about once a minute, and at each checkpoint, that one is synced and the
other takes over. A power cut can spoil the one being written, never both, and neither ever says more than was durable.
"""

import contextlib
import logging
import os
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from agent.store.segment import sync_folder

NAMES: Final = ("witness-a", "witness-b")
SYNC_EVERY: Final = timedelta(seconds=60)
BYTES: Final = 64
_HEADER: Final = "plumeline-witness"

logger = logging.getLogger(__name__)


class Seen(NamedTuple):
    """Numbers of `epoch` below `next_seq` were committed or acknowledged."""

    epoch: int
    next_seq: int


class Witness:
    """Written by the log's thread. A witness that cannot be written is a warning: the log itself is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = 0
        self._seen = seen(folder) or Seen(0, 0)
        self._synced: datetime | None = None
        self._broken = False
        # Of the file being written, while it is: to open it at each commit costs as much as SQLite's part of one.
        self._handle: int | None = None

    def committed(self, epoch: int, next_seq: int, at: datetime, *, sync: bool) -> None:
        """Numbers below `next_seq` are durable; `sync` makes this one durable too, as the passing of time does."""
        self._seen = max(self._seen, Seen(epoch, next_seq))
        due = sync or self._synced is None or abs(at - self._synced) >= SYNC_EVERY
        try:
            self._write(due)
        except OSError as error:
            if not self._broken:
                logger.warning("log: witness not written: %s", error)
            self._broken = True
            self.close()
            return
        self._broken = False
        if due:
            self._synced, self._turn = at, 1 - self._turn
            # By its name again next time: somebody may have removed it.
            self.close()

    def close(self) -> None:
        """Leave the file; the next commit opens it again."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _write(self, sync: bool) -> None:
        if self._handle is None:
            path = self._folder / NAMES[self._turn]
            made = not path.exists()
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o640)
            if made:
                sync_folder(self._folder)
        os.pwrite(self._handle, _line(self._seen), 0)
        if sync:
            os.fdatasync(self._handle)


def seen(folder: Path) -> Seen | None:
    """What the two files say together; None where neither can be read."""
    found = []
    for name in NAMES:
        with contextlib.suppress(OSError, ValueError):
            found.append(_parsed((folder / name).read_bytes()[:BYTES]))
    return max(found, default=None)


def _line(what: Seen) -> bytes:
    said = f"{_HEADER} {what.epoch} {what.next_seq}"
    return f"{said} {zlib.crc32(said.encode()):08x}".ljust(BYTES - 1).encode() + b"\n"


def _parsed(data: bytes) -> Seen:
    said, _, check = data.decode("ascii").rstrip().rpartition(" ")
    header, epoch, next_seq = said.split(" ")
    if header != _HEADER or int(check, 16) != zlib.crc32(said.encode()):
        raise ValueError("no witness")
    return Seen(int(epoch), int(next_seq))
