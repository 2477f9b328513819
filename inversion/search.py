"""Free point sources, found one by one on a coarse map and refined together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inversion.data import Domain, Settings
from inversion.likelihood import PER_SOURCE, POSITION_UNIT_M, SHARED, Problem, bounds, losses
from inversion.prepare import Batch

Array = NDArray[np.float64]

_RATES_KG_H: Final = np.geomspace(1.0, 300.0, 9)
_STARTS: Final = 3  # best separate places of the map that are refined before one is chosen
_APART_M: Final = 75.0
_ROUNDS: Final = 3
_TRIAL_STEPS: Final = 15
_FINAL_STEPS: Final = 60
_HOPELESS: Final = 0.25  # of the threshold: what the unrefined map must promise at least
_UNPROMISING: Final = 0.5  # the same after the first steps of refinement


@dataclass(frozen=True)
class SearchMap:
    """Candidate points (n, 2) in metres and their response at the default height, as `Batch.response`: (n, 2, rows)."""

    points: Array
    response: NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The refined state, the problem it solves (background included) and what each source added to the evidence."""

    problem: Problem
    state: Array
    evidence: tuple[float, ...]
    threshold: float

    def leaning(self) -> list[bool]:
        """Of each source, whether the soft edge of the domain holds it back."""
        domain = self.problem.domain
        places = (self.state[SHARED:].reshape(-1, PER_SOURCE)[:, :2] * POSITION_UNIT_M).tolist()
        return [not (domain.west_m < x < domain.east_m and domain.south_m < y < domain.north_m) for x, y in places]


def search_map(batch: Batch, domain: Domain, settings: Settings) -> SearchMap:
    """Responses of points every `search_m`, centred in their squares, over the whole domain."""
    half = settings.search_m / 2
    xs = np.arange(domain.west_m + half, domain.east_m, settings.search_m)
    ys = np.arange(domain.south_m + half, domain.north_m, settings.search_m)
    points = np.array([(x, y) for y in ys for x in xs])
    height = settings.default_height_m
    response = np.array([batch.response(float(x), float(y), height, 1.0, 1.0).astype(np.float32) for x, y in points])
    return SearchMap(points, response)


def acceptance(rows: int, settings: Settings) -> float:
    """The drop of -log L a source must bring: f (k/2) ln n, k unknowns, f for errors that hang together."""
    return settings.correlation_factor * PER_SOURCE / 2 * float(np.log(rows))


def find(problem: Problem, candidates: SearchMap) -> Found:
    """Add sources while each brings more evidence than `acceptance` and stands apart from the others."""
    settings = problem.settings
    state = np.array([0.0, 0.0, np.log(settings.model_error), 0.0])
    problem = problem.with_background(state)
    threshold = acceptance(len(problem.batch.mean), settings)
    evidence: list[float] = []
    while len(evidence) < settings.most_sources:
        grown = _grow(problem, state, candidates, threshold)
        if grown is None:
            break
        drop = problem.objective(state)[0] - grown[0].objective(grown[1])[0]
        if drop <= threshold or _crowded(grown[1], settings.merge_m):
            break
        problem, state = grown
        evidence.append(drop)
    return Found(problem, state, tuple(evidence), threshold)


def _grow(problem: Problem, state: Array, candidates: SearchMap, threshold: float) -> tuple[Problem, Array] | None:
    """The best state with one source more: several starts from the map, the best of them refined to the end.

    None where map or starts promise so little that refining could not reach the threshold, and where the best start
    runs into an older source.
    """
    starts = _starts(problem, state, candidates, threshold * _HOPELESS)
    if not starts:
        return None
    tried = [_minimise(problem, np.append(state, start), _TRIAL_STEPS) for start in starts]
    best = min(tried, key=lambda grown: problem.objective(grown)[0])
    brought = problem.objective(state)[0] - problem.objective(best)[0]
    if brought < threshold * _UNPROMISING or _crowded(best, problem.settings.merge_m):
        return None
    for _ in range(_ROUNDS):
        problem = problem.with_background(best)
        best = _minimise(problem, best, _FINAL_STEPS)
    return problem, best


def _starts(problem: Problem, state: Array, candidates: SearchMap, least: float) -> list[Array]:
    """The best separate places of the map with their best rate, where the drop is at least `least`."""
    drops, rates = promise(problem, state, candidates)
    height = problem.settings.default_height_m
    starts: list[Array] = []
    for index in np.argsort(-drops, kind="stable"):
        if drops[index] < least or len(starts) == _STARTS:
            break
        at = candidates.points[index] / POSITION_UNIT_M
        if all(np.hypot(*(at - start[:2])) * POSITION_UNIT_M >= _APART_M for start in starts):
            starts.append(np.array([*at, height, np.log(rates[index])]))
    return starts


def promise(problem: Problem, state: Array, candidates: SearchMap) -> tuple[Array, Array]:
    """For every candidate the best drop of -log L over a ladder of rates, and that rate."""
    model = problem.model(state)
    error = float(np.exp(state[2]))
    residual = (problem.batch.mean - problem.background - model[0]).astype(np.float32)
    before = losses(residual, problem.sigma(model, error)).sum()
    after = np.empty((len(candidates.points), len(_RATES_KG_H)))
    for number, rate in enumerate(_RATES_KG_H.astype(np.float32)):
        added = rate * candidates.response
        sigma = problem.sigma((added + model.astype(np.float32)).swapaxes(0, 1), error)
        after[:, number] = losses(residual - added[:, 0], sigma).sum(axis=1)
    best = after.argmin(axis=1)
    return before - after.min(axis=1), _RATES_KG_H[best]


def _minimise(problem: Problem, state: Array, steps: int) -> Array:
    """Minimise over sources and shared unknowns, the background held."""
    limits = bounds((len(state) - SHARED) // PER_SOURCE)
    options = {"maxiter": steps}
    found: Array = minimize(problem.objective, state, jac=True, method="L-BFGS-B", bounds=limits, options=options).x
    return found


def _crowded(state: Array, merge_m: float) -> bool:
    """Whether the newest source sits on an older one: then it only mends the plume's shape."""
    places = state[SHARED:].reshape(-1, PER_SOURCE)[:, :2] * POSITION_UNIT_M
    return any(float(np.hypot(*(places[-1] - place))) < merge_m for place in places[:-1])
