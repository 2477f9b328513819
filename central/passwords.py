"""The page's password: set by a person before the first sign-in, kept as a scrypt hash; there is no default.

scrypt: RFC 7914; n = 2**15, r = 8, p = 1 costs about 50 ms and 32 MiB (n is stored, so that it can be raised later).
"""

import hashlib
import hmac
import secrets
from typing import Any, Final

import apsw

LENGTH_MIN: Final = 10
LENGTH_MAX: Final = 200
SALT_BYTES: Final = 16
_N, _R, _P = 2**15, 8, 1


class WeakPasswordError(ValueError):
    """A password that is too short or too long; the message says what is wanted."""


def _hash(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    memory = 128 * n * r * p + 1024 * 1024
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=32)


def set_password(db: apsw.Connection, password: str) -> None:
    """Keep the hash of a password in place of the one before. Raises WeakPasswordError."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise WeakPasswordError(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters")
    salt = secrets.token_bytes(SALT_BYTES)
    row = (salt, _hash(password, salt, _N, _R, _P), _N, _R, _P)
    with db:
        db.execute("INSERT OR REPLACE INTO password VALUES(1, ?, ?, ?, ?, ?)", row)


def is_set(db: apsw.Connection) -> bool:
    """Whether anybody can sign in at all."""
    return bool(db.execute("SELECT count(*) FROM password").get)


def check_password(db: apsw.Connection, password: str) -> bool:
    """Whether this is the password; False while none is set."""
    row: Any = db.execute("SELECT hash, salt, n, r, p FROM password").fetchone()
    if row is None or len(password) > LENGTH_MAX:
        return False
    kept: bytes = row[0]
    return hmac.compare_digest(_hash(password, *row[1:]), kept)
