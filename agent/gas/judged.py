"""Checks with gas as records: drift as found, standard checks, and what a target gas says of the coefficients."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.config import Instrument
from agent.gas.readings import Settled
from agent.qa.policy import policy_of
from agent.values.intake import Intake, Range
from calibration.check import standard_check
from calibration.correction import Coefficients
from calibration.drift import drift
from calibration.evaluate import Point, SpanPoint, TargetPoint, ZeroPoint
from calibration.qa.rules import Judgement
from calibration.sequence import Collect, Path, Sequence
from metrology.periods import iso

Record = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Taken:
    """A collection as carried out: when its port was opened, when readings counted, and how it had settled."""

    step: Collect
    opened: datetime
    began: datetime
    until: datetime
    settled: Settled


class Judged:
    """Of one run; `record` writes a record of it, awaited until its commit."""

    def __init__(
        self, record: Record, sequence: Sequence, instrument: Instrument, ranges: Mapping[str, Range], intake: Intake
    ) -> None:
        self._record = record
        self._instrument = sequence.instrument
        self._path: Path | None = sequence.path
        self._policy = policy_of(instrument)
        self._ranges = ranges
        self._intake = intake

    def series(self, found: Point) -> str:
        """The series of a point."""
        return f"{self._instrument}.{found.measurand}"

    def full_scale(self, series: str) -> float:
        """Width of the declared range, in the unit of the series."""
        low, high = self._ranges[series]
        return high - low

    def _reported(self, found: Point) -> tuple[float, Coefficients | None]:
        """What the station would report of a reading now, and by which coefficients."""
        coefficients = self._intake.coefficients.get(self.series(found))
        return (coefficients.correct(found.reading) if coefficients else found.reading), coefficients

    async def drift(self, found: ZeroPoint | SpanPoint) -> None:
        """As found, before anything is adopted."""
        if found.window.mean is None:
            return
        series = self.series(found)
        corrected, _ = self._reported(found)
        result = drift(found, self.full_scale(series), self._policy, corrected)
        await self._record(
            "drift",
            series=series,
            role=result.role,
            gas=found.cylinder,
            path=self._path,
            reading=result.reading,
            corrected=corrected,
            assigned=result.assigned,
            span=result.full_scale,
            drift_percent=result.percent,
            unit=found.assigned.unit,
            stable=found.stable,
            verdict=result.verdict,
            limit_percent=result.limit_percent,
            limit_verified=bool(result.rules and result.rules.verified),
            **_rules(result.rules),
        )

    async def check(self, found: Point, taken: Taken) -> None:
        """What the station would have reported of the gas, beside its certificate."""
        if found.window.mean is None:
            return
        series = self.series(found)
        reading, coefficients = self._reported(found)
        full_scale = self.full_scale(series)
        configured = taken.step.injection.check_limit.get(found.measurand)
        result = standard_check(found, reading, full_scale, configured, self._policy)
        await self._record(
            "standard-check",
            series=series,
            role=found.role,
            gas=found.cylinder,
            path=self._path,
            start=iso(taken.opened),
            reading=reading,
            indication=found.reading,
            calibration=coefficients.id if coefficients else None,
            assigned=result.assigned,
            deviation=result.deviation,
            unit=found.assigned.unit,
            span=full_scale,
            limit=result.limit,
            limit_source=result.rules.source,
            limit_verified=result.rules.verified,
            stable=result.stable,
            passed=result.passed,
            **_rules(result.rules),
        )

    async def target(self, found: TargetPoint) -> None:
        """What the coefficients now in force make of a known gas that had no part in them."""
        if found.window.mean is None:
            return
        series = self.series(found)
        corrected, coefficients = self._reported(found)
        full_scale, assigned = self.full_scale(series), found.assigned
        rules = self._policy.judgement(found.measurand, "target", full_scale, assigned.value, assigned.unit)
        await self._record(
            "target",
            series=series,
            gas=found.cylinder,
            path=self._path,
            reading=found.reading,
            corrected=corrected,
            assigned=assigned.value,
            deviation=corrected - assigned.value,
            unit=assigned.unit,
            span=full_scale,
            stable=found.stable,
            calibration=coefficients.id if coefficients else None,
            verdict=rules.verdict(corrected - assigned.value) if rules else "unjudged",
            **_rules(rules),
        )


def _rules(rules: Judgement | None) -> dict[str, Any]:
    """The limits a check was judged by, for its record."""
    return {"rules": rules.fields()} if rules else {}
