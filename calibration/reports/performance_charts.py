"""Charts of a performance test: what was recorded with the gases that flowed, and how far off each of them was read."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Final

from calibration.qa.performance.limits import Judged
from calibration.reports.document import Chart, Limit, Line, Span
from calibration.reports.frame import Frame
from calibration.reports.thin import thinned

# A line is broken where nothing was recorded for so many of its usual steps.
BREAK_STEPS: Final = 10.0
_OF_ERRORS: Final = ("zero-error", "indication-error", "linearity")


@dataclass(frozen=True, slots=True)
class Turn:
    """A gas on the instrument: [start, counts, end] in unix seconds, what it is worth, the mean of what counts."""

    gas: str
    start: float
    counts: float
    end: float
    assigned: float
    mean: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """Readings of one series (unix seconds, in `unit`) and the gases it read."""

    series: str
    unit: str
    times: Sequence[float]
    values: Sequence[float]
    turns: Sequence[Turn]


def charts(frame: Frame, one: Recorded, judged: Sequence[Judged]) -> Iterator[Chart]:
    """The readings over time; the errors over the amount where two amounts or more were read."""
    unit = frame.words.unit(one.unit)
    if one.times:
        yield _readings(frame, one, unit)
    if len({turn.assigned for turn in one.turns}) > 1:
        yield _errors(frame, one, unit, judged)


def _readings(frame: Frame, one: Recorded, unit: str) -> Chart:
    words = frame.words
    lines = [thinned(_broken(words("line.recorded"), one))]
    if one.turns:
        ends = [(at, turn.assigned) for turn in one.turns for at in (turn.counts, turn.end)]
        lines.append(_pieces(words("line.assigned"), ends))
    spans = tuple(span for turn in one.turns for span in _spans(frame, turn) if span.end > span.start)
    title = words("chart.recorded", series=words.series(one.series))
    return Chart(title, unit, tuple(lines), (), spans)


def _spans(frame: Frame, turn: Turn) -> tuple[Span, Span]:
    start, counts, end = (datetime.fromtimestamp(one, UTC) for one in (turn.start, turn.counts, turn.end))
    words = frame.words
    return Span(words("word.flushing"), start, counts, "suspect"), Span(words("word.gas-counted"), counts, end, "run")


def _pieces(name: str, ends: Sequence[tuple[float, float]]) -> Line:
    """Each pair of ends a piece of its own."""
    x: list[float] = []
    y: list[float | None] = []
    for (begin, value), (end, _) in zip(ends[::2], ends[1::2], strict=True):
        if x and begin > x[-1]:
            x.append((x[-1] + begin) / 2.0)
            y.append(None)
        x += [begin, end]
        y += [value, value]
    return Line(name, tuple(x), tuple(y))


def _broken(name: str, one: Recorded) -> Line:
    """The readings as a line that breaks where nothing was recorded."""
    steps = [later - before for before, later in pairwise(one.times)]
    longest = BREAK_STEPS * median(steps) if steps else math.inf
    x: list[float] = []
    y: list[float | None] = []
    for at, value in zip(one.times, one.values, strict=True):
        if x and at - x[-1] > longest:
            x.append((x[-1] + at) / 2.0)
            y.append(None)
        x.append(at)
        y.append(value)
    return Line(name, tuple(x), tuple(y))


def _errors(frame: Frame, one: Recorded, unit: str, judged: Sequence[Judged]) -> Chart:
    words = frame.words
    points = sorted((turn.assigned, turn.mean - turn.assigned) for turn in one.turns)
    line = Line(words("line.errors"), tuple(x for x, _ in points), tuple(y for _, y in points), "points")
    bounds = {found: each for each in judged if (found := _bound(each)) is not None}
    limits = [
        Limit(words(f"test.{each.outcome.test}"), sign * bound, "bad", each.limit is None or each.limit.verified)
        for bound, each in bounds.items()
        for sign in (1.0, -1.0)
    ]
    title = words("chart.errors", series=words.series(one.series))
    x_title = f"{words('head.assigned')} [{unit}]"
    return Chart(title, unit, (line,), tuple(limits), x="number", x_title=x_title)


def _bound(one: Judged) -> float | None:
    """The limit of an error in the unit of the series; None where it is none of one."""
    if one.outcome.test not in _OF_ERRORS or one.limit is None or one.bound is None:
        return None
    if one.limit.basis == "percent_scale" and one.outcome.full_scale is not None:
        return one.bound * one.outcome.full_scale / 100.0
    return one.bound if one.limit.basis == "absolute" else None
