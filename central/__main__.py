"""`plumeline-central`: the command line of the centre. Each command imports what it needs only when it runs."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from host.problems import Lang, Sentences, language

INTERRUPTED: Final = 130

_ARGUMENTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "CONFIG": ("config", {"metavar": "CONFIG"}),
    "STATION": ("station", {"metavar": "STATION"}),
    "--at": ("--at", {"metavar": "TIME"}),
    "--clock": ("--clock", {"metavar": "WALL0,WORLD0,RATE"}),
    "--json": ("--json", {"action": "store_true"}),
}
# Command, the function that runs it, its arguments; what each means stands in two languages in cli.toml.
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("run", "central.cli:run", ("CONFIG", "--clock")),
    ("check", "central.cli:check", ("CONFIG", "--json")),
    ("attribute", "central.cli:attribute", ("CONFIG", "--at", "--clock", "--json")),
    ("enrol", "central.cli:enrol", ("CONFIG", "STATION", "--json")),
    ("password", "central.cli:password", ("CONFIG",)),
)


def parser(lang: Lang) -> argparse.ArgumentParser:
    """Give the whole command line, its help in `lang`; `handler` of a parsed line is `module:function`."""
    words = {name: str(row[lang]) for name, row in Sentences("central", "cli.toml").table.items()}
    top = argparse.ArgumentParser(prog="plumeline-central", description=words["plumeline-central"])
    top.add_argument("--lang", choices=("en", "zh"), default=lang, help=words["--lang"])
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, handler, arguments in COMMANDS:
        command = commands.add_parser(name, help=words[name], description=words[name])
        command.set_defaults(handler=handler)
        for argument in arguments:
            flag, how = _ARGUMENTS[argument]
            command.add_argument(flag, help=words[argument], **how)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 well, 1 found something wrong, 2 usage."""
    line = parser(language()).parse_args(argv)
    module, function = line.handler.split(":")
    try:
        return int(getattr(import_module(module), function)(line))
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
