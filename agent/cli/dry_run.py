"""`plumeline check CONFIG --dry-run`: one read of every instrument, as a table with what failed and what to do."""

import argparse
import asyncio
import errno
import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from agent.changes import fingerprint
from agent.cli.words import say
from agent.config import Config
from agent.dry_run import listen_s, read_once, rows_of
from host.clock import RealClock
from host.control import RequestError, ask
from host.problems import Lang, Problem, Sentences
from host.table import table
from metrology.units import SHOWN
from web.words import Words

Row = dict[str, Any]
NOTHING: Final = "-"
# Nobody listens on the socket: no daemon runs by this file.
_NO_DAEMON: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR})


class _RefusedError(Exception):
    """A daemon that does not tell; its text goes to the person."""


@cache
def remedies() -> Sentences:
    """What keeps instruments from giving readings, and what to do."""
    return Sentences("agent.checks", "remedies.toml")


def dry_run(line: argparse.Namespace, config: Config, problems: Sequence[Problem]) -> int:
    """Read every instrument and print what came; 1 where one gave no reading, or the file has errors."""
    if not line.json:
        print(say("dry.reading", line.lang, count=len(config.instruments), seconds=_longest_s(config)), file=sys.stderr)
    try:
        source, rows = asyncio.run(_read(config))
    except _RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    rows = [_with_remedy(row, line.lang) for row in rows]
    if line.json:
        told = [{name: getattr(one, name) for name in Problem.__slots__} for one in problems]
        answer = {"problems": told, "from": source, "instruments": rows}
        print(json.dumps(answer, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_shown(source, rows, line.lang)))
    failed = any(row["failure"] for row in rows)
    return int(failed or any(problem.severity == "error" for problem in problems))


def _longest_s(config: Config) -> float:
    """How long the slowest line that speaks unasked may keep the person waiting."""
    streams = {name for name, bus in config.buses.items() if bus.protocol == "stream"}
    return max((listen_s(iter([one])) for one in config.instruments.values() if one.bus in streams), default=0.0)


async def _read(config: Config) -> tuple[str, list[Row]]:
    """Rows in the order of the file and who read them: the daemon where one runs, else this program."""
    rows: dict[str, Row] = {}
    source = "daemon"
    try:
        async for answer in ask(config.socket, {"do": "read"}):
            if "config" in answer:
                source = "daemon" if answer["config"] == fingerprint(config) else "other-daemon"
            else:
                rows[answer["instrument"]] = answer
    except RequestError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NO_DAEMON:
            return "instruments", rows_of(config, await read_once(config, RealClock()))
        raise _RefusedError(str(error)) from error
    return source, [rows[name] for name in config.instruments if name in rows]


def _with_remedy(row: Row, lang: Lang) -> Row:
    failure = row["failure"]
    if failure is None:
        return row
    what, remedy = remedies().say(failure["code"], lang, **failure)
    return {**row, "failure": {**failure, "what": what, "remedy": remedy}}


def _shown(source: str, rows: Sequence[Row], lang: Lang) -> Iterator[str]:
    yield say(f"dry.{source}", lang)
    words = Words("agent", lang)
    head = [words("name"), *(say(f"dry.{word}", lang) for word in ("measurand", "value", "unit", "took", "quality"))]
    cells = [cell for row in rows if not row["failure"] for cell in _cells(row, words, lang)]
    if cells:
        yield table(head, cells, (2, 4))
    for row in rows:
        if failure := row["failure"]:
            gap = "" if failure["what"].endswith("。") else " "
            text = f" [{failure['text']}]" if failure["text"] else ""
            yield f"{row['instrument']} ({row['bus']}): {failure['what']}{gap}{failure['remedy']}{text}"


def _cells(row: Row, words: Words, lang: Lang) -> Iterator[tuple[str, ...]]:
    took = NOTHING if row["seconds"] is None else f"{row['seconds'] * 1000:.0f} ms"
    if not row["values"]:
        yield row["instrument"], NOTHING, NOTHING, NOTHING, took, say("dry.nothing-new", lang)
    for measurand, one in row["values"].items():
        value = NOTHING if one["value"] is None else f"{one['value']:.6g}"
        quality = ", ".join(words(f"cause_{cause}") for cause in one["causes"]) or words("good")
        yield row["instrument"], measurand, value, SHOWN.get(one["unit"], one["unit"]), took, quality
