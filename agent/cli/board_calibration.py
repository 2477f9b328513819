"""Commands about the calibration of micro-sensor boards: tables, their history, and the check against neighbours."""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from agent.cli.firmware import Answer, dialogue, who
from agent.cli.words import say
from host.commands import Argument
from host.problems import Lang
from host.table import table

ARGUMENTS: Final[dict[str, Argument]] = {
    "board [BOARD]": ("board", {"metavar": "BOARD", "nargs": "?"}),
    "MEASURAND": ("measurand", {"metavar": "MEASURAND"}),
    "PROPOSAL": ("proposal", {"metavar": "PROPOSAL"}),
    "table FILE": ("file", {"metavar": "FILE"}),
    "--zero": ("--zero", {"metavar": "VALUE", "type": float, "required": True}),
    "--slope": ("--slope", {"metavar": "VALUE", "type": float, "required": True}),
    "--per-degc": ("--per-degc", {"metavar": "VALUE", "type": float, "default": 0.0}),
    "--per-percent": ("--per-percent", {"metavar": "VALUE", "type": float, "default": 0.0}),
    "--valid-from": ("--valid-from", {"metavar": "TIME"}),
    "table --source": ("--source", {"metavar": "TEXT", "required": True}),
    "drift --days": ("--days", {"metavar": "DAYS", "type": int, "default": 14}),
    "drift --reference": ("--reference", {"metavar": "SERIES"}),
}
_COMMON: Final = ("--who", "--socket", "--json")
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("board calibration list", "agent.cli.board_calibration:listed", ("board [BOARD]", "--socket", "--json")),
    ("board calibration show", "agent.cli.board_calibration:show", ("board BOARD", "--socket", "--json")),
    (
        "board calibration set",
        "agent.cli.board_calibration:put",
        (
            "board BOARD", "MEASURAND", "--zero", "--slope", "--per-degc", "--per-percent", "--valid-from",
            "table --source", "--reason", *_COMMON,
        ),
    ),
    ("board calibration confirm", "agent.cli.board_calibration:confirm", ("board BOARD", "--reason", *_COMMON)),
    ("board calibration export", "agent.cli.board_calibration:exported", ("table FILE", "--socket")),
    ("board calibration import", "agent.cli.board_calibration:imported", ("table FILE", "--reason", *_COMMON)),
    ("board drift", "agent.cli.board_calibration:drift", ("drift --days", "drift --reference", "--socket", "--json")),
    (
        "board drift accept",
        "agent.cli.board_calibration:accept",
        ("board BOARD", "MEASURAND", "PROPOSAL", "--reason", *_COMMON),
    ),
)  # fmt: skip
NUMBERS: Final = ("zero", "slope", "per_degC", "per_percent")
COLUMNS: Final = ("chip", "board", "measurand", *NUMBERS, "valid_from", "source", "who", "reason")
# A request is at most 64 KiB.
ROWS_AT_ONCE: Final = 40


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


# -- tables


def listed(line: argparse.Namespace) -> int:
    """Print the rows in force; 1 where a board's calibration waits for a person."""
    request = {"do": "board-calibration-list", "board": line.board}
    answer = dialogue(line, request, lambda answer: "\n".join(_list(answer["boards"], line.lang)))
    return int(answer is None or any(row["state"] == "unconfirmed" for row in answer["boards"]))


def _head(words: Iterable[str], lang: Lang) -> list[str]:
    return [say(f"calibration.{word}", lang) for word in words]


def _list(boards: list[Answer], lang: Lang) -> Iterator[str]:
    rows = []
    for board in boards:
        name = board["board"] or say("calibration.away", lang)
        for row in board["rows"] or [{}]:
            numbers = [_number(row.get(key)) for key in NUMBERS]
            rest = [str(row.get(key, "-")) for key in ("from", "source", "who")]
            rows.append([name, board["chip"] or "-", row.get("measurand", "-"), *numbers, *rest])
    yield table(_head(("board", "chip", "measurand", *NUMBERS, "from", "source", "who"), lang), rows, (3, 4, 5, 6))
    for board in boards:
        if board["state"] == "unconfirmed":
            yield say("calibration.unconfirmed", lang, board=board["board"], chip=board["chip"] or "-")


def show(line: argparse.Namespace) -> int:
    """Print the history of the chip behind a board."""
    request = {"do": "board-calibration-show", "board": line.board}
    return int(dialogue(line, request, lambda answer: "\n".join(_history(answer, line.lang))) is None)


def _history(board: Answer, lang: Lang) -> Iterator[str]:
    yield f"{board['board']}  {board['chip'] or '-'}"
    rows = [
        ["*" if row["in_force"] else "", row["measurand"], *(_number(row[key]) for key in NUMBERS),
         row["from"], row["source"], row["who"], row["reason"]]
        for row in board["rows"]
    ]  # fmt: skip
    head = ["", *_head(("measurand", *NUMBERS, "from", "source", "who", "reason"), lang)]
    yield table(head, rows, (2, 3, 4, 5))


def put(line: argparse.Namespace) -> int:
    """Put a row in force."""
    request = {
        "do": "board-calibration-set", "board": line.board, "measurand": line.measurand, "zero": line.zero,
        "slope": line.slope, "per_degC": line.per_degc, "per_percent": line.per_percent,
        "valid_from": line.valid_from, "source": line.source, "who": who(line), "reason": line.reason,
    }  # fmt: skip
    return int(dialogue(line, request, lambda row: _set(row, line.lang)) is None)


def _set(row: Answer, lang: Lang) -> str:
    numbers = {key: _number(row[key]) for key in NUMBERS}
    names = {key: row.get(key) or "-" for key in ("board", "chip", "measurand", "from")}
    return say("calibration.set", lang, **numbers, **names)


def confirm(line: argparse.Namespace) -> int:
    """Say that the board that hangs there is right."""
    request = {"do": "board-calibration-confirm", "board": line.board, "who": who(line), "reason": line.reason}

    def told(row: Answer) -> str:
        return say("calibration.confirmed", line.lang, board=row["board"], chip=row["chip"])

    return int(dialogue(line, request, told) is None)


def exported(line: argparse.Namespace) -> int:
    """Write all rows in force as CSV; `-` is standard output."""
    line.json = False
    answer = dialogue(line, {"do": "board-calibration-list"}, str, quiet=True)
    if answer is None:
        return 1
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for board in answer["boards"]:
        for row in board["rows"]:
            writer.writerow({**row, "board": board["board"] or "", "valid_from": row["from"]})
    if line.file == "-":
        print(text.getvalue(), end="")
    else:
        Path(line.file).write_text(text.getvalue(), encoding="utf-8")
    return 0


def imported(line: argparse.Namespace) -> int:
    """Put the rows of a CSV file in force: all are checked first, and one that is wrong lets none in."""
    try:
        text = sys.stdin.read() if line.file == "-" else Path(line.file).read_text(encoding="utf-8-sig")
        rows = [_wanted(row) for row in csv.DictReader(io.StringIO(text))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        print(error, file=sys.stderr)
        return 1
    if problems := [(number, row["wrong"]) for number, row in enumerate(rows) if "wrong" in row]:
        return _refused(problems, line.lang)
    done = {"set": 0, "unchanged": 0}
    for apply in (False, True):
        for first in range(0, len(rows), ROWS_AT_ONCE):
            request = {
                "do": "board-calibration-import", "rows": rows[first : first + ROWS_AT_ONCE], "apply": apply,
                "who": who(line), "reason": line.reason,
            }  # fmt: skip
            answer = dialogue(line, request, str, quiet=True)
            if answer is None:
                return 1
            problems += [(first + one["row"], one["what"]) for one in answer["problems"]]
            if apply:
                done = {key: done[key] + answer[key] for key in done}
        if problems:
            return _refused(problems, line.lang)
    print(say("calibration.imported", line.lang, **done))
    return 0


def _wanted(row: dict[str, str | None]) -> dict[str, Any]:
    """A row of the file as the daemon takes it; `wrong` where a number is none."""
    found: dict[str, Any] = {
        key: row.get(key) or None for key in ("chip", "board", "measurand", "valid_from", "source")
    }  # fmt: skip
    for key in NUMBERS:
        try:
            found[key] = float(row.get(key) or ("1" if key == "slope" else "0"))
        except ValueError as error:
            return {"wrong": f"{key}: {error}"}
    return found


def _refused(problems: list[tuple[int, str]], lang: Lang) -> int:
    for number, what in problems:
        # The first row of data stands in the second line.
        print(say("calibration.line", lang, line=number + 2, what=what), file=sys.stderr)
    print(say("calibration.none", lang), file=sys.stderr)
    return 1


# -- neighbours


def drift(line: argparse.Namespace) -> int:
    """Compare the boards with each other; 1 where one drifts or is faulty, or the comparison tells nothing."""
    request = {"do": "board-drift", "days": line.days, "reference": line.reference}
    answer = dialogue(line, request, lambda answer: "\n".join(_drift(answer, line.lang)))
    if answer is None:
        return 1
    found = answer["measurands"].values()
    return int(any(one["doubt"] or any(row["verdict"] != "ok" for row in one["boards"]) for one in found))


def _drift(answer: Answer, lang: Lang) -> Iterator[str]:
    words = ("board", "verdict", "offset", "gain", "drift", "interval", "scatter", "proposal")
    for name, found in answer["measurands"].items():
        yield say("drift.title", lang, measurand=name, days=answer["days"], limit=found["limit"])
        boards = [*found["boards"], *([found["reference"]] if found["reference"] else [])]
        yield table(
            [say(f"drift.{word}", lang) for word in words], [_finding(row, lang) for row in boards], (2, 3, 4, 6)
        )
        if found["doubt"]:
            yield say(f"drift.{found['doubt']}", lang)
        for row in (row for row in boards if row["proposal"]):
            change = {key: _number(row["proposal"][key]) for key in (*NUMBERS, "residual")}
            yield say("drift.proposed", lang, board=row["board"], measurand=name, id=row["proposal"]["id"], **change)
        yield ""


def _finding(row: Answer, lang: Lang) -> list[str]:
    told = [_short(row[key]) for key in ("offset", "gain", "drift_per_week")]
    interval = "-" if row["low"] is None else f"{row['low']:+.3g} .. {row['high']:+.3g}"
    proposal = row["proposal"]["id"] if row["proposal"] else "-"
    return [row["board"], say(f"drift.{row['verdict']}", lang), *told, interval, _short(row["scatter"]), proposal]


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def accept(line: argparse.Namespace) -> int:
    """Put in force what `board drift` showed under an id."""
    request = {
        "do": "board-drift-accept", "board": line.board, "measurand": line.measurand, "proposal": line.proposal,
        "who": who(line), "reason": line.reason,
    }  # fmt: skip
    return int(dialogue(line, request, lambda row: _set(row, line.lang)) is None)
