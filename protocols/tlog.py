"""The Merkle tree over a station's records and the signed checkpoints that commit to it; proofs: `tlog_proofs`.

Tree: RFC 9162 section 2.1 with SHA-256. A hash is 32 bytes; a leaf's index is the record's seq in its epoch.
Notes and checkpoints: C2SP signed-note and tlog-checkpoint, Ed25519 (type 0x01) only.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from protocols.tlog_signs import Signs

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
NOTE_BYTES_MAX: Final = 16 * 1024
SIGNATURES_MAX: Final = 32
SIZE_MAX: Final = 2**63 - 1
_ED25519: Final = b"\x01"
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")


def leaf_hash(body: bytes) -> bytes:
    """Hash of a record: SHA-256(0x00 || body)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the complete subtrees of a tree of `size` leaves, largest first: all that appending needs."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one more leaf hash."""
        stack, size = list(self.hashes), self.size
        while size & 1:
            leaf = node_hash(stack.pop(), leaf)
            size >>= 1
        return Frontier(self.size + 1, (*stack, leaf))

    def extend(self, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier with more leaf hashes, in order."""
        grown = self
        for leaf in leaves:
            grown = grown.append(leaf)
        return grown

    def root(self) -> bytes:
        """Root of the whole tree; SHA-256 of nothing for no leaves."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, folded = self.hashes
        for left in reversed(rest):
            folded = node_hash(left, folded)
        return folded

    def to_bytes(self) -> bytes:
        """Size as 8 bytes, big-endian, then the hashes."""
        return struct.pack(">Q", self.size) + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Inverse of `to_bytes`. Raises ValueError where size and number of hashes do not fit."""
        if len(data) < 8:
            raise ValueError(f"frontier of {len(data)} bytes is cut short")
        (size,) = struct.unpack(">Q", data[:8])
        if len(data) != 8 + HASH_BYTES * size.bit_count():
            raise ValueError(f"frontier of {len(data)} bytes does not fit size {size}")
        return cls(size, tuple(split_hashes(data[8:])))


def split_hashes(data: bytes) -> list[bytes]:
    """Hashes that lie one behind the other. Raises ValueError where the length is no multiple of 32."""
    if len(data) % HASH_BYTES:
        raise ValueError(f"{len(data)} bytes are no whole number of hashes")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes."""
    return Frontier().extend(leaves).root()


class NoteError(ValueError):
    """A note, key or checkpoint that is malformed or not to be believed."""


def decode64(text: str) -> bytes:
    """Bytes of strict base64. Raises NoteError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"not base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError("base64 with stray bits")
    return data


def key_id(name: str, public: bytes) -> bytes:
    """Id of a key by its name; `public` begins with the type of its algorithm."""
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def parse_vkey(vkey: str, kind: bytes) -> tuple[str, bytes, VerifyKey]:
    """Name, key id and key of `name+hex(key id)+base64(type || key)`. Raises NoteError, also for another type."""
    name, _, rest = vkey.partition("+")
    identity, _, encoded = rest.partition("+")
    if not _NAME.fullmatch(name) or not _KEY_ID.fullmatch(identity):
        raise NoteError(f"verification key {vkey!r}: write name+hex key id+base64")
    data = decode64(encoded)
    if data[:1] != kind or len(data) != 1 + HASH_BYTES:
        raise NoteError(f"verification key {name!r} is not Ed25519 (type 0x{kind.hex()}, 32 bytes)")
    if bytes.fromhex(identity) != key_id(name, data):
        raise NoteError(f"verification key {name!r}: the key id belongs to another name or key")
    return name, bytes.fromhex(identity), VerifyKey(data[1:])


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key by name. `key_id` is SHA-256(name || LF || type || key)[:4]."""

    name: str
    key_id: bytes
    key: VerifyKey

    @classmethod
    def from_vkey(cls, vkey: str) -> "Verifier":
        """Read `name+hex(key id)+base64(type || key)`. Raises NoteError for anything else and for other algorithms."""
        return cls(*parse_vkey(vkey, _ED25519))

    def believes(self, text: str, signature: bytes) -> bool:
        """Whether the signature over the note text is this key's."""
        try:
            self.key.verify(text.encode(), signature)
        except CryptoError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key by name; `vkey` is what the centre is told."""

    name: str
    key: SigningKey

    @property
    def _public(self) -> bytes:
        return bytes(self.key.verify_key)

    @property
    def vkey(self) -> str:
        """The verification key as text."""
        encoded = base64.b64encode(_ED25519 + self._public).decode()
        return f"{self.name}+{key_id(self.name, _ED25519 + self._public).hex()}+{encoded}"

    def sign(self, text: str) -> str:
        """The signed note of one signature. Raises NoteError where the text is no note text."""
        check_text(text)
        blob = key_id(self.name, _ED25519 + self._public) + self.key.sign(text.encode()).signature
        return f"{text}\n— {self.name} {base64.b64encode(blob).decode()}\n"


def signer_from_seed(text: str, name: str) -> Signer:
    """Make a signer from a 32-byte Ed25519 seed in base64, white space around it allowed. Raises NoteError."""
    seed = decode64(text.strip())
    if len(seed) != HASH_BYTES:
        raise NoteError(f"a seed has 32 bytes, this one {len(seed)}")
    if not _NAME.fullmatch(name):
        raise NoteError(f"key name {name!r}: no white space, no +")
    return Signer(name, SigningKey(seed))


def check_text(text: str) -> None:
    """Raises NoteError for a text that no note may have."""
    if not text.endswith("\n") or any((c < " " and c != "\n") or "\ud800" <= c <= "\udfff" for c in text):
        raise NoteError("note text must be UTF-8, end with LF and hold no other control character")


def signature_parts(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id and signature of one signature line."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not _NAME.fullmatch(name):
        raise NoteError("malformed signature line")
    blob = decode64(encoded)
    if len(blob) < 5:
        raise NoteError("signature cut short")
    return name, blob[:4], blob[4:]


def split_note(note: str) -> tuple[str, list[str]]:
    """Text and signature lines of a note, nobody believed yet. Raises NoteError where it is malformed or too long."""
    if len(note.encode(errors="replace")) > NOTE_BYTES_MAX:
        raise NoteError(f"note longer than {NOTE_BYTES_MAX} bytes")
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise NoteError("no signatures, or the last one is not ended by LF")
    text += "\n"
    check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError(f"more than {SIGNATURES_MAX} signatures")
    return text, lines


def open_note(note: str, verifiers: Iterable[Verifier]) -> tuple[str, tuple[str, ...]]:
    """Text of a note and the names of the known keys that signed it.

    Unknown keys are ignored. Raises NoteError where the note is malformed or too long, a known key's signature is
    wrong, or no known key signed.
    """
    text, lines = split_note(note)
    known = {(v.name, v.key_id): v for v in verifiers}
    signed: dict[str, None] = {}
    for name, key_id, signature in map(signature_parts, lines):
        verifier = known.get((name, key_id))
        if verifier and not verifier.believes(text, signature):
            raise NoteError(f"wrong signature of {name}")
        if verifier:
            signed[name] = None
    if not signed:
        raise NoteError("no signature of a known key")
    return text, tuple(signed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a station committed to: `size` leaves under `root` in the tree `origin`, signed by the named keys."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]


def make_checkpoint(origin: str, size: int, root: bytes, signer: Signs) -> str:
    """Signed note of a checkpoint. Raises NoteError for an origin with white space or +, a bad size or root."""
    if not _NAME.fullmatch(origin) or not 0 <= size <= SIZE_MAX or len(root) != HASH_BYTES:
        raise NoteError(f"no checkpoint can be made of origin {origin!r}, size {size}, root of {len(root)} bytes")
    return signer.sign(checkpoint_text(origin, size, root))


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text that is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def open_checkpoint(note: str, vkeys: Iterable[str]) -> Checkpoint:
    """Checkpoint of a signed note, by the known keys. Raises NoteError (see `open_note`)."""
    text, signers = open_note(note, [Verifier.from_vkey(vkey) for vkey in vkeys])
    return parse_checkpoint(text, signers)


def parse_checkpoint(text: str, signers: tuple[str, ...] = ()) -> Checkpoint:
    """What the text of a note says. Raises NoteError where it is no checkpoint."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]) or "" in lines:
        raise NoteError("a checkpoint is origin, size and root")
    size, root = int(lines[1]), decode64(lines[2])
    if size > SIZE_MAX or len(root) != HASH_BYTES:
        raise NoteError("size or root out of bounds")
    return Checkpoint(lines[0], size, root, signers)
