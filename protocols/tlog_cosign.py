"""Cosignatures of a witness: who saw a checkpoint, that it continues those before, and when (C2SP tlog-cosignature v1).

Signed is `cosignature/v1`, a line `time <unix seconds>` and the whole note text; the signature line carries the key id,
the time as 8 bytes big-endian and 64 bytes of Ed25519 (type 0x04). A witness key is used for nothing else.
"""

import base64
import struct
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from protocols.tlog import NoteError, check_text, key_id, parse_vkey, signature_parts, signer_from_seed, split_note

_COSIGNATURE: Final = b"\x04"
_SIGNATURE_BYTES: Final = 64
LINE_CHARACTERS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's private key by name; `vkey` is what everybody else is told."""

    name: str
    key: SigningKey

    @property
    def _public(self) -> bytes:
        return _COSIGNATURE + bytes(self.key.verify_key)

    @property
    def vkey(self) -> str:
        """The verification key as text."""
        return f"{self.name}+{key_id(self.name, self._public).hex()}+{base64.b64encode(self._public).decode()}"

    def cosign(self, text: str, at: int) -> str:
        """The signature line over a note text at unix time `at` (s, 0 or more), ended by LF. Raises NoteError."""
        check_text(text)
        signature = self.key.sign(_signed(text, at)).signature
        blob = key_id(self.name, self._public) + struct.pack(">Q", at) + signature
        return f"— {self.name} {base64.b64encode(blob).decode()}\n"


def cosigner_from_seed(text: str, name: str) -> Cosigner:
    """Make a cosigner from a 32-byte Ed25519 seed in base64. Raises NoteError."""
    return Cosigner(name, signer_from_seed(text, name).key)


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key by name."""

    name: str
    key_id: bytes
    key: VerifyKey

    @classmethod
    def from_vkey(cls, vkey: str) -> "WitnessKey":
        """Read a verification key of type 0x04. Raises NoteError for anything else."""
        return cls(*parse_vkey(vkey, _COSIGNATURE))

    def seen(self, text: str, line: str) -> int | None:
        """Unix time (s) at which this witness saw the note text, by its line; None for another key's line.

        Raises NoteError where the line is malformed, or names this key and is not its signature.
        """
        name, identity, blob = signature_parts(line.removesuffix("\n"))
        if (name, identity) != (self.name, self.key_id):
            return None
        if len(blob) != 8 + _SIGNATURE_BYTES:
            raise NoteError(f"cosignature of {name} has {len(blob)} bytes, not {8 + _SIGNATURE_BYTES}")
        (at,) = struct.unpack(">Q", blob[:8])
        try:
            self.key.verify(_signed(text, at), blob[8:])
        except CryptoError as error:
            raise NoteError(f"wrong cosignature of {name}") from error
        return int(at)


def cosigned_at(note: str, witness: WitnessKey) -> int | None:
    """When a witness saw the checkpoint of a signed note; None where its line is not there. Raises NoteError."""
    text, lines = split_note(note)
    times = [at for line in lines if (at := witness.seen(text, line)) is not None]
    return max(times, default=None)


def line_name(line: str) -> str:
    """Who a signature line names. Raises NoteError where it is malformed or too long."""
    if len(line) > LINE_CHARACTERS_MAX:
        raise NoteError(f"signature line longer than {LINE_CHARACTERS_MAX} characters")
    return signature_parts(line.removesuffix("\n"))[0]


def _signed(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
