"""Where the one password's hash lies: a file only the service may read; and the set-up code of a first start."""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path


class Credentials:
    """`path` holds the hash; `path` + `.setup` holds a code while no password is set."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.setup_path = path.with_name(path.name + ".setup")
        # A browser sends a host's cookies to all of its ports: two pages on one machine need two names.
        self.cookie = f"plumeline-{sha256(str(path.absolute()).encode()).hexdigest()[:8]}"

    def stored(self) -> str | None:
        """The hash, None before the first password."""
        try:
            return self._path.read_text().strip()
        except FileNotFoundError:
            return None

    def save(self, hashed: str) -> None:
        """Set the password's hash durably; the set-up code ends with it."""
        self._write(self._path, hashed)
        self.setup_path.unlink(missing_ok=True)

    def begin_setup(self) -> None:
        """Write a set-up code, where no password exists and none is waiting."""
        if self.stored() is None and not self.setup_path.exists():
            self._write(self.setup_path, secrets.token_urlsafe(9))

    def is_setup_code(self, code: str) -> bool:
        """True for the code that lies in the file."""
        if not self.setup_path.exists():
            return False
        return hmac.compare_digest(code.strip().encode(), self.setup_path.read_bytes().strip())

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        # A new file, so that its mode is ours whatever lay there before.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
