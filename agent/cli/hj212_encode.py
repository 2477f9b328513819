"""`plumeline hj212 encode`: a frame from names and values, or again from what `decode --json` printed."""

import argparse
import contextlib
import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from agent.cli.hj212_decode import opened
from agent.cli.words import say
from host.problems import Lang
from host.secrets import SecretError, SecretRef, read_secret
from protocols.hj212 import Edition, EncodeError, Frame, Message
from protocols.hj212 import encode as encoded
from protocols.hj212.commands import Command, Direction, commands
from protocols.hj212.message import REPLY_ST, Area, flag_of
from protocols.hj212.times import render_qn

# Dialogues whose first message asks for an answer.
_ASKING: Final = frozenset({"request", "notice", "upload"})


class UsageError(Exception):
    """What is wrong with a command line, in the words of its user."""


def encode(line: argparse.Namespace) -> int:
    """Write the frame; 2 where the command line cannot be one, 1 where a frame read again cannot be written."""
    try:
        if line.source is not None:
            return _again(line)
        if line.cn is None:
            raise UsageError(say("hj212.no-cn", line.lang))
        _write(_message(line), line)
    except (UsageError, EncodeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(error, file=sys.stderr)
        return 2
    return 0


def _write(message: Message, line: argparse.Namespace) -> None:
    data = encoded(message, line.key)
    if line.hex:
        print(data.hex())
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def password(line: argparse.Namespace) -> str:
    """The password: from its file, else asked for without showing it. Raises UsageError."""
    try:
        if line.pw_file is not None:
            return read_secret(SecretRef(file=line.pw_file)).decode("ascii", "replace")
    except SecretError as error:
        raise UsageError(say("hj212.pw-file", line.lang, error=error)) from error
    if not sys.stdin.isatty():
        raise UsageError(say("hj212.no-pw", line.lang))
    return getpass.getpass("PW: ")


def values_of(items: Sequence[str], lang: Lang) -> dict[str, list[str]]:
    """Values by name of `NAME=VALUE` words, several joined by commas as on the wire. Raises UsageError."""
    values: dict[str, list[str]] = {}
    for part in (part for item in items for part in item.split(",")):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise UsageError(say("hj212.item", lang, item=part))
        values.setdefault(name, []).append(value)
    return values


def area_of(command: Command, items: Sequence[str], st: str, lang: Lang) -> Area:
    """Data area of `NAME=VALUE` words, arranged as the table has it. Raises UsageError for what does not fit."""
    try:
        return command.area(values_of(items, lang), st)
    except ValueError as error:
        raise UsageError(say("hj212.problem", lang, problem=error, fields=layout(command))) from error


def layout(command: Command) -> str:
    """The data area of a command as the table has it: `1` exactly one, `?` none or one, `+` one or more, `*` any."""
    return " | ".join(form.area or "-" for form in command.forms)


def command_for(edition: Edition, cn: str, way: Direction, lang: Lang) -> Command:
    """The row of the table for a CN in one direction. Raises UsageError, which names those there are."""
    known = commands(edition)
    if (cn, way) in known:
        return known[cn, way]
    numbers = ", ".join(sorted(cn for cn, one in known if one == way))
    raise UsageError(say("hj212.no-command", lang, cn=cn, edition=edition.value, known=numbers))


def _command(line: argparse.Namespace, edition: Edition) -> Command:
    """The command meant: where both directions have that CN and none is given, the one whose table the words fit."""
    if line.to is not None:
        return command_for(edition, line.cn, "to_station" if line.to == "station" else "to_platform", line.lang)
    down = commands(edition).get((line.cn, "to_station"))
    if down is not None:
        with contextlib.suppress(UsageError):
            area_of(down, line.items, line.st, line.lang)
            return down
    up = commands(edition).get((line.cn, "to_platform"))
    return up or down or command_for(edition, line.cn, "to_platform", line.lang)


def _message(line: argparse.Namespace) -> Message:
    edition = Edition(line.edition)
    if line.mn is None:
        raise UsageError(say("hj212.no-mn", line.lang))
    command = _command(line, edition)
    area = area_of(command, line.items, line.st, line.lang)
    pno, pnum = _part(line)
    asks = command.dialogue in _ASKING and not line.no_answer
    flag = flag_of(edition, wants_answer=asks, split=pnum is not None)
    st = REPLY_ST if command.dialogue == "answer" else line.st
    qn = line.qn or render_qn(datetime.now(UTC))
    return Message(qn, st, line.cn, password(line), line.mn, flag, area, pnum, pno, line.resent)


def _part(line: argparse.Namespace) -> tuple[int | None, int | None]:
    if line.part is None:
        return None, None
    number, slash, parts = line.part.partition("/")
    if not (slash and number.isdigit() and parts.isdigit()):
        raise UsageError(say("hj212.part", line.lang, part=line.part))
    return int(number), int(parts)


def _again(line: argparse.Namespace) -> int:
    """Each frame of JSON lines written anew, strictly; 1 where one cannot be."""
    code = 0
    with opened(line.source) as file:
        for number, text in enumerate(file, 1):
            try:
                _write(_told(json.loads(text)), line)
            except (ValueError, KeyError, TypeError) as error:
                print(say("hj212.again", line.lang, line=number, error=error), file=sys.stderr)
                code = 1
    return code


def _told(told: dict[str, Any]) -> Message:
    """The message of an object that `decode --json` printed. Raises ValueError, KeyError or TypeError."""
    if not told["ok"]:
        raise ValueError(told["reason"])
    cp = [[(str(name), str(value)) for name, value in item] for item in told["cp"]]
    return Frame(b"", 0, told["fields"], cp, []).message
