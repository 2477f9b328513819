"""What happened to the rows of recorded files: counts, and the first of everything that was refused."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from metrology.quality import Cause
from metrology.recorded import Refused, Row

FINDINGS_MAX: Final = 20
# A row of a valve between two ports is left out, but is no mistake of the file.
_DROPPED: Final = "between-ports"


@dataclass(slots=True)
class Summary:
    """Counts of one run. `rows` are those that came in, repeats not among them; `values` those that counted.

    `expired` counts peaks of cylinders after the end of their certificates; the chain has a finding of its own.
    """

    files: int = 0
    rows: int = 0
    repeated: int = 0
    stale: int = 0
    values: int = 0
    late: int = 0
    plateaus: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, Refused]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    expired: Counter[str] = field(default_factory=Counter)

    def refuse(self, file: str, one: Refused) -> None:
        """Count a line or a cell that was refused; the first ones are kept with their places."""
        self.refused[one.why] += 1
        if one.why != _DROPPED and len(self.findings) < FINDINGS_MAX:
            self.findings.append((file, one))

    def take(self, row: Row) -> None:
        """Count a row after all marks were set."""
        self.rows += 1
        self.stale += len(row.repeated)
        for sample in row.samples:
            cause = Cause.CALIBRATION if row.gas else sample.cause
            if cause is not None:
                self.causes[str(cause)] += 1
            elif sample.value is not None:
                self.values += 1

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "files": self.files, "rows": self.rows, "repeated": self.repeated, "stale": self.stale,
            "values": self.values, "late": self.late, "plateaus": self.plateaus,
            "refused": dict(sorted(self.refused.items())), "not_counted": dict(sorted(self.causes.items())),
            "findings": [
                {"file": file, "line": one.line, "why": one.why, "detail": one.detail} for file, one in self.findings
            ],
            "empty": self.empty,
            "calibration": self.calibration,
            "expired": dict(sorted(self.expired.items())),
        }  # fmt: skip
