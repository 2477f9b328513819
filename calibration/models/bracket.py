"""Every tank read before and after the sample, and a curve of its own for each sample.

NOAA's towers: each standard's difference from the reference, which is one of them, is interpolated to the sample. UATAQ
(Fasoli et al.): the readings themselves are, without a reference. One tank gives a line through zero.
"""

from collections.abc import Mapping
from typing import Final

from calibration.chain.data import Standard
from calibration.fit.linear import FitError
from calibration.models.reference import Track
from calibration.models.response import Curve, Response, StandardPoint, respond

_FLOOR: Final = 1e-7


class Bracket:
    """Tracks of the standards, and of the reference where one is subtracted or divided by."""

    def __init__(
        self, tracks: Mapping[Standard, Track], reference: Track | None, operation: str, degree: int, reach_s: float
    ) -> None:
        self._tracks, self._reference = dict(tracks), reference
        self._operation, self._degree, self._reach = operation, degree, reach_s

    def at(self, at_s: float) -> Curve | None:
        """The curve of a moment by the tanks within reach; None where they are too few."""
        found = self.response(at_s)
        if found is None:
            return None
        nothing = tuple((0.0,) * len(found.beta) for _ in found.beta)
        ids = (f"bracket@{'+'.join(one.tank.name for one in found.points)}",)
        sides = self._points(at_s)[1] - {""}
        side = "<" if "<" in sides else ">" if sides else ""
        return Curve(found.beta, found.assigned, found.readings, nothing, ids, side)

    def response(self, at_s: float) -> Response | None:
        """The fit of a moment."""
        points, _ = self._points(at_s)
        if len(points) <= self._degree and len(points) != 1:
            return None
        floor = _FLOOR * max(abs(one.x) for one in points) or _FLOOR
        try:
            return respond(at_s, points, self._degree, errors_in_x=False, u_reference=0.0, floor=floor)
        except FitError:
            return None

    def _points(self, at_s: float) -> tuple[list[StandardPoint], set[str]]:
        base = self._reference.at(at_s).value if self._reference else 0.0
        points: list[StandardPoint] = []
        sides: set[str] = set()
        for tank, track in self._tracks.items():
            found = track.at(at_s)
            if found.nearest_s > self._reach:
                continue
            x = found.value / base if self._operation == "ratio" and base else found.value - base
            u = track.u(at_s) / (base if self._operation == "ratio" and base else 1.0)
            points.append(StandardPoint(tank, x, u))
            sides.add(found.side)
        return points, sides
