"""Visits become calibrations: which belong together, whether all is there, and the response they give."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeGuard

from calibration.chain.data import Reference, ResponseUsed, Standard, Tank
from calibration.chain.visits import Visit
from calibration.fit.linear import FitError
from calibration.models.reference import Track
from calibration.models.response import Response, StandardPoint, respond
from calibration.models.rules import Rules, Settings

# Where nothing else is known, an uncertainty is at least this share of the value.
_FLOOR: Final = 1e-7

Label = str
TrackAt = Callable[[float], Track | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A group of visits: its response, or why it gave none."""

    at_s: float
    response: Response | None
    rejected: str = ""


def groups(visits: Sequence[Visit[Tank]], rules: Rules, edges: Sequence[float]) -> list[list[Visit[Tank]]]:
    """Visits of references and standards close in time, those with a standard among them; none crosses an edge."""
    fitting = [one for one in visits if isinstance(one.tank, Reference | Standard)]
    found: list[list[Visit[Tank]]] = [[one] for one in fitting[:1]]
    for one, other in pairwise(fitting):
        apart = other.start_s - one.to_s > rules.at(other.start_s).loop_gap_s
        if apart or any(one.at_s < edge <= other.at_s for edge in edges):
            found.append([])
        found[-1].append(other)
    return [group for group in found if any(isinstance(one.tank, Standard) for one in group)]


def response_of(
    group: Sequence[Visit[Tank]], settings: Settings, track_at: TrackAt, without: frozenset[Label] = frozenset()
) -> Found:
    """Response of a group of visits; `without` are standards that are left out."""
    standards = [one for one in group if _of_standard(one)]
    at_s = math.fsum(one.at_s for one in standards) / len(standards)
    trouble = next((f"{one.tank.label}: {one.trouble}" for one in group if one.trouble), "")
    why = trouble or _incomplete(group, settings)
    if why:
        return Found(at_s, None, why)
    used = [one for one in _last_loop(standards, settings) if one.tank.label not in without]
    track = track_at(at_s)
    if settings.reference and track is None:
        return Found(at_s, None, "no reference")
    points, shared = _points(used, settings, track)
    through_zero = len(points) == 1 and (settings.reference is None or settings.operation == "ratio")
    if len(points) <= settings.degree and not through_zero:
        return Found(at_s, None, f"{len(points)} standards for degree {settings.degree}")
    floor = _FLOOR * max(abs(one.mean) for one in used)
    try:
        found = respond(at_s, points, settings.degree, errors_in_x=settings.fit == "york", u_reference=shared,
                        floor=floor if settings.operation != "ratio" else _FLOOR)  # fmt: skip
    except FitError as error:
        return Found(at_s, None, str(error))
    return Found(at_s, found)


def _of_standard(one: Visit[Tank]) -> TypeGuard[Visit[Standard]]:
    return isinstance(one.tank, Standard)


def _incomplete(group: Sequence[Visit[Tank]], settings: Settings) -> str:
    """Why the labels are not those of a calibration; empty where they are."""
    if settings.reference:
        for one, end in ((group[0], "begin"), (group[-1], "end")):
            if not isinstance(one.tank, Reference):
                return f"does not {end} with the reference"
    names = [one.tank.name for one in group if isinstance(one.tank, Standard)]
    size = len(settings.standards)
    if size and (names != list(settings.standards) * (len(names) // size) or not names):
        return f"expected {' '.join(settings.standards)}, found {' '.join(names)}"
    if size and len(names) // size < settings.loops:
        return f"{len(names) // size} rounds of {settings.loops}"
    return ""


def _last_loop(standards: Sequence[Visit[Standard]], settings: Settings) -> list[Visit[Standard]]:
    if settings.standards:
        return list(standards[-len(settings.standards) :])
    return list({one.tank.label: one for one in standards}.values())


def _points(
    used: Sequence[Visit[Standard]], settings: Settings, track: Track | None
) -> tuple[list[StandardPoint], float]:
    """Standards as the fit takes them, and the error of the reference that they share."""
    if track is None or settings.reference is None:
        return [StandardPoint(one.tank, one.mean, one.u) for one in used], 0.0
    shared = math.sqrt(math.fsum(track.u(one.at_s) ** 2 for one in used) / len(used))
    if settings.operation == "subtract":
        return [StandardPoint(one.tank, one.mean - track.at(one.at_s).value, one.u) for one in used], shared
    level = [track.at(one.at_s).value for one in used]
    points = [StandardPoint(one.tank, one.mean / r, one.u / r) for one, r in zip(used, level, strict=True)]
    return points, shared / (math.fsum(level) / len(level))


def used(found: Sequence[Found]) -> Iterator[ResponseUsed]:
    """Calibrations as a result tells them."""
    for one in found:
        if one.response is None:
            yield ResponseUsed(f"response@{one.at_s:.0f}", one.at_s, rejected=one.rejected)
        else:
            r = one.response
            yield ResponseUsed(r.id, r.at_s, r.beta, r.covariance, r.residual_sd, tuple(p.tank.label for p in r.points))
