"""Minutes made dry and cut into visits: what each tank read, how steady, and what air flowed around it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, NamedTuple, TypeVar

from calibration.chain.data import AIR, GOOD, Flag, Flags, Minute, Reference, Standard, Tank, Target
from calibration.fit.student import chi_square_quantile
from calibration.models.reference import Point
from calibration.models.rules import Rules, Settings

TankT = TypeVar("TankT", bound=Tank, covariant=True)
# A longer silence ends a segment: nobody knows what flowed.
_SILENCE_S: Final = 900.0
_AROUND: Final = 5
# Where no limit is set, a visit this many times as noisy as the others is not steady.
_UNSTEADY: Final = 6.0
_BETWEEN: Final = 2
_AROUND_S: Final = 3 * 3600.0

FLUSH: Final = frozenset({Flag.FLUSH})
STANDARD: Final = frozenset({Flag.STANDARD})
_FAULT: Final = frozenset({Flag.FAULT})
_NO_VALUE: Final = frozenset({Flag.NO_VALUE})
_NO_WATER: Final = frozenset({Flag.NO_WATER})


class Prepared(NamedTuple):
    """The minutes as given, their dry values (None where there is none), and the flags known so far."""

    minutes: Sequence[Minute]
    dry: list[float | None]
    flags: list[Flags]


class Segment(NamedTuple):
    """Minutes `first` to before `last` of one source; `fresh` is False where the gas flowed before it began."""

    source: str
    first: int
    last: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Visit(Generic[TankT]):
    """One stay on one tank. `mean` and `sd` are of the minutes used, from `from_s` to `to_s`; `u` of the mean.

    `before` is what the instrument showed last before the switch, `air` (with `air_u`) what air held meanwhile; `tail`
    is the first used minute minus the mean of the others. `trouble` says why the visit is not used.
    """

    tank: TankT
    start_s: float
    from_s: float
    to_s: float
    at_s: float
    mean: float
    sd: float
    n: int
    slope_per_min: float
    tail: float
    before: float | None
    air: float | None
    air_u: float = 0.0
    u: float = 0.0
    trouble: str = ""

    @property
    def point(self) -> Point:
        """As a reading of a track."""
        return Point(self.at_s, self.mean, self.u)


def prepare(minutes: Sequence[Minute], rules: Rules) -> Prepared:
    """Dry values and first flags. Raises ValueError where the minutes are out of order."""
    dry: list[float | None] = []
    flags: list[Flags] = []
    last = -math.inf
    for minute in minutes:
        if minute.at_s <= last:
            raise ValueError(f"minutes out of order at {minute.at_s}")
        last = minute.at_s
        value, flag = _dry(minute, rules.at(last))
        dry.append(value)
        flags.append(flag)
    return Prepared(minutes, dry, flags)


def _dry(minute: Minute, settings: Settings) -> tuple[float | None, Flags]:
    if not minute.usable:
        return None, _FAULT
    if minute.value is None or not math.isfinite(minute.value):
        return None, _NO_VALUE
    water = settings.water_correction
    if water is None:
        return minute.value, GOOD
    if minute.water is None:
        return None, _NO_WATER
    return water.dry(minute.value, minute.water), GOOD


def segments(prepared: Prepared) -> list[Segment]:
    """Runs of one source without a silence."""
    minutes = prepared.minutes
    found: list[Segment] = []
    first, fresh = 0, False
    for place in range(1, len(minutes) + 1):
        if place < len(minutes):
            same = minutes[place].source == minutes[first].source
            silent = minutes[place].at_s - minutes[place - 1].at_s > _SILENCE_S
            if same and not silent:
                continue
        found.append(Segment(minutes[first].source, first, place, fresh))
        if place < len(minutes):
            fresh = minutes[place].source != minutes[first].source
            first = place
    return found


def mark_segments(prepared: Prepared, parts: Sequence[Segment], rules: Rules, extra_s: float = 0.0) -> None:
    """Put FLUSH on what follows a switch to air and STANDARD on all that is not air."""
    for part in parts:
        start = prepared.minutes[part.first].at_s
        if part.source != AIR:
            for place in range(part.first, part.last):
                prepared.flags[place] |= STANDARD
        elif part.fresh:
            end = start + rules.at(start).sample_flush_s + extra_s
            for place in range(part.first, part.last):
                if prepared.minutes[place].at_s >= end:
                    break
                prepared.flags[place] |= FLUSH


class Shelf:
    """The tanks by name and time."""

    def __init__(self, tanks: Sequence[Tank]) -> None:
        self.tanks = tuple(tanks)
        for tank in tanks:
            if isinstance(tank, Standard | Target) and tank.assigned is None:
                raise ValueError(f"{tank.label} has no assigned value")

    def at(self, name: str, at_s: float) -> Tank | None:
        """The tank connected under a name at a moment."""
        return next((one for one in self.tanks if one.name == name and one.from_s <= at_s < one.to_s), None)

    def edges(self) -> list[float]:
        """When a reference or a standard was changed: nothing is interpolated across."""
        moments = {m for one in self.tanks if isinstance(one, Reference | Standard) for m in (one.from_s, one.to_s)}
        return sorted(one for one in moments if math.isfinite(one))


def visits(
    prepared: Prepared, parts: Sequence[Segment], shelf: Shelf, rules: Rules, extra_s: float = 0.0
) -> list[Visit[Tank]]:
    """Every stay on a known tank with a usable minute after its flush and `extra_s` more, in order of time."""
    found = []
    for place, part in enumerate(parts):
        start = prepared.minutes[part.first].at_s
        tank = shelf.at(part.source, start)
        if tank is None:
            continue
        used = _used(prepared, part, start + rules.at(start).cal_flush_s + extra_s)
        if used:
            before = _edge(prepared, _before(parts, place), last=True) if place and part.fresh else []
            around = _air(prepared, parts, place, 0.5 * (used[0][0] + used[-1][0]))
            found.append(_visit(tank, start, used, before[-1][1] if before else None, around))
    return found


def _before(parts: Sequence[Segment], place: int) -> Segment:
    """The segment of the gas that flowed before; a minute or two of neither (a switch amid a minute) are passed by."""
    one = parts[place - 1]
    return parts[place - 2] if place > 1 and one.last - one.first <= _BETWEEN and one.fresh else one


Used = list[tuple[float, float]]


def _used(prepared: Prepared, part: Segment, from_s: float) -> Used:
    minutes, dry = prepared.minutes, prepared.dry
    return [(minutes[i].at_s, v) for i in range(part.first, part.last)
            if minutes[i].at_s >= from_s and (v := dry[i]) is not None]  # fmt: skip


def _edge(prepared: Prepared, part: Segment, *, last: bool) -> Used:
    """The usable minutes at one end of a segment, few of them."""
    span = range(part.last - 1, part.first - 1, -1) if last else range(part.first, part.last)
    found: Used = []
    for i in span:
        value = prepared.dry[i]
        if value is not None and Flag.FLUSH not in prepared.flags[i]:
            found.append((prepared.minutes[i].at_s, value))
        if len(found) == _AROUND:
            break
    return found[::-1] if last else found


def _air(prepared: Prepared, parts: Sequence[Segment], place: int, at_s: float) -> tuple[float | None, float]:
    """Air at the time of a visit, the line between what was read last before and first after it; how sure that is."""
    ends = []
    for span, last in ((range(place - 1, -1, -1), True), (range(place + 1, len(parts)), False)):
        near = next((i for i in span if parts[i].source == AIR), None)
        found = _edge(prepared, parts[near], last=last) if near is not None else []
        if found:
            middle = math.fsum(t for t, _ in found) / len(found)
            if abs(middle - at_s) <= _AROUND_S:
                values = [v for _, v in found]
                sd = statistics.stdev(values) if len(values) > 1 else 0.0
                ends.append((middle, math.fsum(values) / len(values), sd))
    if len(ends) < 2:
        return (ends[0][1], ends[0][2]) if ends else (None, 0.0)
    (t0, a, sd_a), (t1, b, sd_b) = ends
    return a + (b - a) * (at_s - t0) / (t1 - t0), 0.5 * math.hypot(b - a, sd_a, sd_b)


def _visit(tank: Tank, start: float, used: Used, before: float | None, air: tuple[float | None, float]) -> Visit[Tank]:
    times, values = [t for t, _ in used], [v for _, v in used]
    n = len(values)
    mean = math.fsum(values) / n
    sd = statistics.stdev(values) if n > 1 else 0.0
    slope = statistics.linear_regression(times, values).slope * 60.0 if n > 1 else 0.0
    tail = values[0] - math.fsum(values[1:]) / (n - 1) if n > 1 else 0.0
    at_s = math.fsum(times) / n
    return Visit(tank, start, times[0], times[-1], at_s, mean, sd, n, slope, tail, before, *air)


def minute_noise(found: Sequence[Visit[Tank]]) -> float:
    """Standard deviation of one minute on a steady gas: from the median variance of the visits, 0 where unknown."""
    long = [one for one in found if one.n >= 3]
    if not long:
        return 0.0
    return math.sqrt(statistics.median(one.sd**2 * (one.n - 1) / chi_square_quantile(0.5, one.n - 1) for one in long))


def judged(found: Sequence[Visit[Tank]], noise: float, rules: Rules) -> list[Visit[Tank]]:
    """Visits with the standard uncertainty of their means, and with their trouble where they are not steady."""
    return [
        replace(one, u=noise / math.sqrt(one.n), trouble=_trouble(one, noise, rules.at(one.start_s))) for one in found
    ]


def _trouble(one: Visit[Tank], noise: float, settings: Settings) -> str:
    if one.n < settings.visit_minutes:
        return f"{one.n} usable minutes of {settings.visit_minutes}"
    stability = settings.stability if settings.stability is not None else _UNSTEADY * noise
    if one.sd > stability > 0.0:
        return f"sd {one.sd:.3g} above {stability:.3g}"
    if settings.visit_slope is not None and abs(one.slope_per_min) > settings.visit_slope:
        return f"slope {one.slope_per_min:.3g} per minute above {settings.visit_slope:g}"
    return ""
