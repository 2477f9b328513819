"""Air, water vapour and drift of an analyzer over weeks, minute by minute: the processes behind a simulated station."""

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
_DAY_MINUTES = 1440


def ornstein_uhlenbeck(rng: np.random.Generator, n: int, sd: float, minutes: float) -> Series:
    """A stationary process with a memory of some minutes, stepped each minute."""
    keep = float(np.exp(-1.0 / minutes))
    kicks = rng.normal(0.0, sd * np.sqrt(1.0 - keep * keep), n)
    found = np.empty(n)
    level = rng.normal(0.0, sd)
    for i, kick in enumerate(kicks.tolist()):
        level = keep * level + kick
        found[i] = level
    return found


def random_walk(rng: np.random.Generator, n: int, per_root_day: float) -> Series:
    """A random walk that begins at 0."""
    return np.cumsum(rng.normal(0.0, per_root_day / np.sqrt(_DAY_MINUTES), n))


def diurnal(n: int, peak_h: float) -> Series:
    """Between -1 and 1 with a peak in the early morning and a flat afternoon."""
    hour = np.arange(n) % _DAY_MINUTES / 60.0
    wave = np.cos(2.0 * np.pi * (hour - peak_h) / 24.0)
    return np.asarray(0.75 * wave + 0.25 * np.cos(4.0 * np.pi * (hour - peak_h) / 24.0))


def air(rng: np.random.Generator, n: int, level: float, scale: float) -> Series:
    """Dry mole fraction: weather, day, and what the wind brings; `scale` is about its standard deviation."""
    amplitude = rng.uniform(0.4, 1.4) * scale
    weather = ornstein_uhlenbeck(rng, n, 0.6 * scale, 2.0 * _DAY_MINUTES)
    gusts = ornstein_uhlenbeck(rng, n, 0.25 * scale, 20.0)
    return level + amplitude * diurnal(n, 5.0) + weather + gusts


def humidity(rng: np.random.Generator, n: int) -> Series:
    """Water in percent, never below 0.05."""
    weather = ornstein_uhlenbeck(rng, n, 0.3, 1.5 * _DAY_MINUTES)
    return np.maximum(0.05, rng.uniform(0.7, 1.5) + 0.15 * diurnal(n, 15.0) + weather)


def tails(target: Series, starts: NDArray[np.int64], tau_s: float) -> Series:
    """What a cell shows of a gas that changes at `starts` (minute indices): the gas before decays with `tau_s`."""
    shown = target.copy()
    whole = tau_s / 60.0 * (1.0 - np.exp(-60.0 / tau_s))
    for start in starts.tolist():
        before = shown[start - 1]
        for minute in range(start, min(start + 20, len(target))):
            left = whole * np.exp(-60.0 * (minute - start) / tau_s)
            shown[minute] = target[minute] + (before - target[start]) * left
    return shown
