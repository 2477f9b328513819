"""Series that a stack derives, made again: scan by scan from what its inputs come to, then averaged.

The plan is that of the configuration in force when a scan came; Kv by its filings as they were known when it was
asked for, each from the day on that it holds; and what the recomputation itself says was filed wrongly. As the station
did, a derived scan follows the scan of the flow, and a restart forgets the readings before it. Marks that people, locks
and runs put on the derived scan stay; what the derivation judges itself is judged anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.analysis.again import Again
from agent.analysis.corrections import Corrections
from agent.analysis.dated import Filed
from agent.analysis.plan import AND
from agent.analysis.station import config_in
from agent.values.averaging import SeriesSpec
from agent.values.derived import Scales, full_scales, plans
from agent.values.intake import judged
from calibration.correction import Coefficients
from metrology.measurand import catalogue
from metrology.periods import iso
from metrology.quality import Cause
from metrology.reading import Average, Measurement, Reading, Scan
from metrology.stack.derive import Stack
from metrology.stack.plan import Plan
from metrology.stack.velocity_field import History, VelocityCoefficient
from protocols.record import scan_of

Fields = Mapping[str, Any]
# An input may be as old as an hour (`max_age_s`): so far before the interval the readings begin to be taken.
AHEAD: Final = timedelta(minutes=70)
# What the derivation says itself; an input's own marks come again with it.
JUDGED: Final = frozenset({Cause.OUT_OF_RANGE, Cause.FAULT, Cause.STOPPED, Cause.COMMUNICATION})


class Section:
    """The plan of one stack at any instant, told the configurations on the way."""

    def __init__(self, stack: str, name: str, filed: Sequence[Filed], then: Fields | None, now: Fields | None) -> None:
        """`name` is the recomputation's; `then` and `now` are config records: before its first scan, when it was asked.

        Raises LookupError where neither says anything of the stack.
        """
        self.stack = stack
        self._name = name
        self._filed = [(*one.span, number, one) for number, one in enumerate(filed) if one.stack == stack]
        found = config_in(now)
        self._known = plans(found)[stack].kv if found and stack in found.stacks else History()
        self._made: dict[tuple[int, ...], Plan] = {}
        self.scales: Scales = {}
        for fields in (now, then):
            if fields is not None:
                self.take(fields)
        if not self.scales:
            raise LookupError(f"{stack}: no configuration on record says what it is derived of")

    def take(self, fields: Fields) -> None:
        """A configuration came into force."""
        config = config_in(fields)
        if config is not None and self.stack in config.stacks:
            plan = plans(config)[self.stack]
            self.base = replace(plan, kv=_merged(plan.kv, self._known))
            self.scales = full_scales(config)
            self._made = {}

    @property
    def inputs(self) -> frozenset[str]:
        """The series it is derived of."""
        return frozenset().union(*(sources(self.base, name) for name in self.base.measurands))

    def at(self, instant: datetime) -> Plan:
        """The plan by which a scan is derived: the first row that speaks of a parameter holds."""
        at = iso(instant)
        active = tuple(number for start, end, number, _ in self._filed if start <= at < end)
        if active not in self._made:
            self._made[active] = self._said([one for *_, number, one in self._filed if number in active], instant)
        return self._made[active]

    def _said(self, rows: Sequence[Filed], instant: datetime) -> Plan:
        parameters: dict[str, Any] = {}
        for one in reversed(rows):
            parameters |= one.parameters
        speaks = next((one for one in rows if one.kv is not None), None)
        if speaks is not None:
            parameters["kv"] = self._coefficient(speaks, instant)
        return replace(self.base, **parameters)

    def _coefficient(self, one: Filed, instant: datetime) -> History:
        """A Kv that holds wherever its row speaks, as uncertain as the one it stands for."""
        known, always = self.base.kv.at(instant), datetime.min.replace(tzinfo=instant.tzinfo)
        assert one.kv is not None, "asked of a row that says it"
        repeatability, reference = (known.repeatability, known.reference) if known else (0.0, "on-site")
        made = VelocityCoefficient(
            f"{self._name}/kv", one.kv, repeatability, reference, always, always, always, one.authority, one.authority,
            one.reason,
        )  # fmt: skip
        return History((made,))


def _merged(own: History, known: History) -> History:
    """All filings that are known, and before the first of them what the configuration of the time had."""
    if not known.coefficients:
        return own
    first = known.coefficients[0].valid_from
    return History((*(one for one in own.coefficients if one.valid_from < first), *known.coefficients))


def sources(plan: Plan, measurand: str) -> frozenset[str]:
    """The series that a derived measurand is made of."""
    found = [*plan.inputs.values()]
    gas = measurand.rpartition("_")[0]
    if gas in plan.gases:
        found += [one for one in (plan.gases[gas].source, plan.gases[gas].no2) if one]
    elif plan.standard_density_kg_m3 is None and "co2" in plan.gases:
        found.append(plan.gases["co2"].source)
    return frozenset(one.series for one in found if one.series)


class StackAgain:
    """Derived series of one stack from an instant on; `kv` are the coefficients it was made with."""

    def __init__(
        self,
        specs: Sequence[SeriesSpec],
        start: datetime,
        day_offset_s: int,
        corrections: Corrections,
        section: Section,
    ) -> None:
        self.kv: set[str] = set()
        self.section = section
        self._corrections = corrections
        self._again = Again(specs, start, day_offset_s, _AsMade())
        self._start = start
        self._stack = Stack(section.base)
        self._calibrations: dict[str, str] = {}

    @property
    def closed_until(self) -> datetime:
        """End of the last closed minute."""
        return self._again.closed_until

    @property
    def instruments(self) -> frozenset[str]:
        """Whose scans it takes."""
        inputs = {series.partition(".")[0] for series in self.section.inputs}
        return frozenset({self.section.stack, *inputs})

    def take(self, fields: Fields) -> list[Average]:
        """Take the next record of the log; gives the averages that were closed by it."""
        if fields["kind"] == "scan":
            self._scan(fields)
            return []
        if fields["kind"] == "config":
            self.section.take(fields)
            if fields.get("origin") != "SIGHUP":
                self._stack = Stack(self.section.base)
        elif fields["kind"] != "average":
            self._corrections.take(fields)
        return self._again.take(fields)

    def _scan(self, fields: Fields) -> None:
        if fields["instrument"] == self.section.stack:
            scan = scan_of(fields)
            if scan.at >= self._start:
                self._again.scan(self._derived(scan))
        elif fields["instrument"] in self.instruments:
            scan, inputs = scan_of(fields), self.section.inputs
            measured = [self._corrections.measure(one, scan) for one in scan.readings if one.series in inputs]
            for one in measured:
                self._calibrations[one.reading.series] = one.calibration or ""
            self._stack.take(measured)

    def _derived(self, scan: Scan) -> Scan:
        """What the station derived then, derived again."""
        plan = self._stack.plan = self.section.at(scan.at)
        kv = plan.kv.at(scan.at)
        self.kv |= {kv.id} if kv else set()
        before = {one.measurand: one for one in scan.readings}
        made = [_marked(one, before[one.measurand]) for one in self._stack.derive(scan.at) if one.measurand in before]
        status = {one.measurand: self._used(plan, one.measurand) for one in made}
        return Scan(scan.instrument, scan.at, tuple(made), status)

    def _used(self, plan: Plan, measurand: str) -> str:
        ids = {self._calibrations.get(series, "") for series in sources(plan, measurand)}
        return AND.join(sorted(ids - {""}))


def _marked(made: Reading, before: Reading) -> Reading:
    """A reading with the marks that others put on the one the station derived, and judged by the range."""
    row = catalogue()[made.measurand]
    kept = frozenset(mark for mark in before.quality.marks if mark.cause not in JUDGED)
    return judged(made, kept, (row.minimum, row.maximum))


class _AsMade:
    """A derived value is none that anything corrects; it names the calibrations of its inputs."""

    def take(self, fields: Fields) -> None:
        """See `Corrections.take`."""

    def measure(self, reading: Reading, scan: Scan) -> Measurement:
        """See `Corrections.measure`."""
        name = str(scan.status.get(reading.measurand) or "")
        return Measurement(reading, reading.value, name or None)

    def by_id(self, series: str, name: str) -> Coefficients | None:
        """See `Corrections.by_id`."""


def stacks_of(series: Iterable[str], config: Fields | None) -> list[str]:
    """Stacks that some of these series are derived of, by a config record."""
    known = (config or {}).get("document", {}).get("stacks", {})
    return sorted({name for one in series if (name := one.partition(".")[0]) in known})
