"""Passwords: what may be one, and how it is kept.

Hash: argon2id (RFC 9106) with 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet, argon2id).
"""

import base64
import hashlib
import hmac
import re
from functools import cache
from importlib import resources
from typing import Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 200
# What a person repeats or counts is found by anybody who does the same.
DIFFERENT_MIN: Final = 5
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_WORD: Final = re.compile(r"[^\W\d_]+")

Weakness = Literal["password_length", "password_common"]


def hash_password(password: str) -> str:
    """The hash with its parameters and salt (PHC string)."""
    return _HASHER.hash(password)


def matches(password: str, stored: str) -> bool:
    """True where `password` gives the stored hash; compared in constant time."""
    try:
        return len(password) <= LENGTH_MAX and _HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """True for a hash made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


@cache
def nobody() -> str:
    """A hash no password is known of: to try one on takes as long as on a real one."""
    return hash_password(base64.b64encode(hashlib.sha256(b"nobody").digest()).decode())


def weakness(password: str, *names: str) -> Weakness | None:
    """Why a password may not be set; None for one that may. `names` are those of its person and place."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return "password_length"
    core = password.casefold()
    for name in filter(None, names):
        core = core.replace(name.casefold(), "")
    words = set(_WORD.findall(core))
    if words <= common() or core in common() or len(set(core)) < DIFFERENT_MIN:
        return "password_common"
    return None


@cache
def common() -> frozenset[str]:
    """Words people take first, in lower case and without what stands around them."""
    text = resources.files("web").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def matches_former(password: str, stored: str) -> bool:
    """True where `password` gives the scrypt hash that one page had before there were accounts."""
    kind, *rest = stored.split("$")
    if kind != "scrypt" or len(rest) != 5 or len(password) > LENGTH_MAX:
        return False
    n, r, p, salt, digest = rest
    found = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))
