"""Peaks of a chromatograph and the checks that keep a doubtful one out of a bracket.

The order of the checks and the baseline codes follow NOAA's in-situ GC processing; the limits belong to a site.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

# Both ends of the baseline: B at the baseline, P penetrating it (integrator codes of NOAA's in-situ chromatographs).
BASELINES: Final = frozenset({"BP", "PB", "BB"})
# References on each side whose spread is judged.
SIDE: Final = 3


@dataclass(frozen=True, slots=True)
class Peak:
    """One peak: `gas` names the standard, None is sample air; times in seconds on any one scale."""

    at_s: float
    gas: str | None
    height: float
    area: float
    retention_s: float
    width_s: float | None = None
    baseline: str | None = None
    flow_mL_min: float | None = None


@dataclass(frozen=True, slots=True)
class PeakLimits:
    """Limits of a site; None is not judged. `spread` and `width_change` are fractions, the others as named."""

    baselines: frozenset[str] = BASELINES
    gap_max_s: float = 7200.0
    width_change: float | None = None
    spread: float | None = None
    retention_change_s: float | None = None
    flow_min_mL_min: float | None = None


Doubt = Literal["baseline", "gap", "width", "spread", "retention", "flow", "not-positive"]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Standards around a peak, nearest first, any of them."""

    before: Sequence[Peak]
    after: Sequence[Peak]

    def __iter__(self) -> Iterator[Peak]:
        yield from self.before
        yield from self.after


def neighbours(peak: Peak, standards: Sequence[Peak]) -> Neighbours:
    """Up to SIDE standards on each side of a peak; `standards` is ordered by time, the peak itself is left out."""
    before = [one for one in standards if one.at_s < peak.at_s][-SIDE:]
    after = [one for one in standards if one.at_s > peak.at_s][:SIDE]
    return Neighbours(before[::-1], after)


def doubt(peak: Peak, around: Neighbours, limits: PeakLimits, quantity: Literal["height", "area"]) -> Doubt | None:
    """The first check that a peak fails among its neighbours of the standards, None where it passes all."""
    checks: tuple[tuple[Doubt, bool], ...] = (
        ("not-positive", not getattr(peak, quantity) > 0.0),
        ("baseline", peak.baseline is not None and peak.baseline not in limits.baselines),
        ("gap", peak.gas is None and _gap(peak, around) > limits.gap_max_s),
        ("width", _changed(peak.width_s, [one.width_s for one in around], limits.width_change)),
        ("spread", peak.gas is not None and _spread(peak, around, quantity, limits.spread)),
        ("retention", _moved(peak.retention_s, [one.retention_s for one in around], limits.retention_change_s)),
        ("flow", _below(peak.flow_mL_min, limits.flow_min_mL_min)),
    )
    return next((name for name, failed in checks if failed), None)


def _gap(peak: Peak, around: Neighbours) -> float:
    """Seconds to the nearest standard."""
    return min((abs(one.at_s - peak.at_s) for one in around), default=float("inf"))


def _changed(value: float | None, others: Sequence[float | None], limit: float | None) -> bool:
    known = [one for one in others if one is not None]
    if limit is None or value is None or not known:
        return False
    middle = statistics.median(known)
    return abs(value - middle) > limit * middle


def _moved(value: float, others: Sequence[float], limit: float | None) -> bool:
    return limit is not None and bool(others) and abs(value - statistics.median(others)) > limit


def _spread(peak: Peak, around: Neighbours, quantity: str, limit: float | None) -> bool:
    """A standard that stands out of its like on both sides."""
    alike = [getattr(one, quantity) for one in around if one.gas == peak.gas]
    return limit is not None and _changed(getattr(peak, quantity), alike, limit)


def _below(value: float | None, limit: float | None) -> bool:
    return limit is not None and (value is None or value < limit)
