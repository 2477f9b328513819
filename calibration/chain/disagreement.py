"""A standard whose assigned value the others contradict, found by leaving each out; the target has no say in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calibration.chain.data import Finding, Standard
from calibration.fit.linear import FitError, quadratic_form
from calibration.fit.polynomial import Pair, PolynomialFit, fit, powers
from calibration.fit.student import chi_square_quantile
from calibration.models.response import Response

# Standards contradict each other beyond this quantile of chi-square; without the wrong one they must agree within it,
# and the next best explanation must be worse by this much (three standard uncertainties).
_CONTRADICT: Final = 0.9999
_CLEARLY: Final = 9.0


@dataclass(frozen=True, slots=True)
class _Mean:
    """A standard over all calibrations: what the responses make of it on average, and what was assigned."""

    tank: Standard
    pair: Pair


def disagreement(responses: Sequence[Response], degree: int, unit: str) -> tuple[list[Finding], frozenset[str]]:
    """Findings about the standards of a block, and the labels of those whose assigned value is wrong.

    One at a time, as long as the rest can still contradict each other. Where several could be the wrong one, or too few
    are left to tell, the finding is `standards-disagree` and names those.
    """
    means = _means(responses)
    wrong: set[str] = set()
    findings: list[Finding] = []
    while len(means) > degree + 1:
        chi_square, dof = _chi_square(means, degree)
        if chi_square <= chi_square_quantile(_CONTRADICT, dof):
            break
        suspects = _suspects(means, degree) if dof > 1 else []
        if len(suspects) != 1:
            findings.append(_open(suspects or means, responses, f"chi-square {chi_square:.1f} on {dof}"))
            break
        means = [one for one in means if one is not suspects[0]]
        findings.append(_finding(suspects[0], means, responses, degree, unit))
        wrong.add(suspects[0].tank.label)
    return findings, frozenset(wrong)


def _open(suspects: Sequence[_Mean], responses: Sequence[Response], how_much: str) -> Finding:
    names = ", ".join(one.tank.label for one in suspects)
    text = f"assigned values contradict each other ({how_much}); which of these is wrong, is open"
    return Finding("standards-disagree", names, responses[0].at_s, responses[-1].at_s, text=text)


def _means(responses: Sequence[Response]) -> list[_Mean]:
    """Each calibration maps the readings to amounts by its own curve; their mean over the calibrations remains."""
    rows: dict[str, list[tuple[Standard, float, float]]] = {}
    for response in responses:
        for one in response.points:
            slope = math.fsum(k * b * one.x ** (k - 1) for k, b in enumerate(response.beta) if k)
            rows.setdefault(one.tank.label, []).append((one.tank, response.correct(one.x), slope * one.u_x))
    found = []
    for row in rows.values():
        tank, n = row[0][0], len(row)
        if tank.assigned is not None:
            x = math.fsum(value for _, value, _ in row) / n
            u = math.sqrt(math.fsum(u * u for _, _, u in row)) / n
            found.append(_Mean(tank, Pair(x, tank.assigned.value, u, max(tank.assigned.uncertainty, 1e-9))))
    return found


def _chi_square(means: Sequence[_Mean], degree: int) -> tuple[float, int]:
    found = _fitted(means, degree)
    return (found.chi_square, found.dof) if found else (0.0, 1)


def _fitted(means: Sequence[_Mean], degree: int) -> PolynomialFit | None:
    try:
        return fit([one.pair for one in means], degree)
    except FitError:
        return None


def _suspects(means: Sequence[_Mean], degree: int) -> list[_Mean]:
    """The standards without which the others agree, and none of the rest explains clearly better."""
    left = [(_chi_square([other for other in means if other is not one], degree), one) for one in means]
    best = min(chi_square for (chi_square, _), _ in left)
    return [one for (chi_square, dof), one in left
            if chi_square <= chi_square_quantile(_CONTRADICT, dof) and chi_square - best <= _CLEARLY]  # fmt: skip


def _finding(worst: _Mean, rest: Sequence[_Mean], responses: Sequence[Response], degree: int, unit: str) -> Finding:
    found = _fitted(rest, degree)
    x, y, u_x, u_y = worst.pair
    fitted = found.correct(x) if found else math.nan
    variance = quadratic_form(found.covariance, powers(x, degree + 1)) if found else 0.0
    u = math.sqrt(u_y**2 + u_x**2 + variance)
    text = f"assigned {y:.4f}, by the other standards {fitted:.4f}, in {len(responses)} calibrations"
    first, last = responses[0].at_s, responses[-1].at_s
    return Finding("wrong-assigned-value", worst.tank.label, first, last, y - fitted, 1.96 * u, unit, text)
