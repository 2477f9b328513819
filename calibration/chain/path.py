"""From a dry indication at a moment to its value: reference, response, and the uncertainty each of them brings."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from calibration.chain.data import GOOD, Flag, Flags
from calibration.models.reference import Track
from calibration.models.response import Curve
from calibration.models.rules import Rules, Settings
from metrology.budget import Term

_NO_REFERENCE: Final = frozenset({Flag.NO_REFERENCE})
_NO_CALIBRATION: Final = frozenset({Flag.NO_CALIBRATION})
_IMPOSSIBLE: Final = frozenset({Flag.IMPOSSIBLE})
SIDES: Final[Mapping[str, Flags]] = {
    "": GOOD,
    "<": frozenset({Flag.PREVIOUS_ONLY}),
    ">": frozenset({Flag.NEXT_ONLY}),
}


class Curves(Protocol):
    """What holds the response of a block."""

    def at(self, at_s: float) -> Curve | None:
        """The curve of a moment, None where there is none."""


class Applied(NamedTuple):
    """`value` is None where `flags` say why."""

    value: float | None
    x: float | None
    flags: Flags
    curve: Curve | None


class Path:
    """Tracks of the reference and curves, each by block; `edges` and `curve_edges` cut the blocks."""

    def __init__(
        self,
        rules: Rules,
        edges: Sequence[float],
        tracks: Mapping[int, Track],
        curve_edges: Sequence[float],
        curves: Mapping[int, Curves],
    ) -> None:
        self._rules = rules
        self._edges, self._tracks = list(edges), tracks
        self._curve_edges, self._curves = list(curve_edges), curves

    def track(self, at_s: float) -> Track | None:
        """The reference's readings in the block of a moment."""
        return self._tracks.get(bisect_right(self._edges, at_s))

    def curve(self, at_s: float) -> Curve | None:
        """The response of a moment."""
        curves = self._curves.get(bisect_right(self._curve_edges, at_s))
        return curves.at(at_s) if curves else None

    def apply(self, at_s: float, dry: float) -> Applied:
        """Value of a dry indication."""
        settings = self._rules.at(at_s)
        x, flags = dry, GOOD
        if settings.reference is not None:
            track = self.track(at_s)
            if track is None:
                return Applied(None, None, _NO_REFERENCE, None)
            level, side, nearest = track.at(at_s)
            if nearest > settings.max_ref_gap_s:
                return Applied(None, None, _NO_REFERENCE, None)
            x = dry - level if settings.operation == "subtract" else dry / level
            flags = SIDES[side]
        curve = self.curve(at_s)
        if curve is None:
            return Applied(None, x, _NO_CALIBRATION, None)
        if curve.side:
            flags |= SIDES[curve.side]
        value = curve.correct(x)
        if not settings.least < value <= settings.most:
            return Applied(None, x, _IMPOSSIBLE, curve)
        return Applied(value, x, flags, curve)

    def sensitivity(self, at_s: float, x: float, curve: Curve) -> float:
        """Change of the value with the dry indication."""
        track = self.track(at_s) if self._rules.at(at_s).operation == "ratio" else None
        return curve.slope(x) / (track.at(at_s).value if track else 1.0)

    def terms(self, times: Sequence[float], x: float, curve: Curve) -> tuple[Term, ...]:
        """What reference and response bring at some moments of a mean (mean variance over them), as budget terms."""
        middle = times[len(times) // 2]
        settings = self._rules.at(middle)
        slope = abs(curve.slope(x))
        u_reference = math.sqrt(math.fsum(self._u_reference(t, x, settings) ** 2 for t in times) / len(times))
        found = (
            Term("reference between its readings", slope * u_reference, "slow", _REFERENCE[settings.baseline]),
            Term(
                "readings of the standards", curve.u(curve.readings, x), "slow", "noise of the visits, through the fit"
            ),
            Term(
                "response between calibrations",
                curve.u(curve.drift, x),
                "slow",
                "change from calibration to calibration",
            ),
            Term("assigned values", curve.u(curve.assigned, x), "common", "certificates, through the fit"),
        )
        return tuple(term for term in found if term.u > 0.0)

    def _u_reference(self, at_s: float, x: float, settings: Settings) -> float:
        track = self.track(at_s) if settings.reference is not None else None
        if track is None:
            return 0.0
        u = track.u(at_s)
        if settings.baseline == "noaa":
            end = track.points[max(0, bisect_right([p.at_s for p in track.points], at_s) - 1)]
            u = math.hypot(end.u, track.noaa_baseline(at_s))
        return u if settings.operation == "subtract" else abs(x) * u / abs(track.at(at_s).value)


_REFERENCE: Final = {
    "bridge": "random walk of the analyzer, found from the reference's own readings",
    "noaa": "spread of interpolations that leave one reading out (NOAA GML)",
}
