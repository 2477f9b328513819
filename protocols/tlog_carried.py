"""A signed checkpoint as a line of an HJ 212 log (`i21001-Info` of CN 3020): for platforms that know no MQTT.

`TLOG1 origin size root signature`, the last two in base64url without padding, since `/`, `=`, `,` and `;` end a field
of HJ 212. The signature is that of the note, key id first; the key's name does not travel, the receiver knows it.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from protocols.tlog import (
    HASH_BYTES,
    SIZE_MAX,
    NoteError,
    checkpoint_text,
    parse_checkpoint,
    signature_parts,
    split_note,
)

MARK: Final = "TLOG1"
SIGNATURE_BYTES: Final = 4 + 64
_LINE: Final = re.compile(
    rf"{MARK} ([^\s+]{{1,200}}) (0|[1-9][0-9]{{0,18}}) ([A-Za-z0-9_-]{{43}}) ([A-Za-z0-9_-]{{91}})"
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A checkpoint that came so. `signature` is key id (4 bytes) and Ed25519 signature."""

    origin: str
    size: int
    root: bytes
    signature: bytes

    def note(self, name: str) -> str:
        """The signed note it was, under the name of the station's key."""
        text = checkpoint_text(self.origin, self.size, self.root)
        return f"{text}\n— {name} {base64.b64encode(self.signature).decode()}\n"


def carried_text(note: str) -> str:
    """The line of a checkpoint's note, by its first Ed25519 signature. Raises NoteError where it has none."""
    text, lines = split_note(note)
    checkpoint = parse_checkpoint(text)
    for line in lines:
        _, identity, signature = signature_parts(line)
        if len(signature) == SIGNATURE_BYTES - 4:
            blobs = _encoded(checkpoint.root), _encoded(identity + signature)
            return f"{MARK} {checkpoint.origin} {checkpoint.size} {' '.join(blobs)}"
    raise NoteError("no Ed25519 signature")


def read_carried(text: str) -> Carried | None:
    """The checkpoint of a log line, between its slashes or without them; None for any other line.

    Raises NoteError for a line that says to be one and is none.
    """
    plain = text.strip().removeprefix("//").removesuffix("//")
    if not plain.startswith(f"{MARK} "):
        return None
    match = _LINE.fullmatch(plain)
    if match is None or int(match[2]) > SIZE_MAX:
        raise NoteError("a carried checkpoint is TLOG1, origin, size, root and signature")
    root, signature = _decoded(match[3]), _decoded(match[4])
    if len(root) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
        raise NoteError("root or signature has another length")
    return Carried(match[1], int(match[2]), root, signature)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise NoteError(f"not base64url: {error}") from error
    if _encoded(data) != text:
        raise NoteError("base64url with stray bits")
    return data
