"""The lock file by which programs tell each other that a serial port is taken: `/run/lock/LCK..NAME`.

Place, name and content are those of the Filesystem Hierarchy Standard 3.0, section 5.9 (HDB UUCP form: the process
number in ten characters). Terminal programs on the station's PC look at it before they open a port. Between two of
our own processes the lock on the device itself decides, so a file that a killed one left behind holds nobody up.
"""

import os
from pathlib import Path
from typing import Final

from agent.wires.wire import WireError

LOCKS: Final = Path("/run/lock")
_OURS: Final = b"plumeline"
_BYTES_MAX: Final = 64


class PortLock:
    """The lock file of one device, under the name its path leads to at the moment."""

    def __init__(self, device: str, folder: Path = LOCKS) -> None:
        self._device = device
        self._path = folder / f"LCK..{Path(os.path.realpath(device)).name}"
        self._made = False

    def look(self) -> None:
        """Raise WireError where another program that still runs holds the port."""
        holder = self._holder()
        if holder is not None:
            raise WireError(f"{self._device}: process {holder} holds it ({self._path})")

    def make(self) -> None:
        """Write the file; where that folder cannot be written, the lock on the device has to do."""
        try:
            self._path.unlink(missing_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError:
            return
        # Others must be able to read the number, whatever the service's umask.
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, b"%10d %s\n" % (os.getpid(), _OURS))
        os.close(descriptor)
        self._made = True

    def remove(self) -> None:
        """Remove the file where we made it."""
        if self._made:
            self._path.unlink(missing_ok=True)
            self._made = False

    def _holder(self) -> int | None:
        try:
            with self._path.open("rb") as file:
                said = file.read(_BYTES_MAX)
        except OSError:
            return None
        number = said.split(maxsplit=1)[0] if said.split() else b""
        if _OURS in said or not number.isdigit():
            return None
        return int(number) if _runs(int(number)) else None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
