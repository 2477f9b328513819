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
    ("firmware stop", "agent.cli.firmware:stop", ("--who", "--socket", "--json")),
)
GOOD: Final = frozenset({"updated", "already"})

Answer = dict[str, Any]


def _dialogue(line: argparse.Namespace, request: Answer, show: Callable[[Answer], str]) -> Answer | None:
    """Ask the daemon and print each answer that says something new; the last one, None where it refuses."""

    async def talk() -> Answer:
        answer, last = {}, ""
        async for answer in ask(line.socket, request):
            text = json.dumps(answer, ensure_ascii=False) if line.json else show(answer)
            if text and text != last:
                print(text, flush=True)
            last = text
        return answer

    try:
        return asyncio.run(talk())
    except RequestError as error:
        print(error, file=sys.stderr)
        return None


def _who(line: argparse.Namespace) -> str:
    return str(line.who or getpass.getuser())


def listed(line: argparse.Namespace) -> int:
    """Ask every managed board what it runs; 1 where one is silent or refuses."""
    answer = _dialogue(line, {"do": "firmware-list"}, lambda state: "\n".join(_list(state, line.lang)))
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
        "failures": line.failures, "downgrade": line.downgrade, "who": _who(line),
    }  # fmt: skip
    answer = _dialogue(line, request, lambda state: _batch(state, line.lang))
    if answer is None:
        return 1
    return int(answer["left"] > 0 or any(result not in GOOD for result in answer["results"].values()))


def stop(line: argparse.Namespace) -> int:
    """Begin no further board."""
    request = {"do": "firmware-stop", "who": _who(line)}
    return int(_dialogue(line, request, lambda state: _batch(state, line.lang)) is None)


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
