"""Who may sign in at a page: accounts in a file only the service may read, changed one at a time.

Beside `page-accounts.json` lie `page-accounts.setup`, the code of a first start while no account exists, and maybe
`page-password`: the one password (scrypt) a page had before it had accounts, which opens the set-up as the code does.
"""

import fcntl
import hmac
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from web.passwords import hash_password, matches_former, weakness

Role = Literal["technician", "qa", "auditor", "admin"]
ROLES: Final[tuple[Role, ...]] = ("technician", "qa", "auditor", "admin")
FILE: Final = "page-accounts.json"
ACCOUNTS_MAX: Final = 200
_NAME: Final = re.compile(r"[^\W_](?:[\w .'-]{0,38}[\w.])?")


class AccountError(Exception):
    """A change of accounts that is refused; `code` names the words that say why (`web/words.toml`)."""

    def __init__(self, code: str, name: str = "") -> None:
        super().__init__(f"{code} {name}".strip())
        self.code = code
        self.name = name


@dataclass(frozen=True, slots=True)
class Account:
    """One person. `stamp` is new after every change: sessions opened under another have ended."""

    name: str
    role: Role
    hash: str
    stamp: str
    disabled: bool = False


class Accounts:
    """The accounts of one page; the file is read again when it has changed, whoever changed it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.setup_path = folder / "page-accounts.setup"
        self._former = folder / "page-password"
        self._kept: tuple[tuple[int, int, int], dict[str, Account]] = ((0, 0, 0), {})
        # A browser sends a host's cookies to all of its ports: two pages on one machine need two names.
        self.cookie = f"plumeline-{sha256(str(self.path.absolute()).encode()).hexdigest()[:8]}"

    def all(self) -> dict[str, Account]:
        """Accounts by name. Raises AccountError for a file that cannot be read."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return {}
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if mark != self._kept[0]:
            try:
                rows = json.loads(self.path.read_text(encoding="utf-8"))["accounts"]
                self._kept = (mark, {row["name"]: Account(**row) for row in rows})
            except (ValueError, KeyError, TypeError) as error:
                raise AccountError("accounts_damaged", str(self.path)) from error
        return self._kept[1]

    def find(self, name: str) -> Account | None:
        """An account that may sign in."""
        account = self.all().get(_plain(name))
        return account if account is not None and not account.disabled else None

    def add(self, name: str, role: Role, password: str) -> None:
        """A new account; the set-up ends with the first. Raises AccountError."""
        name = _plain(name)
        if not _NAME.fullmatch(name):
            raise AccountError("account_name", name)
        hashed = _hashed(password, name)
        with self._changing() as accounts:
            if any(one.casefold() == name.casefold() for one in accounts):
                raise AccountError("account_known", name)
            if len(accounts) >= ACCOUNTS_MAX:
                raise AccountError("account_many", name)
            accounts[name] = Account(name, role, hashed, "")
        self.setup_path.unlink(missing_ok=True)
        self._former.unlink(missing_ok=True)

    def set_password(self, name: str, password: str) -> None:
        """Another password. Raises AccountError."""
        self._change(name, hash=_hashed(password, name))

    def set_role(self, name: str, role: Role) -> None:
        """Another role. Raises AccountError."""
        self._change(name, role=role)

    def disable(self, name: str, disabled: bool = True) -> None:
        """Let nobody sign in by this account, or again. Raises AccountError."""
        self._change(name, disabled=disabled)

    def begin_setup(self) -> None:
        """Write a set-up code, where no account exists and none is waiting."""
        if not self.all() and not self.setup_path.exists():
            self._write(self.setup_path, secrets.token_urlsafe(9))

    def is_setup_code(self, code: str) -> bool:
        """True for the code that lies in the file, and for the one password of a page from before its accounts."""
        if self.all():
            return False
        if self._former.exists() and matches_former(code, self._former.read_text(encoding="utf-8").strip()):
            return True
        if not self.setup_path.exists():
            return False
        return hmac.compare_digest(code.strip().encode(), self.setup_path.read_bytes().strip())

    def _change(self, name: str, **members: Any) -> None:
        name = _plain(name)
        with self._changing() as accounts:
            if name not in accounts:
                raise AccountError("account_unknown", name)
            accounts[name] = replace(accounts[name], stamp="", **members)
            if not any(one.role == "admin" and not one.disabled for one in accounts.values()):
                raise AccountError("account_last_admin", name)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Account]]:
        """The accounts to change, alone; what has no stamp afterwards gets one, and the file is written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        path = self.path.with_name("page-accounts.lock")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
            _give_to_owner(path)
            fcntl.flock(lock, fcntl.LOCK_EX)
            accounts = dict(self.all())
            yield accounts
            rows = [asdict(one if one.stamp else replace(one, stamp=secrets.token_hex(8))) for one in accounts.values()]
            self._write(self.path, json.dumps({"v": 1, "accounts": rows}, ensure_ascii=False, indent=1))

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        # A new file, so that its mode is ours whatever lay there before.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        _give_to_owner(temporary)
        temporary.replace(path)


def _give_to_owner(path: Path) -> None:
    """What an administrator writes is read by the service, whose folder it is."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def role_of(text: str) -> Role:
    """A role by its word. Raises AccountError."""
    if text not in ROLES:
        raise AccountError("account_role", text)
    return text


def told(account: Account) -> Mapping[str, Any]:
    """What may be shown of an account: everything but its hash."""
    return {"name": account.name, "role": account.role, "disabled": account.disabled}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _hashed(password: str, name: str) -> str:
    if found := weakness(password, name):
        raise AccountError(found, name)
    return hash_password(password)
