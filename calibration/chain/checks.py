"""Target gas through the same path as air: as found, by what was known before it, and with all calibrations."""

import math
import statistics
from collections.abc import Sequence
from typing import Final

from calibration.chain.data import Check, Tank, Target
from calibration.chain.path import Path
from calibration.chain.periods import Budgeting
from calibration.chain.visits import Visit
from calibration.fit.student import chi_square_quantile
from calibration.models.rules import Rules
from metrology.budget import Term

_EXCESS_MIN: Final = 6
_SURE: Final = 0.99


def checks(visits: Sequence[Visit[Tank]], path: Path, budgeting: Budgeting, rules: Rules) -> list[Check]:
    """Every usable visit of a target that the path gives a value."""
    found = []
    for one in visits:
        tank = one.tank
        if isinstance(tank, Target) and tank.assigned is not None and not one.trouble:
            value, x, _, _ = path.apply(one.at_s, one.mean)
            if value is not None and x is not None:
                budget = budgeting.budget([one.at_s], one.n, x, value, (one.mean, 0.0)).plus(
                    Term("assigned value of the target", tank.assigned.uncertainty, "common", "certificate")
                )
                limit = rules.at(one.at_s).target_limit
                found.append(Check(one.at_s, tank, value, value - tank.assigned.value, limit, budget))
    return found


def unexplained(found: Sequence[Check]) -> list[Term]:
    """What the target's values scatter beyond their budgets, where that is sure; common terms do not scatter."""
    tracks: dict[str, list[Check]] = {}
    for one in found:
        if one.passed:
            tracks.setdefault(one.tank.label, []).append(one)
    terms = []
    for label, track in tracks.items():
        if len(track) >= _EXCESS_MIN:
            seen = statistics.variance(one.bias for one in track)
            parts = [one.budget.uncertainty for one in track]
            expected = math.fsum(u.independent**2 + u.slow**2 for u in parts) / len(parts)
            n = len(track) - 1
            if seen * n > expected * chi_square_quantile(_SURE, n):
                terms.append(Term(f"reproducibility of {label}", math.sqrt(seen - expected), "slow", "target checks"))
    return [max(terms, key=lambda one: one.u)] if terms else []
