"""Drift of micro-sensors against their neighbours and, where there is one, a reference. Pure: hourly means come in.

The rule. Hours are taken in blocks of 6; the baseline of a board in a block is the lower quartile of its hourly means,
so that a plume that comes and goes within hours is not seen. Baselines are compared with their consensus, the median
over all boards after each board's own median difference is taken off; blocks in which the boards differ more than
usual (air not mixed) are left out. What a board's difference does over the window is the slope of Theil and Sen.

Neighbours share a drift they all have; only a reference shows that. A source that stands beside one board and blows on
it for most of the window's blocks looks like an offset: that is why a person confirms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from calibration.robust import median, quantile, spread, theil_sen

BLOCK_H: Final = 6
BLOCK_HOURS_MIN: Final = 4
BASELINE: Final = 0.25
WEEK_BLOCKS: Final = 7 * 24 / BLOCK_H
# Four days of blocks.
BLOCKS_MIN: Final = 16
BOARDS_MIN: Final = 3
# A block is calm where the boards differ at most so many times as much as in the median block.
CALM: Final = 3.0
# Standard deviates of the intervals: 99 %, since a hundred boards are looked at at once.
Z: Final = 2.576
# A board that scatters so many times as much as the median board is faulty.
SCATTER_MAX: Final = 6.0
# A gain is told from an offset only where the air varied so many times as much as the board scatters.
GAIN_RANGE_MIN: Final = 5.0
GAIN_MIN: Final = 0.2
# Where even the lowest tenth of a board's blocks does not lie high, the others are a source's.
LOW: Final = 0.1
# Boards of which the median one scatters more than the limit by so many times tell nothing of it.
RESTLESS: Final = 3.0
STUCK_HOURS: Final = 24
# A difference that matters, by measurand, in its unit: ours, of the size of what such sensors can hold.
LIMITS: Final[Mapping[str, float]] = {"ch4": 0.1, "co2": 10.0, "pm1": 5.0, "pm2_5": 5.0, "pm10": 8.0}

Hours = Mapping[int, float]
Verdict = Literal["ok", "drifting", "faulty", "not-enough-data"]
Doubt = Literal["few-boards", "restless", "no-majority", "reference-differs", "reference-short"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """`better = (value - zero) * slope`; `residual` is the standard deviation that is expected to be left."""

    zero: float
    slope: float
    residual: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One board. Differences from the consensus in the unit of the series; None where they could not be told.

    `offset` holds at the end of the window, at the median level of the consensus. `gain` is what the board shows for
    one more unit of the consensus. `low` and `high` bound `drift_per_week`. `scatter` is the standard deviation
    that is left, `low_side` the distance between the twentieth and the quarter of what is left.
    """

    board: str
    verdict: Verdict
    blocks: int
    offset: float | None = None
    gain: float | None = None
    drift_per_week: float | None = None
    low: float | None = None
    high: float | None = None
    scatter: float | None = None
    low_side: float | None = None
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """All boards of one measurand; where there is a `doubt` about the consensus nothing is proposed."""

    findings: tuple[Finding, ...]
    doubt: Doubt | None
    limit: float
    calm_blocks: int
    reference: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Consensus:
    """The median baseline of the calm blocks by block, and its median."""

    blocks: Mapping[int, float] = field(default_factory=dict)
    level: float = 0.0


def survey(boards: Mapping[str, Hours], limit: float, end_hour: int, reference: Hours | None = None) -> Survey:
    """Judge boards by their hourly means (number of the hour since any midnight: mean) before `end_hour`.

    `limit` (> 0) is the difference that matters, in the unit of the series.
    """
    baselines = {name: _baselines(hours) for name, hours in boards.items()}
    consensus = _consensus(baselines, limit)
    end = end_hour / BLOCK_H
    drafts = [_judged(name, baselines[name], boards[name], consensus, limit, end) for name in boards]
    drafts = _scattered(drafts, limit)
    against = None
    if reference is not None:
        against = _judged("reference", _baselines(reference), reference, consensus, limit, end)
    doubt = _doubt(drafts, consensus, against, limit)
    if doubt:
        drafts = [replace(one, proposal=None) for one in drafts]
    if against:
        against = replace(against, proposal=None)
    return Survey(tuple(drafts), doubt, limit, len(consensus.blocks), against)


def _baselines(hours: Hours) -> dict[int, float]:
    blocks: dict[int, list[float]] = {}
    for hour, value in hours.items():
        blocks.setdefault(hour // BLOCK_H, []).append(value)
    return {at: quantile(found, BASELINE) for at, found in sorted(blocks.items()) if len(found) >= BLOCK_HOURS_MIN}


def _consensus(baselines: Mapping[str, Mapping[int, float]], limit: float) -> _Consensus:
    by_block: dict[int, dict[str, float]] = {}
    for name, blocks in baselines.items():
        for at, value in blocks.items():
            by_block.setdefault(at, {})[name] = value
    full = {at: found for at, found in by_block.items() if len(found) >= BOARDS_MIN}
    apart: dict[str, list[float]] = {}
    for found in full.values():
        middle = median(list(found.values()))
        for name, value in found.items():
            apart.setdefault(name, []).append(value - middle)
    own = {name: median(values) for name, values in apart.items()}
    levelled = {at: [value - own[name] for name, value in found.items()] for at, found in full.items()}
    if not levelled:
        return _Consensus()
    spreads = {at: spread(values) for at, values in levelled.items()}
    bound = max(CALM * median(list(spreads.values())), limit / 4)
    blocks = {at: median(values) for at, values in levelled.items() if spreads[at] <= bound}
    # A consensus has no offset of its own: the boards' offsets have the median 0.
    middle = median(list(own.values()))
    blocks = {at: value + middle for at, value in blocks.items()}
    return _Consensus(blocks, median(list(blocks.values())))


def _judged(
    name: str, baselines: Mapping[int, float], hours: Hours, consensus: _Consensus, limit: float, end: float
) -> Finding:
    shared = [at for at in baselines if at in consensus.blocks]
    if len(hours) >= STUCK_HOURS and max(hours.values()) == min(hours.values()):
        return Finding(name, "faulty", len(shared))
    apart = [baselines[at] - consensus.blocks[at] for at in shared]
    weeks = [(at - end) / WEEK_BLOCKS for at in shared]
    line = theil_sen(weeks, apart, Z) if len(shared) >= BLOCKS_MIN else None
    if line is None:
        return Finding(name, "not-enough-data", len(shared))
    level = [consensus.blocks[at] - consensus.level for at in shared]
    left = [value - line.at(week) for value, week in zip(apart, weeks, strict=True)]
    gain = _gain(level, left, limit)
    left = [value - gain * x for value, x in zip(left, level, strict=True)]
    # The newest of the line where it has a slope, else the middle of all.
    offset = line.level if not line.is_level else median([a - gain * x for a, x in zip(apart, level, strict=True)])
    drifts = not line.is_level and abs(line.slope) * (weeks[-1] - weeks[0]) >= limit
    off = abs(offset) >= limit or gain != 0.0
    if offset > 0 and not gain and offset + quantile(left, LOW) < limit / 2:
        drifts = off = False  # the lowest blocks do not lie high: that is a source's doing
    finding = Finding(
        name, "drifting" if drifts or off else "ok", len(shared), offset, 1.0 + gain, line.slope, line.low, line.high,
        spread(left), quantile(left, 0.25) - quantile(left, 0.05),
    )  # fmt: skip
    return replace(finding, proposal=_proposal(finding, consensus.level)) if drifts or off else finding


def _proposal(finding: Finding, level: float) -> Proposal:
    """Undoes `value = truth + offset + (gain - 1) * (truth - level)`."""
    assert finding.offset is not None, "a board that drifts differs by something"
    assert finding.gain is not None, "likewise"
    assert finding.scatter is not None, "likewise"
    zero = finding.offset - (finding.gain - 1.0) * level
    return Proposal(zero, 1.0 / finding.gain, finding.scatter / finding.gain)


def _swing(level: list[float]) -> float:
    return quantile(level, 0.9) - quantile(level, 0.1)


def _gain(level: list[float], apart: list[float], limit: float) -> float:
    """How the difference follows the level, where that can be told and matters over the levels seen; else 0."""
    swing = _swing(level)
    line = theil_sen(level, apart, Z) if swing >= GAIN_RANGE_MIN * spread(apart) else None
    if line is None or line.is_level or line.slope <= GAIN_MIN - 1.0 or abs(line.slope) * swing < limit:
        return 0.0
    return line.slope


def _scattered(found: list[Finding], limit: float) -> list[Finding]:
    """Boards whose low side scatters far more than that of the others, and more than matters, are faulty.

    Of the low side, since a source scatters the high one.
    """
    sides = [one.low_side for one in found if one.low_side is not None]
    if not sides:
        return found
    bound = max(SCATTER_MAX * median(sides), limit)
    return [
        replace(one, verdict="faulty", proposal=None) if one.low_side is not None and one.low_side > bound else one
        for one in found
    ]


def _doubt(found: list[Finding], consensus: _Consensus, reference: Finding | None, limit: float) -> Doubt | None:
    scatters = [one.scatter for one in found if one.scatter is not None]
    told = [one for one in found if one.verdict in ("ok", "drifting")]
    if len(told) < BOARDS_MIN or not consensus.blocks:
        return "few-boards"
    if RESTLESS * median(scatters) > limit:
        return "restless"
    if 2 * sum(one.verdict == "ok" for one in told) <= len(told):
        return "no-majority"
    if reference is not None and reference.verdict == "not-enough-data":
        return "reference-short"
    if reference is not None and reference.verdict != "ok":
        return "reference-differs"
    return None
