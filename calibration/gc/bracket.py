"""From peaks to mole fractions: standard, sample, standard, with the response interpolated to the sample's time.

One standard: value = assigned x curve(response of the sample / response of the standard). Two standards: the straight
line through both; three: the parabola through them (NOAA's in-situ GC processing). Several visits of a standard give
its response at the sample's time by a straight line in time, or as the plain mean of the visits before and after.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from calibration.gc.peaks import Doubt, Peak, PeakLimits, doubt, neighbours
from calibration.sequence import Assigned
from metrology.budget import Budget, Term

STANDARDS_MAX: Final = 3
# `before`: only the earlier visit is there, `after`: only the later; a standard without any is missing.
Side = Literal["both", "before", "after"]


@dataclass(frozen=True, slots=True)
class GcRules:
    """How peaks become values. `curve` are the coefficients of assigned-relative value against relative response, from
    degree 0 on (0, 1 is proportional); it holds for a single standard only.
    """

    quantity: Literal["height", "area"] = "height"
    between: Literal["linear", "mean"] = "linear"
    curve: tuple[float, ...] = (0.0, 1.0)
    limits: PeakLimits = field(default_factory=PeakLimits)


@dataclass(frozen=True, slots=True)
class Bracketed:
    """One sample. `value` is in the unit of the standards, None with the reason in `why`.

    `sides` says of each standard used on which sides of the sample it stood; anything but `both` is a flagged value.
    """

    at_s: float
    value: float | None
    budget: Budget
    sides: Mapping[str, Side]
    why: str | None = None

    @property
    def flagged(self) -> bool:
        """True where a standard stood on one side only."""
        return any(side != "both" for side in self.sides.values())


@dataclass(frozen=True, slots=True)
class _Response:
    """Response of one standard at a sample's time; `weight` is the root of the sum of its squared weights."""

    value: float
    weight: float
    side: Side


def bracket(peaks: Sequence[Peak], standards: Mapping[str, Assigned], rules: GcRules) -> list[Bracketed]:
    """Every sample peak (`gas` None) in the order of time.

    Raises ValueError for more than STANDARDS_MAX standards, for different units or scales, for a peak of a standard
    that is not declared, and for two peaks of one gas at one time.
    """
    _check(peaks, standards)
    ordered = sorted(peaks, key=lambda peak: peak.at_s)
    tanks = [peak for peak in ordered if peak.gas is not None]
    doubts = {id(peak): doubt(peak, neighbours(peak, tanks), rules.limits, rules.quantity) for peak in ordered}
    good = [peak for peak in tanks if doubts[id(peak)] is None]
    noise = repeatability(good, rules.quantity)
    return [_bracketed(peak, doubts[id(peak)], good, standards, rules, noise) for peak in ordered if peak.gas is None]


def _check(peaks: Sequence[Peak], standards: Mapping[str, Assigned]) -> None:
    if not 0 < len(standards) <= STANDARDS_MAX:
        raise ValueError(f"{len(standards)} standards: one to {STANDARDS_MAX} can bracket")
    if len({(one.unit, one.scale) for one in standards.values()}) > 1:
        raise ValueError("the standards have different units or scales")
    unknown = {peak.gas for peak in peaks if peak.gas is not None} - set(standards)
    if len({(peak.at_s, peak.gas) for peak in peaks}) < len(peaks):
        raise ValueError("two peaks of one gas at one time")
    if unknown:
        raise ValueError(f"no assigned value for {', '.join(sorted(map(str, unknown)))}")


def repeatability(standards: Sequence[Peak], quantity: Literal["height", "area"]) -> float | None:
    """Relative standard deviation of one injection: how far each standard lies from the line between its neighbours.

    A steady drift drops out. None with fewer than three injections of every standard.
    """
    squares: list[float] = []
    for gas in {peak.gas for peak in standards}:
        visits = [(peak.at_s, math.log(getattr(peak, quantity))) for peak in standards if peak.gas == gas]
        squares += map(_off_line, visits, visits[1:], visits[2:])
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else None


def _off_line(before: tuple[float, float], one: tuple[float, float], after: tuple[float, float]) -> float:
    """Square of the distance from the line between two neighbours, over the variance that noise alone gives it."""
    share = (one[0] - before[0]) / (after[0] - before[0])
    distance = one[1] - (1 - share) * before[1] - share * after[1]
    return distance**2 / (1 + (1 - share) ** 2 + share**2)


def _bracketed(
    sample: Peak,
    failed: Doubt | None,
    good: Sequence[Peak],
    standards: Mapping[str, Assigned],
    rules: GcRules,
    noise: float | None,
) -> Bracketed:
    found = {gas: _response(sample, [peak for peak in good if peak.gas == gas], rules) for gas in standards}
    responses = {gas: one for gas, one in found.items() if one is not None}
    sides: dict[str, Side] = {gas: one.side for gas, one in responses.items()}
    if failed is not None:
        return Bracketed(sample.at_s, None, Budget(), sides, f"peak: {failed}")
    missing = sorted(set(standards) - set(responses))
    # A parabola needs its three standards; a line falls back to the one standard that is left, through zero.
    if not responses or (missing and len(standards) == STANDARDS_MAX):
        return Bracketed(sample.at_s, None, Budget(), sides, f"no response of {', '.join(missing)} in reach")
    if len({one.value for one in responses.values()}) < len(responses):
        return Bracketed(sample.at_s, None, Budget(), sides, "two standards gave the same response")
    curve = rules.curve if len(standards) == 1 else (0.0, 1.0)
    evaluate = _evaluation(list(responses), curve)
    inputs = {"sample": getattr(sample, rules.quantity)}
    for gas, one in responses.items():
        inputs[f"response {gas}"] = one.value
        inputs[f"assigned {gas}"] = standards[gas].value
    budget = _budget(evaluate, inputs, responses, standards, noise)
    return Bracketed(sample.at_s, evaluate(inputs), budget, sides)


def _response(sample: Peak, visits: Sequence[Peak], rules: GcRules) -> _Response | None:
    reach = [one for one in visits if abs(one.at_s - sample.at_s) <= rules.limits.gap_max_s]
    before = [one for one in reach if one.at_s < sample.at_s]
    after = [one for one in reach if one.at_s > sample.at_s]
    if before and after:
        first, last = before[-1], after[0]
        share = 0.5 if rules.between == "mean" else (sample.at_s - first.at_s) / (last.at_s - first.at_s)
        value = (1 - share) * getattr(first, rules.quantity) + share * getattr(last, rules.quantity)
        return _Response(value, math.hypot(1 - share, share), "both")
    if before or after:
        one = before[-1] if before else after[0]
        return _Response(getattr(one, rules.quantity), 1.0, "before" if before else "after")
    return None


Evaluation = Callable[[Mapping[str, float]], float]


def _evaluation(gases: Sequence[str], curve: Sequence[float]) -> Evaluation:
    """The value as a function of all its inputs by name."""

    def one(inputs: Mapping[str, float]) -> float:
        ratio = inputs["sample"] / inputs[f"response {gases[0]}"]
        return inputs[f"assigned {gases[0]}"] * math.fsum(b * ratio**power for power, b in enumerate(curve))

    def several(inputs: Mapping[str, float]) -> float:
        points = [(inputs[f"response {gas}"], inputs[f"assigned {gas}"]) for gas in gases]
        return _through(points, inputs["sample"])

    return one if len(gases) == 1 else several


def _through(points: Sequence[tuple[float, float]], x: float) -> float:
    """The polynomial through all points at x (Lagrange)."""
    return math.fsum(
        py * math.prod((x - qx) / (px - qx) for j, (qx, _) in enumerate(points) if j != i)
        for i, (px, py) in enumerate(points)
    )


def _budget(
    evaluate: Evaluation,
    inputs: Mapping[str, float],
    responses: Mapping[str, _Response],
    standards: Mapping[str, Assigned],
    noise: float | None,
) -> Budget:
    terms = []
    if noise is not None:
        own = _sensitivity(evaluate, inputs, "sample") * noise * inputs["sample"]
        terms.append(Term("repeatability of the sample", abs(own), "independent", "successive standards"))
        for gas, one in responses.items():
            part = _sensitivity(evaluate, inputs, f"response {gas}") * noise * one.value * one.weight
            terms.append(Term(f"response of {gas}", abs(part), "independent", "successive standards"))
    for gas in responses:
        part = _sensitivity(evaluate, inputs, f"assigned {gas}") * standards[gas].uncertainty
        terms.append(Term(f"assigned value of {gas}", abs(part), "common", standards[gas].scale))
    return Budget(tuple(terms))


def _sensitivity(evaluate: Evaluation, inputs: Mapping[str, float], name: str) -> float:
    """Partial derivative by a central difference; the functions are polynomials of low degree in every input."""
    step = max(abs(inputs[name]), 1e-12) * 1e-5
    up, down = ({**inputs, name: inputs[name] + sign * step} for sign in (1, -1))
    return (evaluate(up) - evaluate(down)) / (2 * step)
