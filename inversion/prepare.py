"""Observations and winds brought to common time steps."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inversion.data import Domain, Observation, Settings
from inversion.geo import to_local
from inversion.met import Winds
from inversion.plume import Operator

Array = NDArray[np.float64]

_CORRELATED_SHARE = 0.55  # of a reading's error that averaging does not remove (Chen et al. 2023, section on errors)
_LEAST_WIND_SHARE = 0.5


@dataclass(frozen=True)
class Batch:
    """The observation vector with everything that describes its rows. Rows run step by step, sensor by sensor.

    `step` and `sensor` index `starts` (unix s) and `sensors`; `instrument` is the standard uncertainty of a row.
    """

    operator: Operator
    sensors: tuple[str, ...]
    starts: Array
    first_wind: NDArray[np.intp]
    step: NDArray[np.intp]
    sensor: NDArray[np.intp]
    mean: Array
    instrument: Array
    dropped: int

    def response(self, x: float, y: float, height_m: float, factor_y: float, factor_z: float) -> Array:
        """umol/mol per kg/h at every row: the mean over the winds of the row's step."""
        whole = self.operator.response(x, y, height_m, factor_y, factor_z)
        counts = np.diff(np.append(self.first_wind, len(whole)))
        steps = np.add.reduceat(whole, self.first_wind, axis=0) / counts[:, None]
        rows: Array = steps[self.step, self.sensor]
        return rows


def prepare(observations: Sequence[Observation], winds: Winds, domain: Domain, settings: Settings) -> Batch:
    """Average the observations to steps, weighted by n, and leave out steps without half of their wind.

    Raises ValueError where nothing is left or a sensor moved within the window.
    """
    step_s = max([settings.step_s, *(seen.period_s for seen in observations)])
    places = _places(observations, domain)
    sensors = tuple(sorted(places))
    slots, first, kept_winds = _wind_steps(winds, step_s)
    cells: defaultdict[tuple[int, int], list[Observation]] = defaultdict(list)
    dropped = 0
    for seen in observations:
        slot = int(seen.start.timestamp() // step_s)
        if slot in slots and seen.n > 0 and np.isfinite(seen.mean):
            cells[slots[slot], sensors.index(seen.sensor)].append(seen)
        else:
            dropped += 1
    if not cells:
        raise ValueError("no observation has wind beside it")
    keys = sorted(cells)
    rows = [_average(cells[key], settings) for key in keys]
    return Batch(
        operator=Operator(
            kept_winds, np.array([places[name] for name in sensors]), settings.roughness_m, settings.obukhov_length_m
        ),
        sensors=sensors,
        starts=np.array(sorted(slots), dtype=float) * step_s,
        first_wind=first,
        step=np.array([key[0] for key in keys], dtype=np.intp),
        sensor=np.array([key[1] for key in keys], dtype=np.intp),
        mean=np.array([row[0] for row in rows]),
        instrument=np.array([row[1] for row in rows]),
        dropped=dropped,
    )


def _places(observations: Sequence[Observation], domain: Domain) -> dict[str, tuple[float, float, float]]:
    places: dict[str, tuple[float, float, float]] = {}
    for seen in observations:
        place = (*to_local(domain, seen.latitude, seen.longitude), seen.height_m)
        if places.setdefault(seen.sensor, place) != place:
            raise ValueError(f"sensor {seen.sensor} has two places")
    return places


def _wind_steps(winds: Winds, step_s: float) -> tuple[dict[int, int], NDArray[np.intp], Winds]:
    """Steps with enough wind: slot -> index, the first wind of each, and the winds that belong to them."""
    slot_of = (winds.start // step_s).astype(int)
    slots, counts = np.unique(slot_of, return_inverse=True)
    covered = np.bincount(counts, weights=winds.period_s) / step_s
    good = slots[covered >= _LEAST_WIND_SHARE]
    keep = np.isin(slot_of, good)
    kept = winds.select(keep)
    first = np.searchsorted(slot_of[keep], good).astype(np.intp)
    return {int(slot): index for index, slot in enumerate(good)}, first, kept


def _average(seen: Sequence[Observation], settings: Settings) -> tuple[float, float]:
    """n-weighted mean and its standard uncertainty: part of a reading's error is common to all of them."""
    count = sum(row.n for row in seen)
    mean = sum(row.n * row.mean for row in seen) / count
    given = [settings.reading_uncertainty_ppm if row.uncertainty is None else row.uncertainty for row in seen]
    single = max(given)
    variance = single**2 * ((1 - _CORRELATED_SHARE) / len(seen) + _CORRELATED_SHARE)
    return mean, float(np.sqrt(variance))
