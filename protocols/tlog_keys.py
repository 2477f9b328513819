"""Rotation of a station's key: a statement that names both, signed by both, inside a record of the log itself.

The statement is a C2SP signed note with the text `plumeline/key-rotation/v1`, station, epoch, former and new key, one a
line. Whoever holds the former key only cannot bring in another's; whoever holds the new one only cannot take over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols.tlog import NoteError, Signer, Verifier, check_text, open_note

HEADER: Final = "plumeline/key-rotation/v1"


@dataclass(slots=True)
class Keyring:
    """The key of a station. After a rotation the next note is signed by both, those behind it by the new one."""

    signer: Signer
    _former: Signer | None = None

    @property
    def vkey(self) -> str:
        """Verification key in force."""
        return self.signer.vkey

    def rotate(self, new: Signer) -> None:
        """Sign by `new` from now on, once by both."""
        self._former, self.signer = self.signer, new

    def sign(self, text: str) -> str:
        """The signed note. Raises NoteError."""
        former, self._former = self._former, None
        return self.signer.sign(text) if former is None else signed_by(text, former, self.signer)


def signed_by(text: str, *signers: Signer) -> str:
    """A note of several signatures. Raises NoteError."""
    check_text(text)
    lines = "".join(signer.sign(text).removeprefix(f"{text}\n") for signer in signers)
    return f"{text}\n{lines}"


def rotation_fields(station_id: str, epoch: int, former: Signer, new: Signer, who: str, reason: str) -> dict[str, Any]:
    """Members of the event `key-rotated` beside its name."""
    note = signed_by(_text(station_id, epoch, former.vkey, new.vkey), former, new)
    return {
        "origin": who, "who": who, "reason": reason, "former": former.vkey, "vkey": new.vkey,
        "statement": note,
    }  # fmt: skip


def read_rotation(fields: Mapping[str, Any], station_id: str, former: str) -> str:
    """The new key of such an event, where `former`, the one in force, and the new one signed it. Raises NoteError."""
    vkey, epoch = str(fields.get("vkey")), fields.get("epoch")
    old, new = Verifier.from_vkey(former), Verifier.from_vkey(vkey)
    note = str(fields.get("statement"))
    text, _ = open_note(note, [old])
    open_note(note, [new])
    if not isinstance(epoch, int) or text != _text(station_id, epoch, former, vkey):
        raise NoteError("the statement speaks of another station, epoch or key")
    return vkey


def _text(station_id: str, epoch: int, former: str, new: str) -> str:
    return f"{HEADER}\n{station_id}\n{epoch}\n{former}\n{new}\n"
