"""A standard check: a known gas passes for air, the deviation from its certificate is judged, nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from calibration.drift import limits
from calibration.evaluate import Point
from calibration.sequence import Role

# A target gas lies among the values of air: it is judged as a span gas is.
_LIMIT_ROWS: Final[Mapping[Role, Role]] = {"zero": "zero", "span": "span", "target": "span"}
CONFIGURED: Final = "configuration"


@dataclass(frozen=True, slots=True)
class StandardCheck:
    """One gas and measurand; `limit` is the largest deviation that passes, in the unit of the reading.

    `source` says where the limit is from: the configuration, or a row of the table of limits.
    """

    reading: float
    assigned: float
    limit: float
    source: str
    verified: bool
    stable: bool

    @property
    def deviation(self) -> float:
        """Reading minus certified amount."""
        return self.reading - self.assigned

    @property
    def passed(self) -> bool:
        """True where the gas was read within the limit. An unsteady reading passes nothing (rule of ours)."""
        return self.stable and abs(self.deviation) <= self.limit


def standard_check(found: Point, reading: float, full_scale: float, configured: float | None) -> StandardCheck:
    """Judge the reading of a point, as the station reports it, by the configured limit, else by the table's."""
    if configured is not None:
        return StandardCheck(reading, found.assigned.value, configured, CONFIGURED, verified=True, stable=found.stable)
    row = limits()[_LIMIT_ROWS[found.role]]
    limit = row.pass_percent / 100.0 * full_scale
    return StandardCheck(reading, found.assigned.value, limit, row.source, verified=row.verified, stable=found.stable)
