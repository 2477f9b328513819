"""What `user add|disable|enable|role|password|list` does to the accounts of a page, for both programs."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from web.accounts import AccountError, Accounts, role_of, told
from web.entry import said
from web.words import Words

Record = Callable[[Mapping[str, Any]], None]


def change(line: argparse.Namespace, accounts: Accounts, record: Record) -> int:
    """Do one act on an account once it is on record; 1 with the reason where it is refused.

    `line.act` is add, disable, enable, role or password.
    """
    words = Words("web", line.lang)
    asked = {"do": f"user {line.act}", "account": line.name, "who": getpass.getuser(), "uid": os.getuid()}
    role = getattr(line, "role", None)
    try:
        new = _password(words) if line.act in ("add", "password") else ""
        record({**asked, "outcome": "asked", **({"role": role_of(role)} if role else {}), "origin": "command line"})
        _done(line.act, line.name, role, new, accounts)
    except AccountError as error:
        print(said(error, words), file=sys.stderr)
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _done(act: str, name: str, role: str | None, password: str, accounts: Accounts) -> None:
    if act == "add":
        accounts.add(name, role_of(role or ""), password)
    elif act == "password":
        accounts.set_password(name, password)
    elif act == "role":
        accounts.set_role(name, role_of(role or ""))
    else:
        accounts.disable(name, act == "disable")


def listed(line: argparse.Namespace, accounts: Accounts) -> int:
    """All accounts with their roles."""
    words = Words("web", line.lang)
    try:
        rows = [told(one) for _, one in sorted(accounts.all().items())]
    except (AccountError, OSError) as error:
        print(said(error, words) if isinstance(error, AccountError) else error, file=sys.stderr)
        return 1
    if line.json:
        print(json.dumps(rows, ensure_ascii=False))
    for row in () if line.json else rows:
        print(f"{row['name']:<24} {words('role_' + row['role'])}{'  ' + words('disabled') if row['disabled'] else ''}")
    return 0


def _password(words: Words) -> str:
    """From the terminal twice, or one line of standard input. Raises AccountError where the two differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().removesuffix("\n")
    first = getpass.getpass(f"{words('password_new')}: ")
    if getpass.getpass(f"{words('password_again')}: ") != first:
        raise AccountError("password_twice")
    return first


class UserCommands:
    """The commands of one program's page.

    `folder` gives where its accounts lie, None after the configuration's errors were said; `record` what puts an act on
    record there.
    """

    def __init__(self, folder: Callable[[argparse.Namespace], Path | None], record: Callable[[Path], Record]) -> None:
        self._folder = folder
        self._record = record

    def add(self, line: argparse.Namespace) -> int:
        """A new account; its password comes from the terminal or standard input."""
        return self._change(line, "add")

    def disable(self, line: argparse.Namespace) -> int:
        """Nobody signs in by it any more, and who has is signed out."""
        return self._change(line, "disable")

    def enable(self, line: argparse.Namespace) -> int:
        """It is good again."""
        return self._change(line, "enable")

    def role(self, line: argparse.Namespace) -> int:
        """Another role."""
        return self._change(line, "role")

    def password(self, line: argparse.Namespace) -> int:
        """Another password."""
        return self._change(line, "password")

    def users(self, line: argparse.Namespace) -> int:
        """All accounts."""
        folder = self._folder(line)
        return 1 if folder is None else listed(line, Accounts(folder))

    def _change(self, line: argparse.Namespace, act: str) -> int:
        folder = self._folder(line)
        if folder is None:
            return 1
        line.act = act
        return change(line, Accounts(folder), self._record(folder))
