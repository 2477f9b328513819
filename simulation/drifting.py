"""Weeks of hourly means of micro-sensors side by side: air that varies, sources beside boards, sensors that drift.

One value is air + plume + the sensor's own error. The air varies with the day, deeper in calm nights, and with the
weather. A source stands near one board and is smelt there while the wind comes from it, stronger by night; the others
get a tenth of it from other winds. Each sensor has an offset, follows the temperature a little, wanders and is noisy.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Weeks:
    """What is simulated. `drift` is by board, in umol/mol a week; `plume` about the mean excess in the plume."""

    seed: int
    boards: int = 8
    days: int = 14
    drift: Mapping[str, float] = field(default_factory=dict)
    plume: float = 0.0
    plume_sector_deg: float = 50.0
    gain: Mapping[str, float] = field(default_factory=dict)
    step: Mapping[str, float] = field(default_factory=dict)


def name(number: int) -> str:
    """Of a board."""
    return f"board-{number:02d}"


def hourly(weeks: Weeks) -> tuple[dict[str, dict[int, float]], dict[int, float]]:
    """Hourly means (umol/mol of CH4) by board and hour from 0 on, and those of a true reference."""
    rng = np.random.default_rng(weeks.seed)
    hours = 24 * weeks.days
    at = np.arange(hours)
    night = np.clip(np.cos(2 * math.pi * (at - 3) / 24), 0.0, None)
    depth = np.repeat(rng.uniform(0.02, 0.3, weeks.days + 1), 24)[:hours]
    air = 2.0 + depth * night + _wander(rng, hours, 0.03, 40.0)
    wind = np.cumsum(rng.normal(0.0, 18.0, hours)) + rng.uniform(0, 360)
    temperature = -np.cos(2 * math.pi * (at - 2) / 24)
    found = {}
    for number in range(weeks.boards):
        value = air * weeks.gain.get(name(number), 1.0)
        value = value + _plume(rng, weeks, wind, night, number)
        value = value + rng.normal(0.0, 0.03) + rng.normal(0.0, 0.01) * temperature
        value = value + _wander(rng, hours, 0.008, 30.0) + rng.normal(0.0, 0.006, hours)
        value = value + weeks.drift.get(name(number), 0.0) * at / (24 * 7)
        value = value + weeks.step.get(name(number), 0.0) * (at > hours // 2)
        heard = rng.random(hours) > 0.02
        found[name(number)] = {int(hour): float(value[hour]) for hour in at[heard]}
    reference = air + rng.normal(0.0, 0.001, hours)
    return found, {int(hour): float(reference[hour]) for hour in at}


def _wander(rng: np.random.Generator, hours: int, size: float, memory_h: float) -> np.ndarray:
    """A first-order autoregression of standard deviation `size`."""
    keep = math.exp(-1.0 / memory_h)
    steps = rng.normal(0.0, size * math.sqrt(1 - keep * keep), hours)
    found = np.empty(hours)
    value = rng.normal(0.0, size)
    for hour in range(hours):
        found[hour] = value = keep * value + steps[hour]
    return found


def _plume(rng: np.random.Generator, weeks: Weeks, wind: np.ndarray, night: np.ndarray, number: int) -> np.ndarray:
    """What the source adds at a board: the first one stands beside it."""
    bearing = rng.uniform(0, 360)
    off = np.abs((wind - bearing + 180) % 360 - 180)
    share = 1.0 if number == 0 else 0.1
    strength = weeks.plume * share * rng.lognormal(-0.3, 0.8, len(wind)) * (1 + night)
    return np.where(off < weeks.plume_sector_deg / 2, strength, 0.0)
