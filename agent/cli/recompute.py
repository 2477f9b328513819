"""`plumeline recompute`: an interval made again from the raw scans, by the running daemon."""

import argparse
import sys
from typing import Any, Final

from agent.analysis.plan import Plan, by_interpolation
from agent.cli.firmware import dialogue
from agent.cli.status import local
from agent.cli.trace import instant
from agent.cli.words import say
from host.hjson import load
from host.problems import ConfigErrors, Lang
from metrology.periods import iso

LAYER: Final = "analysis"


def recompute(line: argparse.Namespace) -> int:
    """Ask for it and print how far it is; 1 where it is refused or fails, 2 where the rules cannot be read."""
    try:
        plan = load(line.coefficients, Plan, line.lang) if line.coefficients else by_interpolation(line.interpolate)
        start, end = iso(instant(line.begin)), iso(instant(line.end))
    except (ConfigErrors, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    request = {
        "do": "recompute",
        "series": [one.strip() for one in line.series.split(",") if one.strip()],
        "start": start,
        "end": end,
        "plan": plan.model_dump(mode="json", exclude_none=True),
        "who": line.who,
        "reason": line.reason,
        "layer": line.layer == LAYER,
        "dry_run": line.dry_run,
    }
    answer = dialogue(line, request, lambda state: _told(state, line.lang))
    return int(answer is None or "failed" in answer)


def _told(state: dict[str, Any], lang: Lang) -> str:
    if state.get("already"):
        return say("recompute.already", lang, **state)
    if "failed" in state:
        return say("recompute.failed", lang, **state)
    if not state.get("finished"):
        return say("recompute.until", lang, until=local(state["until"])) if "until" in state else ""
    name = "recompute.would" if state["dry_run"] else "recompute.done"
    counts = {key: state["records"].get(key, 0) for key in ("60", "3600", "86400")}
    lines = [say(name, lang, id=state["id"], minutes=counts["60"], hours=counts["3600"], days=counts["86400"])]
    for series, count in state["rows"].items():
        largest = state["largest"].get(series)
        change = "-" if largest is None else f"{largest:+.6g}"
        lines.append(say("recompute.series", lang, series=series, rows=count, largest=change))
    return "\n".join(lines)
