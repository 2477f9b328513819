"""A station whose truth is known: 60 days of minutes of a ring-down analyzer with tanks, drift, water and faults.

Everything that a certificate or a declaration states as uncertain is drawn anew for each seed from what is stated:
assigned values about the true ones, a common error of the scale, the analyzer's own water coefficients (of which the
station only has an experiment with a droplet). No code is shared with what is to be tested by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.calibration_truth_air import Series, air, humidity, random_walk, tails

FAULTS: Final = ("drift", "leak", "wrong", "expired", "control")
START_S: Final = 1_748_736_000.0
VISIT: Final = 10
_DAY: Final = 1440
_NAMES: Final = ("air", "R0", "S1", "S2", "S3", "S4", "T1")


@dataclass(frozen=True)
class Gas:
    """One gas: level and scale of air, true amounts of the tanks, noise of a minute, drifts; unit as named."""

    name: str
    unit: str
    level: float
    scale: float
    tanks: Mapping[str, float]
    u_assigned: float
    u_scale: float
    noise: float
    walk: float
    gain_walk: float
    drift: tuple[float, float]
    wrong: tuple[float, float]
    water: tuple[float, float]
    control: tuple[float, float]


CO2: Final = Gas(
    "co2", "umol/mol", 420.0, 9.0, {"R0": 410.0, "S1": 380.0, "S2": 405.0, "S3": 430.0, "S4": 460.0, "T1": 438.0},
    0.010, 0.006, 0.015, 0.02, 2e-5, (0.03, 0.06), (0.2, 0.5), (-0.01200, -2.674e-4), (0.008, 0.02),
)  # fmt: skip
CH4: Final = Gas(
    "ch4", "nmol/mol", 1960.0, 35.0,
    {"R0": 1930.0, "S1": 1800.0, "S2": 1900.0, "S3": 2000.0, "S4": 2150.0, "T1": 2060.0},
    0.12, 0.08, 0.12, 0.1, 2e-5, (0.15, 0.3), (2.5, 6.0), (-0.00982, -2.393e-4), (0.03, 0.06),
)  # fmt: skip
GASES: Final = (CO2, CH4)


@dataclass(frozen=True)
class Truth:
    """What a seed made wrong. Days from the start; sizes in the unit of the gas, the leak as share of air."""

    drift_per_day: Mapping[str, float]
    leak: tuple[float, float, float] | None
    wrong: Mapping[str, tuple[str, float]]
    expired: tuple[str, float] | None
    control: tuple[float, float] | None
    flush_tau_s: float


@dataclass(frozen=True)
class Record:
    """One gas of one station: minutes as the instrument shows them, and the dry air that was there.

    `assigned` holds what the certificates say, `droplet` wet readings and humidity of the experiment, then the dry
    reading and its standard uncertainty; `reading_u` that of one wet reading.
    """

    gas: Gas
    at_s: Series
    source: list[str]
    wet: Series
    h2o: Series
    truth: Series
    assigned: Mapping[str, float]
    droplet: tuple[Series, Series, float, float]
    reading_u: float


def simulate(seed: int, days: int = 60, faults: frozenset[str] | None = None, tau_s: float = 25.0
             ) -> tuple[Truth, list[Record]]:  # fmt: skip
    """A station of a seed; without `faults` each is there in half of the seeds."""
    rng = np.random.default_rng([seed, 5])
    there = frozenset(f for f in FAULTS if rng.random() < 0.5) if faults is None else faults
    n = days * _DAY
    truth = _draw(rng, days, there, tau_s)
    ports = _ports(n)
    starts = np.flatnonzero(np.diff(ports, prepend=ports[0]))
    water = humidity(rng, n)
    return truth, [_record(rng, gas, truth, ports, starts, water) for gas in GASES]


def _draw(rng: np.random.Generator, days: int, there: frozenset[str], tau_s: float) -> Truth:
    """Faults of a seed; leak and loss of control lie in different halves."""
    halves = [0.12, 0.55] if rng.random() < 0.5 else [0.55, 0.12]
    begins = [(half + rng.uniform(0.0, 0.25)) * days for half in halves]
    lasts = [rng.uniform(3.0, 6.0) * days / 60.0 for _ in halves]
    sign = {gas.name: float(rng.choice([-1.0, 1.0])) for gas in GASES}
    drift = {gas.name: sign[gas.name] * rng.uniform(*gas.drift) if "drift" in there else 0.0 for gas in GASES}
    cylinder = f"S{rng.integers(1, 5)}"
    wrong = {gas.name: (cylinder, float(rng.choice([-1.0, 1.0])) * rng.uniform(*gas.wrong)) for gas in GASES}
    return Truth(
        drift,
        (begins[0], begins[0] + lasts[0], rng.uniform(0.01, 0.04)) if "leak" in there else None,
        wrong if "wrong" in there else {},
        (str(rng.choice(["R0", "S1", "S2", "S3", "S4"])), rng.uniform(0.2, 0.8) * days) if "expired" in there else None,
        (begins[1], begins[1] + lasts[1]) if "control" in there else None,
        tau_s,
    )


def _ports(n: int) -> NDArray[np.int64]:
    """Port of each minute: a reference each 6 h, the target each 12 h, a calibration at the start and each 7 days."""
    ports = np.zeros(n, dtype=np.int64)
    last = n // _DAY - 1
    for day in range(n // _DAY):
        for hour in range(0, 24, 6):
            start = day * _DAY + hour * 60 + 20
            ports[start : start + VISIT] = 1
            if hour % 12 == 0:
                ports[start + VISIT : start + 2 * VISIT] = 6
        if day % 7 == 0 or day == last:
            start = day * _DAY + 180
            for place, port in enumerate((1, 2, 3, 4, 5, 1)):
                ports[start + place * VISIT : start + (place + 1) * VISIT] = port
    return ports


def _record(
    rng: np.random.Generator, gas: Gas, truth: Truth, ports: NDArray[np.int64], starts: NDArray[np.int64], water: Series
) -> Record:
    n = len(ports)
    days = np.arange(n) / _DAY
    true_air = air(rng, n, gas.level, gas.scale)
    amounts = np.array([0.0, *(gas.tanks[name] for name in _NAMES[1:])])
    flowing = np.where(ports == 0, true_air, amounts[ports])
    vapour = np.where(ports == 0, water, 0.0)
    if truth.leak:
        begin, end, share = truth.leak
        mixed = (ports > 0) & (days >= begin) & (days < end)
        flowing = np.where(mixed, (1.0 - share) * flowing + share * true_air, flowing)
        vapour = np.where(mixed, share * water, vapour)
    cell, h = tails(flowing, starts, truth.flush_tau_s), tails(vapour, starts, truth.flush_tau_s)
    shown = cell * (1.0 + rng.normal(0.0, 0.002) + random_walk(rng, n, gas.gain_walk))
    shown += rng.normal(0.0, 3.0 * gas.walk) + truth.drift_per_day[gas.name] * days + random_walk(rng, n, gas.walk)
    shown += 3e-8 * (cell - gas.level) ** 2 * 420.0 / gas.level
    if truth.control:
        pivot = gas.tanks["R0"] if rng.random() < 0.5 else 0.0
        size = float(rng.choice([-1.0, 1.0])) * rng.uniform(*gas.control)
        out = (days >= truth.control[0]) & (days < truth.control[1])
        shown = np.where(out, shown + size * (cell - pivot), shown)
    a = gas.water[0] * (1.0 + rng.normal(0.0, 0.015))
    b = gas.water[1] * (1.0 + rng.normal(0.0, 0.10))
    wet = shown * (1.0 + a * h + b * h * h) + rng.normal(0.0, gas.noise, n)
    common = rng.normal(0.0, gas.u_scale)
    assigned = {name: value + common + rng.normal(0.0, gas.u_assigned) for name, value in gas.tanks.items()}
    if gas.name in truth.wrong:
        name, size = truth.wrong[gas.name]
        assigned[name] += size
    source = [_NAMES[port] for port in ports.tolist()]
    at_s: Series = START_S + 60.0 * np.arange(n, dtype=np.float64)
    reading_u = 1.5 * gas.noise
    droplet = _droplet(rng, gas, (a, b), reading_u)
    return Record(gas, at_s, source, wet, h + rng.normal(0.0, 5e-4, n), true_air, assigned, droplet, reading_u)


def _droplet(
    rng: np.random.Generator, gas: Gas, true: tuple[float, float], reading_u: float
) -> tuple[Series, Series, float, float]:
    """A gas wetted by a droplet that dries up from 3.2 %: 90 readings, and 30 of the same gas dry."""
    h: Series = 3.2 * np.exp(-np.linspace(0.0, 4.0, 90))
    level = gas.level * (1.0 + rng.normal(0.0, 0.01))
    wet = level * (1.0 + true[0] * h + true[1] * h * h) + rng.normal(0.0, reading_u, len(h))
    u_dry = reading_u / np.sqrt(30.0)
    return np.asarray(wet), h, level + float(rng.normal(0.0, u_dry)), float(u_dry)
