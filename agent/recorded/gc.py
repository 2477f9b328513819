"""Tables of chromatographic peaks: each sample between its standards, then averages of the samples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, Final

from agent.recorded.files import together
from agent.recorded.gc_rules import Gc
from agent.recorded.output import number
from agent.recorded.run import Task
from agent.recorded.summary import Summary
from agent.recorded.tanks import Tanks
from calibration.gc.bracket import Bracketed, bracket
from calibration.gc.peaks import Peak
from calibration.recorded.averaging import GOOD, Average
from calibration.sequence import Assigned
from drivers.recorded import csv_table
from metrology.recorded import SECOND, Refused, Row, iso

SAMPLES: Final = (
    "time", "species", "gas", "value", "u", "unit", "scale", "quality", "u_sample", "u_response", "u_assigned",
)  # fmt: skip
ONE_SIDED: Final = "one_sided"
# A year of injections every quarter of an hour, of twenty species; what bounds the memory.
PEAKS_MAX: Final = 800_000
_PARTS: Final = ("repeatability of the sample", "response of ", "assigned value of ")
Put = Callable[[Sequence[Any]], None]


class GcError(ValueError):
    """Why a table of peaks cannot become values."""


@dataclass(slots=True)
class _Table:
    """Peaks of one species, and what the samples among them are: air, or the name of a target."""

    peaks: list[Peak] = field(default_factory=list)
    gases: dict[float, str] = field(default_factory=dict)


def results(task: Task, summary: Summary, put: Put | None) -> Iterator[Average]:
    """Averages of each species over the samples of air; every sample goes to `put`. Raises OSError, GcError."""
    gc = task.rules.gc
    if gc is None or task.rules.gas is None or not task.rules.standards:
        raise GcError("gc, gas and standards are needed in the rules")
    tables = _tables(task, gc, summary)
    for species in sorted(tables):
        if task.species and species not in task.species:
            continue
        own = tables[species]
        try:
            found = bracket(own.peaks, _standards(task, species), gc.rules)
        except ValueError as error:
            raise GcError(f"{species}: {error}") from error
        summary.values += sum(one.value is not None for one in found)
        if put is not None:
            for one in found:
                put(_cells(task, species, own.gases[one.at_s], one))
        yield from _averages(task.period, species, [one for one in found if not own.gases[one.at_s]])


def _tables(task: Task, gc: Gc, summary: Summary) -> dict[str, _Table]:
    """Peaks by species; of species without a standard, and of gases nobody declared, none."""
    declared, columns, rules = gc.map(task.rules.map), gc.columns, task.rules
    tanks = _Tanks(task)
    seen: set[tuple[Any, ...]] = set()
    tables: dict[str, _Table] = {}
    filled: set[str] = set()
    for path, row in together(task.files, lambda lines: csv_table.read(lines, declared)):
        if isinstance(row, Refused):
            summary.refuse(path, row)
            continue
        filled.add(path)
        if task.utc:
            row.at -= next((one for one in (rules.time.offset, row.offset) if one is not None), 0)
        species = (row.code if gc.species else gc.name).strip().lower()
        if (wrong := tanks.wrong(row, species)) is not None:
            summary.refuse(path, wrong)
            continue
        key = (species, row.at, row.gas, tuple(row.samples))
        if key in seen:
            summary.repeated += 1
            continue
        seen.add(key)
        if len(seen) > PEAKS_MAX:
            raise GcError(f"more than {PEAKS_MAX} peaks at once")
        name, standard = tanks.of(row)
        if (old := tanks.expired(row)) is not None:
            summary.expired[old] += 1
        _add(tables.setdefault(species, _Table()), _peak(row, standard, gc, columns), name)
        summary.rows += 1
    summary.files, summary.empty = len(task.files), [path for path in task.files if path not in filled]
    return tables


class _Tanks:
    """The cylinders of the rules by the words that mean them."""

    def __init__(self, task: Task) -> None:
        standards = task.rules.standards
        self._tanks = Tanks(standards, "gases")
        bracketing = [one for one in standards.values() if one.role != "target"]
        self._species = {species for one in bracketing for species in one.assigned}

    def of(self, row: Row) -> tuple[str, str | None]:
        """Name of what flowed (empty for air), and the same where it is a standard."""
        if not row.gas:
            return "", None
        found = self._tanks.at(row.gas, row.at)
        assert found is not None, "what is wrong was asked before"
        name, tank = found
        return name, None if tank.role == "target" else name

    def expired(self, row: Row) -> str | None:
        """Name of a cylinder that is used after its certificate's end."""
        found = self._tanks.at(row.gas, row.at)
        return found[0] if found and row.at >= found[1].expired else None

    def wrong(self, row: Row, species: str) -> Refused | None:
        """Why a peak has no part: its species has no standard, its gas is unknown, not there or of no value of it."""
        if species not in self._species:
            return Refused(row.line, "species", species)
        if not row.gas:
            return None
        _, tank = self._tanks.at(row.gas, row.at) or ("", None)
        if tank is None or not tank.connected(row.at) or (tank.role != "target" and species not in tank.assigned):
            return Refused(row.line, "gas", f"{row.gas} {species}")
        return None


def _add(table: _Table, peak: Peak, gas: str) -> None:
    table.peaks.append(peak)
    if peak.gas is None:
        table.gases[peak.at_s] = gas


def _peak(row: Row, gas: str | None, gc: Gc, columns: dict[str, str]) -> Peak:
    """A peak of a row. A number that is missing is 0 for height and area, which no check lets pass."""
    found = {columns[one.species]: one.value for one in row.samples}
    unit = 60.0 if gc.time_unit == "min" else 1.0
    width = found.get("width")
    return Peak(
        at_s=row.at / SECOND,
        gas=gas,
        height=found.get("height") or 0.0,
        area=found.get("area") or 0.0,
        retention_s=(found.get("retention") or 0.0) * unit,
        width_s=None if width is None else width * unit,
        baseline=row.port.strip() if row.port else None,
        flow_mL_min=found.get("flow"),
    )


def _standards(task: Task, species: str) -> dict[str, Assigned]:
    return {
        name: Assigned(value.value, value.unit, value.uncertainty, value.scale)
        for name, one in task.rules.standards.items()
        if one.role != "target" and (value := one.assigned.get(species)) is not None
    }


def _quality(one: Bracketed) -> str:
    """Why there is no value, or what is doubtful of it."""
    if one.why is not None:
        return one.why.replace(": ", "_").split(" ")[0] if one.why.startswith("peak") else "no_standard"
    return ONE_SIDED if one.flagged else GOOD


def _cells(task: Task, species: str, gas: str, one: Bracketed) -> tuple[str, ...]:
    """One sample. Without the repeatability of the instrument its uncertainty is not known, and not written."""
    parts = [math.sqrt(math.fsum(term.u**2 for term in own)) if (own := _terms(one, name)) else None for name in _PARTS]
    u = one.budget.total if one.value is not None and parts[0] is not None else None
    first = next(iter(_standards(task, species).values()))
    return (
        iso(round(one.at_s * SECOND), utc=task.utc), species, gas, number(one.value), number(u), first.unit,
        first.scale, _quality(one), *map(number, parts),
    )  # fmt: skip


def _terms(one: Bracketed, name: str) -> list[Any]:
    return [term for term in one.budget.terms if term.name.startswith(name)]


def _averages(period: int, species: str, found: Sequence[Bracketed]) -> Iterator[Average]:
    """Means of the samples of air that have a value."""
    periods: dict[int, list[Bracketed]] = {}
    for one in found:
        periods.setdefault(round(one.at_s * SECOND) // period * period, []).append(one)
    for start, own in sorted(periods.items()):
        values = [one.value for one in own if one.value is not None]
        words = sorted({_quality(one) for one in own} - {GOOD})
        mean, sd = fmean(values) if values else None, stdev(values) if len(values) > 1 else None
        yield Average(start, species, mean, sd, len(values), ";".join(words) or GOOD)
