"""A durable copy of a file of the log, for whoever keeps it elsewhere."""

import hashlib
import os
import shutil
from pathlib import Path

import apsw


def copy_segment(source: Path, target: Path) -> None:
    """Copy a closed file, with what still lies in its write-ahead file; on the disk when this returns."""
    wal = source.with_name(source.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        # A day that could not be sealed: its last pages lie beside it.
        one, made = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY), apsw.Connection(str(target))
        with made.backup("main", one, "main") as backup:
            backup.step()
        made.close()
        one.close()
    else:
        shutil.copyfile(source, target)
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Of a whole file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
