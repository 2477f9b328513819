"""`plumeline`: the command line of a station. Each command imports what it needs only when it runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from host.problems import Lang, Sentences, language

SOCKET: Final = "/run/plumeline/agent.sock"
INTERRUPTED: Final = 130

_ARGUMENTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "CONFIG": ("config", {"metavar": "CONFIG"}),
    "NAME": ("name", {"metavar": "NAME"}),
    "KEY": ("key", {"metavar": "KEY"}),
    "EXAMPLE": ("example", {"metavar": "EXAMPLE", "nargs": "?"}),
    "--clock": ("--clock", {"metavar": "WALL0,WORLD0,RATE"}),
    "--json": ("--json", {"action": "store_true"}),
    "--socket": ("--socket", {"metavar": "PATH", "default": SOCKET}),
    "--who": ("--who", {"metavar": "PERSON"}),
    "--reason": ("--reason", {"metavar": "TEXT", "required": True}),
    "--hours": ("--hours", {"metavar": "HOURS", "type": float, "required": True}),
}
# Command, the function that runs it, its arguments; what each means stands in two languages in cli.toml.
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("run", "agent.cli_run:run", ("CONFIG", "--clock")),
    ("check", "agent.cli_config:check", ("CONFIG", "--json")),
    ("status", "agent.cli_live:status", ("--socket", "--json")),
    ("watch", "agent.cli_live:watch", ("--socket", "--json")),
    ("calibrate start", "agent.cli_live:calibrate_start", ("NAME", "--who", "--socket", "--json")),
    ("calibrate abort", "agent.cli_live:calibrate_abort", ("--who", "--socket", "--json")),
    ("calibrate safe", "agent.cli_gas:safe", ("CONFIG", "--json")),
    ("rehearse", "agent.cli_gas:rehearse", ("CONFIG", "NAME", "--json")),
    ("maintenance on", "agent.cli_live:maintenance_on", ("--reason", "--hours", "--who", "--socket", "--json")),
    ("maintenance off", "agent.cli_live:maintenance_off", ("--who", "--socket", "--json")),
    ("config schema", "agent.cli_config:schema", ()),
    ("config example", "agent.cli_config:example", ("EXAMPLE",)),
    ("config vkey", "agent.cli_ledger:vkey", ("CONFIG",)),
    ("config explain", "agent.cli_config:explain", ("KEY", "--json")),
)


def parser(lang: Lang) -> argparse.ArgumentParser:
    """Give the whole command line, its help in `lang`; `handler` of a parsed line is `module:function`."""
    words = {name: str(row[lang]) for name, row in Sentences("agent", "cli.toml").table.items()}
    top = argparse.ArgumentParser(prog="plumeline", description=words["plumeline"])
    top.add_argument("--lang", choices=("en", "zh"), default=lang, help=words["--lang"])
    groups = {"": top.add_subparsers(required=True, metavar="COMMAND")}
    for path, handler, arguments in COMMANDS:
        group, _, name = path.rpartition(" ")
        if group not in groups:
            made = groups[""].add_parser(group, help=words[group], description=words[group])
            groups[group] = made.add_subparsers(required=True, metavar="ACTION")
        command = groups[group].add_parser(name, help=words[path], description=words[path])
        command.set_defaults(handler=handler)
        for argument in arguments:
            flag, how = _ARGUMENTS[argument]
            command.add_argument(flag, help=words[argument], **how)
    return top


def _asked_language(argv: Sequence[str]) -> Lang:
    """Language of the help itself, which argparse prints before any line is parsed."""
    scout = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    scout.add_argument("--lang", choices=("en", "zh"), default=language())
    try:
        return scout.parse_known_args(argv)[0].lang  # type: ignore[no-any-return]
    except argparse.ArgumentError:
        return language()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 well, 1 found something wrong, 2 usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    line = parser(_asked_language(arguments)).parse_args(arguments)
    module, function = line.handler.split(":")
    try:
        return int(getattr(import_module(module), function)(line))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not flush into the closed pipe either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
