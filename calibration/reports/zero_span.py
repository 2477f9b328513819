"""Zero and span of a series: drift over time with its limits, control charts, trend."""

import statistics
from collections.abc import Sequence
from datetime import datetime

from calibration.qa.charts import DRIFT_LIMIT, cusum, ewma
from calibration.qa.checks import sd_in_control
from calibration.qa.rules import ACT_SD, WARN_SD
from calibration.qa.trend import trend
from calibration.reports.document import Cell, Chart, Column, Level, Limit, Line, Row, Section, Span, Table
from calibration.reports.frame import Frame
from calibration.reports.look import Judged, Looked
from calibration.reports.thin import thinned
from calibration.reports.verdicts import worst_of

DAY_S = 86400.0
# A trend compares all pairs: of more checks every second, third ... one is taken.
TREND_CHECKS_MAX = 400
_SHEWHART: tuple[tuple[float, Level], ...] = ((WARN_SD, "warn"), (ACT_SD, "bad"))


def spans(frame: Frame, looked: Looked, series: str) -> tuple[Span, ...]:
    """Spans of a chart: out of control, suspect."""
    found: list[Span] = []
    for one in looked.intervals:
        if one.series == series:
            if one.suspect_from is not None:
                found += _cut(frame, frame.words("word.suspect"), one.suspect_from, one.start, "suspect")
            found += _cut(frame, frame.words("verdict.out-of-control"), one.start, one.end or frame.until, "out")
    return tuple(found)


def _cut(frame: Frame, name: str, start: datetime, end: datetime, shade: str) -> list[Span]:
    start, end = max(start, frame.since), min(end, frame.until)
    return [Span(name, start, end, "suspect" if shade == "suspect" else "out")] if start < end else []


def zero_and_span(frame: Frame, looked: Looked) -> list[Section]:
    """A section for each series that was read on zero or span gas."""
    return [_section(frame, looked, series) for series in looked.series if looked.of(series, "zero", "span")]


def _section(frame: Frame, looked: Looked, series: str) -> Section:
    words = frame.words
    roles = {role: judged for role in ("zero", "span") if (judged := looked.of(series, role))}
    charts = [drift_chart(frame, looked, series, roles)]
    for role, judged in roles.items():
        charts += control_charts(frame, series, role, judged)
    rows = [_statistics(frame, role, judged) for role, judged in roles.items()]
    tables = (_statistics_table(frame, rows), checks_table(frame, looked.of(series)))
    return Section(words("section.zero-span", series=words.series(series)), (), tables, tuple(charts))


def drift_chart(frame: Frame, looked: Looked, series: str, roles: dict[str, list[Judged]]) -> Chart:
    """Drift of full scale over time; where a record does not know full scale, deviations in their unit."""
    words = frame.words
    scaled = all(one.check.percent is not None for judged in roles.values() for one in judged)
    lines, limits = [], list[Limit]()
    for role, judged in roles.items():
        ys = tuple(one.check.percent if scaled else one.check.deviation for one in judged)
        records = tuple(one.check.record for one in judged)
        lines.append(thinned(Line(words.or_itself("role", role), times(judged), ys, "points", records)))
        limits += _limits(frame, role, judged[-1], scaled)
    first = next(iter(roles.values()))[0]
    unit = "% FS" if scaled else words.unit(first.check.unit)
    title = words("chart.drift", series=words.series(series))
    return Chart(title, unit, tuple(lines), tuple(_merged(limits, words("word.and"))), spans(frame, looked, series))


def times(judged: Sequence[Judged]) -> tuple[float, ...]:
    """Instants of checks as a chart has them."""
    return tuple(one.check.at.timestamp() for one in judged)


def _limits(frame: Frame, role: str, last: Judged, scaled: bool) -> list[Limit]:
    """Lines of the newest check's limits, on both sides of 0."""
    rules, scale = last.check.rules, last.check.full_scale
    if rules is None:
        return []
    found: list[Limit] = []
    for value, level, word in ((rules.passes, "warn", "limit.pass"), (rules.out, "bad", "limit.out")):
        if value is not None:
            size = value / scale * 100.0 if scaled and scale else value
            name = f"{frame.words(f'role.{role}')} {frame.words(word)}"
            found += [
                Limit(name, sign * size, "bad" if level == "bad" else "warn", rules.verified) for sign in (1.0, -1.0)
            ]
    return found


def _merged(limits: list[Limit], between: str) -> list[Limit]:
    """Lines at one height become one, with both names."""
    found: dict[tuple[float, str], Limit] = {}
    for one in limits:
        known = found.get((one.value, one.level))
        name = one.name if known is None else f"{known.name}{between}{one.name}"
        found[one.value, one.level] = Limit(name, one.value, one.level, one.verified)
    return list(found.values())


def control_charts(frame: Frame, series: str, role: str, judged: list[Judged]) -> list[Chart]:
    """Shewhart's chart with the moving mean, and the sums of QAL3, in standard deviations; none without one."""
    words = frame.words
    steady = [one for one in judged if one.check.stable]
    sd, how = _spread(frame, steady)
    if sd is None or len(steady) < 2:
        return []
    deviations = [one.check.deviation for one in steady]
    x, records = times(steady), tuple(one.check.record for one in steady)
    mean = tuple(one.value / sd for one in ewma(deviations, sd))
    sums = list(cusum(deviations, sd))
    name = {"series": words.series(series), "role": words.or_itself("role", role)}
    shewhart = Chart(
        words("chart.shewhart", **name), "s",
        (thinned(Line(words("line.check"), x, tuple(one / sd for one in deviations), "points", records)),
         thinned(Line(words("line.ewma"), x, mean))),
tuple(_deviations(frame)),
        notes=(how,),
    )  # fmt: skip
    drift = Chart(
        words("chart.cusum", **name), "s",
        (thinned(Line(words("line.above"), x, tuple(one.above / sd for one in sums), "steps", records)),
         thinned(Line(words("line.below"), x, tuple(-one.below / sd for one in sums), "steps", records))),
        tuple(Limit(words("limit.cusum"), sign * DRIFT_LIMIT, "bad", False) for sign in (1.0, -1.0)),
        notes=(how,),
    )  # fmt: skip
    return [shewhart, drift]


def _deviations(frame: Frame) -> list[Limit]:
    """Shewhart's lines."""
    found = []
    for size, level in _SHEWHART:
        name = frame.words("limit.sd", count=f"{size:g}")
        found += [Limit(name, sign * size, level) for sign in (1.0, -1.0)]
    return found


def _spread(frame: Frame, judged: list[Judged]) -> tuple[float | None, str]:
    """The standard deviation a chart is drawn with, and where it is from."""
    rules = judged[-1].check.rules if judged else None
    if rules is not None and rules.sd:
        return rules.sd, frame.words(
            "note.sd-declared", sd=f"{rules.sd:.4g}", unit=frame.words.unit(judged[-1].check.unit)
        )
    checks = [one.check for one in judged]
    sd = sd_in_control(checks, checks[0].series, checks[0].role) if checks else None
    if not sd:
        return None, ""
    return sd, frame.words("note.sd-found", sd=f"{sd:.4g}", unit=frame.words.unit(checks[-1].unit))


def _statistics_table(frame: Frame, rows: list[Row]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.role")),
        Column(words("head.n"), "number", decimals=0),
        Column(words("head.mean"), "number"),
        Column(words("head.sd"), "number"),
        Column(words("head.unit")),
        Column(words("head.worst"), "number", "% FS", 2),
        Column(words("head.since-adjusted"), "number", "% FS", 2),
        Column(words("head.day"), "number", "% FS", 2),
        Column(words("head.week"), "number", "% FS", 2),
        Column(words("head.trend"), "number"),
        Column(words("head.trend-from"), "number"),
        Column(words("head.trend-to"), "number"),
    )
    return frame.table("table.drifts", columns, rows, [words("note.drifts"), words("note.trend")])


def _largest(values: list[float | None]) -> float | None:
    return max((one for one in values if one is not None), key=abs, default=None)


def _statistics(frame: Frame, role: str, judged: list[Judged]) -> Row:
    deviations = [one.check.deviation for one in judged]
    slope = low = high = None
    taken = judged[:: -(-len(judged) // TREND_CHECKS_MAX)]
    if len({one.check.at for one in taken}) >= 3:
        days = [(one.check.at - taken[0].check.at).total_seconds() / DAY_S for one in taken]
        line = trend(days, [one.check.deviation for one in taken]).robust
        slope, low, high = (line.slope, line.low, line.high) if line else (None, None, None)
    cells: tuple[Cell, ...] = (
        frame.words.or_itself("role", role), len(judged), statistics.fmean(deviations),
        statistics.stdev(deviations) if len(deviations) > 1 else None, frame.words.unit(judged[0].check.unit),
        _largest([one.drift.certified for one in judged]), _largest([one.drift.adjusted for one in judged]),
        _largest([one.drift.day for one in judged]), _largest([one.drift.week for one in judged]), slope, low, high,
    )  # fmt: skip
    return Row(cells, (worst_of(judged).check.record,))


def checks_table(frame: Frame, judged: list[Judged]) -> Table:
    """Every check, oldest first, with its record."""
    words = frame.words
    columns = (
        Column(words("head.time"), "time"),
        Column(words("head.role")),
        Column(words("head.gas")),
        Column(words("head.assigned"), "number"),
        Column(words("head.reading"), "number"),
        Column(words("head.deviation"), "number"),
        Column(words("head.unit")),
        Column(words("head.drift"), "number", "% FS", 2),
        Column(words("head.limit"), "number"),
        Column(words("head.phase")),
        Column(words("head.verdict"), "verdict"),
    )
    return frame.table("table.checks", columns, [_check(frame, one) for one in judged])


def _check(frame: Frame, one: Judged) -> Row:
    check, words = one.check, frame.words
    verified = check.rules is not None and check.rules.verified
    cells: tuple[Cell, ...] = (
        check.at, words.or_itself("role", check.role), check.gas, check.assigned, check.reading, check.deviation,
        words.unit(check.unit), check.percent, check.rules.passes if check.rules else None,
        words(f"phase.{one.drift.phase}"), words.verdict(one.finding.verdict, verified),
    )  # fmt: skip
    return Row(cells, (check.record,))
