"""Acts of people that wait to be put on record: written by whoever cannot reach the record itself.

A command that changes accounts, or a page whose daemon is away, adds a line to a file beside the accounts; the daemon
takes them into its log. The file is bounded: where it is full an act is refused, not forgotten.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from host.private import PRIVATE, write_whole

BYTES_MAX: Final = 256 * 1024
LINE_BYTES_MAX: Final = 2048


class ActsFullError(OSError):
    """No more acts can wait."""


class WaitingActs:
    """The acts that wait in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "page-accounts.acts"

    def add(self, act: Mapping[str, Any]) -> None:
        """Keep an act with the time of now, durably. Raises OSError where it cannot."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **act}, ensure_ascii=False)
        data = line.encode()[:LINE_BYTES_MAX] + b"\n"
        with self._alone() as file:
            if file.seek(0, os.SEEK_END) + len(data) > BYTES_MAX:
                raise ActsFullError(f"{self._path}: no room for another act")
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._give_to_owner()

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        """The file as it is now, while nobody else adds to it or puts another in its place."""
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
            with os.fdopen(handle, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._path.exists() and os.fstat(handle).st_ino == self._path.stat().st_ino:
                    yield file
                    return

    def _give_to_owner(self) -> None:
        # A command that root gave leaves the file to the service.
        if os.geteuid() == 0:
            owner = self._path.parent.stat()
            os.chown(self._path, owner.st_uid, owner.st_gid)

    def read(self) -> list[dict[str, Any]]:
        """What waits, oldest first; a line that is none of ours is told as such."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [_act(line) for line in lines]

    def forget(self, count: int) -> None:
        """Drop the first `count`, which are on record now."""
        with self._alone() as file:
            file.seek(0)
            write_whole(self._path, b"".join(file.read().splitlines(keepends=True)[count:]), PRIVATE)
            self._give_to_owner()


def _act(line: bytes) -> dict[str, Any]:
    try:
        act = json.loads(line)
    except ValueError:
        act = None
    return act if isinstance(act, dict) else {"do": "unreadable", "line": line[:200].decode(errors="replace")}
