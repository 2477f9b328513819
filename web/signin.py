"""Sign-in: one password, set at the first start by who can read a file on the server; none exists by default.

Hash: scrypt (RFC 7914) with N = 2^14, r = 8, p = 1. Sessions live in memory: a restart signs everybody out.
"""

import base64
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

PASSWORD_LENGTH_MIN: Final = 10
PASSWORD_LENGTH_MAX: Final = 200
SESSION_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 1000
FAILURES_MAX: Final = 5
FAILURE_WINDOW_S: Final = 60.0
_N, _R, _P = 2**14, 8, 1


def hash_password(password: str) -> str:
    """`scrypt$N$r$p$salt$hash`, salt and hash in base64."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return "$".join(["scrypt", str(_N), str(_R), str(_P), *(base64.b64encode(b).decode() for b in (salt, digest))])


def matches(password: str, stored: str) -> bool:
    """True where `password` gives the stored hash; compared in constant time."""
    _, n, r, p, salt, digest = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


class Door:
    """Sessions and the brake on guessing. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, float] = {}
        self._failures: deque[float] = deque(maxlen=FAILURES_MAX)

    @property
    def closed(self) -> bool:
        """True while too many attempts failed within the last minute."""
        full = len(self._failures) == FAILURES_MAX
        return full and self._clock() - self._failures[0] < FAILURE_WINDOW_S

    def open_with(self, password: str, stored: str) -> str | None:
        """Give a new session's token for the right password; None, and a step of the brake, for a wrong one."""
        if len(password) > PASSWORD_LENGTH_MAX or not matches(password, stored):
            self._failures.append(self._clock())
            return None
        return self.new_session()

    def new_session(self) -> str:
        """Token of a new session; the oldest of SESSIONS_MAX makes room."""
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(32)
        self._sessions[token] = self._clock() + SESSION_S
        return token

    def knows(self, token: str | None) -> bool:
        """True for the token of a session that has not ended."""
        return token is not None and self._sessions.get(token, 0.0) > self._clock()

    def leave(self, token: str | None) -> None:
        """End a session."""
        if token is not None:
            self._sessions.pop(token, None)
