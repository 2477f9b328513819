"""Where a station's secret keys lie: files of mode 0600, or credentials that systemd encrypts to this machine.

A key is made where it will lie, read back by who may, and never put on a command line or into another file.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from host.private import PRIVATE, write_whole
from host.secrets import SecretRef, read_secret

CREDS_WALL_S: Final = 60.0
PREFIX: Final = "plumeline-"


class KeyPlaceError(Exception):
    """A key that cannot be kept there."""


class KeyPlace(Protocol):
    """Where one key lies. `ref` is what the configuration says of it."""

    @property
    def ref(self) -> dict[str, str]:
        """`{file: ...}` or `{credential: ...}`."""

    def read_or_make(self, make: Callable[[], bytes]) -> bytes:
        """The key; where there is none, one that `make` gives and that lies there from now on.

        Raises KeyPlaceError, SecretError and OSError.
        """


class KeyFile:
    """A file that only its owner may read; `like` is what its owner owns, where root makes it for a service."""

    def __init__(self, path: Path, like: Path) -> None:
        self._path = path
        self._like = like

    @property
    def ref(self) -> dict[str, str]:
        """Its path."""
        return {"file": str(self._path)}

    def read_or_make(self, make: Callable[[], bytes]) -> bytes:
        """See KeyPlace."""
        if not self._path.exists():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path, make(), PRIVATE)
            give(self._path, self._like)
        return read_secret(SecretRef(file=str(self._path)))


class KeyCredential:
    """A credential in a folder of encrypted ones; needs systemd-creds, and as a rule root."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{PREFIX}{name}"
        self._name = name

    @property
    def ref(self) -> dict[str, str]:
        """Its name."""
        return {"credential": self._name}

    @property
    def unit_line(self) -> str:
        """What the service's unit says to be given it."""
        return f"LoadCredentialEncrypted={self._name}:{self._file}"

    def read_or_make(self, make: Callable[[], bytes]) -> bytes:
        """See KeyPlace. What was made is read back, so that a key nobody can open is noticed now."""
        if not self._file.exists():
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._file.with_name(f".{self._file.name}.new")
            self._creds("encrypt", f"--name={self._name}", "-", str(partial), data=make())
            partial.replace(self._file)
        return self._creds("decrypt", f"--name={self._name}", str(self._file), "-")

    def _creds(self, *words: str, data: bytes = b"") -> bytes:
        program = shutil.which("systemd-creds")
        if program is None:
            raise KeyPlaceError("systemd-creds is not on this machine: leave --creds out, and give files")
        done = subprocess.run(
            [program, *words], input=data, capture_output=True, timeout=CREDS_WALL_S, check=False
        )  # fmt: skip
        if done.returncode:
            raise KeyPlaceError(f"systemd-creds {words[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout


def place_of(ref: SecretRef, creds: Path | None, like: Path) -> KeyPlace:
    """Where a key lies by the configuration; `creds` is the folder of encrypted credentials. Raises KeyPlaceError."""
    if ref.file is not None:
        return KeyFile(Path(ref.file), like)
    if creds is None:
        raise KeyPlaceError(f"credential {ref.credential}: --creds DIR says where its encrypted file is to lie")
    return KeyCredential(creds, str(ref.credential))


def give(path: Path, like: Path) -> None:
    """What root makes for a service belongs to the service."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
