"""`plumeline performance`: the performance test of an instrument on recorded data, as a table and as JSON."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from agent.cli.words import say
from agent.qa.performance.carry import outcomes
from agent.qa.performance.check import declaration
from agent.qa.performance.rows import Wrong, read
from calibration.qa.performance.limits import Basis, Judged, judge
from host.problems import ConfigErrors, Lang
from host.table import table
from metrology.units import SHOWN

# Lines that were left out are told one by one up to so many.
WRONG_SHOWN_MAX: Final = 20
NOTHING: Final = "-"
# The order in which a figure stands for an outcome that no limit chose.
_SHOWN: Final[Sequence[Basis]] = (
    "seconds", "percent_rata", "percent_mean", "percent_gas", "percent_scale", "percent_error", "absolute", "r2",
)  # fmt: skip
_UNITS: Final = {"seconds": "s", "r2": "R²"}


def performance(line: argparse.Namespace) -> int:
    """Print every test; 1 where one failed or lines could not be read, 2 where a file or RULES cannot be used."""
    try:
        rules = declaration(line.rules, line.lang)
        tracks, wrong = read(line.recorded, rules)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except OSError as error:
        print(say("performance.file", line.lang, file=error.filename, reason=error.strerror), file=sys.stderr)
        return 2
    for text in _told(wrong, line.lang):
        print(text, file=sys.stderr)
    if unread := [name for name, track in tracks.items() if not track.times]:
        print(say("performance.unread", line.lang, series=", ".join(unread)), file=sys.stderr)
    found = [judge(one, rules.standard, rules.own_limits()) for one in outcomes(tracks, rules)]
    if line.json:
        print(json.dumps(_document(found, wrong, rules.standard), ensure_ascii=False))
    else:
        print(_table(found, line.lang))
    failed = any(one.verdict == "fail" for one in found)
    return int(failed or bool(wrong) or not found)


def _told(wrong: Sequence[Wrong], lang: Lang) -> list[str]:
    lines = [
        f"{one.file}:{one.line}: {say(f'performance.{one.code}', lang, found=one.found)}"
        for one in wrong[:WRONG_SHOWN_MAX]
    ]
    if len(wrong) > WRONG_SHOWN_MAX:
        lines.append(say("performance.more", lang, count=len(wrong) - WRONG_SHOWN_MAX))
    return lines


def _basis(one: Judged) -> Basis | None:
    """In which terms an outcome is shown: those of its limit, else the first it has."""
    if one.limit is not None:
        return one.limit.basis
    return next((basis for basis in _SHOWN if basis in one.outcome.figures), None)


def _figure(value: float | None, basis: Basis, unit: str, lang: Lang) -> str:
    if value is None:
        return NOTHING
    named = say(f"performance.basis.{basis}", lang) if basis.startswith("percent") else ""
    return f"{value:.4g} {named or _UNITS.get(basis, SHOWN.get(unit, unit))}"


def _table(found: Sequence[Judged], lang: Lang) -> str:
    rows = []
    for one in found:
        outcome, basis = one.outcome, _basis(one)
        figure = bound = NOTHING
        if basis is not None:
            figure = _figure(outcome.figures[basis], basis, outcome.unit, lang)
            bound = _figure(one.bound, basis, outcome.unit, lang)
        source = one.limit.source if one.limit else NOTHING
        seen = NOTHING if one.limit is None else say("verified" if one.limit.verified else "unverified", lang)
        verdict = say(f"performance.verdict.{one.verdict}", lang)
        if outcome.why is not None:
            verdict = say(f"performance.why.{outcome.why}", lang)
        rows.append((outcome.series, say(f"performance.test.{outcome.test}", lang), outcome.about, str(outcome.n),
                     figure, bound, verdict, seen, source))  # fmt: skip
    head = ("series", "test", "about", "n", "result", "limit", "verdict", "verified", "source")
    shown = table([say(f"performance.head.{word}", lang) for word in head], rows, (3,))
    if any(one.limit is not None and not one.limit.verified for one in found):
        shown += "\n\n" + say("performance.unverified", lang)
    return shown


def _document(found: Sequence[Judged], wrong: Sequence[Wrong], standard: str | None) -> dict[str, Any]:
    return {
        "standard": standard,
        "tests": [_fields(one) for one in found],
        "left_out": [{"file": one.file, "line": one.line, "why": one.code, "found": one.found} for one in wrong],
    }


def _fields(one: Judged) -> dict[str, Any]:
    outcome, limit = one.outcome, one.limit
    return {
        "series": outcome.series, "measurand": outcome.measurand, "test": outcome.test, "about": outcome.about,
        "unit": outcome.unit, "n": outcome.n, "figures": dict(outcome.figures), "detail": dict(outcome.detail),
        "why": outcome.why, "verdict": one.verdict, "basis": limit.basis if limit else None, "limit": one.bound,
        "source": limit.source if limit else None, "verified": limit.verified if limit else None,
    }  # fmt: skip
