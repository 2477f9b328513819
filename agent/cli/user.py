"""Accounts of the station page: made and changed by whoever may write the station's store."""

import argparse
import sys
from pathlib import Path

from agent.config import Config
from host.acts import WaitingActs
from host.hjson import load
from host.problems import ConfigErrors
from web.user_command import UserCommands


def _folder(line: argparse.Namespace) -> Path | None:
    """Where the accounts lie; None after the configuration's errors were said."""
    try:
        config = load(line.config, Config, line.lang)
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
        return None
    folder = Path(config.store.path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_COMMANDS = UserCommands(_folder, lambda folder: WaitingActs(folder).add)
add, disable, enable = _COMMANDS.add, _COMMANDS.disable, _COMMANDS.enable
role, password, users = _COMMANDS.role, _COMMANDS.password, _COMMANDS.users
