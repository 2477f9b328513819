"""Disks of the fault campaigns, in a mount namespace of their own: nothing of them is seen outside, or stays."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from campaign import SkippedError

INSIDE = "PLUMELINE_FAULTS_MOUNTS"
FILL_BYTES = 1 << 16


def enter() -> None:
    """Go on in a mount namespace; where that is not allowed, go on as we are, and `needs` says so."""
    if os.environ.get(INSIDE) or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


def needs() -> None:
    """A mount namespace was entered."""
    if not os.environ.get(INSIDE):
        raise SkippedError("root and mount namespaces are needed")


def run(*command: str | Path) -> str:
    """A command that must not fail; what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


def tmpfs(at: Path, size: str) -> None:
    """A small disk in memory."""
    at.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "faults", at)


def fill(disk: Path) -> Path:
    """Take all the room there is; the file that holds it."""
    filler = disk / "filler"
    handle = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):
        for size in (FILL_BYTES, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(handle, os.urandom(size))
    os.close(handle)
    return filler


class LoopDisk:
    """An ext4 file system in an image whose own disk can be filled: what it takes then, it cannot keep."""

    def __init__(self, folder: Path, at: Path) -> None:
        self._backing, self._at = folder / "backing", at
        tmpfs(self._backing, "40m")
        image = self._backing / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1", image)
        self._device = run("losetup", "--find", "--show", image)
        at.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Put it in its place; the first error turns it read-only."""
        run("mount", "-o", "errors=remount-ro", self._device, self._at)

    def fail(self) -> Path:
        """From now on nothing new is kept. Gives what to remove for a cure."""
        return fill(self._backing)

    def turn_read_only(self) -> None:
        """What the kernel does at an error it meets in the file system; nothing that is open can prevent it."""
        (Path("/sys/fs/ext4") / Path(self._device).name / "trigger_fs_error").write_text("faults\n")

    def repair(self) -> None:
        """Unmount, check, mount."""
        run("umount", self._at)
        subprocess.run(["e2fsck", "-fy", self._device], capture_output=True, check=False)
        self.mount()

    def close(self) -> None:
        """Let all of it go."""
        run("umount", "-l", self._at)
        run("losetup", "-d", self._device)
        run("umount", "-l", self._backing)
