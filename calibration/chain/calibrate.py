"""The chain itself: one measurand of one instrument, minutes in, values and periods with budgets out."""

from collections.abc import Sequence

from calibration.chain.build import build
from calibration.chain.control import Interval
from calibration.chain.data import GOOD, INVALID, Flag, Flags, Minute, Result, Tank, Value
from calibration.chain.path import Path
from calibration.chain.periods import periods
from calibration.chain.visits import Prepared
from calibration.models.rules import Rules

_NOTHING = frozenset({Flag.NO_VALUE})


def calibrate(
    minutes: Sequence[Minute],
    tanks: Sequence[Tank],
    rules: Rules,
    *,
    period_s: float = 3600.0,
    step_s: float = 60.0,
    unit: str = "",
) -> Result:
    """Calibrate `minutes` (in order of time, `step_s` apart) by the visits of `tanks` among them.

    Pure and deterministic; `unit` is only named in findings. Raises ValueError where minutes are out of order, or a
    standard or target has no assigned value; data that cannot be calibrated come back flagged, with findings that say
    why.
    """
    built = build(minutes, tanks, rules, unit, step_s)
    values = _values(built.prepared, built.path, built.intervals)
    found = tuple(periods(minutes, built.prepared.dry, values, built.budgeting, period_s, step_s))
    return Result(tuple(values), found, built.checks, built.responses, built.findings, built.budgeting.noise)


def _values(prepared: Prepared, path: Path, intervals: Sequence[Interval]) -> list[Value]:
    """Every minute, with or without a value."""
    moments = Timeline(intervals)
    found = []
    for minute, dry, flags in zip(prepared.minutes, prepared.dry, prepared.flags, strict=True):
        at_s, source = minute[0], minute[1]
        known = flags | moments.at(at_s)
        if dry is None or known & INVALID:
            found.append(Value(at_s, source, None, known or _NOTHING))
            continue
        value, x, more, curve = path.apply(at_s, dry)
        found.append(Value(at_s, source, value, known | more, x, "+".join(curve.ids) if curve else ""))
    return found


class Timeline:
    """Flags that hold over intervals, asked in order of time."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        edges = sorted({edge for one in intervals for edge in (one.from_s, one.to_s)})
        self._edges = [*edges, float("inf")]
        self._flags: list[Flags] = [GOOD] + [
            frozenset(one.flag for one in intervals if one.from_s <= edge < one.to_s) for edge in edges
        ]
        self._place = 0

    def at(self, at_s: float) -> Flags:
        """The flags of a moment, not before the last one asked for."""
        while at_s >= self._edges[self._place]:
            self._place += 1
        return self._flags[self._place]
