"""Air with tanks between it, as a recording of it would look, with the times and amounts of the tanks known."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrology.recorded import Row, Sample

Tank = tuple[float, float]
TANKS: Final[tuple[Tank, ...]] = ((380.0, 1.85), (420.0, 1.95), (500.0, 2.30))
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated. Times in s unless named otherwise, CO2 and CH4 in umol/mol, water in percent.

    `noise` is that of one reading, `air_sd` of the air's CO2 (a tenth of it within minutes), `flush` the constant of
    the exponential after a change, doubled for water; `drift` of the analyzer in umol/mol CO2 per hour.
    """

    name: str
    hours: float = 6.0
    step: float = 3.0
    noise: Tank = (0.05, 0.0006)
    air_sd: float = 3.0
    flush: float = 25.0
    length: float = 600.0
    every_hours: float = 2.0
    tanks: tuple[Tank, ...] = TANKS
    drift: float = 0.0
    water: bool = True
    ports: bool = False


CASES: Final = (
    Case("default"),
    Case("no water column", water=False),
    Case("drift 0.3 per hour", drift=0.3),
    Case("flush of 60 s", flush=60.0),
    Case("flush of 120 s", flush=120.0, length=1200.0, hours=10.0),
    Case("tanks of 3 min", length=180.0, flush=15.0),
    Case("steps of 1 to 2 umol/mol", tanks=((424.0, 2.0), (426.0, 2.005), (425.0, 2.001))),
    Case("clean air, no water column", air_sd=0.3, water=False),
    Case("rough air, no water column", air_sd=10.0, water=False),
    Case("ports, clean air, no water column", air_sd=0.3, water=False, ports=True),
    Case("noise of 0.5 umol/mol", noise=(0.5, 0.003)),
    Case("rows of minutes", step=60.0, length=1200.0, noise=(0.015, 0.0002), hours=24.0),
    Case("rows of minutes, tanks of 7 min", step=60.0, length=420.0, noise=(0.015, 0.0002), hours=24.0),
    Case(
        "LI-840A, 1 Hz, tanks of 2 min", step=1.0, noise=(0.4, 0.01), flush=8.0, length=120.0, hours=2.0,
        every_hours=0.3, tanks=((0.3, 0.1), (400.0, 1.0), (1000.0, 3.0)), air_sd=8.0,
    ),
)  # fmt: skip


class Truth(NamedTuple):
    """One tank: when it was on, seconds, and its CO2 as the drifting analyzer shows it in the middle of that."""

    start: float
    end: float
    co2: float


def recording(case: Case, seed: int) -> tuple[list[Row], list[Truth]]:
    """Rows of a recording, and the tanks in it."""
    rng = np.random.default_rng(seed)
    n = int(case.hours * 3600 / case.step)
    t = np.arange(n, dtype=np.float64) * np.float64(case.step)
    co2 = 425.0 + _wander(rng, n, case.air_sd, 3600 / case.step) + _wander(rng, n, 0.3 * case.air_sd, 120 / case.step)
    ch4 = 2.0 + 0.004 * (co2 - 425.0) + _wander(rng, n, 0.002 * case.air_sd, 300 / case.step)
    water, port = np.full(n, 1.5), np.ones(n, dtype=int)
    drift = case.drift * t / 3600
    found = []
    start = 2500.0
    while start + case.length * len(case.tanks) < case.hours * 3600 - 600:
        for number, (own, other) in enumerate(case.tanks, 2):
            on = slice(int(start / case.step), int((start + case.length) / case.step))
            co2[on], ch4[on], water[on], port[on] = own, other, 0.0, number
            found.append(Truth(start, start + case.length, own + case.drift * (start + 0.7 * case.length) / 3600))
            start += case.length
        start += case.every_hours * 3600
    shown = {
        "co2_dry": _lagged(co2, case.flush / case.step) + rng.normal(0, case.noise[0], n) + drift,
        "ch4_dry": _lagged(ch4, case.flush / case.step) + rng.normal(0, case.noise[1], n),
    }
    if case.water:
        shown["h2o_reported"] = _lagged(water, 2 * case.flush / case.step) + rng.normal(0, 0.002, n)
    return _rows(case, t, shown, port), found


def _wander(rng: np.random.Generator, n: int, sd: float, constant: float) -> NDArray[np.float64]:
    """Noise with a memory: a first-order process of this standard deviation and time constant, in steps."""
    keep = float(np.exp(-1.0 / constant))
    kicks = rng.normal(0.0, sd * np.sqrt(1.0 - keep * keep), n)
    values = np.empty(n)
    last = float(rng.normal(0.0, sd))
    for place, kick in enumerate(kicks):
        last = keep * last + float(kick)
        values[place] = last
    return values


def _lagged(values: NDArray[np.float64], constant: float) -> NDArray[np.float64]:
    """What a cell shows that is flushed with this constant, in steps."""
    share = 1.0 - float(np.exp(-1.0 / constant))
    shown = np.empty_like(values)
    last = float(values[0])
    for place, value in enumerate(values):
        last += share * (float(value) - last)
        shown[place] = last
    return shown


def _rows(
    case: Case, t: NDArray[np.float64], shown: dict[str, NDArray[np.float64]], port: NDArray[np.int_]
) -> list[Row]:
    names = list(shown)
    table = zip(t.tolist(), port.tolist(), *(shown[name].tolist() for name in names), strict=True)
    return [
        Row(
            round(at * _SECOND),
            [Sample(name, value) for name, value in zip(names, values, strict=True)],
            port=str(number) if case.ports else None,
        )
        for at, number, *values in table
    ]


class Score(NamedTuple):
    """What a search found: tanks, those found, plateaus that are none, and mean minus truth of those found."""

    tanks: int
    found: int
    false: int
    bias: list[float]


def score(truth: list[Truth], plateaus: list[tuple[float, float, float]]) -> Score:
    """Compare plateaus (start, end in s, mean CO2) with the truth: found is what lies within a tank by 80 %."""
    used, bias = set(), []
    for tank in truth:
        for place, (start, end, mean) in enumerate(plateaus):
            if place not in used and min(end, tank.end) - max(start, tank.start) > 0.8 * (end - start):
                used.add(place)
                bias.append(mean - tank.co2)
                break
    return Score(len(truth), len(bias), len(plateaus) - len(used), bias)
