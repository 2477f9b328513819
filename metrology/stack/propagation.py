"""Propagation of uncertainty through any of the pure functions (JCGM 100:2008, clauses 5.1.2 and 5.1.3)."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from metrology.budget import Budget, Term, TimeBehaviour

# Step of the central difference as a part of the input (or of its uncertainty, where that is the larger): the
# truncation error of a smooth function is then about 1e-10 of its slope, far above rounding.
STEP: Final = 1e-5

Model = Callable[[Mapping[str, float]], float]


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a model: its value, and its standard uncertainties (k = 1) in the unit of the value."""

    value: float
    terms: tuple[Term, ...] = ()


def sensitivity(model: Model, values: Mapping[str, float], name: str, scale: float = 0.0) -> float:
    """Partial derivative of the model by one input, by a central difference of relative step `STEP`.

    `scale` sets the step where the input itself is zero.
    """
    step = STEP * max(abs(values[name]), scale) or STEP
    up, down = values[name] + step, values[name] - step
    return (model({**values, name: up}) - model({**values, name: down})) / (up - down)


def propagate(model: Model, inputs: Mapping[str, Input], common_causes: Collection[str] = ()) -> tuple[float, Budget]:
    """Value of a model and its budget: one term for each uncertainty of each input, `input: term`.

    Inputs are uncorrelated but for what `common_causes` names: terms of one such name are one cause, whose
    contributions by all inputs add with their signs before the quadrature (the same span gas in two analyzers).
    """
    values = {name: one.value for name, one in inputs.items()}
    single: list[Term] = []
    shared: dict[str, list[tuple[float, Term]]] = {}
    for name, one in inputs.items():
        slope = sensitivity(model, values, name, math.hypot(*(term.u for term in one.terms))) if one.terms else 0.0
        for term in one.terms:
            if term.name in common_causes:
                shared.setdefault(term.name, []).append((slope * term.u, term))
            else:
                single.append(_term(f"{name}: {term.name}", slope * term.u, term))
    joined = [_term(name, math.fsum(u for u, _ in parts), parts[0][1]) for name, parts in shared.items()]
    return model(values), Budget((*single, *joined))


def _term(name: str, signed: float, source: Term) -> Term:
    return Term(name, abs(signed), source.over_time, source.source, source.verified)


def relative(value: float, percent: float, name: str, over_time: TimeBehaviour, source: str, verified: bool) -> Term:
    """A term given as a percentage of the value."""
    return Term(name, abs(value) * percent / 100.0, over_time, source, verified)
