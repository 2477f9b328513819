"""Accounts of the centre's page: made and changed by whoever may write beside its store."""

import argparse
import sys
from pathlib import Path

from central.config import Config
from host.acts import WaitingActs
from host.hjson import load
from host.problems import ConfigErrors
from web.accounts import Accounts
from web.user_command import change, listed


def add(line: argparse.Namespace) -> int:
    """A new account; its password comes from the terminal or standard input."""
    return _change(line, "add")


def disable(line: argparse.Namespace) -> int:
    """Nobody signs in by it any more, and who has is signed out."""
    return _change(line, "disable")


def enable(line: argparse.Namespace) -> int:
    """It is good again."""
    return _change(line, "enable")


def role(line: argparse.Namespace) -> int:
    """Another role."""
    return _change(line, "role")


def password(line: argparse.Namespace) -> int:
    """Another password."""
    return _change(line, "password")


def users(line: argparse.Namespace) -> int:
    """All accounts."""
    folder = _folder(line)
    return 1 if folder is None else listed(line, Accounts(folder))


def _change(line: argparse.Namespace, act: str) -> int:
    folder = _folder(line)
    if folder is None:
        return 1
    line.act = act
    return change(line, Accounts(folder), WaitingActs(folder).add)


def _folder(line: argparse.Namespace) -> Path | None:
    """Where the accounts lie; None after the configuration's errors were said."""
    try:
        return Path(load(line.config, Config, line.lang).store).parent
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
        return None
