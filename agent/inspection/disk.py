"""The disk under the store: what it is, whether it has room, and whether a sync reaches it."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from agent.inspection.finding import Finding, Subject

MOUNTS: Final = Path("/proc/self/mountinfo")
NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"})
MEMORY: Final = frozenset({"tmpfs", "ramfs"})
# With these a power cut takes what a sync said was there (mount(8), ext4).
UNSAFE: Final = frozenset({"nobarrier", "barrier=0", "data=writeback"})
SYNCS: Final = 8
# No medium takes a block and says so in less; what does answers from a memory of its own. And one that takes a second.
LYING_S: Final = 20e-6
SLOW_S: Final = 0.5
INODES_MIN: Final = 0.02


class Mount(NamedTuple):
    """A row of mountinfo (proc(5))."""

    point: str
    kind: str
    options: frozenset[str]


def mounted(path: Path, table: str) -> Mount | None:
    """The file system a path is on; None where the table does not tell."""
    found = None
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 6 or len(rest) < 3:
            continue
        point = fields[4].encode("ascii", "replace").decode("unicode_escape")
        under = point == "/" or path == Path(point) or Path(point) in path.parents
        if under and (found is None or len(point) >= len(found.point)):
            found = Mount(point, rest[0], frozenset({*fields[5].split(","), *rest[2].split(",")}))
    return found


def _store(subject: Subject) -> Path | None:
    path = Path(subject.config.store.path).absolute()
    return path.resolve() if path.is_dir() else None


def mount(subject: Subject) -> Iterator[Finding]:
    """SQLite's log needs a disk of this machine that keeps what it is told."""
    path = _store(subject)
    with suppress(OSError):
        found = None if path is None else mounted(path, MOUNTS.read_text(encoding="utf-8"))
        if found is None:
            return
        values = {"path": path, "point": found.point, "kind": found.kind}
        if found.kind in NETWORK:
            yield Finding("disk-network", values)
        if found.kind in MEMORY:
            yield Finding("disk-memory", values)
        if "ro" in found.options:
            yield Finding("disk-read-only", values)
        if unsafe := found.options & UNSAFE:
            yield Finding("disk-barrier", {**values, "options": ", ".join(sorted(unsafe))})


def room(subject: Subject) -> Iterator[Finding]:
    """Blocks and inodes."""
    if (path := _store(subject)) is None:
        return
    found, warning = os.statvfs(path), subject.config.store.space.warning_percent
    percent = 100 * found.f_bavail / found.f_blocks if found.f_blocks else 100.0
    if percent < warning:
        yield Finding("disk-room", {"path": path, "percent": round(percent, 1), "warning": warning})
    if found.f_files and found.f_favail / found.f_files < INODES_MIN:
        yield Finding("disk-inodes", {"path": path})


def sync_s(folder: Path) -> float:
    """Seconds a small write takes until the disk says it has it: the median of a few. Raises OSError."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for number in range(SYNCS):
            os.pwrite(file.fileno(), os.urandom(4096), number * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def sync(subject: Subject) -> Iterator[Finding]:
    """A disk that says it has what it has not loses what a power cut finds on the way."""
    if (path := _store(subject)) is None:
        return
    with suppress(OSError):
        took = sync_s(path)
        values = {"path": path, "ms": f"{took * 1000:.3g}", "commit": subject.config.store.commit_ms}
        if took < LYING_S:
            yield Finding("sync-lies", values)
        elif took > SLOW_S:
            yield Finding("sync-slow", values)
        else:
            yield Finding("sync-took", values, note=True)
