"""The lock of a store: one daemon, enforced before any file of the log is opened.

SQLite's exclusive mode keeps a second connection out of each file; this keeps a second daemon away from the whole
store, socket included, and can say who holds it. The kernel lets it go with the process, however that ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreHeldError(Exception):
    """Another process holds the store; `holder` is its number, as far as it could be read."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} holds the store")
        self.holder = holder


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Hold a store for as long as the block lasts. Raises StoreHeldError, and OSError where it cannot be made."""
    store.mkdir(parents=True, exist_ok=True)
    handle = os.open(store / "lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreHeldError(os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "?") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)
