"""Check a report of `plumeline-central verify` with nothing of ours: Python and `cryptography`.

python3 inspect_evidence.py march.json STATION_KEY [CENTRE_KEY]     (keys as verification keys: name+id+base64)
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify(note: str, vkey: str, cosigned: bool) -> None:
    """Raise where the note bears no signature line of the key, or a wrong one."""
    name, key_id, key = vkey.split("+", 2)
    text, lines = note.split("\n\n")
    blobs = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if line.split(" ")[1] == name]
    blob = next(one for one in blobs if one[:4].hex() == key_id)
    time, message = int.from_bytes(blob[4:12], "big"), f"{text}\n"
    message = f"cosignature/v1\ntime {time}\n{message}" if cosigned else message
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(
        blob[12 if cosigned else 4 :], message.encode()
    )


def root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2)."""
    last, found = size - 1, leaf
    for sibling in path:
        right = index % 2 == 1 or index == last
        found = hashlib.sha256(b"\1" + (sibling + found if right else found + sibling)).digest()
        while right and index % 2 == 0 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return found if last == 0 else b""


try:
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    proofs, unproven = report["proofs"], report.get("unproven", [])
except (OSError, ValueError, KeyError, TypeError) as error:
    sys.exit(f"{sys.argv[1]} is no whole report of evidence: {error}")
for epoch, seq in unproven:
    print(f"record {epoch}:{seq} was asked for, and the centre has no proof of it")
for proof in proofs:
    verify(proof["note"], sys.argv[2], cosigned=False)
    if len(sys.argv) > 3:
        verify(proof["note"], sys.argv[3], cosigned=True)
    origin, size, signed = proof["note"].split("\n")[:3]
    body, (epoch, seq) = base64.b64decode(proof["body"]), proof["record"]
    leaf = hashlib.sha256(b"\0" + body).digest()
    assert origin.endswith(f"/{epoch}"), "the note is of another epoch"
    found = root(seq, int(size), leaf, [base64.b64decode(one) for one in proof["path"]])
    assert found == base64.b64decode(signed), f"record {epoch}:{seq} is not in the signed tree"
    print(f"record {epoch}:{seq} is in the signed tree of {size} records: {body.decode()[:200]}")
if not proofs:
    print("the report proves no record")
sys.exit(1 if unproven or not proofs else 0)
