"""Sign-in: one password, set at the first start by who can read a file on the server; none exists by default.

Hash: scrypt (RFC 7914) with N = 2^14, r = 8, p = 5: 16 MiB for some 0.2 s (OWASP Password Storage Cheat Sheet, scrypt).
Sessions live in memory: a restart signs everybody out, and so does a new password.
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
_N, _R, _P = 2**14, 8, 5


def hash_password(password: str) -> str:
    """`scrypt$N$r$p$salt$hash`, salt and hash in base64."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return "$".join(["scrypt", str(_N), str(_R), str(_P), *(base64.b64encode(b).decode() for b in (salt, digest))])


def fits(password: str) -> bool:
    """True for a password of a length that may be set."""
    return PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX


def matches(password: str, stored: str) -> bool:
    """True where `password` gives the stored hash; compared in constant time."""
    _, n, r, p, salt, digest = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


class Door:
    """Sessions and the brake on guessing. `clock` gives monotonic seconds; `stored` is always the hash now in force.

    The brake counts wrong passwords of everybody together: there is one password, and an address costs nothing.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, tuple[float, str]] = {}
        self._failures: deque[float] = deque(maxlen=FAILURES_MAX)

    @property
    def closed(self) -> bool:
        """True while FAILURES_MAX attempts failed within the last FAILURE_WINDOW_S."""
        full = len(self._failures) == FAILURES_MAX
        return full and self._clock() - self._failures[0] < FAILURE_WINDOW_S

    def open_with(self, password: str, stored: str) -> str | None:
        """Give a new session's token for the right password; None, and a step of the brake, for a wrong one."""
        if len(password) > PASSWORD_LENGTH_MAX or not matches(password, stored):
            self._failures.append(self._clock())
            return None
        return self.new_session(stored)

    def new_session(self, stored: str) -> str:
        """Token of a new session under a password's hash; the oldest of SESSIONS_MAX makes room."""
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (self._clock() + SESSION_S, stored)
        return token

    def knows(self, token: str | None, stored: str | None) -> bool:
        """True for the token of a session that has not ended, opened with the password now in force."""
        if token is None or token not in self._sessions:
            return False
        end, opened_with = self._sessions[token]
        return end > self._clock() and opened_with == stored

    def leave(self, token: str | None) -> None:
        """End a session."""
        if token is not None:
            self._sessions.pop(token, None)
