"""How a body lies in a file of the log: deflated where that is shorter, and as it is otherwise.

What is hashed, sent and shown is the body itself; packing is the disk's business alone. A scan of 20 values takes a
fifth of its bytes, which is what a memory card is spared at each commit (`tools/bench storage`). Each row is packed by
itself, so that a damaged one costs no other. No checksum: the leaf hash beside it is one.

Form: the byte 0x01, then raw deflate (RFC 1951, window 4 KiB) with WORDS as preset dictionary. A body begins with `{`.
"""

import zlib
from typing import Final

from protocols import record

DEFLATED: Final = b"\x01"
_WINDOW: Final = -12
_LEVEL: Final = 1
_MEMORY: Final = 5
# Never altered: files of years are read with it. Another one takes another first byte.
WORDS: Final = (
    b'"period_s":60,"rows":{"final":true,"max":"mean":"min":,"n":60,"rev":0,"rule":"ghg","sd":0.,"u":"degC"},'
    b'"u":"hPa"},"u":"%"},"u":"mg/m3"},"u":"ug/m3"},"u":"m/s"},"u":"mmol/mol"},"u":"nmol/mol"},"valid":1}'
    b'"q":[["stale","instrument","2026-01-01T00:00:00.000Z"]],"kind":"event","origin":"what":'
    b'{"at":"2026-01-01T00:00:00.000Z","epoch":1,"instrument":"analyzer","kind":"scan","seq":1,"status":{},'
    b'"t":"2026-01-01T00:00:00.000Z","v":1,"values":{"co2":{"u":"umol/mol","x":4'
)
_EMPTY: Final = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, WORDS)


def pack(body: bytes) -> bytes:
    """A body as it is stored; an empty one, of raw that was removed, stays empty."""
    packer = _EMPTY.copy()
    packed = DEFLATED + packer.compress(body) + packer.flush()
    return packed if len(packed) < len(body) else body


def unpack(stored: object) -> bytes:
    """The body of a stored one. What no longer can be unpacked comes back as it is: its leaf hash says so."""
    if not isinstance(stored, bytes):
        # SQLite keeps any type in any column, and somebody may have written another there.
        return repr(stored).encode()
    if stored[:1] != DEFLATED:
        return stored
    unpacker = zlib.decompressobj(_WINDOW, WORDS)
    try:
        body = unpacker.decompress(stored[1:], record.BODY_BYTES_MAX)
    except zlib.error:
        return stored
    return body if unpacker.eof and not unpacker.unused_data else stored
