"""Accounts of the centre's page: made and changed by whoever may write beside its store."""

import argparse
import sys
from pathlib import Path

from central.config import Config
from host.acts import WaitingActs
from host.hjson import load
from host.problems import ConfigErrors
from web.user_command import UserCommands


def _folder(line: argparse.Namespace) -> Path | None:
    """Where the accounts lie; None after the configuration's errors were said."""
    try:
        return Path(load(line.config, Config, line.lang).store).parent
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
        return None


_COMMANDS = UserCommands(_folder, lambda folder: WaitingActs(folder).add)
add, disable, enable = _COMMANDS.add, _COMMANDS.disable, _COMMANDS.enable
role, password, users = _COMMANDS.role, _COMMANDS.password, _COMMANDS.users
