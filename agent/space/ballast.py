"""The ballast: a file of nothing that is removed when the disk is full, so that alarms and averages can be written.

Random bytes, written and synced: what a file system compresses or leaves sparse gives nothing back.
"""

import os
from pathlib import Path
from typing import Final

from agent.store.segment import sync_folder

NAME: Final = "ballast"
_CHUNK: Final = 1024 * 1024


class Ballast:
    """One of `size` bytes in the folder of a store."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / NAME
        self.size = size

    @property
    def on_disk(self) -> int:
        """Bytes it takes now."""
        try:
            return self.path.stat().st_blocks * 512
        except FileNotFoundError:
            return 0

    @property
    def whole(self) -> bool:
        """Whether it is there in its full size."""
        try:
            return self.path.stat().st_size == self.size
        except FileNotFoundError:
            return False

    def make(self) -> bool:
        """Write it where it is not there in its size; False where the disk has no room for it."""
        if self.whole:
            return True
        partial = self.path.with_suffix(".part")
        try:
            self.release()
            with partial.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.size)
                for begin in range(0, self.size, _CHUNK):
                    file.write(os.urandom(min(_CHUNK, self.size - begin)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError:
            partial.unlink(missing_ok=True)
            return False
        return True

    def release(self) -> bool:
        """Give its room back; whether there was any."""
        self.path.with_suffix(".part").unlink(missing_ok=True)
        there = self.path.exists()
        self.path.unlink(missing_ok=True)
        return there
