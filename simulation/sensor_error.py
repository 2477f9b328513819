"""What a micro-sensor adds to the truth: offset, slow drift, noise. The same for the same seed, sensor and time."""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np


@dataclass(frozen=True, slots=True)
class SensorError:
    """Error of one sensor in umol/mol. Drift is a slow sine: its amplitude and period, and the phase at unix time 0."""

    key: tuple[int, int]
    offset: float
    drift: float
    drift_period_s: float
    drift_phase: float
    noise: float

    def reading(self, truth: float, at: datetime) -> float:
        """The reading for a true value at a world time. Noise belongs to the moment, not to the order of calls."""
        moment = at.timestamp()
        noise = float(np.random.default_rng([*self.key, round(moment * 10)]).standard_normal())
        drift = math.sin(2 * math.pi * moment / self.drift_period_s + self.drift_phase)
        return truth + self.offset + self.drift * drift + self.noise * noise


def sensor_error(seed: int, sensor: str, *, scale: float = 1.0) -> SensorError:
    """The error of a named sensor. `scale` 1 is for ch4 (offset about 0.015, noise 0.02 to 0.03 umol/mol)."""
    key = (seed, int.from_bytes(hashlib.sha256(sensor.encode()).digest()[:6]))
    rng = np.random.default_rng(key)
    return SensorError(
        key=key,
        offset=scale * float(rng.normal(0.0, 0.015)),
        drift=scale * float(rng.uniform(0.002, 0.008)),
        drift_period_s=float(rng.uniform(8.0, 30.0)) * 3600.0,
        drift_phase=float(rng.uniform(0.0, 2 * math.pi)),
        noise=scale * float(rng.uniform(0.02, 0.03)),
    )
