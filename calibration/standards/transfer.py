"""Transfer of a scale: an unknown cylinder is assigned a value by one that reads it beside three or more known ones.

The line of assigned values on mean readings has errors in both (York 2004); its value at the unknown's reading is
propagated numerically to every reading and to every source of the known values (JCGM 100:2008, 5.1.3 note 2), so what
the known ones share, such as a common primary, counts once, and the new value goes on naming it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from calibration.fit.polynomial import Pair, PolynomialFit, fit
from calibration.models.response import birge
from calibration.standards.value import Parts
from calibration.standards.visits import Means, Visit, means
from metrology.budget import Budget, Term

KNOWN_MIN: Final = 3
# A known cylinder that lies so many standard uncertainties off the line is named as doubtful.
_OFF: Final = 3.0
READINGS: Final = "readings of the analyzer"
DISAGREEMENT: Final = "standards disagree beyond their uncertainties"


class TransferError(ValueError):
    """Visits that assign nothing, and why."""


class Known(NamedTuple):
    """Assigned value of a cylinder and what its uncertainty is made of, by source (signed)."""

    value: float
    parts: Parts


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a run says an unknown is worth, in the unit of the known ones.

    `shares` are the contributions of the known ones' sources, signed; `u_readings` is what the analyzer adds, its
    repeatability, drift and the disagreement of the standards. `residuals`: assigned value of each known cylinder minus
    the line; `doubts` for the person who accepts.
    """

    value: float
    shares: Mapping[str, float]
    u_readings: float
    budget: Budget
    intercept: float
    slope: float
    residuals: Mapping[str, float]
    chi_square: float
    dof: int
    bracket: str | None
    doubts: tuple[str, ...]

    @property
    def u(self) -> float:
        """Combined standard uncertainty."""
        return math.hypot(self.u_readings, *self.shares.values())


def assign(visits: Sequence[Visit], known: Mapping[str, Known], unknown: str) -> Assignment:
    """Value and budget of `unknown` from its visits and those of the known cylinders. Raises TransferError."""
    used = [one for one in visits if one.cylinder in known or one.cylinder == unknown]
    standards = [name for name in dict.fromkeys(one.cylinder for one in used) if name != unknown]
    if not any(one.cylinder == unknown for one in used):
        raise TransferError(f"{unknown} was not read")
    if len(standards) < KNOWN_MIN:
        raise TransferError(f"{len(standards)} known cylinders were read beside {unknown}; {KNOWN_MIN} are needed")
    line = _Line(means(used), {name: known[name] for name in standards}, unknown)
    best = line.fitted(line.found.readings(), {})
    by_reading = [line.off_reading(place) for place in range(len(line.found.visits))]
    sources = dict.fromkeys(source for name in standards for source in known[name].parts)
    shares = {source: line.off_source(source) for source in sources}
    x = line.found.mean(unknown, line.found.readings())
    more = math.sqrt(birge(best.chi_square, best.dof) - 1.0) * best.uncertainty(x)
    intercept, slope = best.beta
    return Assignment(
        best.correct(x),
        shares,
        math.hypot(more, *by_reading),
        _budget(math.hypot(*by_reading), more, shares),
        intercept,
        slope,
        dict(zip(standards, best.residuals, strict=True)),
        best.chi_square,
        best.dof,
        line.found.bracket,
        tuple(_doubts(line, best, unknown)),
    )


def _budget(readings: float, disagreement: float, shares: Mapping[str, float]) -> Budget:
    terms = [Term(READINGS, readings, "independent", "spread of the readings and of repeated visits")]
    if disagreement:
        terms.append(Term(DISAGREEMENT, disagreement, "common", "Birge's ratio"))
    return Budget((*terms, *(Term(source, abs(share), "common", "register") for source, share in shares.items())))


@dataclass(frozen=True, slots=True)
class _Line:
    found: Means
    known: Mapping[str, Known]
    unknown: str

    def fitted(self, readings: Sequence[float], off: Mapping[str, float]) -> PolynomialFit:
        """The line for given readings, and sources that are `off` by so many standard uncertainties."""
        return fit([self.pair(name, readings, off) for name in self.known], 1)

    def pair(self, name: str, readings: Sequence[float], off: Mapping[str, float]) -> Pair:
        one = self.known[name]
        y = one.value + math.fsum(one.parts.get(source, 0.0) * step for source, step in off.items())
        u_x, u_y = self.found.u_mean(name), math.hypot(*one.parts.values())
        # Where neither is known the line needs a weight: equal ones.
        return Pair(self.found.mean(name, readings), y, u_x, u_y if u_x + u_y > 0.0 else 1e-9 * max(1.0, abs(y)))

    def value(self, readings: Sequence[float], off: Mapping[str, float]) -> float:
        """What the line gives the unknown."""
        return self.fitted(readings, off).correct(self.found.mean(self.unknown, readings))

    def off_reading(self, place: int) -> float:
        """Contribution of one reading: half the difference between one standard uncertainty up and down."""
        u = self.found.u()[place]
        if not u:
            return 0.0
        ends = []
        for step in (u, -u):
            readings = self.found.readings()
            readings[place] += step
            ends.append(self.value(readings, {}))
        return 0.5 * (ends[0] - ends[1])

    def off_source(self, source: str) -> float:
        """Contribution of one source of the known values, likewise, signed."""
        readings = self.found.readings()
        return 0.5 * (self.value(readings, {source: 1.0}) - self.value(readings, {source: -1.0}))


def _doubts(line: _Line, best: PolynomialFit, unknown: str) -> list[str]:
    """What a person should know before accepting."""
    doubts = []
    readings = line.found.readings()
    x = line.found.mean(unknown, readings)
    pairs = {name: line.pair(name, readings, {}) for name in line.known}
    low, high = min(one.x for one in pairs.values()), max(one.x for one in pairs.values())
    if not low <= x <= high:
        doubts.append(f"{unknown} reads {x:.6g}, outside the known cylinders ({low:.6g} to {high:.6g})")
    for (name, pair), residual in zip(pairs.items(), best.residuals, strict=True):
        u = math.hypot(pair.u_y, best.beta[1] * pair.u_x)
        if abs(residual) > _OFF * u:
            doubts.append(f"{name} lies {residual:+.3g} off the line, {abs(residual) / u:.1f} standard uncertainties")
    if line.found.bracket is None:
        doubts.append("no cylinder was read twice: the drift of the analyzer is in the result")
    if line.found.scatter > 1.0:
        doubts.append(f"repeated visits scatter {math.sqrt(line.found.scatter):.1f} times as much as their readings")
    return doubts
