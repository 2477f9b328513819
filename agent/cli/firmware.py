"""Commands about the firmware of micro-sensor boards; the daemon does the work, and goes on when nobody looks."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from agent.cli.words import say
from host.commands import Argument
from host.control import RequestError, ask
from host.problems import Lang
from host.table import table

ARGUMENTS: Final[dict[str, Argument]] = {
    "firmware IMAGE": ("image", {"metavar": "IMAGE", "type": lambda text: str(Path(text).absolute())}),
    "board BOARD": ("board", {"metavar": "BOARD"}),
    "board NAME": ("name", {"metavar": "NAME"}),
    "board VALUE": ("value", {"metavar": "VALUE", "nargs": "?"}),
    "--first": ("--first", {"metavar": "ID", "type": int, "default": 1}),
    "--last": ("--last", {"metavar": "ID", "type": int, "default": 64}),
    "--boards": ("--boards", {"metavar": "NAME,NAME|all", "required": True}),
    "--canary": ("--canary", {"metavar": "COUNT", "type": int, "default": 1}),
    "--failures": ("--failures", {"metavar": "COUNT", "type": int, "default": 1}),
    "--downgrade": ("--downgrade", {"action": "store_true"}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("firmware list", "agent.cli.firmware:listed", ("--socket", "--json")),
    (
        "firmware update",
        "agent.cli.firmware:update",
        ("firmware IMAGE", "--boards", "--canary", "--failures", "--downgrade", "--who", "--socket", "--json"),
    ),
    ("board find", "agent.cli.firmware:find", ("--first", "--last", "--who", "--socket", "--json")),
    ("board time", "agent.cli.firmware:set_time", ("--boards", "--who", "--socket", "--json")),
    (
        "board set",
        "agent.cli.firmware:setting",
        ("board BOARD", "board NAME", "board VALUE", "--who", "--socket", "--json"),
    ),
    ("firmware stop", "agent.cli.firmware:stop", ("--who", "--socket", "--json")),
)
GOOD: Final = frozenset({"updated", "already"})

Answer = dict[str, Any]


def dialogue(
    line: argparse.Namespace, request: Answer, show: Callable[[Answer], str], *, quiet: bool = False
) -> Answer | None:
    """Ask the daemon and print each answer that says something new; the last one, None where it refuses."""

    async def talk() -> Answer:
        answer, last = {}, ""
        async for answer in ask(line.socket, request):
            text = json.dumps(answer, ensure_ascii=False) if line.json else show(answer)
            if text and text != last and not quiet:
                print(text, flush=True)
            last = text
        return answer

    try:
        return asyncio.run(talk())
    except RequestError as error:
        print(error, file=sys.stderr)
        return None


def who(line: argparse.Namespace) -> str:
    """The person who asks: as named, else who is logged in."""
    return str(line.who or getpass.getuser())


def listed(line: argparse.Namespace) -> int:
    """Ask every managed board what it runs; 1 where one is silent or refuses."""
    answer = dialogue(line, {"do": "firmware-list"}, lambda state: "\n".join(_list(state, line.lang)))
    if answer is None:
        return 1
    return int(any(row["state"] in ("silent", "refuses") for row in answer["boards"]))


def _list(answer: Answer, lang: Lang) -> Iterator[str]:
    rows = [(row["board"], row["line"], *_running(row, lang)) for row in answer["boards"]]
    yield table([say(f"firmware.{word}", lang) for word in ("board", "line", "version", "state")], rows)
    if answer["batch"]:
        yield ""
        yield _batch(answer["batch"], lang)


def _running(row: Answer, lang: Lang) -> tuple[str, str]:
    """Version and state of one board."""
    active = next((slot for slot in row.get("slots", ()) if slot["active"]), None)
    if active is None:
        return "-", say(f"firmware.{row['state']}", lang, reason=row.get("reason", ""))
    return active["version"], say("firmware.confirmed" if active["confirmed"] else "firmware.on-trial", lang)


def update(line: argparse.Namespace) -> int:
    """Update boards and show how it goes; 1 where not all of them run the image at the end."""
    request = {
        "do": "firmware-update", "image": line.image, "boards": line.boards, "canary": line.canary,
        "failures": line.failures, "downgrade": line.downgrade, "who": who(line),
    }  # fmt: skip
    answer = dialogue(line, request, lambda state: _batch(state, line.lang))
    if answer is None:
        return 1
    return int(answer["left"] > 0 or any(result not in GOOD for result in answer["results"].values()))


def stop(line: argparse.Namespace) -> int:
    """Begin no further board."""
    request = {"do": "firmware-stop", "who": who(line)}
    return int(dialogue(line, request, lambda state: _batch(state, line.lang)) is None)


def _batch(state: Answer, lang: Lang) -> str:
    """How far a batch is: counts, boards at work, and at the end those that ended badly."""
    results = state["results"]
    good = sum(result in GOOD for result in results.values())
    lines = [say("firmware.progress", lang, version=state["version"], good=good, boards=state["boards"],
                 bad=len(results) - good, left=state["left"])]  # fmt: skip
    lines += [
        f"  {board}: {say('firmware.step.' + (at['step'] or 'waiting'), lang, share=at['share'])}"
        for board, at in state["running"].items()
    ]
    if state["ended"]:
        bad = {board: result for board, result in results.items() if result not in GOOD}
        lines += [f"  {board}: {say('firmware.' + result, lang)}" for board, result in bad.items()]
        if state["stopped"] and state["left"]:
            lines.append(say("firmware.stopped", lang, left=state["left"]))
    return "\n".join(lines)


# -- boards, beside their firmware


def find(line: argparse.Namespace) -> int:
    """Call all boards with ids in a range; 1 where a configured one is missing."""
    request = {"do": "board-find", "first": line.first, "last": line.last, "who": who(line)}
    answer = dialogue(line, request, lambda state: "\n".join(_found(state, line.lang)))
    return int(answer is None or bool(answer["missing"]))


def _found(answer: Answer, lang: Lang) -> Iterator[str]:
    words = ("board", "line", "id", "version", "chip", "uptime", "battery", "recovered")
    rows = [
        (row["board"] or say("board.unknown", lang), row["bus"], str(row["id"]), row["version"], row["chip"],
         *_health(row["health"]), f"{row['recovered']}/{row['lost']}")
        for row in answer["boards"]
    ]  # fmt: skip
    yield table([say(f"firmware.{word}", lang) for word in words], rows, (2, 5, 6, 7))
    if answer["missing"]:
        yield say("board.missing", lang, names=", ".join(answer["missing"]))


def _health(health: Answer | None) -> tuple[str, str]:
    return (f"{health['uptime_s']} s", f"{health['battery_mV']} mV") if health else ("-", "-")


def set_time(line: argparse.Namespace) -> int:
    """Set clocks of boards to the station's; 1 where one did not take it."""
    request = {"do": "board-time", "boards": line.boards, "who": who(line)}
    answer = dialogue(line, request, lambda state: "\n".join(_offsets(state, line.lang)))
    return int(answer is None or None in answer["offsets_s"].values())


def _offsets(answer: Answer, lang: Lang) -> Iterator[str]:
    for board, offset_s in answer["offsets_s"].items():
        yield say("board.not-set" if offset_s is None else "board.set", lang, board=board, offset=offset_s or 0.0)


def setting(line: argparse.Namespace) -> int:
    """Read a setting of a board, or write it and read it back."""
    request = {"do": "board-setting", "board": line.board, "name": line.name, "value": line.value, "who": who(line)}
    return int(dialogue(line, request, lambda state: f"{state['board']}: {state['name']} = {state['value']}") is None)
