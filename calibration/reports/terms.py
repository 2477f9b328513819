"""What the uncertainty of a stack's hours is made of: named terms, as shares of what the station put on record.

A row says how much is independent, slow and common. Which input that comes from is reckoned once a day, of its first
valid hour, from the stack as it is configured; the shares hold for the day.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from calibration.reports.document import Column, Row, Table
from calibration.reports.frame import Frame
from calibration.reports.hours import Fields
from metrology.budget import Budget, Term, TimeBehaviour
from metrology.periods import HOUR_S, parse_iso
from metrology.reading import Average
from metrology.stack.hourly import with_budget
from metrology.stack.hours import Hour, total_with_uncertainty
from metrology.stack.plan import GasSource, Plan, Source
from metrology.stack.velocity_field import History, VelocityCoefficient
from metrology.units import UnitError, convert

# Terms of one amount that are listed.
SHOWN_MAX: Final = 8
KG_PER_T: Final = 1000.0
# Members of a row's `unc`, in their order.
BEHAVIOURS: Final[tuple[TimeBehaviour, ...]] = ("independent", "slow", "common")
_RANGED: Final = {"differential_pressure": "differential_pressure_Pa", "static_pressure": "static_pressure_Pa"}


@dataclass(frozen=True, slots=True)
class Share:
    """A term, and what part it has (0 to 1) in the root of the squares of all of its behaviour."""

    term: Term
    part: float


class Terms:
    """Shares by rate and day, found on the way of the records."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """From a configuration document; stacks that make no sense here have no shares."""
        offset = timedelta(hours=float((document.get("station") or {}).get("day_start_utc_offset_h", 8.0)))
        blocks = document.get("stacks") or {}
        self._plans = [plan_of(name, block, offset) for name, block in blocks.items()]
        self._maxima = {
            f"{instrument}.{measurand}": options["maximum"]
            for instrument, block in (document.get("instruments") or {}).items()
            for measurand, options in (block.get("series") or {}).items()
            if options.get("maximum") is not None
        }
        self._shares: dict[tuple[str, str], tuple[Share, ...]] = {}

    def tapped(self, records: Iterable[Fields]) -> Iterator[Fields]:
        """The records on their way, each looked at first."""
        for fields in records:
            if self._plans:
                self._look(fields)
            yield fields

    def budget(self, series: str, start: datetime, parts: Iterable[float] | None) -> Budget | None:
        """Budget of an hour from its `unc`; terms of the whole where nothing is known of the inputs."""
        if parts is None:
            return None
        shares = self._shares.get((series, start.isoformat()[:10]), ())
        terms: list[Term] = []
        for behaviour, u in zip(BEHAVIOURS, parts, strict=True):
            own = [one for one in shares if one.term.over_time == behaviour]
            terms += [
                Term(one.term.name, u * one.part, behaviour, one.term.source, one.term.verified) for one in own
            ] or ([Term(f"total: {behaviour}", u, behaviour, "average record")] if u else [])
        return Budget(tuple(terms))

    def _look(self, fields: Fields) -> None:
        rows, day = fields["rows"], fields["start"][:10]
        for plan in self._plans:
            for gas in plan.gases:
                series = f"{plan.name}.{gas}_rate"
                row = rows.get(series)
                if row and "unc" in row and (series, day) not in self._shares:
                    averages = {name: _average(name, fields, one) for name, one in rows.items()}
                    found = with_budget(plan, f"{gas}_rate", averages, self._scales(plan, gas, rows))
                    self._shares[series, day] = tuple(_shares(found[1])) if found else ()

    def _scales(self, plan: Plan, gas: str, rows: Mapping[str, Fields]) -> dict[str, float]:
        """Full scales of what is read, in the units of the chain."""
        found: dict[str, float] = {}
        for role, name in _RANGED.items():
            source = plan.inputs.get(role)
            if source and source.series in self._maxima and source.series in rows:
                try:
                    found[name] = convert(self._maxima[source.series], rows[source.series]["u"], "Pa")
                except UnitError:
                    continue
        read, standard = rows.get(plan.gases[gas].source.series), rows.get(f"{plan.name}.{gas}_std")
        greatest = self._maxima.get(plan.gases[gas].source.series)
        if read and standard and read["mean"] and standard["mean"] and greatest:
            # The range as far above the reading as at the analyzer, whatever its unit.
            found["concentration"] = standard["mean"] * greatest / read["mean"]
        return found


def _shares(budget: Budget) -> Iterator[Share]:
    whole = dict(zip(BEHAVIOURS, _parts(budget), strict=True))
    for term in budget.terms:
        if whole[term.over_time]:
            yield Share(term, term.u / whole[term.over_time])


def _parts(budget: Budget) -> tuple[float, float, float]:
    found = budget.uncertainty
    return found.independent, found.slow, found.common


def _average(series: str, fields: Fields, row: Fields) -> Average:
    return Average(
        series, row["u"], parse_iso(fields["start"]), HOUR_S, row["n"], row["valid"], row["mean"], row["min"],
        row["max"], row["sd"], row["rule"],
    )  # fmt: skip


def plan_of(name: str, block: Mapping[str, Any], offset: timedelta) -> Plan:
    """The plan of a stack from its block in a configuration record; `offset`: how far its day is ahead of UTC."""
    kv = History()
    for one in block["kv"]:
        days = {key: _day(one[key], offset) for key in ("determined", "filed", "valid_from")}
        kv = kv.file(VelocityCoefficient(**{**one, **days}))
    inputs = {role: _source(one) for role, one in block["inputs"].items()}
    gases = {
        gas: GasSource(_source(one), one.get("basis") == "wet", one.get("state") == "actual")
        for gas, one in (block.get("gases") or {}).items()
    }
    reference = (block.get("oxygen") or {}).get("reference_percent")
    return Plan(
        name, block["area_m2"], kv, inputs, gases, block.get("pitot_coefficient") or 1.0,
        block.get("standard_density_kg_m3"), reference,
    )  # fmt: skip


def _day(text: str, offset: timedelta) -> datetime:
    return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC) - offset


def _source(one: Mapping[str, Any]) -> Source:
    return Source(one.get("series") or "", value=one.get("value"), unit=one.get("unit") or "")


def weights(frame: Frame, rates: Mapping[str, Sequence[Hour]]) -> Table | None:
    """The heaviest terms of each amount's uncertainty over the whole period; None where no hour states one."""
    words = frame.words
    rows: list[Row] = []
    for series, hours in rates.items():
        summed = total_with_uncertainty(hours)
        for term, share in summed.budget.by_weight()[:SHOWN_MAX]:
            name, _, what = term.name.partition(": ")
            said = ": ".join(words.or_itself("input", one) for one in (name, what) if one)
            percent = 100.0 * term.u / summed.value if summed.value else None
            seen = words("word.verified" if term.verified else "word.unverified")
            rows.append(Row((
                words.series(series), said, term.u / KG_PER_T, percent, 100.0 * share,
                words(f"over-time.{term.over_time}"), seen,
            )))  # fmt: skip
    columns = (
        Column(words("head.gas-emitted")), Column(words("head.term")), Column(words("head.u"), "number", "t"),
        Column(words("head.u"), "number", "%", 2), Column(words("head.share"), "number", "%", 1),
        Column(words("head.over-time")), Column(words("head.verified")),
    )  # fmt: skip
    return frame.table("table.weights", columns, rows, [words("note.weights")]) if rows else None
