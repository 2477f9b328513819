"""The command line of a program, made from a table: its commands, their arguments, its words in two languages."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from host.problems import Lang, Sentences, language

INTERRUPTED: Final = 130
REASON_MAX: Final = 1000

Argument = tuple[str, Mapping[str, Any]]


def reason(text: str) -> str:
    """Why a person acts, as it goes on record. Raises ArgumentTypeError where nothing is said."""
    if not text.strip() or len(text) > REASON_MAX:
        raise argparse.ArgumentTypeError(f"say why, in 1 to {REASON_MAX} characters")
    return text


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its commands: (path, `module:function`, arguments), each imported only when it runs.

    `arguments` maps the name of an argument to its flag and what argparse shall do with it. `{package}/cli.toml` says
    what the program, each group, command and argument means; every line also takes --lang.
    """

    name: str
    package: str
    arguments: Mapping[str, Argument]
    commands: Sequence[tuple[str, str, tuple[str, ...]]]

    def parser(self, lang: Lang) -> argparse.ArgumentParser:
        """Give the whole command line, its help in `lang`; `handler` of a parsed line is `module:function`."""
        words = {name: str(row[lang]) for name, row in Sentences(self.package, "cli.toml").table.items()}
        top = argparse.ArgumentParser(prog=self.name, description=words[self.name])
        top.add_argument("--lang", choices=("en", "zh"), default=lang, help=words["--lang"])
        groups: dict[str, Any] = {"": top.add_subparsers(required=True, metavar="COMMAND")}
        made: dict[str, argparse.ArgumentParser] = {}
        for path, handler, arguments in self.commands:
            command = _parser(path, made, groups, words)
            command.set_defaults(handler=handler)
            for argument in arguments:
                flag, how = self.arguments[argument]
                command.add_argument(flag, help=words[argument], **how)
        return top

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command. Exit codes: 0 well, 1 found something wrong, 2 usage."""
        arguments = list(sys.argv[1:] if argv is None else argv)
        line = self.parser(_asked_language(arguments)).parse_args(arguments)
        module, function = line.handler.split(":")
        try:
            return int(getattr(import_module(module), function)(line))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # Whoever read our output has seen enough; the interpreter must not flush into the closed pipe either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1


def _parser(
    path: str, made: dict[str, argparse.ArgumentParser], groups: dict[str, Any], words: Mapping[str, str]
) -> argparse.ArgumentParser:
    """The parser of a command or group, and of the groups around it. A command may be a group too: it comes first."""
    group, _, name = path.rpartition(" ")
    if group not in groups:
        around = made.get(group)
        inner = around or _parser(group, made, groups, words)
        groups[group] = inner.add_subparsers(required=around is None, metavar="ACTION")
    made[path] = groups[group].add_parser(name, help=words[path], description=words[path])
    return made[path]


def _asked_language(argv: Sequence[str]) -> Lang:
    """Language of the help itself, which argparse prints before any line is parsed."""
    scout = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    scout.add_argument("--lang", choices=("en", "zh"), default=language())
    try:
        return scout.parse_known_args(argv)[0].lang  # type: ignore[no-any-return]
    except argparse.ArgumentError:
        return language()
