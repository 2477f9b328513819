"""The account report: CO2 by the books of fuel beside CO2 as measured, with both uncertainties and what explains it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from calibration.reports.document import Chart, Column, Line, Report, Row, Section, Table, Verdict
from calibration.reports.electricity import Electricity
from calibration.reports.electricity import section as electricity_section
from calibration.reports.emission import Gathered, revisions
from calibration.reports.frame import Frame, worst
from calibration.reports.look import Fields
from calibration.reports.stacks import Stacks, gas_of
from calibration.reports.thin import thinned
from metrology.fuel.account import Account, Books, Measured, Options
from metrology.fuel.account import Row as Compared
from metrology.fuel.account import account as set_beside
from metrology.fuel.records import FuelLot, Given, OtherCarbon
from metrology.periods import DAY_S
from metrology.stack.substitution import Scheme

DAYS_SHOWN_MAX = 62


def account(
    frame: Frame, records: Iterable[Fields], averages: Iterable[Fields], stacks: Stacks, books: Books, options: Options,
    scheme: Scheme | None, electricity: Electricity | None = None,
) -> Report:  # fmt: skip
    """From the station's records as an emission report, and the books; lots beyond the period are divided by time."""
    words, power = frame.words, electricity or Electricity()
    found = Gathered(frame, records, power.tapped(averages), stacks, scheme)
    lots = [_cut_lot(frame, one) for one in books.lots if one.start < frame.until and one.end > frame.since]
    others = [_cut_other(frame, one) for one in books.others if one.start < frame.until and one.end > frame.since]
    measured = _measured(found, {*(one.unit for one in lots), *(one.unit for one in others)})
    measured = {unit: replace(one, energy_kWh=_held(frame, power.of(unit, measured))) for unit, one in measured.items()}
    short = (frame.until - frame.since).total_seconds() <= DAYS_SHOWN_MAX * DAY_S
    periods = replace(options, periods=("day", "month", "total") if short else ("month", "total"))
    compared = set_beside(Books(lots, others), measured, periods)
    verdicts = [_verdict(frame, row) for row in compared.rows if row.period == "total"]
    verdicts += [words.verdict(one.what) for several in compared.contradictions.values() for one in several]
    sections = [
        Section(
            words("section.account"),
            tuple(revisions(frame, found.rates.values())) if measured else (words("note.no-rates"),),
            (_table(frame, compared, "total"),),
        ),
        *(_unit(frame, compared, unit) for unit in dict.fromkeys(row.unit for row in compared.rows)),
        electricity_section(frame, measured, compared.contradictions, options.idle_kWh),
        Section(words("section.lots"), (), (_lots(frame, lots, others),)),
    ]
    return frame.report("account", worst(verdicts, words), sections)


def _held(frame: Frame, energy: Mapping[datetime, float]) -> dict[datetime, float]:
    return {at: value for at, value in energy.items() if frame.holds(at)}


def _part(frame: Frame, one: FuelLot | OtherCarbon) -> float:
    return (min(one.end, frame.until) - max(one.start, frame.since)) / (one.end - one.start)


def _scaled(given: Given, part: float) -> Given:
    return replace(given, value=given.value * part, u=given.u * part)


def _cut_lot(frame: Frame, one: FuelLot) -> FuelLot:
    amount = _scaled(one.amount, _part(frame, one))
    return replace(one, amount=amount, start=max(one.start, frame.since), end=min(one.end, frame.until))


def _cut_other(frame: Frame, one: OtherCarbon) -> OtherCarbon:
    carbon = _scaled(one.co2_t, _part(frame, one))
    return replace(one, co2_t=carbon, start=max(one.start, frame.since), end=min(one.end, frame.until))


def _measured(found: Gathered, units: set[str]) -> dict[str, Measured]:
    """Hours of CO2 by unit: a stack is the unit of its name; where both are one, they are the same."""
    co2 = {series: one for series, one in found.rates.items() if gas_of(series) == "co2"}
    alone = next(iter(units)) if len(units) == 1 and len(co2) == 1 else None
    return {
        alone or series.partition(".")[0]: Measured(one.hours, found.substituted[series]) for series, one in co2.items()
    }


def _verdict(frame: Frame, row: Compared) -> Verdict:
    if row.agrees is None:
        return frame.words.verdict("unjudged")
    return frame.words.verdict("agrees" if row.agrees else "disagrees")


def _table(frame: Frame, compared: Account, period: str, unit: str | None = None) -> Table:
    words = frame.words
    columns = (
        Column(words("head.plant-unit")),
        Column(words("head.period-of"), "time"),
        Column(words("head.fuel"), "number", "t", 1),
        Column(words("head.process"), "number", "t", 1),
        Column(words("head.bypass"), "number", "t", 1),
        Column(words("head.expected"), "number", "t", 1, total=period != "total"),
        Column(words("head.u"), "number", "t", 1),
        Column(words("head.measured"), "number", "t", 1, total=period != "total"),
        Column(words("head.u"), "number", "t", 1),
        Column(words("head.substituted"), "number", "t", 1, total=period != "total"),
        Column(words("head.counted-of"), "number", "h", 0),
        Column(words("head.ran"), "number", "h", 0),
        Column(words("head.difference"), "number", "t", 1, total=period != "total"),
        Column(words("head.difference"), "number", "%", 1),
        Column("En", "number", "", 2),
        Column(words("head.verdict"), "verdict"),
    )
    rows = [
        Row((
            row.unit, words("word.whole") if period == "total" else row.key, row.fuel_t, row.process_t, row.bypass_t,
            row.expected_t, row.expected_u_t, row.measured_t, row.measured_u_t or None, row.substituted_t,
            row.hours.counted, row.hours.ran, row.difference_t, row.relative_percent, row.en, _verdict(frame, row),
        ))
        for row in compared.rows
        if row.period == period and (unit is None or row.unit == unit)
    ]  # fmt: skip
    return frame.table(f"table.account-{period}", columns, rows, [words("note.account")] if period == "total" else ())


def _unit(frame: Frame, compared: Account, unit: str) -> Section:
    words = frame.words
    whole = next(row for row in compared.rows if row.unit == unit and row.period == "total")
    periods = list(dict.fromkeys(row.period for row in compared.rows if row.period != "total"))
    notes = []
    if whole.assumed:
        notes.append(words("note.assumed", names=", ".join(words.or_itself("assumed", one) for one in whole.assumed)))
    if whole.by_hand_hours:
        notes.append(words("note.by-hand", hours=whole.by_hand_hours))
    tables = (_explained(frame, whole), *(_table(frame, compared, period, unit) for period in reversed(periods)))
    return Section(
        words("section.unit", unit=unit), tuple(notes), tables, tuple(_chart(frame, compared, unit, periods))
    )


def _chart(frame: Frame, compared: Account, unit: str, periods: Sequence[str]) -> Iterable[Chart]:
    """Both sides over time, by day or month; what is measured is a point with no line: hours may be missing."""
    words = frame.words
    period = periods[0] if periods else ""
    rows = [row for row in compared.rows if row.unit == unit and row.period == period]
    if len(rows) < 2:
        return
    x = tuple(_begin(frame, row.key) for row in rows)
    lines = (
        Line(words("line.expected"), x, tuple(row.expected_t for row in rows), "steps"),
        Line(words("line.measured"), x, tuple(row.measured_t for row in rows), "points"),
        Line(words("line.with-substituted"), x, tuple(row.measured_t + row.substituted_t for row in rows), "line"),
    )
    yield Chart(words("chart.account", unit=unit), "t", tuple(thinned(line) for line in lines))


def _begin(frame: Frame, key: str) -> float:
    """Start of a period by its key (2026-06-15 or 2026-06), in the station's own day."""
    day = datetime.fromisoformat(key if len(key) > 7 else f"{key}-01").replace(tzinfo=UTC)
    return day.timestamp() - frame.header.offset_h * 3600.0


def _explained(frame: Frame, row: Compared) -> Table:
    words = frame.words
    columns = (
        Column(words("head.cause")), Column(words("head.amount"), "number", "t", 1), Column(words("head.known")),
        Column(words("head.enough")), Column(words("head.needed-change")),
    )  # fmt: skip
    rows = []
    for one in row.explanations:
        needed = ""
        if one.needed is not None:
            quantity, change, unit = one.needed
            needed = words(
                "word.needed",
                quantity=words.or_itself("quantity", quantity),
                change=f"{change:+.4g}",
                unit=words.or_itself("part", unit),
            )
        known = words("word.known" if one.known else "word.possible")
        enough = "" if one.known else words("word.yes" if one.enough else "word.no")
        rows.append(Row((words.or_itself("cause", one.cause), one.amount_t, known, enough, needed)))
    return frame.table("table.explained", columns, rows, [words("note.explained")])


def _lots(frame: Frame, lots: list[FuelLot], others: list[OtherCarbon]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.plant-unit")), Column(words("head.lot")), Column(words("head.fuel-name")),
        Column(words("head.from"), "time"), Column(words("head.to"), "time"), Column(words("head.amount"), "number"),
        Column(words("head.unit")), Column(words("head.carbon"), "number", "%", 2),
        Column(words("head.heat"), "number", "GJ", 3), Column(words("head.biomass"), "number", "%", 1),
    )  # fmt: skip

    def value(given: Given | None, scale: float = 1.0) -> float | None:
        return None if given is None else given.value * scale

    rows = [
        Row((one.unit, one.lot, one.fuel, one.start, one.end, one.amount.value, one.amount_unit,
             value(one.carbon_fraction, 100.0), value(one.ncv_GJ), value(one.biomass_fraction, 100.0)))
        for one in lots
    ]  # fmt: skip
    rows += [
        Row((one.unit, one.lot, words.or_itself("cause", one.kind), one.start, one.end, one.co2_t.value, "t CO2", None,
             None, None))
        for one in others
    ]  # fmt: skip
    return frame.table("table.lots", columns, rows)
