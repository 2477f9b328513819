"""The account: what the books of fuel say went up the stack, beside what was measured in it.

`account(fuels, hours, options)` gives data with rows, one for each unit and period: a report is a view of it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from metrology.budget import Budget
from metrology.fuel.co2 import Calculated, Ratio, co2_of
from metrology.fuel.electricity import Contradiction, contradictions
from metrology.fuel.explain import Explanation, Facts, explain
from metrology.fuel.records import FuelLot, OtherCarbon
from metrology.fuel.spread import added, shares
from metrology.periods import HOUR_S, period_start
from metrology.stack.calendar import DAY_OFFSET, CalendarPeriod, period_key
from metrology.stack.emission_budget import SLOW
from metrology.stack.hours import Hour, Total, complete, total, total_with_uncertainty
from metrology.stack.substitution import Substituted

KG_PER_T: Final = 1000.0
Period = CalendarPeriod


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that was booked: fuel, and CO2 of other origin or by another way."""

    lots: Sequence[FuelLot]
    others: Sequence[OtherCarbon] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one unit: hours of CO2 in kg, in order; the layer of substituted hours; electricity by hour.

    Means of moisture (fraction) and CO2 (volume percent) only serve to say how far off they would have to be.
    """

    hours: Sequence[Hour]
    substituted: Sequence[Substituted] = ()
    energy_kWh: Mapping[datetime, float] = field(default_factory=dict)
    moisture_fraction: float | None = None
    co2_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """`k` is the coverage factor of the expanded uncertainties in En; `idle_kWh` what the plant uses in an hour of rest
    (None: electricity is not looked at); `slow` how long a slow error keeps its sign.
    """

    periods: tuple[Period, ...] = ("day", "month", "total")
    ratio: Ratio = "atomic"
    k: float = 2.0
    idle_kWh: float | None = None
    day_offset: timedelta = DAY_OFFSET
    slow: timedelta = SLOW


@dataclass(frozen=True, slots=True)
class Row:
    """One unit in one period; t of CO2.

    `expected_t` = `fuel_t` + `process_t` - `bypass_t` is what the stack should show. `difference_t` is measured and
    substituted less expected. `covered_t` compares like with like: measured less the part of the expected that falls in
    the hours that were measured; `en` and `zeta` judge that one (ISO 13528:2022; |En| of 1 or less agrees). They are
    None where either side has no uncertainty. `spread`: a lot reaches beyond the period and was divided evenly.
    """

    unit: str
    period: Period
    key: str
    fuel_t: float
    biogenic_t: float
    process_t: float
    bypass_t: float
    expected_t: float
    expected_u_t: float
    measured_t: float
    measured_u_t: float
    substituted_t: float
    substituted_hours: int
    by_hand_hours: int
    hours: Total
    difference_t: float
    relative_percent: float | None
    covered_t: float
    covered_percent: float | None
    en: float | None
    zeta: float | None
    spread: bool
    assumed: tuple[str, ...]
    explanations: tuple[Explanation, ...]

    @property
    def agrees(self) -> bool | None:
        """Whether both agree within their expanded uncertainties; None where that cannot be said."""
        return None if self.en is None else abs(self.en) <= 1.0


@dataclass(frozen=True, slots=True)
class Account:
    """Rows by unit and period, in order; hours where stack and electricity meter contradict each other, by unit."""

    rows: tuple[Row, ...]
    contradictions: Mapping[str, tuple[Contradiction, ...]]


def account(fuels: Books, hours: Mapping[str, Measured], options: Options) -> Account:
    """Set the books beside the measurement, for every unit that either names. Raises FuelError for a bad lot."""
    units = sorted({*hours, *(lot.unit for lot in fuels.lots), *(other.unit for other in fuels.others)})
    rows: list[Row] = []
    found: dict[str, tuple[Contradiction, ...]] = {}
    for unit in units:
        said = hours.get(unit, Measured(()))
        measured = replace(said, hours=_whole(unit, fuels, said))
        parts = _parts(unit, fuels, measured, options)
        rows += [row for period in options.periods for row in _rows(unit, period, parts, measured, options)]
        if options.idle_kWh is not None:
            found[unit] = tuple(contradictions(said.hours, said.energy_kWh, options.idle_kWh))
    return Account(tuple(rows), found)


def _whole(unit: str, books: Books, measured: Measured) -> list[Hour]:
    """Every hour that the books or the measurement speak of: one that nobody measured is missing, not forgotten."""
    hour = timedelta(hours=1)
    spans = [(lot.start, lot.end) for lot in books.lots if lot.unit == unit]
    spans += [(other.start, other.end) for other in books.others if other.unit == unit]
    spans += [(one.start, one.start + hour) for one in measured.hours]
    if not spans:
        return []
    start = period_start(min(start for start, _ in spans), HOUR_S)
    return complete(measured.hours, start, max(end for _, end in spans))


@dataclass(frozen=True, slots=True)
class _Part:
    """A lot or another source of carbon, with its part in each hour."""

    kind: Literal["fuel", "process", "bypass"]
    calculated: Calculated
    in_hour: Mapping[datetime, float]


def _parts(unit: str, books: Books, measured: Measured, options: Options) -> list[_Part]:
    ran = {hour.start: hour.ran for hour in measured.hours}
    parts = [
        _Part("fuel", co2_of(lot, options.ratio), shares(lot.start, lot.end, ran))
        for lot in books.lots
        if lot.unit == unit
    ]
    for other in books.others:
        if other.unit == unit:
            budget = Budget(tuple(replace(term, name=f"{other.kind}: {term.name}") for term in other.co2_t.terms()))
            assumed = (other.kind,) if other.co2_t.origin == "default" else ()
            calculated = Calculated(other.co2_t.value, 0.0, budget, "carbon", assumed)
            kind: Literal["process", "bypass"] = "bypass" if other.kind == "bypass" else "process"
            parts.append(_Part(kind, calculated, shares(other.start, other.end, ran)))
    return parts


def _rows(unit: str, period: Period, parts: Sequence[_Part], measured: Measured, options: Options) -> list[Row]:
    """One row for each period that holds either a measured hour or a part of a lot."""

    def key(start: datetime) -> str:
        return period_key(start, period, options.day_offset)

    by_key: dict[str, tuple[list[Hour], list[Substituted], dict[int, float]]] = {}
    for hour in measured.hours:
        by_key.setdefault(key(hour.start), ([], [], {}))[0].append(hour)
    for one in measured.substituted:
        by_key.setdefault(key(one.start), ([], [], {}))[1].append(one)
    for index, part in enumerate(parts):
        for start, share in part.in_hour.items():
            held = by_key.setdefault(key(start), ([], [], {}))[2]
            held[index] = held.get(index, 0.0) + share
    return [
        _row(unit, period, name, hours, filled, [(parts[i], share) for i, share in held.items()], measured, options)
        for name, (hours, filled, held) in sorted(by_key.items())
    ]


def _row(
    unit: str, period: Period, key: str, hours: Sequence[Hour], filled: Sequence[Substituted],
    held: Sequence[tuple[_Part, float]], measured: Measured, options: Options,
) -> Row:  # fmt: skip
    sums = {kind: _sum(held, kind) for kind in ("fuel", "process", "bypass")}
    expected = sums["fuel"][0] + sums["process"][0] - sums["bypass"][0]
    books = added(sums.values())[1]
    counts = total(hours)
    stack = total_with_uncertainty(hours, options.slow)
    measured_t, stack_t = stack.value / KG_PER_T, stack.budget.scaled(1 / KG_PER_T)
    substituted_t = math.fsum(one.amount or 0.0 for one in filled) / KG_PER_T
    covered_part = counts.counted / counts.ran if counts.ran else 0.0
    covered_t = measured_t - covered_part * expected
    u = math.hypot(stack_t.total, covered_part * books.total)
    # Agreement is judged where both sides state an uncertainty.
    judged = counts.counted > 0 and stack_t.total > 0.0 and books.total > 0.0
    facts = Facts(
        expected_t=expected, measured_t=measured_t, covered_t=covered_t, covered_part=covered_part,
        substituted_t=substituted_t, substituted_hours=sum(one.amount is not None for one in filled),
        process_t=sums["process"][0], bypass_t=sums["bypass"][0],
        biogenic_t=math.fsum(part.calculated.biogenic_t * share for part, share in held), ran=counts.ran, k=options.k,
        moisture_fraction=measured.moisture_fraction, co2_percent=measured.co2_percent,
    )  # fmt: skip
    difference = measured_t + substituted_t - expected
    return Row(
        unit=unit, period=period, key=key, fuel_t=sums["fuel"][0], biogenic_t=facts.biogenic_t,
        process_t=facts.process_t, bypass_t=facts.bypass_t, expected_t=expected, expected_u_t=books.total,
        measured_t=measured_t, measured_u_t=stack_t.total, substituted_t=substituted_t,
        substituted_hours=facts.substituted_hours, by_hand_hours=sum(one.amount is None for one in filled),
        hours=counts, difference_t=difference, relative_percent=_percent(difference, expected),
        covered_t=covered_t, covered_percent=_percent(covered_t, covered_part * expected),
        en=covered_t / (options.k * u) if judged else None, zeta=covered_t / u if judged else None,
        spread=any(share < 1.0 - 1e-9 for _, share in held),
        assumed=tuple(sorted({name for part, _ in held for name in part.calculated.assumed})),
        explanations=explain(facts, stack_t, books),
    )  # fmt: skip


def _sum(held: Iterable[tuple[_Part, float]], kind: str) -> tuple[float, Budget]:
    return added(
        (part.calculated.co2_t * share, part.calculated.budget.scaled(share))
        for part, share in held
        if part.kind == kind
    )


def _percent(difference: float, whole: float) -> float | None:
    return 100.0 * difference / whole if whole else None
