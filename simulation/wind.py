"""The simulated wind: slow drift, meander and turbulence over flat ground, stepped on a fixed grid."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

STEP_S: Final = 2.0
REFERENCE_HEIGHT_M: Final = 10.0
_KARMAN: Final = 0.4
_SPEED_RANGE: Final = (1.5, 7.0)
_EULERIAN_S: Final = 12.0  # how long an eddy takes to pass a fixed point
_DAY_S: Final = 86400.0

# Domain-wide fluctuations: (time scale s, direction sd deg, log-speed sd). The slowest turns the plume across the
# field within hours, the faster ones are what one averaging period resolves and what it does not.
_SCALES: Final = ((9000.0, 32.0, 0.22), (1200.0, 9.0, 0.10), (180.0, 5.0, 0.06))


@dataclass(frozen=True, slots=True)
class Turbulence:
    """Scales of the surface layer now. Standard deviations in m/s, roughness in m."""

    sigma_v: float
    sigma_w: float
    roughness_m: float


@dataclass(frozen=True, slots=True)
class WindReading:
    """What an ideal anemometer shows at one moment: speed in m/s, direction the wind comes from in degrees."""

    speed: float
    direction_from: float


class Wind:
    """Wind at 10 m, in steps of `STEP_S`. `masts` fixed points see local turbulence of their own."""

    def __init__(self, seed: int, start_s: float, masts: int = 3) -> None:
        """Begin at `start_s` (unix seconds, world); the seed fixes mean, roughness and every fluctuation."""
        self._rng = np.random.default_rng([seed, 3])
        self._time_s = start_s
        self._base_direction = float(self._rng.uniform(0.0, 360.0))
        self._base_speed = float(self._rng.uniform(2.6, 4.2))
        self._phase = float(self._rng.uniform(0.0, 2 * math.pi))
        self._sweep_deg = float(self._rng.uniform(40.0, 70.0)) * float(self._rng.choice((-1.0, 1.0)))
        self.roughness_m = float(self._rng.uniform(0.03, 0.08))
        self._state = self._rng.standard_normal((2, len(_SCALES)))
        self._local = self._rng.standard_normal((2, masts))
        self._decay = np.exp(-STEP_S / np.array([scale[0] for scale in _SCALES]))
        self._spread = np.array([[scale[1] for scale in _SCALES], [scale[2] for scale in _SCALES]])

    def step(self) -> None:
        """Advance by `STEP_S`."""
        self._time_s += STEP_S
        kick = self._rng.standard_normal(self._state.shape)
        self._state = self._decay * self._state + np.sqrt(1 - self._decay**2) * kick
        decay = math.exp(-STEP_S / _EULERIAN_S)
        kick = self._rng.standard_normal(self._local.shape)
        self._local = decay * self._local + math.sqrt(1 - decay**2) * kick

    def mean(self) -> tuple[float, float]:
        """Speed at 10 m (m/s) and direction from (deg) common to the whole field: all but the small eddies."""
        day = 2 * math.pi * self._time_s / _DAY_S
        direction, log_speed = (self._spread * self._state).sum(axis=1).tolist()
        direction += self._base_direction + self._sweep_deg * math.sin(day + self._phase)
        speed = self._base_speed * math.exp(log_speed) * (1.0 + 0.2 * self.daylight())
        return min(max(speed, _SPEED_RANGE[0]), _SPEED_RANGE[1]), direction % 360.0

    def daylight(self) -> float:
        """0 by night to 1 at solar noon (04:00 UTC, 12:00 at 120 E)."""
        return max(0.0, math.sin(2 * math.pi * (self._time_s + 2 * 3600.0) / _DAY_S))

    def turbulence(self) -> Turbulence:
        """Neutral surface-layer ratios (sigma_v 1.9 u*, sigma_w 1.25 u*) plus convection while the sun is up."""
        friction = _KARMAN * self.mean()[0] / math.log(REFERENCE_HEIGHT_M / self.roughness_m)
        convective = 0.6 * self.daylight()
        return Turbulence(
            sigma_v=math.hypot(1.9 * friction, 0.6 * convective),
            sigma_w=math.hypot(1.25 * friction, 0.3 * convective),
            roughness_m=self.roughness_m,
        )

    def profile(self, height_m: float) -> float:
        """Speed at a height over the speed at 10 m (logarithmic law)."""
        height = max(height_m, 10 * self.roughness_m)
        return math.log(height / self.roughness_m) / math.log(REFERENCE_HEIGHT_M / self.roughness_m)

    def reading(self, height_m: float = REFERENCE_HEIGHT_M, mast: int = 0) -> WindReading:
        """The wind with turbulence at one of the masts."""
        speed, direction = self.mean()
        sigma = self.turbulence().sigma_v
        along, across = (self._local[:, mast] * sigma).tolist()
        forward = max(speed * self.profile(height_m) + along, 0.05)
        return WindReading(math.hypot(forward, across), (direction + math.degrees(math.atan2(across, forward))) % 360.0)
