"""The emission report: what each gas came to, by day and month, hours missing, and what was filled in for them."""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from calibration.reports.document import Cell, Chart, Column, Line, Report, Row, Section, Span, Table, Verdict
from calibration.reports.frame import Frame, named, worst
from calibration.reports.hours import Standings, hours
from calibration.reports.layers import Layers
from calibration.reports.look import Fields, Looked
from calibration.reports.periods import KG_PER_T, Stated
from calibration.reports.stacks import Emitted, Stacks, emitted, gas_of, is_rate
from calibration.reports.terms import weights
from calibration.reports.thin import thinned
from calibration.reports.verdicts import intervals
from metrology.stack.gwp import co2_equivalent, potentials
from metrology.stack.hours import Hour, HourState, total
from metrology.stack.substitution import Scheme, Substituted, substitute
from metrology.stack.validity import capture_percent, judge

# Hours before the period that a substitution may look back on.
LOOK_BACK = timedelta(days=120)
GREENHOUSE = ("co2", "ch4", "n2o")


class Gathered:
    """Emission of a period: hours within it, and those before that substitution looks back on."""

    def __init__(
        self, frame: Frame, records: Iterable[Fields], averages: Iterable[Fields], stacks: Stacks, scheme: Scheme | None
    ) -> None:
        self.looked = Looked(frame, records)
        standings = Standings(self.looked.intervals, stacks.inputs)
        layers = Layers(frame)
        rows = hours(
            stacks.terms.tapped(layers.tapped(averages)),
            frame.since,
            frame.until,
            standings,
            lambda one: is_rate(one) and frame.wants(one),
            frame.regulated,
        )
        self.rates: dict[str, Emitted] = {}
        self.substituted: dict[str, list[Substituted]] = {}
        for series, one in sorted(emitted(rows, standings, stacks.terms).items()):
            filled = substitute(one.hours, scheme) if scheme else []
            self.substituted[series] = [each for each in filled if frame.holds(each.start)]
            kept = [at for at, hour in enumerate(one.hours) if frame.holds(hour.start)]
            if kept:
                own = Emitted(series, [one.hours[at] for at in kept], [one.records[at] for at in kept])
                own.revised = [start for start in one.revised if frame.holds(start)]
                self.rates[series] = own
        self.layers = layers.table(self.rates, standings)
        self.stated = {series: Stated(frame, one.hours, self.substituted[series]) for series, one in self.rates.items()}


def emission(
    frame: Frame, records: Iterable[Fields], averages: Iterable[Fields], stacks: Stacks, scheme: Scheme | None
) -> Report:
    """From calibration records since the station began and hourly averages, from LOOK_BACK before the period on."""
    words = frame.words
    found = Gathered(frame, records, averages, stacks, scheme)
    totals, verdict = _totals(frame, found, scheme)
    sections = [
        Section(words("section.totals"), () if found.rates else (words("note.no-rates"),), tuple(totals)),
        *(_gas(frame, one, found.stated[series]) for series, one in found.rates.items()),
        Section(words("section.substituted"), (), _filled(frame, found)),
        Section(words("section.control"), (), (intervals(frame, found.looked, {}),)),
    ]
    return frame.report("emission", verdict, sections)


def _totals(frame: Frame, found: Gathered, scheme: Scheme | None) -> tuple[list[Table], Verdict]:
    words = frame.words
    columns = (
        Column(words("head.gas-emitted")),
        Column(words("head.measured"), "number", "t"),
        Column(words("head.u"), "number", "t"),
        Column(words("state.valid"), "number", "h", 0),
        Column(words("head.missing"), "number", "h", 0),
        Column(words("head.out"), "number", "h", 0),
        Column(words("state.stopped"), "number", "h", 0),
        Column(words("head.suspect"), "number", "h", 0),
        Column(words("head.substituted"), "number", "t"),
        Column(words("head.substituted"), "number", "h", 0),
        Column(words("head.by-hand"), "number", "h", 0),
        Column(words("head.capture"), "number", "%", 1),
        Column(words("head.verdict"), "verdict"),
    )
    rows, verdicts = [], []
    for series, one in found.rates.items():
        # The period's capture beside what a quarter wants.
        percent = capture_percent(one.hours)
        judged = judge("quarter", percent or 0.0)
        word = "unjudged" if percent is None else "pass" if judged.valid else "fail"
        verdicts.append(words.verdict(word, judged.rule.verified))
        rows.append(_total(frame, one, found.stated[series], verdicts[-1]))
    notes = [words("note.amounts"), words(f"note.scheme-{scheme or 'none'}"), words("note.capture-judged")]
    notes += revisions(frame, found.rates.values())
    tables = [frame.table("table.totals", columns, rows, notes)]
    if equivalent := _equivalents(frame, found):
        tables.append(equivalent)
    if weighed := weights(frame, {series: one.hours for series, one in found.rates.items()}):
        tables.append(weighed)
    if found.layers:
        tables.append(found.layers)
    return tables if rows else [], worst(verdicts, words)


def revisions(frame: Frame, rates: Iterable[Emitted]) -> list[str]:
    """What a report says of hours that count as made again, by series; or that there is none."""
    words = frame.words
    return [
        words("note.revised", series=words.series(one.series), hours=len(one.revised)) for one in rates if one.revised
    ] or [words("note.first-reported")]


def _total(frame: Frame, one: Emitted, stated: Stated, verdict: Verdict) -> Row:
    (whole,) = stated.of("total")
    counts, u = whole.hours, whole.measured_u_kg
    amount, filled, by_hand = stated.filled(whole)
    cells: tuple[Cell, ...] = (
        frame.words.series(one.series), whole.measured_kg / KG_PER_T, None if u is None else u / KG_PER_T,
        counts.counted, counts.missing, counts.out_of_control, counts.stopped, counts.suspect, amount / KG_PER_T,
        filled, by_hand, whole.capture_percent, verdict,
    )  # fmt: skip
    known = [record for record in one.records if record is not None]
    first = next((hour.start for hour in one.hours if hour.amount is not None), None)
    return Row(cells, named([*known[:1], *known[-1:]]), (one.series, first) if first else None)


def _equivalents(frame: Frame, found: Gathered) -> Table | None:
    """Greenhouse gases as CO2, by stack, under each report's potentials."""
    words = frame.words
    masses: dict[str, dict[str, float]] = {}
    for series, one in found.rates.items():
        if gas_of(series) in GREENHOUSE:
            masses.setdefault(series.partition(".")[0], {})[gas_of(series)] = total(one.hours).amount / KG_PER_T
    columns = (
        Column(words("head.stack")), Column(words("head.gases")), Column(words("head.ipcc")),
        Column("CO2e", "number", "t", 3), Column(words("head.source")), Column(words("head.verified")),
    )  # fmt: skip
    rows = []
    for stack, own in masses.items():
        for report in ("AR5", "AR6"):
            used = [potentials(report)[gas] for gas in own]
            verified = all(each.verified for each in used)
            source = "; ".join(dict.fromkeys(words.source(each.source) for each in used))
            sums = co2_equivalent(own, report)
            seen = words("word.verified" if verified else "word.unverified")
            rows.append(Row((stack, ", ".join(own), report, sums, source, seen)))
    return frame.table("table.equivalents", columns, rows) if rows else None


def _gas(frame: Frame, one: Emitted, stated: Stated) -> Section:
    words = frame.words
    x = tuple(hour.start.timestamp() for hour in one.hours)
    rate = Line(words("line.rate"), x, tuple(hour.amount for hour in one.hours), "line", tuple(one.records))
    title = words.series(one.series)
    charts = [Chart(words("chart.rate", series=title), "kg/h", (thinned(rate),), (), tuple(_shades(frame, one)))]
    days = stated.of("day")
    if len(days) > 1:
        at = tuple(_midnight(frame, row.key) for row in days)
        amounts = tuple(row.measured_kg / KG_PER_T if row.hours.counted else None for row in days)
        charts.append(Chart(words("chart.daily", series=title), "t", (Line(words("line.day"), at, amounts, "steps"),)))
    return Section(title, (), tuple(stated.tables()), tuple(charts))


def _midnight(frame: Frame, day: str) -> float:
    """Start of a day of the station, unix seconds."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() - frame.header.offset_h * 3600.0


def _shades(frame: Frame, one: Emitted) -> Iterable[Span]:
    """Runs of hours that are suspect or out of control."""
    words = frame.words
    tests: tuple[tuple[str, str, Callable[[Hour], bool]], ...] = (
        ("suspect", words("word.suspect"), lambda hour: hour.suspect),
        ("out", words("verdict.out-of-control"), lambda hour: hour.state is HourState.OUT_OF_CONTROL),
    )
    for shade, name, test in tests:
        begun: datetime | None = None
        for hour in [*one.hours, Hour(frame.until, HourState.STOPPED)]:
            if test(hour) and begun is None:
                begun = hour.start
            elif not test(hour) and begun is not None:
                yield Span(name, begun, hour.start, shade)  # type: ignore[arg-type]
                begun = None


def _filled(frame: Frame, found: Gathered) -> tuple[Table, ...]:
    """What was filled in, by series and rule: beside the measured amounts, never in them."""
    words = frame.words
    columns = (
        Column(words("head.gas-emitted")),
        Column(words("head.rule")),
        Column(words("head.substituted"), "number", "h", 0),
        Column(words("head.substituted"), "number", "t"),
        Column(words("head.availability"), "number", "%", 1),
        Column(words("head.looked-back"), "number", "h", 0),
        Column(words("head.looked-wanted"), "number", "h", 0),
        Column(words("head.verified")),
    )
    groups: dict[tuple[str, str], list[Substituted]] = {}
    for series, filled in found.substituted.items():
        for one in filled:
            groups.setdefault((series, one.rule), []).append(one)
    rows = []
    for (series, rule), own in groups.items():
        amount = math.fsum(one.amount or 0.0 for one in own) / KG_PER_T
        cells: tuple[Cell, ...] = (
            words.series(series), rule, len(own), amount, min(one.availability_percent for one in own),
            min(one.count for one in own), own[0].wanted,
            words("word.verified" if own[0].verified else "word.unverified"),
        )  # fmt: skip
        rows.append(Row(cells, (), (series, own[0].start)))
    return (frame.table("table.substituted", columns, rows, [words("note.substituted")]),) if rows else ()
