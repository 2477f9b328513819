"""Target gases: bias against the certified value, how well it repeats, and the days on which it was worst."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from calibration.reports.document import Cell, Chart, Column, Limit, Line, Row, Section, Table
from calibration.reports.frame import Frame
from calibration.reports.look import Judged, Looked
from calibration.reports.thin import thinned
from calibration.reports.verdicts import verdict_of
from calibration.reports.zero_span import spans, times

BINS_MAX = 30
WORST_SHOWN = 10


def targets(frame: Frame, looked: Looked) -> list[Section]:
    """A section for each series that was read on a target gas."""
    return [_section(frame, looked, series) for series in looked.series if looked.of(series, "target")]


def _section(frame: Frame, looked: Looked, series: str) -> Section:
    words, judged = frame.words, looked.of(series, "target")
    unit = words.unit(judged[0].check.unit)
    title = words("section.target", series=words.series(series))
    charts = [_bias(frame, looked, series, judged, unit)]
    if len(judged) >= 8:
        charts.append(histogram(frame, [one.check.deviation for one in judged], unit))
    columns = (
        Column(words("head.gas")),
        Column(words("head.n"), "number", decimals=0),
        Column(words("head.assigned"), "number", unit),
        Column(words("head.bias"), "number", unit),
        Column(words("head.sd"), "number", unit),
        Column(words("head.repeat"), "number", unit),
        Column(words("head.worst"), "number", unit),
        Column(words("head.within"), "number", "%", 1),
        Column(words("head.verdict"), "verdict"),
    )
    gases = dict.fromkeys(one.check.gas for one in judged)
    rows = [_gas(frame, [one for one in judged if one.check.gas == gas]) for gas in gases]
    tables = (frame.table("table.target", columns, rows, [words("note.target")]), _worst(frame, judged, unit))
    return Section(title, (), tables, tuple(charts))


def _bias(frame: Frame, looked: Looked, series: str, judged: Sequence[Judged], unit: str) -> Chart:
    words = frame.words
    lines = []
    for gas in dict.fromkeys(one.check.gas for one in judged):
        own = [one for one in judged if one.check.gas == gas]
        ys = tuple(one.check.deviation for one in own)
        lines.append(thinned(Line(gas, times(own), ys, "points", tuple(one.check.record for one in own))))
    rules = judged[-1].check.rules
    limits: list[Limit] = []
    if rules is not None:
        for value, word, bad in ((rules.warn, "limit.goal", False), (rules.passes, "limit.pass", True)):
            if value is not None:
                limits += [
                    Limit(words(word), sign * value, "bad" if bad else "good", rules.verified) for sign in (1.0, -1.0)
                ]
    return Chart(
        words("chart.target", series=words.series(series)), unit, tuple(lines), tuple(limits),
        spans(frame, looked, series),
    )  # fmt: skip


def histogram(frame: Frame, values: Sequence[float], unit: str) -> Chart:
    """How often a deviation was how large; about as many bins as the root of the count."""
    low, high = min(values), max(values)
    count = min(BINS_MAX, max(5, math.isqrt(len(values))))
    width = (high - low) / count or max(abs(low), 1e-9) / count
    counts = [0] * count
    for value in values:
        counts[min(count - 1, int((value - low) / width))] += 1
    x = tuple(low + (at + 0.5) * width for at in range(count))
    line = Line(frame.words("line.checks"), x, tuple(float(one) for one in counts), "bars")
    return Chart(frame.words("chart.histogram"), frame.words("word.checks"), (line,), x="number", x_title=unit)


def _gas(frame: Frame, judged: list[Judged]) -> Row:
    deviations = [one.check.deviation for one in judged]
    within = [one.check.good for one in judged]
    repeat = None
    if len(deviations) > 2:
        # Between neighbours: what changes slowly does not count.
        steps = [(b - a) ** 2 for a, b in pairwise(deviations)]
        repeat = math.sqrt(math.fsum(steps) / (2 * len(steps)))
    largest = max(judged, key=lambda one: abs(one.check.deviation))
    cells: tuple[Cell, ...] = (
        largest.check.gas, len(judged), largest.check.assigned, statistics.fmean(deviations),
        statistics.stdev(deviations) if len(deviations) > 1 else None, repeat, largest.check.deviation,
        100.0 * sum(within) / len(within), verdict_of(frame, judged),
    )  # fmt: skip
    return Row(cells, (largest.check.record,))


def _worst(frame: Frame, judged: list[Judged], unit: str) -> Table:
    words = frame.words
    ordered = sorted(judged, key=lambda one: -abs(one.check.deviation))[:WORST_SHOWN]
    columns = (
        Column(words("head.time"), "time"),
        Column(words("head.gas")),
        Column(words("head.reading"), "number", unit),
        Column(words("head.assigned"), "number", unit),
        Column(words("head.deviation"), "number", unit),
        Column(words("head.verdict"), "verdict"),
    )
    rows = [
        Row(
            (one.check.at, one.check.gas, one.check.reading, one.check.assigned, one.check.deviation,
             words.verdict(one.finding.verdict, one.check.rules is not None and one.check.rules.verified)),
            (one.check.record,), (one.check.series, one.check.at),
        )
        for one in ordered
    ]  # fmt: skip
    return frame.table("table.worst", columns, rows)
