"""`plumeline board colocate`: a board's table by a better instrument beside it, shown first, then accepted."""

import argparse
import sys
from collections.abc import Iterator

from agent.cli.firmware import Answer, dialogue, who
from agent.cli.status import local
from agent.cli.trace import instant
from agent.cli.words import say
from host.problems import Lang
from metrology.periods import iso


def colocate(line: argparse.Namespace) -> int:
    """Show what a co-location gives, or put in force what was shown; 1 where it is refused, 2 for a wrong line."""
    if line.accept:
        return _accept(line)
    try:
        if not (line.reference and line.begin and line.end):
            raise ValueError(say("colocate.usage", line.lang))
        begin, end = iso(instant(line.begin)), iso(instant(line.end))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    request = {
        "do": "board-colocate", "board": line.board, "measurand": line.measurand, "reference": line.reference,
        "from": begin, "to": end, "u": line.reference_u,
    }  # fmt: skip
    return int(dialogue(line, request, lambda answer: "\n".join(_told(answer, line.lang))) is None)


def _told(answer: Answer, lang: Lang) -> Iterator[str]:
    span = {key: local(answer[key]) for key in ("from", "to")}
    names = {key: answer[key] for key in ("board", "measurand", "reference", "n", "left_out", "unit")}
    yield say("colocate.title", lang, **names, **span)
    numbers = {key: f"{answer[key]:.6g}" for key in ("zero", "slope", "per_degC", "per_percent")}
    yield say("colocate.table", lang, **numbers, temperature=answer["temperature"] or "-")
    worth = {key: f"{answer[key]:.3g}" for key in ("residual_sd", "rmse", "autocorrelation")}
    yield say("colocate.worth", lang, **worth, unit=answer["unit"])
    for term in answer["budget"]:
        name = say("colocate.term." + term["name"].replace(" ", "-"), lang)
        yield say("colocate.term", lang, name=name, u=f"{term['u']:.3g}", unit=answer["unit"],
                  share=f"{100 * term['share']:.0f}")  # fmt: skip
    if not answer["reference_said"]:
        yield say("colocate.no-u", lang)
    yield say("colocate.proposed", lang, id=answer["proposal"], board=answer["board"], measurand=answer["measurand"])


def _accept(line: argparse.Namespace) -> int:
    if not line.reason:
        print(say("colocate.reason", line.lang), file=sys.stderr)
        return 2
    request = {
        "do": "board-colocate-accept", "board": line.board, "measurand": line.measurand, "proposal": line.accept,
        "who": who(line), "reason": line.reason,
    }  # fmt: skip

    def told(row: Answer) -> str:
        numbers = {key: f"{row[key]:.6g}" for key in ("zero", "slope", "per_degC", "per_percent")}
        names = {key: row.get(key) or "-" for key in ("board", "chip", "measurand", "from")}
        return say("calibration.set", line.lang, **numbers, **names)

    return int(dialogue(line, request, told) is None)
