"""The chain that recorded rows go through: read, once each, dry, marked, averaged; tank gas found."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.recorded.chain import Chain
from agent.recorded.files import together
from agent.recorded.formats import DRY, FORMATS, TOLD_DRY
from agent.recorded.rules import Rules
from agent.recorded.summary import Summary
from agent.recorded.tank_gas import TankGas
from agent.recorded.tanks import Tanks
from calibration.recorded.averaging import Average, Averages
from calibration.recorded.dry import Drying
from calibration.recorded.plateaus import Plateau, Plateaus
from calibration.recorded.repeats import Repeats
from calibration.recorded.screen import Screen
from drivers.recorded.columns import measured
from drivers.recorded.text import Line
from metrology.recorded import Refused, Row, Sample


@dataclass(frozen=True, slots=True)
class Task:
    """What to do: `period` in microseconds; `species` in the output, none for all; `utc` for times in UTC."""

    files: Sequence[str]
    format: str
    period: int
    rules: Rules
    species: frozenset[str] = frozenset()
    utc: bool = False


def rows(task: Task, summary: Summary, tank_gas: TankGas | None = None) -> Iterator[Row]:
    """Every row that may count, marked; what was refused or repeated is counted in the summary. Raises OSError."""
    rules = task.rules
    dry = [one.correction for one in rules.water]
    drying = Drying(dry or DRY.get(task.format, ()), instead=bool(dry), told=None if dry else TOLD_DRY.get(task.format))
    screen = Screen(rules.ranges, round(rules.valve.flush_s * 1e6))
    repeats = Repeats()
    names = _Names(task)
    ports = Tanks(rules.standards, "ports")
    places = {path: place for place, path in enumerate(task.files)}
    filled: set[str] = set()
    for path, row in together(task.files, lambda lines: _read(task, lines)):
        if isinstance(row, Refused):
            summary.refuse(path, row)
            continue
        filled.add(path)
        if task.utc:
            row.at -= next((one for one in (rules.time.offset, row.offset) if one is not None), 0)
        if (tank := ports.at(row.port, row.at)) is not None:
            row.gas = tank[0]
        if repeats.seen(row, places[path]):
            summary.repeated += 1
            continue
        marked = screen.add(names.add(drying.add(row)))
        if tank_gas is not None:
            tank_gas.mark(marked)
        summary.take(marked)
        yield marked
    summary.files = len(task.files)
    summary.empty = [path for path in task.files if path not in filled]


def results(task: Task, summary: Summary, *, plateaus: bool = False) -> Iterator[Average | Plateau]:
    """Averages of all rows, oldest first, and plateaus of tank gas between them where they are asked for.

    Calibrated averages come last, where the rules have standards. Raises OSError, ChainError.
    """
    made = Averages(task.period)
    chain = Chain(task.rules) if task.rules.standards else None
    found = _found(task) if task.rules.plateaus.leave_out else None
    search = Plateaus(typed=_typed(task)) if plateaus and found is None else None
    for row in rows(task, summary, TankGas(found, task.rules.plateaus) if found is not None else None):
        made.add(row)
        yield from made.ready()
        if chain is not None:
            chain.add(row)
        if search is not None:
            yield from search.add(row)
    yield from made.end()
    summary.late = made.late
    if search is not None:
        yield from search.end()
        summary.plateaus = search.count
    elif found is not None:
        yield from found if plateaus else ()
        summary.plateaus = len({one.start for one in found})
    if chain is not None:
        yield from chain.results(task.period)
        summary.calibration = chain.told


def _found(task: Task) -> list[Plateau]:
    """All plateaus, by a reading of its own: what is left out of a mean has to be known before. Raises OSError."""
    for path in task.files:
        if not os.path.isfile(path):
            raise OSError(f"{path}: plateaus.leave_out reads files twice, and this is none")
    search = Plateaus(typed=_typed(task))
    found = [one for row in rows(task, Summary()) for one in search.add(row)]
    return [*found, *search.end()]


def _typed(task: Task) -> bool:
    """True where the rules say which rows are air; files that do say it themselves."""
    return task.rules.gas is not None or any(one.ports for one in task.rules.standards.values())


def _read(task: Task, lines: Iterator[Line]) -> Iterator[Row | Refused]:
    rules = task.rules
    asked = task.species | {name.strip().lower() for name in rules.columns}
    needed = {name for one in rules.water for name in (one.wet.lower(), one.water.lower())}
    if task.format == "csv" and rules.columns:
        return FORMATS["csv"](lines, rules, lambda name: name in asked | needed)
    every = task.format.startswith("gcwerks")
    return FORMATS[task.format](lines, rules, lambda name: every or name in asked | needed or measured(name))


class _Names:
    """Gives rows the names and factors of the rules, and leaves the species asked for only."""

    def __init__(self, task: Task) -> None:
        self._renamed = task.rules.renamed
        self._wanted = task.species or (_declared(task.rules) if task.rules.columns else frozenset())

    def add(self, row: Row) -> Row:
        if self._renamed:
            row.samples = [self._named(one) for one in row.samples]
        if self._wanted:
            row.samples = [one for one in row.samples if one.species in self._wanted]
        return row

    def _named(self, one: Sample) -> Sample:
        name, factor = self._renamed.get(one.species, (one.species, 1.0))
        value = None if one.value is None else one.value * factor
        return one._replace(species=name, value=value, sd=None if one.sd is None else one.sd * abs(factor))


def _declared(rules: Rules) -> frozenset[str]:
    return frozenset((one.name or name).strip().lower() for name, one in rules.columns.items()) | frozenset(
        one.correction.dry for one in rules.water
    )
