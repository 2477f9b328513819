"""Signed notes, cosignatures and proofs from the wire.

What must hold: nothing but NoteError gets out; a note that is believed was signed by the key over that very text, as
`cryptography` judges it; a believed cosignature likewise; a proof that is believed leads to the root by another way.
"""

import base64
import random
import struct
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from must import need

from protocols import tlog, tlog_cosign, tlog_proofs

SEED: Final = bytes(range(32))
KEY: Final = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
SIGNER: Final = tlog.signer_from_seed(base64.b64encode(SEED).decode(), "plumeline/a")
WITNESS_SEED: Final = bytes(range(32, 64))
WITNESS_KEY: Final = Ed25519PrivateKey.from_private_bytes(WITNESS_SEED).public_key()
WITNESS: Final = tlog_cosign.cosigner_from_seed(base64.b64encode(WITNESS_SEED).decode(), "centre/witness")
KNOWN: Final = tlog_cosign.WitnessKey.from_vkey(WITNESS.vkey)
LEAVES: Final = [tlog.leaf_hash(bytes([number])) for number in range(21)]
WORDS: Final = (
    "— ".encode(),
    b"\n\n",
    b"plumeline/a/1\n",
    b"cosignature/v1\n",
    b"=",
    b"+",
    b"\r\n",
    b"0",
    b"18446744073709551616",
)


def _signed(key: Any, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _blobs(note: str, name: str) -> list[bytes]:
    _, _, rest = note.rpartition("\n\n")
    return [base64.b64decode(line.split(" ")[2]) for line in rest.splitlines() if line.startswith(f"— {name} ")]


def _note(note: str) -> None:
    text = note[: note.rindex("\n\n") + 1] if "\n\n" in note else ""
    try:
        found = tlog.open_checkpoint(note, [SIGNER.vkey])
        need(any(_signed(KEY, blob[4:], text.encode()) for blob in _blobs(note, "plumeline/a")), "a forgery believed")
        # Lines of extensions may follow.
        need(text.startswith(tlog.checkpoint_text(found.origin, found.size, found.root)), "another text")
    except tlog.NoteError:
        pass
    try:
        at = tlog_cosign.cosigned_at(note, KNOWN)
    except tlog.NoteError:
        return
    if at is not None:
        blobs = [blob for blob in _blobs(note, "centre/witness") if struct.unpack(">Q", blob[4:12]) == (at,)]
        message = f"cosignature/v1\ntime {at}\n{text}".encode()
        need(any(_signed(WITNESS_KEY, blob[12:], message) for blob in blobs), "a forged cosignature believed")


def _key(text: str) -> None:
    for read in (tlog_cosign.WitnessKey.from_vkey, tlog.Verifier.from_vkey, tlog_cosign.line_name):
        try:
            read(text)
        except tlog.NoteError:
            continue


def _proof(data: bytes) -> None:
    """Two numbers, then hashes: an inclusion and a consistency proof against a tree that is known."""
    index, old, size = data[0], data[1], data[2] % (len(LEAVES) + 1)
    path = [data[at : at + 32] for at in range(3, len(data) - 31, 32)]
    root = tlog.root_of(LEAVES[:size])
    leaf = LEAVES[index % len(LEAVES)]
    if tlog_proofs.verify_inclusion(leaf, index, size, path, root):
        need(index < size and LEAVES[index] == leaf, "a leaf believed where it is not")
    if tlog_proofs.verify_consistency(old, tlog.root_of(LEAVES[: min(old, len(LEAVES))]), size, root, path):
        need(old <= size, "a tree that shrank believed")


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer. The first byte says what the rest is."""
    if len(data) < 4:
        return
    kind, rest = data[0] % 3, data[1:]
    if kind == 2:
        _proof(rest)
        return
    text = rest.decode("utf-8", "replace")
    if kind:
        _key(text)
    else:
        _note(text)
    try:
        tlog.Frontier.from_bytes(rest)
    except ValueError:
        return


def _whole(size: int) -> str:
    note = tlog.make_checkpoint("plumeline/a/1", size, tlog.root_of(LEAVES[:size]), SIGNER)
    return note + WITNESS.cosign(note[: note.rindex("\n\n") + 1], 1_780_000_000)


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    proofs = [bytes([2, 3, 5, 13]) + b"".join(tlog_proofs.prove_inclusion(3, LEAVES[:13]))]
    proofs += [bytes([2, 0, 5, 13]) + b"".join(tlog_proofs.prove_consistency(5, LEAVES[:13]))]
    keys = [b"\1" + key.encode() for key in (SIGNER.vkey, WITNESS.vkey, "— a AAAAAAAAAA==\n")]
    return (
        [b"\0" + _whole(size).encode() for size in (0, 1, 8, 21)] + proofs + keys + [b"\1" + tlog.Frontier().to_bytes()]
    )


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """A damaged text signed anew, so that the damage gets past the signature; a proof with a byte of a hash changed."""
    rng = random.Random(seed)
    if not data or data[0] % 3:
        made = bytearray(data or b"\2\0\0\0")
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        return bytes(made[:room])
    text = data[1:].decode("utf-8", "replace").partition("\n\n")[0] + "\n"
    text = mutate(text.encode(), max(8, room - 400)).decode("utf-8", "replace").replace("\r", "").rstrip("\n") + "\n"
    try:
        note, line = SIGNER.sign(text), WITNESS.cosign(text, rng.getrandbits(40))
    except tlog.NoteError:
        return data[:room]
    if not rng.randrange(4):
        blob = base64.b64decode(line.split(" ")[2])
        cut = blob[: rng.randrange(len(blob))] + bytes(rng.randrange(3))
        line = f"— {WITNESS.name} {base64.b64encode(cut).decode()}\n"
    return b"\0" + (note + line).encode()[: room - 1]
