"""SM4 keys of outlets: the configured one, and those that came after it by rotation (CN 1014 of HJ 212-2025).

A new key is kept in a file of its own (mode 0600, beside the store) before it is sent. The ones before it stay until a
frame under the new one has been read.
"""

import hashlib
import json
import os
import secrets
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from host.secrets import SecretRef, read_secret
from protocols.hj212.message import Message
from protocols.hj212.sm4 import decrypt

KEY_BYTES: Final = 16
# Keys that may be in use at a station whose last rotations ended unclearly.
KEYS_MAX: Final = 4
# Both published keys are 16 characters, so new ones are: they travel as text (NewSK).
_CHARACTERS: Final = string.ascii_letters + string.digits


def key_of(ref: SecretRef) -> bytes:
    """A configured key: 16 characters, or 32 hexadecimal digits. Raises SecretError, ValueError."""
    data = read_secret(ref)
    if len(data) == 2 * KEY_BYTES:
        data = bytes.fromhex(data.decode("ascii", "replace"))
    if len(data) != KEY_BYTES:
        raise ValueError("sm4_key: write 16 characters, or 32 hexadecimal digits")
    return data


class Keys:
    """Keys of one outlet, the newest first."""

    def __init__(self, folder: Path, mn: str, configured: bytes) -> None:
        """Take up what an earlier rotation left; another configured key than then overrules it."""
        self._path = folder / mn
        self._origin = hashlib.sha256(configured).hexdigest()
        self.keys: tuple[bytes, ...] = (configured,)
        try:
            kept = json.loads(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return
        if kept["configured"] == self._origin:
            self.keys = tuple(bytes.fromhex(key) for key in kept["keys"])

    def renew(self) -> str:
        """Make a new key and keep it durably; gives it as it travels. Raises OSError."""
        text = "".join(secrets.choice(_CHARACTERS) for _ in range(KEY_BYTES))
        self._keep((text.encode("ascii"), *self.keys)[:KEYS_MAX])
        return text

    def seen(self, message: Message) -> bool:
        """A message came encrypted: drop the keys older than its own. True where there were any."""
        area = message.raw.partition(b"CP=&&")[2].rpartition(b"&&")[0]
        plain = ";".join(",".join(f"{name}={value}" for name, value in item) for item in message.area).encode()
        used = next((i for i, key in enumerate(self.keys) if decrypt(area, key) == plain), None)
        if used is None or used == len(self.keys) - 1:
            return False
        self._keep(self.keys[: used + 1])
        return True

    def _keep(self, keys: Sequence[bytes]) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        made = self._path.with_suffix(".new")
        text = json.dumps({"configured": self._origin, "keys": [key.hex() for key in keys]})
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.keys = tuple(keys)
