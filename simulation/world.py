"""One simulated truth: wind, air, background and leaks, deterministic by seed, stepped in world time.

    world = World(Scenario(seed=1), start)
    world.advance(now)
    world.gas("ch4", world.layout.boards[0])      # umol/mol at one place
    world.gas_many("ch4", points(world.layout.boards))
    world.wind()                                   # speed, direction_from with turbulence at the met mast
    world.temperature_K, world.pressure_Pa, world.stack_gas(), world.truth()

Time only goes forward, in steps of two seconds; what is asked holds for the last whole step, so that the answers do
not depend on how often `advance` was called.
"""

import math
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrology.units import GAS_CONSTANT
from simulation.layout import Layout, Leak, Position, Scenario, points
from simulation.puffs import Puffs
from simulation.wind import STEP_S, Wind, WindReading

MOLAR_MASS: Final = {"ch4": 0.0160425, "co2": 0.0440095}
_STACK_CO2_KG_H: Final = 4000.0
_STACK_PLUME_RISE_M: Final = 40.0
_SPIN_UP: Final = timedelta(minutes=15)
_DAY_S: Final = 86400.0
# gas: (mean, daily amplitude, sd of the slow drift), umol/mol
_BACKGROUND: Final = {"ch4": (2.0, 0.02, 0.01), "co2": (425.0, 6.0, 1.5)}
_DRIFT_S: Final = 3 * 3600.0
_MASTS: Final = {"met": 0, "tower": 1, "stack": 2}
_GASES: Final = tuple(sorted(_BACKGROUND))


class World:
    """The truth of one scenario at one moment. `temperature_K` and `pressure_Pa` are of the air near the ground."""

    temperature_K: float
    pressure_Pa: float

    def __init__(self, scenario: Scenario, start: datetime) -> None:
        """Begin at `start` (aware, world time) with the plumes already standing."""
        self.scenario = scenario
        self.layout = Layout.of(scenario)
        self._at = start - _SPIN_UP
        self._rng = np.random.default_rng([scenario.seed, 5])
        self._slow = self._rng.standard_normal(8)
        self._wind = Wind(scenario.seed, self._at.timestamp(), len(_MASTS))
        stack = self.layout.stack
        outlet = Position(stack.name, stack.x, stack.y, stack.height_m + _STACK_PLUME_RISE_M)
        self._puffs = {
            "ch4": Puffs(scenario.seed, self.layout.leaks),
            "co2": Puffs(scenario.seed, (Leak(outlet, "co2", _STACK_CO2_KG_H),)),
        }
        self.advance(start)

    @property
    def now(self) -> datetime:
        """World time of the last whole step."""
        return self._at

    def advance(self, to: datetime) -> None:
        """Step forward to the last whole step at or before `to`; a time already passed changes nothing."""
        while self._at + timedelta(seconds=STEP_S) <= to:
            self._step()

    def _step(self) -> None:
        self._at += timedelta(seconds=STEP_S)
        self._wind.step()
        decay = math.exp(-STEP_S / _DRIFT_S)
        self._slow = decay * self._slow + math.sqrt(1 - decay**2) * self._rng.standard_normal(len(self._slow))
        self.temperature_K = 288.15 + 6.0 * self._daily(6.5) + 1.0 * float(self._slow[2])
        self.pressure_Pa = 100900.0 + 120.0 * float(self._slow[3])
        for puffs in self._puffs.values():
            puffs.step(self._wind)

    def gas(self, name: str, position: Position) -> float:
        """Mole fraction in umol/mol of `ch4` or `co2` at one place. KeyError for another gas."""
        return float(self.gas_many(name, points((position,)))[0])

    def gas_many(self, name: str, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mole fractions in umol/mol at points of shape (n, 3): x, y, height in metres. Shape (n,)."""
        density = self.pressure_Pa * MOLAR_MASS[name] / (GAS_CONSTANT * self.temperature_K)
        return self.background(name) + 1e6 * self._puffs[name].density(positions) / density

    def background(self, name: str) -> float:
        """Mole fraction in umol/mol of the air that comes into the field: mean, daily cycle, slow drift."""
        mean, cycle, drift = _BACKGROUND[name]
        # Highest at the end of the night (22:00 UTC), when the mixing layer is shallow.
        return mean + cycle * self._daily(22.0) + drift * float(self._slow[_GASES.index(name)])

    def wind(self, mast: str = "met", height_m: float = 10.0) -> WindReading:
        """Wind with turbulence at the mast `met`, `tower` or `stack`, as an ideal anemometer shows it now."""
        return self._wind.reading(height_m, _MASTS[mast])

    def stack_gas(self) -> dict[str, float]:
        """What is inside the stack now, by measurand of the catalogue and in its unit: one boiler load drives all."""
        load = 0.8 + 0.08 * math.tanh(float(self._slow[4]))
        return {
            "so2": 18.0 * load + 2.0 * float(self._slow[5]),
            "nox": 36.0 * load + 2.5 * float(self._slow[6]),
            "o2": 6.0 + 4.0 * (0.85 - load),
            "co2_percent": 12.6 - 3.5 * (0.85 - load),
            "dust": 3.0 + 0.5 * math.tanh(float(self._slow[7])),
            "differential_pressure": 110.0 * load**2,
            "static_pressure": -150.0 - 60.0 * load,
            "stack_temperature": 48.0 + 6.0 * load,
            "stack_humidity": 9.0 + 2.0 * load,
        }

    def truth(self) -> dict[str, Any]:
        """The hidden answer: every leak with its place, height, gas and rate, and what made the world."""
        return {
            "seed": self.scenario.seed,
            "origin": {"latitude": self.scenario.latitude, "longitude": self.scenario.longitude},
            "leaks": [self._leak_truth(leak) for leak in self.layout.leaks],
        }

    def _leak_truth(self, leak: Leak) -> dict[str, Any]:
        place = leak.position
        latitude, longitude = self.scenario.to_degrees(place.x, place.y)
        return {
            "name": place.name,
            "gas": leak.gas,
            "latitude": latitude,
            "longitude": longitude,
            "x": place.x,
            "y": place.y,
            "height_m": place.height_m,
            "rate_kg_h": leak.rate_kg_h,
        }

    def _daily(self, peak_utc_h: float) -> float:
        """A daily cosine, 1 at the given hour of the UTC day."""
        return math.cos(2 * math.pi * (self._at.timestamp() - peak_utc_h * 3600.0) / _DAY_S)
