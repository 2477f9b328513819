"""Sessions: opened by a name and its password, ended by time, sign-out and every change of the account.

They live in memory: a restart signs everybody out.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from web.accounts import Account, Accounts
from web.brake import Brake
from web.passwords import is_outdated, matches, nobody

IDLE_S: Final = 30 * 60.0
SESSION_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 1000


@dataclass(slots=True)
class _Session:
    name: str
    stamp: str
    end: float
    seen: float


class Door:
    """Lets people in. `clock` gives monotonic seconds; a session idle for `idle_s`, or `session_s` old, has ended."""

    def __init__(
        self, accounts: Accounts, clock: Callable[[], float], idle_s: float = IDLE_S, session_s: float = SESSION_S
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self.brake = Brake(clock)
        self._idle_s = idle_s
        self.session_s = session_s
        self._sessions: dict[str, _Session] = {}

    def try_password(self, name: str, password: str, place: str = "") -> Account | None:
        """The account whose password this is; a wrong one is a step of the brake. Takes as long for unknown names.

        `place` is the address it is said from.
        """
        account = self._accounts.find(name)
        right = matches(password, account.hash if account else nobody())
        if account is None or not right:
            self.brake.failed(name, place)
            return None
        self.brake.passed(name, place)
        if is_outdated(account.hash):
            self._accounts.set_password(account.name, password)
        return self._accounts.find(name)

    def open(self, account: Account) -> str:
        """Token of a new session; the oldest of SESSIONS_MAX makes room."""
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        token, now = secrets.token_urlsafe(32), self._clock()
        self._sessions[token] = _Session(account.name, account.stamp, now + self.session_s, now)
        return token

    def person(self, token: str | None, *, moves: bool = False) -> Account | None:
        """Whose session a token is of, None where it has ended. `moves`: a person did something, no page by itself."""
        session = self._sessions.get(token or "")
        if token is None or session is None:
            return None
        now, account = self._clock(), self._accounts.find(session.name)
        ended = now >= session.end or now - session.seen >= self._idle_s
        if ended or account is None or account.stamp != session.stamp:
            del self._sessions[token]
            return None
        if moves:
            session.seen = now
        return account

    def leave(self, token: str | None) -> None:
        """End a session."""
        self._sessions.pop(token or "", None)
