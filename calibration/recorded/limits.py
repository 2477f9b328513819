"""What tells a plateau in one series: noise, steps, water, how long a run and a flush are."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev
from typing import Final

from calibration.recorded.bins import Bin
from calibration.recorded.noise import quantile, steady_noise, usual_change
from metrology.recorded import MINUTE, SECOND

# In standard deviations of a bin's mean.
STEP: Final = 10.0
# A step is also this many times what nine of ten neighbouring bins differ by: air has steps of its own.
_STEP_OF_AIR: Final = 4.0
# No series is quieter than this share of its values: one that repeats a value to the last digit shows no noise.
_LEAST: Final = 1e-6
# A run of settled bins is this long, and at least so many bins.
_RUN: Final = 45 * SECOND
RUN_BINS: Final = 3
# A step comes at most this long before the gas has settled.
_FLUSH_MAX: Final = 15 * MINUTE
# Gas from a cylinder is dry: the least water that tells air, by words in the name of its column (percent without any).
_WET: Final = (("ppt", 5.0), ("mmol", 5.0), ("ppm", 5000.0), ("umol", 5000.0), ("%", 0.5), ("", 0.5))
_WET_MMOL: Final = 5.0
# No air has more percent of water than this: such a column is in mmol/mol, whatever its name says.
_PERCENT_MAX: Final = 6.0
_NO_WATER: Final = ("(c)", "dew", "_c")
# Gas this much drier than three quarters of the way up the series is no air, where there is any water at all.
_DRIER: Final = 0.3
_WETTEST: Final = 0.75
_DRY_NOISE: Final = 0.2
# Plateaus that tell of the noise, and how much larger it must be to matter.
_ENOUGH: Final = 3
_LARGER: Final = 1.1
_NO_GAS: Final = ("h2o", "cell", "cavity")


@dataclass(frozen=True, slots=True)
class Limits:
    """What tells a plateau in one series: noise of a bin's mean and a step by species, bins of a run and of a flush.

    `levels` holds the mean of each bin by species, NaN where it has none; `gap` is the time between two stretches.
    `water` is the column of water, and `wet` and `dry` are the values above and below which it tells.
    """

    levels: Mapping[str, Sequence[float]]
    noise: Mapping[str, float]
    step: Mapping[str, float]
    run: int
    flush: int
    gap: int
    water: str = ""
    wet: float = math.inf
    dry: float = -math.inf

    def widened(self, found: Sequence[tuple[int, int]]) -> "Limits | None":
        """Limits with the noise that plateaus found with these ones show; None where it is not larger, or too few are.

        `found` holds the first bin of each and the one after its last.
        """
        if len(found) < _ENOUGH:
            return None
        noise = dict(self.noise)
        for name, series in self.levels.items():
            spreads = [stdev(part) for first, last in found if len(part := full(series[first:last])) > RUN_BINS]
            if spreads:
                noise[name] = max(noise[name], median(spreads))
        if all(noise[name] <= _LARGER * self.noise[name] for name in noise):
            return None
        step = {name: max(self.step[name], STEP * own) for name, own in noise.items()}
        return replace(self, noise=noise, step=step)


def limits_of(bins: Sequence[Bin], width: int) -> Limits:
    """Limits of a series. Species that few bins have are left out, and the wet value where there is a dry one."""
    counts: dict[str, int] = {}
    for one in bins:
        for name in one.totals:
            counts[name] = counts.get(name, 0) + 1
    most = max(counts.values(), default=0)
    chosen = [
        name
        for name, count in counts.items()
        if count * 2 > most and not name.startswith(_NO_GAS) and f"{name}_dry" not in counts
    ]
    levels = {
        name: [one.totals[name].mean if name in one.totals else math.nan for one in bins] for name in chosen
    }  # fmt: skip
    gap = max(5 * width, MINUTE) if width >= SECOND else MINUTE
    parts = {name: [full(series[a:b]) for a, b in stretches(bins, gap)] for name, series in levels.items()}
    noise = {name: max(steady_noise(part), _LEAST * _size(part)) for name, part in parts.items()}
    step = {name: max(STEP * noise[name], _STEP_OF_AIR * usual_change(part)) for name, part in parts.items()}
    pitch = max(width, _pitch(bins))
    run, flush = max(RUN_BINS, -(-_RUN // pitch)), max(RUN_BINS, _FLUSH_MAX // pitch)
    return Limits(levels, noise, step, run, flush, gap, *_water(bins))


def _water(bins: Sequence[Bin]) -> tuple[str, float, float]:
    """Column of water, what tells air in it, and what tells a cylinder: much less than the wet part of the series."""
    names = {name for one in bins for name in one.totals if name.startswith("h2o") and not name.endswith(_NO_WATER)}
    # What the analyzer reports comes before what it fitted, the plainest name first.
    for name in sorted(names, key=lambda one: (one != "h2o_reported", len(one), one)):
        found = [one.totals[name].mean for one in bins if name in one.totals]
        # Tanks may take more than half of a series.
        middle = quantile(found, _WETTEST)
        wet = next(limit for word, limit in _WET if word in name)
        if wet < _WET_MMOL and middle > _PERCENT_MAX:
            wet = _WET_MMOL
        return name, wet, _DRIER * middle if middle > _DRY_NOISE * wet else -math.inf
    return "", math.inf, -math.inf


def _size(parts: Sequence[Sequence[float]]) -> float:
    return median(abs(value) for part in parts for value in part) if any(parts) else 0.0


def _pitch(bins: Sequence[Bin]) -> int:
    """Median time between bins, microseconds."""
    steps = sorted(after.start - before.start for before, after in itertools.pairwise(bins))
    return steps[len(steps) // 2] if steps else SECOND


def stretches(bins: Sequence[Bin], gap: int) -> Iterator[tuple[int, int]]:
    """Runs of bins on one port and one gas without a gap in time."""
    first = 0
    for at in range(1, len(bins) + 1):
        if at == len(bins) or _parted(bins[at - 1], bins[at], gap):
            yield first, at
            first = at


def _parted(before: Bin, after: Bin, gap: int) -> bool:
    return (before.port, before.gas) != (after.port, after.gas) or after.start - before.end > gap


def full(series: Sequence[float]) -> list[float]:
    """The values of a series without its holes."""
    return [value for value in series if not math.isnan(value)]
