"""What a platform set on its link, kept beyond a restart in a file of its own (mode 0600) beside the log.

A value holds as long as the configuration says what it said when the platform changed it: a password changed in the
configuration since wins. Of the configuration's values only fingerprints are kept. Secrets stand here and nowhere else.
"""

import hashlib
import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any, Final

MODE: Final = 0o600

logger = logging.getLogger(__name__)


class Kept:
    """Values by name; written so that a power cut leaves the old or the new ones."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a file that makes no sense counts as none, and `damaged` says so."""
        self._path = path
        self._salt = secrets.token_hex(16)
        self._values: dict[str, dict[str, Any]] = {}
        self.damaged = False
        try:
            fields = json.loads(path.read_bytes())
            self._salt = str(fields["salt"])
            self._values = {str(name): {"value": one["value"], "of": one["of"]} for name, one in fields["set"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.damaged = True
            logger.warning("%s cannot be read, the configuration holds: %s", path, error)

    def get(self, name: str, configured: Any) -> Any:
        """The value set for a name, else what is configured."""
        found = self._values.get(name)
        return configured if found is None or found["of"] != self._fingerprint(name, configured) else found["value"]

    def set(self, configured: dict[str, Any], values: dict[str, Any]) -> None:
        """Keep values; each stands against the configured one of its name. Raises OSError; then the old ones hold."""
        made = self._values | {
            name: {"value": value, "of": self._fingerprint(name, configured.get(name))}
            for name, value in values.items()
        }
        if made != self._values:
            self._write(made)
            self._values = made

    def _fingerprint(self, name: str, configured: Any) -> str:
        text = json.dumps([self._salt, name, configured])
        return hashlib.sha256(text.encode()).hexdigest()

    def _write(self, values: dict[str, dict[str, Any]]) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with open(descriptor, "wb") as file:
            file.write(json.dumps({"salt": self._salt, "set": values}).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
