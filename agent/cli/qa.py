"""Commands about quality assurance that speak with the running daemon: instruments confirmed, data signed off."""

import argparse
from collections.abc import Mapping
from typing import Any

from agent.cli.firmware import Answer, dialogue
from agent.cli.status import NOTHING, local
from agent.cli.words import say
from host.problems import Lang
from host.table import table
from metrology.periods import HOUR_S, parse_iso


def instruments(line: argparse.Namespace) -> int:
    """What each instrument is declared as and says of itself; 1 where they differ or a person must confirm."""
    answer = dialogue(line, {"do": "instruments"}, lambda found: _instruments(found["instruments"], line.lang))
    if answer is None:
        return 1
    return int(any(one["differs"] or one["unconfirmed"] for one in answer["instruments"].values()))


def confirm(line: argparse.Namespace) -> int:
    """A person takes the instrument on the wire for right."""
    request = {"do": "instrument-confirm", "name": line.name, "who": line.who, "reason": line.reason}
    return int(dialogue(line, request, lambda found: _instruments(found["instruments"], line.lang)) is None)


def adjusted(line: argparse.Namespace) -> int:
    """A person says that the analyzer was adjusted."""
    request = {"do": "qa-adjusted", "name": line.name, "who": line.who, "reason": line.reason}
    return int(dialogue(line, request, lambda found: say("adjusted", line.lang, **found)) is None)


def signoff(line: argparse.Namespace) -> int:
    """A person gives a span of data a review level."""
    request = {
        "do": "qa-signoff", "period": line.period, "verdict": line.verdict, "who": line.who, "reason": line.reason,
        "series": [one for one in line.series.split(",") if one],
    }  # fmt: skip
    return int(dialogue(line, request, lambda found: say("signed", line.lang, **_words(found, line.lang))) is None)


def listed(line: argparse.Namespace) -> int:
    """All sign-offs, in the order of their making."""
    return int(dialogue(line, {"do": "qa-signoffs"}, lambda found: _signed(found, line.lang)) is None)


def intervals(line: argparse.Namespace) -> int:
    """Every time a series was out of control, and what is suspect before it; 1 where one still is."""
    answer = dialogue(line, {"do": "qa-intervals"}, lambda found: _intervals(found, line.lang))
    return int(answer is None or any(one["end"] is None for one in answer["intervals"]))


def _intervals(found: Answer, lang: Lang) -> str:
    rows = []
    for one in found["intervals"]:
        first, end = one["why"][0], one["end"] or found["now"]
        suspect = NOTHING if one["suspect_from"] is None else hours(one["suspect_from"], one["start"])
        if one["unchecked_before"]:
            suspect = say("all-before", lang)
        percent = first["drift_percent"]
        rows.append((
            one["series"], local(one["start"]), local(one["end"]) if one["end"] else say("still", lang),
            hours(one["start"], end), suspect, f"{first['role']}, {first['gas']}",
            NOTHING if percent is None else f"{percent:+.2f} %", say(f"reason.{first['reason']}", lang),
            first["rules"]["set"], say("verified" if one["verified"] else "unverified", lang),
        ))  # fmt: skip
    if not rows:
        return say("always-in-control", lang)
    head = ("series", "from", "to", "hours", "suspect", "check", "drift", "why", "rules", "seen")
    return table([say(f"head.{word}", lang) for word in head], rows, (3, 4, 6))


def hours(start: str, end: str) -> str:
    """Hours between two times of records."""
    return f"{(parse_iso(end) - parse_iso(start)).total_seconds() / HOUR_S:.1f}"


def _instruments(found: Mapping[str, Any], lang: Lang) -> str:
    rows = []
    for name, one in found.items():
        for item in sorted({*one["declared"], *one["told"]}):
            word = "same" if item in one["told"] and item in one["declared"] else "untold"
            if item in one["differs"]:
                word = "unconfirmed" if item == "serial" and one["unconfirmed"] else "differs"
            told, declared = one["told"].get(item, NOTHING), one["declared"].get(item, NOTHING)
            rows.append((name, item, str(declared), str(told), say(f"item.{word}", lang)))
    if not rows:
        return say("nothing-declared", lang)
    return table([say(f"head.{word}", lang) for word in ("instrument", "item", "declared", "told", "compared")], rows)


def _words(row: Answer, lang: Lang) -> dict[str, str]:
    return {
        "who": row["who"],
        "level": say(f"level.{row['level']}", lang),
        "start": local(row["from"]),
        "end": local(row["to"]),
        "series": ", ".join(row["series"]) or say("all-series", lang),
        "reason": row["reason"],
    }


def _signed(found: Answer, lang: Lang) -> str:
    rows = [(local(row["at"]), *_words(row, lang).values()) for row in found["signed"]]
    if not rows:
        return say("nothing-signed", lang)
    head = ("made", "who", "level", "from", "to", "series", "reason")
    return table([say(f"head.{word}", lang) for word in head], rows)
