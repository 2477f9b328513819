"""Electricity beside an account: what a meter counted by hour, and where stack and meter contradict each other."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from calibration.reports.document import Chart, Column, Line, Row, Section, Span, Table
from calibration.reports.frame import Frame
from calibration.reports.look import Fields
from calibration.reports.thin import thinned
from metrology.fuel.account import Measured
from metrology.fuel.electricity import Contradiction
from metrology.periods import parse_iso
from metrology.units import UnitError, convert

HOUR: Final = timedelta(hours=1)
COUNTER: Final = "kWh"
POWER: Final = "kW"


@dataclass(slots=True)
class Electricity:
    """Energy by unit of the plant and hour: `given` by a file, and read of `meters` (series by unit) of the station.

    A meter's series is a counter (kWh) or a power (kW or another unit of it). A unit named "" is the only one.
    """

    given: Mapping[str, Mapping[datetime, float]] = field(default_factory=dict)
    meters: Mapping[str, str] = field(default_factory=dict)
    _rows: dict[str, dict[datetime, Fields]] = field(default_factory=dict)

    def tapped(self, averages: Iterable[Fields]) -> Iterator[Fields]:
        """Averages on their way; a later revision of an hour counts."""
        wanted = set(self.meters.values())
        for fields in averages:
            for series in wanted & fields["rows"].keys():
                self._rows.setdefault(series, {})[parse_iso(fields["start"])] = fields["rows"][series]
            yield fields

    def of(self, unit: str, units: Iterable[str]) -> dict[datetime, float]:
        """kWh by hour of one unit; what a file gives stands before what a meter of the station says."""
        alone = list(units) == [unit]
        series = self.meters.get(unit) or (self.meters.get("") if alone else None)
        read = _energy(self._rows.get(series, {})) if series else {}
        return {**read, **self.given.get(unit, {})}


def _energy(rows: Mapping[datetime, Fields]) -> dict[datetime, float]:
    """kWh by hour of the rows of one series; an hour without a value has none."""
    found = {}
    for start, row in rows.items():
        if row.get("mean") is None:
            continue
        if row["u"] == COUNTER:
            # A counter: from its first reading in the hour to the first in the next, or the last in this.
            later = rows.get(start + HOUR, {}).get("min")
            found[start] = (row["max"] if later is None or later < row["min"] else later) - row["min"]
            continue
        try:
            found[start] = convert(row["mean"], row["u"], POWER)
        except UnitError:
            continue
    return found


def section(
    frame: Frame, measured: Mapping[str, Measured], contradictions: Mapping[str, Sequence[Contradiction]],
    idle_kWh: float | None,
) -> Section:  # fmt: skip
    """What the meters counted by unit, and what contradicts; empty where no unit has a meter."""
    words = frame.words
    metered = {unit: one for unit, one in measured.items() if one.energy_kWh}
    if not metered:
        return Section(words("section.electricity"))
    tables = [_sums(frame, metered)]
    notes = [words("note.electricity")]
    if idle_kWh is None:
        notes.append(words("note.no-idle"))
    else:
        tables.append(_contradictions(frame, contradictions, idle_kWh))
    charts = tuple(_chart(frame, unit, one, contradictions.get(unit, ())) for unit, one in metered.items())
    return Section(words("section.electricity"), tuple(notes), tuple(tables), charts)


def _sums(frame: Frame, metered: Mapping[str, Measured]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.plant-unit")), Column(words("head.energy"), "number", "kWh", 0),
        Column(words("head.metered"), "number", "h", 0), Column(words("head.energy-stopped"), "number", "kWh", 0),
        Column(words("state.stopped"), "number", "h", 0),
    )  # fmt: skip
    rows = []
    for unit, one in metered.items():
        stopped = {hour.start for hour in one.hours if not hour.ran}
        energy = one.energy_kWh
        still = [value for start, value in energy.items() if start in stopped]
        rows.append(Row((unit, math.fsum(energy.values()), len(energy), math.fsum(still), len(stopped))))
    return frame.table("table.electricity", columns, rows)


def _contradictions(frame: Frame, found: Mapping[str, Sequence[Contradiction]], idle_kWh: float) -> Table:
    words = frame.words
    columns = (
        Column(words("head.plant-unit")), Column(words("head.verdict"), "verdict"), Column(words("head.from"), "time"),
        Column(words("head.to"), "time"), Column(words("head.hours-long"), "number", "h", 0),
        Column(words("head.energy"), "number", "kWh", 0),
    )  # fmt: skip
    rows = [
        Row((unit, words.verdict(one.what), one.start, one.end, one.hours, one.energy_kWh))
        for unit, several in found.items()
        for one in several
    ]
    return frame.table("table.contradictions", columns, rows, [words("note.idle", kwh=f"{idle_kWh:g}")])


def _chart(frame: Frame, unit: str, one: Measured, found: Sequence[Contradiction]) -> Chart:
    words = frame.words
    energy = sorted(one.energy_kWh.items())
    line = Line(words("line.energy"), tuple(at.timestamp() for at, _ in energy), tuple(v for _, v in energy), "steps")
    spans = tuple(Span(words(f"verdict.{each.what}"), each.start, each.end, "out") for each in found)
    return Chart(words("chart.electricity", unit=unit), "kWh", (thinned(line),), (), spans)
