"""`plumeline trace` and `uncertainty`: from a number back to all it is made of, and what it is uncertain by."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw

from agent.analysis import weigh
from agent.analysis.budget_tree import budget_tree
from agent.analysis.ledger import Kept
from agent.analysis.nodes import Node, page, text
from agent.analysis.trace import NoAverageError, Question, Tracer
from agent.analysis.tree import tree
from agent.config import Config
from agent.history.daemon import DaemonSource
from agent.history.opened import source_of
from host.control import RequestError
from host.hjson import load
from host.problems import ConfigErrors, Lang
from metrology.periods import CHINA, DAY_S, HOUR_S, MINUTE_S

PERIODS: Final = {"1min": MINUTE_S, "1h": HOUR_S, "1d": DAY_S}

Answer = dict[str, Any]


def trace(line: argparse.Namespace) -> int:
    """Print the trace; 1 where the average made again differs or a record was altered, or where there is none."""
    return answered(line, lambda tracer: tracer.trace(question(line)), tree, lambda found: _is_wrong([found]))


def _is_wrong(parts: Iterable[Any]) -> bool:
    """Whether any part of a trace says that something is not as it was written."""
    for part in parts:
        if isinstance(part, Mapping):
            said = (part.get("agrees"), part.get("included"), part.get("signature"), part.get("seal") != "altered")
            if any(one is False for one in said) or _is_wrong(part.values()):
                return True
        elif isinstance(part, list | tuple) and _is_wrong(part):
            return True
    return False


def uncertainty(line: argparse.Namespace) -> int:
    """Print the budget of an average; 1 where there is no such average or nothing is known of it."""
    return answered(
        line, lambda tracer: weigh.uncertainty(tracer, question(line)), budget_tree, lambda found: found["u"] is None
    )


def question(line: argparse.Namespace) -> Question:
    """What is asked. Raises ValueError for a time that is none."""
    return Question(line.series, instant(line.time), PERIODS[line.period], line.rev)


def instant(written: str) -> datetime:
    """A time as a person writes it: with its zone, else in UTC+8. Raises ValueError."""
    at = datetime.fromisoformat(written)
    return at if at.tzinfo else at.replace(tzinfo=CHINA)


def answered(
    line: argparse.Namespace,
    ask: Callable[[Tracer], Answer],
    show: Callable[[Answer, Lang], Node],
    is_wrong: Callable[[Answer], bool],
) -> int:
    """Ask the station of the line, print the answer and write the page; 1 where it is wrong, 2 where none is there."""
    try:
        found = ask(Tracer(station(line)))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except NoAverageError as error:
        print(error, file=sys.stderr)
        return 1
    except (LookupError, ValueError, RequestError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    if line.html:
        Path(line.html).write_text(page(show(found, line.lang), line.lang), encoding="utf-8")
    print(json.dumps(found, ensure_ascii=False) if line.json else text(show(found, line.lang)))
    return int(is_wrong(found))


def station(line: argparse.Namespace) -> Kept:
    """The station of a configuration, running or stopped; without one, the daemon behind the socket."""
    return source_of(load(line.station, Config, line.lang)) if line.station else DaemonSource(line.socket)
