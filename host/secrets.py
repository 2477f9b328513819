"""Secrets: where they lie, whether they lie safely, and reading them. A configuration holds references only.

systemd credentials: `systemd.exec(5)`, LoadCredential=; the service finds them in $CREDENTIALS_DIRECTORY.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from host.hjson import Strict

BYTES_MAX: Final = 64 * 1024
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}")


class SecretError(Exception):
    """A secret that cannot be had.

    `code` is one of missing, outside (no credentials here), open (to others), foreign (of another user), unreadable,
    large.
    """

    def __init__(self, code: str, place: str) -> None:
        super().__init__(f"secret {place}: {code}")
        self.code = code
        self.place = place


class SecretRef(Strict):
    """Where a secret lies: a file (mode 0600 or stricter) or a systemd credential. Never the secret itself."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    file: str | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "SecretRef":
        if (self.file is None) == (self.credential is None):
            raise PydanticCustomError("secret-one", "give either file or credential")
        # A name and no path: what lies elsewhere is no credential, and anybody's.
        if self.credential is not None and not _CREDENTIAL.fullmatch(self.credential):
            raise PydanticCustomError("secret-name", "a credential is a name")
        return self


def path_of(ref: SecretRef) -> Path:
    """Path of a secret that exists and is closed to others. Raises SecretError."""
    if ref.file is not None:
        path = Path(ref.file)
    else:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise SecretError("outside", str(ref.credential))
        path = Path(folder, str(ref.credential))
    try:
        found = path.stat()
        mode = found.st_mode
    except FileNotFoundError:
        raise SecretError("missing", str(path)) from None
    except OSError:
        raise SecretError("unreadable", str(path)) from None
    # A credential's mode is systemd's affair: its access list shows as group bits.
    if ref.file is not None and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError("open", str(path))
    # Its owner can change it, whatever its mode. Root may look at the files of the service it checks for.
    if ref.file is not None and os.geteuid() != 0 and found.st_uid not in (0, os.geteuid()):
        raise SecretError("foreign", str(path))
    if not os.access(path, os.R_OK, effective_ids=True) or not stat.S_ISREG(mode):
        raise SecretError("unreadable", str(path))
    return path


def read_secret(ref: SecretRef) -> bytes:
    """Bytes of a secret without its final line end. Raises SecretError."""
    path = path_of(ref)
    with path.open("rb") as file:
        data = file.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise SecretError("large", str(path))
    return data.removesuffix(b"\n").removesuffix(b"\r")
