"""What the network would have seen: the smallest rate at each cell that would have been found in this window."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from inversion.data import Cell, Domain, Settings, Source, State
from inversion.geo import cell_id, cell_of, shape
from inversion.likelihood import losses
from inversion.search import Found, SearchMap

Array = NDArray[np.float64]

_LADDER_KG_H: Final = np.geomspace(0.5, 64.0, 8)


def detection_limits(found: Found, candidates: SearchMap) -> Array:
    """Per candidate point the rate in kg/h whose expected drop of -log L reaches the threshold; inf beyond the ladder.

    Judged like a real source: capped loss of the missed enhancement, less the ln s its own model error costs.
    """
    problem, state = found.problem, found.state
    error = float(np.exp(state[2]))
    model = problem.model(state).astype(np.float32)
    sigma = problem.sigma(model, error)
    drops = np.empty((len(candidates.points), len(_LADDER_KG_H)))
    for number, rate in enumerate(_LADDER_KG_H.astype(np.float32)):
        added = rate * candidates.response
        widened = problem.sigma((added + model).swapaxes(0, 1), error)
        drops[:, number] = (losses(added[:, 0], sigma) - np.log(widened)).sum(axis=1)
    reached = drops >= found.threshold
    limits: Array = np.where(reached.any(axis=1), _LADDER_KG_H[reached.argmax(axis=1)], np.inf)
    return limits


def cells(
    limits: Array, candidates: SearchMap, sources: tuple[Source, ...], domain: Domain, settings: Settings
) -> tuple[Cell, ...]:
    """Every cell of the published grid, row by row from the south-west. A cell is as covered as its worst point.

    A rate stands where a source was found, and 0 only where the cell is covered: silence elsewhere says nothing.
    """
    columns, rows = shape(domain, settings.cell_m)
    worst = np.zeros((rows, columns))
    for (x, y), limit in zip(candidates.points.tolist(), limits.tolist(), strict=True):
        column, row = cell_of(domain, settings.cell_m, x, y)
        worst[row, column] = max(worst[row, column], limit)
    rates: dict[str, float] = {}
    for source in sources:
        rates[source.cell] = rates.get(source.cell, 0.0) + source.rate_kg_h
    return tuple(
        _cell(column, row, float(worst[row, column]), rates.get(cell_id(column, row)), settings)
        for row in range(rows)
        for column in range(columns)
    )


def _cell(column: int, row: int, limit: float, rate: float | None, settings: Settings) -> Cell:
    state: State = "covered" if limit <= settings.covered_kg_h else "weak" if limit <= settings.weak_kg_h else "none"
    if rate is None and state == "covered":
        rate = 0.0
    return Cell(cell_id(column, row), column, row, state, None if state == "none" else limit, rate)
