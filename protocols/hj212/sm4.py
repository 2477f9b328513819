"""SM4 over the data area (HJ 212-2025, as public code quotes it): ECB without padding, whole blocks only.

The last `n mod 16` bytes stay plain, so the size does not change. ECB shows repeats and nothing here proves who wrote
the bytes: it hides values from a passer-by, no more.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK: Final = 16


@lru_cache(maxsize=64)
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
