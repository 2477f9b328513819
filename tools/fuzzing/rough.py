"""A mutator of bytes for where no libFuzzer is there."""

import random
from collections.abc import Sequence
from typing import Final

NUMBERS: Final = (b"0", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"null", b'"', b"\\", b"\xff", b"\x00")


def rough(data: bytes, max_size: int, seed: int, words: Sequence[bytes] = ()) -> bytes:
    """A mutator of bytes flips, cuts, copies, insertions; `words` are what the format is made of."""
    rng = random.Random(seed)
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(made) + 1)
        size = rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(6):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del made[at : at + size]
            case 2:
                source = rng.randrange(len(made) + 1)
                made[at:at] = made[source : source + size]
            case 3:
                made[at:at] = rng.choice(words or NUMBERS)
            case 4:
                made[at : at + 1] = bytes([made[at] ^ 1 << rng.randrange(8)]) if at < len(made) else b"#"
            case 5:
                made[at:at] = rng.randbytes(size)
    return bytes(made[:max_size])
