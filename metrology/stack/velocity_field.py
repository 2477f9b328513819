"""The velocity-field coefficient Kv: what turns the velocity at a probe into the mean over the section.

It is a filed parameter of a regulated stack: a named person determines and files it with authority and reason, and it
holds forward only (design, section 13.1). Its history is data, so that any hour finds the coefficient it was made with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from metrology.budget import Term

# Where a determination was made: uncertainty it may claim, percent. Both are expanded figures of the national
# comparison facility for stack flow and of the target for comparisons on site; k = 2 is assumed (unverified).
REFERENCE_PERCENT: Final = {"national-facility": 0.6, "on-site": 5.0}
COVERAGE: Final = 2.0
# Greatest scatter of the pairs of a comparison, percent (HJ 75-2017, precision of the velocity: unverified).
PRECISION_PERCENT_MAX: Final = 5.0


class FilingError(ValueError):
    """A filing that may not be made. `code`: `person`, `value`, `back-dated` or `order`."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True, slots=True)
class VelocityCoefficient:
    """One filed value. `repeatability` is the standard uncertainty of the determination itself, as Kv.

    `reference` is a key of REFERENCE_PERCENT: where the reference velocity came from. Times are aware UTC.
    """

    id: str
    value: float
    repeatability: float
    reference: str
    determined: datetime
    filed: datetime
    valid_from: datetime
    filed_by: str
    authority: str
    reason: str

    def terms(self) -> tuple[Term, ...]:
        """Its uncertainty as Kv: the scatter of this determination, and what every one at this reference shares.

        Both stay as they are while the coefficient is in force; the first bears its id, for the next one has its own.
        """
        u = self.value * REFERENCE_PERCENT[self.reference] / 100.0 / COVERAGE
        own = f"determination {self.id}"
        return (
            Term(own, self.repeatability, "common", f"filed by {self.filed_by}: {self.reason}"),
            Term("reference velocity", u, "common", f"{self.reference}, k = {COVERAGE:g}", verified=False),
        )


@dataclass(frozen=True, slots=True)
class History:
    """All coefficients of one stack, in the order of their validity."""

    coefficients: tuple[VelocityCoefficient, ...] = ()

    def at(self, instant: datetime) -> VelocityCoefficient | None:
        """The coefficient in force; None before the first."""
        return next((one for one in reversed(self.coefficients) if one.valid_from <= instant), None)

    def file(self, one: VelocityCoefficient) -> "History":
        """The history with one more. Raises FilingError for a filing without a person, or that reaches back."""
        if not (one.filed_by.strip() and one.authority.strip() and one.reason.strip()):
            raise FilingError("person", "a filing names who files it, by what authority and why")
        if one.reference not in REFERENCE_PERCENT or not 0.0 < one.value < 10.0 or one.repeatability < 0.0:
            raise FilingError("value", "Kv is a positive number with an uncertainty and a known reference")
        if one.valid_from < one.filed:
            raise FilingError("back-dated", "a coefficient holds from its filing on, never before it")
        if self.coefficients and one.valid_from <= self.coefficients[-1].valid_from:
            raise FilingError("order", "the last coefficient begins later")
        return History((*self.coefficients, one))


@dataclass(frozen=True, slots=True)
class Determination:
    """Kv from pairs of velocities: mean, standard uncertainty of the mean, and the scatter in percent."""

    value: float
    u: float
    relative_sd_percent: float
    pairs: int


def determine(reference_m_s: Sequence[float], probe_m_s: Sequence[float]) -> Determination:
    """Kv of a comparison: the mean of reference over probe, pair by pair (HJ 75-2017, velocity field coefficient).

    The scatter of daily values, `relative_sd_percent`, is what the velocity's precision is judged by
    (`PRECISION_PERCENT_MAX`). Raises ValueError for fewer than two pairs, unequal lengths or a velocity that is not
    positive.
    """
    if len(reference_m_s) != len(probe_m_s) or len(probe_m_s) < 2 or min(*reference_m_s, *probe_m_s) <= 0.0:
        raise ValueError("at least two pairs of positive velocities")
    ratios = [reference / probe for reference, probe in zip(reference_m_s, probe_m_s, strict=True)]
    mean = math.fsum(ratios) / len(ratios)
    sd = math.sqrt(math.fsum((ratio - mean) ** 2 for ratio in ratios) / (len(ratios) - 1))
    return Determination(mean, sd / math.sqrt(len(ratios)), 100.0 * sd / mean, len(ratios))
