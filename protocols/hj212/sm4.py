"""SM4 over the data area (HJ 212-2025, as public code quotes it): ECB without padding, whole blocks only.

The last `n mod 16` bytes stay plain, so the size does not change. ECB shows repeats and nothing here proves who wrote
the bytes: it hides values from a passer-by, no more.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK: Final = 16


@lru_cache(maxsize=8192)
def _cipher(key: bytes) -> "Cipher[ECB]":
    # Loaded by the links that use it: several megabytes that the others need not carry.
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import SM4
    from cryptography.hazmat.primitives.ciphers.modes import ECB

    return Cipher(SM4(key), ECB())


def encrypt(plain: bytes, key: bytes) -> bytes:
    """Cipher bytes of a data area, as long as it is. Raises ValueError for a key that has not 16 bytes."""
    whole = len(plain) - len(plain) % BLOCK
    return _cipher(key).encryptor().update(plain[:whole]) + plain[whole:]


def decrypt(cipher: bytes, key: bytes) -> bytes:
    """Inverse of `encrypt`."""
    whole = len(cipher) - len(cipher) % BLOCK
    return _cipher(key).decryptor().update(cipher[:whole]) + cipher[whole:]


# One byte as the standard prints it: two hexadecimal digits, perhaps with 0x, a blank or a comma before them.
_PRINTED: Final = rb"(?:[ ,]*(?:0[xX])?[0-9A-Fa-f]{2})"
_NO_DIGIT: Final = re.compile(rb"0[xX]|[ ,]")
_NOT_PRINTED: Final = re.compile(rb"[^0-9A-Fa-fxX ,]")
_PRINTED_BYTE_MAX: Final = 6
_WHOLE: Final = re.compile(_PRINTED + rb"*[ ,]*")


def from_printed(text: bytes) -> bytes | None:
    """Bytes that a text prints in hexadecimal digits, None where it is no such text."""
    return _bytes_of(text) if _WHOLE.fullmatch(text) else None


def _bytes_of(text: bytes) -> bytes:
    return bytes.fromhex(_NO_DIGIT.sub(b"", text).decode("ascii"))


@lru_cache(maxsize=64)
def _count(size: int) -> re.Pattern[bytes]:
    return re.compile(_PRINTED + b"{%d}" % size)


def find_printed(data: bytes, at: int, size: int) -> list[tuple[bytes, int]] | None:
    """Where a cipher text of `size` bytes stands printed at `at`, though the frame's length counts its bytes.

    The whole blocks are printed, what is left over stands plain or printed, `&&` follows. Gives what it may be and
    where that ends (behind the `&&`); None where more bytes are needed to say.
    """
    left = size % BLOCK
    limit = at + _PRINTED_BYTE_MAX * (size - left)
    blocks = _count(size - left).match(data, at, limit)
    if size < BLOCK or blocks is None:
        stopped = size < BLOCK or len(data) >= limit or _NOT_PRINTED.search(data, at, limit)
        return [] if stopped else None
    cipher, end = _bytes_of(blocks[0]), blocks.end()
    room = end + _PRINTED_BYTE_MAX * left + 3
    if len(data) < room and data.find(b"&&", end + left, room) < 0:
        return None
    found = []
    for begin in (end, end + 1):
        if data[begin + left : begin + left + 2] == b"&&" and not data[end:begin].strip(b" ,"):
            found.append((cipher + data[begin : begin + left], begin + left + 2))
    printed = _count(left).match(data, end, room)
    close = data.find(b"&&", printed.end(), room) if printed else -1
    if printed and close >= 0 and not data[printed.end() : close].strip(b" ,"):
        found.append((cipher + _bytes_of(printed[0]), close + 2))
    return found
