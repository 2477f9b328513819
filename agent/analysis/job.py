"""What is made again, what its result is called, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metrology.layers import layer_of
from metrology.periods import parse_iso

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What is made again; `layered` are the series of it that are regulated."""

    name: str
    series: tuple[str, ...]
    start: datetime
    end: datetime
    layered: frozenset[str] = frozenset()

    def out(self, series: str) -> str:
        """The series its result is written under."""
        return layer_of(series) if series in self.layered else series


def job_of(fields: Fields) -> Job:
    """The job of a `recompute` record."""
    series = tuple(fields["series"])
    layered = frozenset(series if fields.get("layer") else ())
    return Job(fields["id"], series, parse_iso(fields["from"]), parse_iso(fields["to"]), layered)


@dataclass(slots=True)
class Tally:
    """What came of it: records by period, and of each series the rows that changed and the largest change of a mean."""

    records: dict[int, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As it is told and recorded."""
        return {
            "records": {str(period): count for period, count in sorted(self.records.items())},
            "rows": dict(sorted(self.rows.items())),
            "largest": dict(sorted(self.largest.items())),
        }
