"""Observations and winds brought to common time steps."""

import math
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
_LEAST_CHANGES = 30
_SD_OF_MEDIAN_CHANGE = 1.0484  # 1 / (0.6745 sqrt 2), for normal rows


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

    def response(
        self, x: float, y: float, height_m: float, factor_y: float, factor_z: float, turn: float = 0.0
    ) -> Array:
        """Shape (2, rows): umol/mol per kg/h, the mean over the winds of the row's step, and its change per radian."""
        winds = self.operator.response(x, y, height_m, factor_y, factor_z, turn)
        counts = np.diff(np.append(self.first_wind, len(winds[0])))[:, None]
        steps = [np.add.reduceat(each, self.first_wind, axis=0) / counts for each in winds]
        return np.array([each[self.step, self.sensor] for each in steps])


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
    rows = np.array([_average(cells[key]) for key in keys])
    step, sensor = np.array(keys, dtype=np.intp).T
    scatter = _scatter(rows[:, 0], step, sensor, settings)
    return Batch(
        operator=Operator(
            kept_winds, np.array([places[name] for name in sensors]), settings.roughness_m, settings.obukhov_length_m
        ),
        sensors=sensors,
        starts=np.array(sorted(slots), dtype=float) * step_s,
        first_wind=first,
        step=step,
        sensor=sensor,
        mean=rows[:, 0],
        instrument=np.where(np.isnan(rows[:, 1]), scatter, rows[:, 1]),
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


def _average(seen: Sequence[Observation]) -> tuple[float, float]:
    """n-weighted mean and its standard uncertainty as stated, of which a part is common to all; NaN if one has none."""
    count = sum(row.n for row in seen)
    mean = sum(row.n * row.mean for row in seen) / count
    single = max(math.nan if row.uncertainty is None else row.uncertainty for row in seen)
    return mean, single * math.sqrt((1 - _CORRELATED_SHARE) / len(seen) + _CORRELATED_SHARE)


def _scatter(mean: Array, step: NDArray[np.intp], sensor: NDArray[np.intp], settings: Settings) -> float:
    """Standard deviation of a row as the window itself shows it: median change from a sensor's row to its next.

    A plume reaches few of the rows at a time, so that it hardly moves the median; offsets cancel. With too few rows to
    tell, `reading_uncertainty_ppm`.
    """
    order = np.lexsort((step, sensor))
    changes = np.abs(np.diff(mean[order]))[(np.diff(sensor[order]) == 0) & (np.diff(step[order]) == 1)]
    if len(changes) < _LEAST_CHANGES:
        return settings.reading_uncertainty_ppm
    return float(np.median(changes)) * _SD_OF_MEDIAN_CHANGE
