"""Rows of a live CRDS analyzer behind a valve: tube delay, mixing in the cell, its own errors, and water.

Dry = wet / (1 + a H + b H2) with H the reported water in percent, and the raw water column 0.772 H + 0.01949 H2
(Rella et al., Atmos. Meas. Tech. 6, 2013, equations 5 and 21; G2401 user's guide). Like the instrument it measures one
gas per row, `species` 1 CO2, 2 CH4, 3 H2O, and repeats the other columns; dry columns are renewed with the water.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from simulation.picarro import NORMAL_STATUS, Row

DRY: Final = {"CO2": (-0.01200, -2.674e-4), "CH4": (-0.00982, -2.393e-4)}
RAW_WATER: Final = (0.772, 0.01949)
_GASES: Final = {1: "CO2", 2: "CH4"}
_NOISE: Final = {"CO2": 0.03, "CH4": 0.0003, "H2O": 0.0005}
_DELAY: Final = timedelta(seconds=6)
_CELL_S: Final = {"CO2": 4.0, "CH4": 4.0, "H2O": 10.0}  # water sticks to walls: a slower tail
_ROWS_WAITING_MAX: Final = 4096

Gas = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Response:
    """The analyzer's own relation, indication = slope * true + offset (umol/mol); what a calibration has to find."""

    slope: Mapping[str, float]
    offset: Mapping[str, float]


def dry_factor(gas: str, water: float) -> float:
    """Wet over dry mole fraction at reported water in percent."""
    a, b = DRY[gas]
    return 1 + a * water + b * water * water


class Crds:
    """A source of rows. `step` is given the gas at the inlet: dry `CO2`, `CH4` in umol/mol and `H2O` in percent."""

    def __init__(self, rng: np.random.Generator, response: Response, every_s: float) -> None:
        self._rng = rng
        self._response = response
        self._every = timedelta(seconds=every_s)
        self._tube: deque[tuple[datetime, Gas]] = deque()
        self._cell: dict[str, float] = {}
        self._shown: dict[str, float] = {}
        self._last: datetime | None = None
        self._species = 0
        self._waiting: deque[Row] = deque(maxlen=_ROWS_WAITING_MAX)

    def step(self, at: datetime, inlet: Gas) -> None:
        """Let gas enter the tube at `at` and make the rows due until then."""
        self._tube.append((at, inlet))
        if self._last is None:
            self._cell = dict(inlet)
            self._last = at
            for gas in DRY:
                self._renew(gas)
            self._renew_water()
        while self._last + self._every <= at:
            self._last += self._every
            self._row(self._last)

    def until(self, now: datetime) -> Iterable[Row]:
        """Rows made up to `now`."""
        while self._waiting and self._waiting[0].at <= now:
            yield self._waiting.popleft()

    def _row(self, at: datetime) -> None:
        self._mix(at)
        self._species = self._species % 3 + 1
        if self._species in _GASES:
            self._renew(_GASES[self._species])
        else:
            self._renew_water()
        fixed = {"ALARM_STATUS": 0.0, "INST_STATUS": NORMAL_STATUS, "MPVPosition": 0.0, "solenoid_valves": 0.0}
        self._waiting.append(Row(at, {**fixed, "species": float(self._species), **self._shown}))

    def _mix(self, at: datetime) -> None:
        """Bring what left the tube by now into the cell."""
        while len(self._tube) > 1 and self._tube[1][0] + _DELAY <= at:
            self._tube.popleft()
        arriving = self._tube[0][1]
        for name, time_constant in _CELL_S.items():
            share = 1 - math.exp(-self._every.total_seconds() / time_constant)
            self._cell[name] += share * (arriving[name] - self._cell[name])

    def _renew(self, gas: str) -> None:
        shown = self._response.slope[gas] * self._cell[gas] + self._response.offset[gas]
        self._shown[gas] = (shown + float(self._rng.normal(0.0, _NOISE[gas]))) * dry_factor(gas, self._cell["H2O"])

    def _renew_water(self) -> None:
        water = max(self._cell["H2O"] + float(self._rng.normal(0.0, _NOISE["H2O"])), 0.0)
        self._shown["h2o_reported"] = water
        self._shown["H2O"] = RAW_WATER[0] * water + RAW_WATER[1] * water * water
        for gas in DRY:
            self._shown[f"{gas}_dry"] = self._shown[gas] / dry_factor(gas, water)
