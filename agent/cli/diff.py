"""`plumeline diff`: what changed between revisions, and why; `plumeline config diff`: between configurations."""

import argparse
import json
import sys
from typing import Any, Final

import apsw

from agent.analysis.diff import Span, config_diff, diff
from agent.analysis.nodes import known
from agent.cli.status import local
from agent.cli.trace import PERIODS, instant, station
from agent.cli.words import say
from host.control import RequestError
from host.history import History
from host.problems import ConfigErrors, Lang
from host.table import table

SHOWN_MAX: Final = 200
HEAD: Final = ("start", "rev", "before", "after", "change", "n", "cal", "marks")
ERRORS: Final = (ConfigErrors, LookupError, ValueError, RequestError, apsw.Error)


def revisions(line: argparse.Namespace) -> int:
    """Print what differs; 1 where nothing could be compared, 2 where there is no station or no such time."""
    try:
        first, second = line.rev or (None, None)
        span = Span(line.series, instant(line.begin), instant(line.end), PERIODS[line.period])
        if span.start >= span.end:
            raise ValueError(f"--from {line.begin} --to {line.end}: ends before it begins")
        found = diff(History(station(line)), span, first, second)
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, ensure_ascii=False) if line.json else _shown(found, line.lang))
    return int(not found["compared"])


def configurations(line: argparse.Namespace) -> int:
    """Print the keys that differ between two config records; 2 where one of them is none."""
    try:
        source = station(line)
        epoch = source.epochs()[-1]
        one, other = (_number(text, epoch) for text in (line.first, line.second))
        found = config_diff(History(source), one, other)
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 2
    text = "\n".join(f"{key}: {json.dumps(a, ensure_ascii=False)} -> {json.dumps(b, ensure_ascii=False)}"
                     for key, (a, b) in found.items())  # fmt: skip
    print(json.dumps(found, ensure_ascii=False) if line.json else text)
    return 0


def _number(text: str, epoch: int) -> tuple[int, int]:
    """`12` of the last epoch, or `2/12`. Raises ValueError."""
    before, slash, seq = text.rpartition("/")
    if not (seq.isdecimal() and (before.isdecimal() or not slash)):
        raise ValueError(f"{text}: write the number of a config record, or EPOCH/NUMBER")
    return (int(before) if slash else epoch), int(seq)


def _shown(found: dict[str, Any], lang: Lang) -> str:
    summary = found["summary"]
    largest, mean = (_figure(summary[name]) for name in ("largest", "mean_change"))
    lines = [say("diff.summary", lang, compared=found["compared"], lacking=found["lacking"],
                 changed=summary["changed"], mean=mean, largest=largest)]  # fmt: skip
    if found["rows"]:
        head = [
            say(f"diff.{name}", lang) for name in ("start", "rev", "before", "after", "change", "n", "cal", "marks")
        ]
        lines.append(table(head, [_row(row, lang) for row in found["rows"][:SHOWN_MAX]], right=range(2, 5)))
    if (left := len(found["rows"]) - SHOWN_MAX) > 0:
        lines.append(say("diff.left", lang, count=left))
    for why in found["why"]:
        lines.append(say("diff.why", lang, **{key: why[key] for key in ("id", "who", "reason", "periods")},
                         at=local(why["t"])))  # fmt: skip
        lines += [f"  {', '.join(f'{key} {value}' for key, value in rule.items())}" for rule in why["plan"]["rules"]]
        lines += [say("diff.cylinder", lang, **one) for one in why["plan"].get("assigned", ())]
        lines += [
            f"  {', '.join(f'{key} {value}' for key, value in one.items())}" for one in why["plan"].get("filed", ())
        ]
    lines += [f"{name}: {', '.join(f'{key} {value}' for key, value in row.items())}"
              for name, row in found["coefficients"].items()]  # fmt: skip
    lines += [say("diff.configuration", lang, key=key, before=json.dumps(before, ensure_ascii=False),
                  after=json.dumps(after, ensure_ascii=False))
              for key, (before, after) in found["configuration"].items()]  # fmt: skip
    return "\n".join(lines)


def _row(row: dict[str, Any], lang: Lang) -> list[str]:
    gone, new = ([known(f"cause.{one}", lang) for one in row["marks"][name]] for name in ("gone", "new"))
    marks = " ".join([*(f"-{one}" for one in gone), *(f"+{one}" for one in new)])
    before, after = (", ".join(side) or "-" for side in row["cal"])
    return [
        local(row["start"]),
        "{}/{}".format(*row["rev"]),
        *(_figure(value) for value in (*row["mean"], row["change"])),
        "{}/{}".format(*row["n"]),
        after if before == after else f"{before} > {after}",
        marks or "-",
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.7g}"
