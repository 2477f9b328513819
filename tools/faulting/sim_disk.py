"""The station's disk: what was written and not synced may be kept, dropped or torn at 512 bytes by a power cut.

Files lie in a folder in memory, so that names, renames and deletions are the system's own: these survive a cut as they
are (their order against each other is outside this model). SQLite's files go through a VFS, the log's witness through
the `os` of its module; every other plain file is written through at once.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import apsw

SECTOR = 512


class PowerCut(BaseException):
    """The machine stood still at this very write."""


class Disk(apsw.VFS):
    """`folder` is the station's; files elsewhere are left alone. `cut` is called when a planned cut comes."""

    def __init__(self, folder: Path, cut: Callable[[], None]) -> None:
        self.base = "unix"
        super().__init__("simulated", self.base, makedefault=True)
        self._folder = str(folder) + os.sep
        self._cut = cut
        self.boot = 0
        self.dead = True
        self.countdown: int | None = None
        self.full = self.read_only = self.forgets = False
        self.eio_write = self.eio_sync = 0.0
        self.dice = Random(0)
        self.writes = self.syncs = 0
        self.without_sync = False
        self.unsynced: dict[str, list[tuple[int, bytes, bytes, int]]] = {}

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        if not path.startswith(self._folder):
            return super().xOpen(name, flags)
        self.alive(self.boot)
        if self.read_only and flags[0] & apsw.SQLITE_OPEN_READWRITE:
            flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            flags[0] |= apsw.SQLITE_OPEN_READONLY
        return File(self, name, path, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        if name.startswith(self._folder):
            self.alive(self.boot)
            self.unsynced.pop(name, None)
        super().xDelete(name, sync)

    @property
    def failing(self) -> bool:
        """Whether writes or syncs are refused now."""
        return bool(self.full or self.read_only or self.eio_write or self.eio_sync)

    def alive(self, boot: int) -> None:
        """Raise PowerCut for what belongs to a machine that stands still."""
        if self.dead or boot != self.boot:
            raise PowerCut

    def touch(self, boot: int) -> None:
        """One operation that changes the disk: a planned cut may come at it."""
        self.alive(boot)
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown <= 0:
                self.countdown = None
                self.dead = True
                self._cut()
                raise PowerCut

    def keep(self, path: str, offset: int, before: bytes, after: bytes, size: int) -> None:
        """Note a write that no sync has made durable."""
        self.unsynced.setdefault(path, []).append((offset, before, after, size))

    def crash(self, dice: Random, *, power: bool) -> int:
        """Settle what a kill or a power cut leaves, under new inodes; gives how many bytes were lost."""
        self.dead, self.countdown, lost = True, None, 0
        for root, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(root, name)
                if name == "ballast":
                    continue
                data = bytearray(Path(path).read_bytes())
                lost += _settled(data, self.unsynced.get(path, []), dice) if power else 0
                fresh = path + ".fresh"
                Path(fresh).write_bytes(data)
                shutil.copymode(path, fresh)
                os.replace(fresh, path)
        if power:
            self.unsynced.clear()
        return lost

    def start(self) -> None:
        """A new boot: handles of the ones before are of no use."""
        self.boot += 1
        self.dead = False


def _settled(data: bytearray, writes: list[tuple[int, bytes, bytes, int]], dice: Random) -> int:
    """Undo all, then do again what the dice keep, sector by sector where a write is torn; gives the bytes lost."""
    for offset, before, _, size in reversed(writes):
        data[offset : offset + len(before)] = before
        del data[size:]
    mode, lost = dice.choice(("all", "none", "some", "first", "torn")), 0
    upto = dice.randrange(len(writes) + 1)
    for place, (offset, _, after, _) in enumerate(writes):
        if mode == "none" or (mode == "first" and place >= upto) or (mode == "some" and dice.random() < 0.5):
            lost += len(after)
            continue
        for at in range(0, len(after), SECTOR):
            if mode == "torn" and dice.random() < 0.3:
                lost += len(after[at : at + SECTOR])
                continue
            piece = after[at : at + SECTOR]
            if len(data) < offset + at:
                data.extend(bytes(offset + at - len(data)))
            data[offset + at : offset + at + len(piece)] = piece
    return lost


class File(apsw.VFSFile):
    """One of SQLite's files on the simulated disk."""

    def __init__(self, disk: Disk, name: Any, path: str, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self.disk, self.path, self.boot = disk, path, disk.boot

    def xLock(self, level: int) -> None:  # noqa: N802
        try:
            super().xLock(level)
        except apsw.IOError:
            # SQLite asks for it at the end of a connection that can only read, and bears the refusal; an exception of
            # any other kind would be raised to the program, which the system's own file layer never does.
            raise apsw.BusyError from None

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        disk = self.disk
        disk.touch(self.boot)
        if disk.read_only:
            raise apsw.IOError
        size = super().xFileSize()
        if disk.full and offset + len(data) > size:
            raise apsw.FullError
        if disk.eio_write and disk.dice.random() < disk.eio_write:
            raise apsw.IOError
        data = bytes(data)
        disk.writes += 1
        before = super().xRead(min(len(data), size - offset), offset) if offset < size else b""
        disk.keep(self.path, offset, before, data, size)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.disk.touch(self.boot)
        # SQLite truncates only behind a sync, or before it begins anew: what was there is settled.
        self.disk.unsynced.pop(self.path, None)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        disk = self.disk
        disk.touch(self.boot)
        if disk.eio_sync and disk.dice.random() < disk.eio_sync:
            taken = disk.unsynced.pop(self.path, []) if disk.forgets else []
            for offset, before, _, size in reversed(taken):
                super().xWrite(before, offset) if before else None
                super().xTruncate(size)
            raise apsw.IOError
        disk.syncs += 1
        if not disk.without_sync:
            disk.unsynced.pop(self.path, None)


def room(disk: Disk) -> Callable[[Any], Any]:
    """Stands for os.statvfs: the same free space in each replay, and none on a full disk."""
    blocks = 64 * 1024 * 1024

    def statvfs(_: Any) -> os.statvfs_result:
        free = 0 if disk.full else blocks // 2
        return os.statvfs_result((4096, 4096, blocks, free, free, 10**6, 10**6, 10**6, 0, 255))

    return statvfs


def plain_os(disk: Disk) -> Any:
    """The `os` of a module that writes plain files: as the system's, with this disk's faults and memory."""
    paths: dict[int, str] = {}

    def opened(path: Any, *more: Any) -> int:
        handle = os.open(path, *more)
        paths[handle] = os.path.abspath(path)
        return handle

    def pwrite(handle: int, data: bytes, offset: int) -> int:
        disk.touch(disk.boot)
        if disk.full or disk.read_only:
            raise OSError(28, "No space left on device")
        size = os.fstat(handle).st_size
        before = os.pread(open_again := os.open(paths[handle], os.O_RDONLY), len(data), offset)
        os.close(open_again)
        disk.keep(paths[handle], offset, before, data, size)
        return os.pwrite(handle, data, offset)

    def fdatasync(handle: int) -> None:
        disk.touch(disk.boot)
        disk.unsynced.pop(paths[handle], None)

    names = {name: getattr(os, name) for name in ("close", "O_WRONLY", "O_CREAT", "O_RDONLY")}
    return SimpleNamespace(open=opened, pwrite=pwrite, fdatasync=fdatasync, **names)
