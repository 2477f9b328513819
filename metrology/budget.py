"""The uncertainty budget of one value: standard uncertainties (k = 1) by term, and how each behaves over time.

Terms are contributions, already multiplied by their sensitivity, in the unit of the value; they are taken as
uncorrelated and add in quadrature (JCGM 100:2008, clause 5.1). What is common to several terms is one term.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from metrology.reading import Uncertainty

# Over a mean of n values an independent term shrinks with the root of n, a slow one over its own time scale (days to
# weeks), a common one not at all.
TimeBehaviour = Literal["independent", "slow", "common"]


@dataclass(frozen=True, slots=True)
class Term:
    """One contribution; `source` says where its size is from, `verified` whether that was seen in the source."""

    name: str
    u: float
    over_time: TimeBehaviour
    source: str
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Budget:
    """All terms of one value."""

    terms: tuple[Term, ...] = ()

    @property
    def total(self) -> float:
        """Combined standard uncertainty."""
        return _quadrature(term.u for term in self.terms)

    @property
    def uncertainty(self) -> Uncertainty:
        """The parts by their behaviour over time."""
        return Uncertainty(self._of("independent"), self._of("slow"), self._of("common"))

    def _of(self, behaviour: TimeBehaviour) -> float:
        return _quadrature(term.u for term in self.terms if term.over_time == behaviour)

    def by_weight(self) -> list[tuple[Term, float]]:
        """Terms with their share of the variance (0 to 1), the heaviest first."""
        variance = self.total**2
        shares = [(term, term.u**2 / variance if variance else 0.0) for term in self.terms]
        return sorted(shares, key=lambda pair: -pair[1])

    def plus(self, *terms: Term) -> "Budget":
        """This budget with further terms."""
        return Budget(self.terms + terms)

    def scaled(self, factor: float) -> "Budget":
        """The budget of `factor` times the value, `factor` being exact."""
        return Budget(tuple(Term(t.name, abs(factor) * t.u, t.over_time, t.source, t.verified) for t in self.terms))


def _quadrature(parts: Iterable[float]) -> float:
    return math.hypot(*parts)
