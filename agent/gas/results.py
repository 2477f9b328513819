"""What comes of a run, as records: points as they are found, then drift, coefficients and the target gas's word."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent.config import Instrument
from agent.gas.outcome import Purpose
from agent.qa.policy import policy_of
from agent.store.log import Log
from agent.values.intake import Intake, Range
from calibration.check import standard_check
from calibration.correction import Coefficients
from calibration.drift import drift
from calibration.evaluate import FitError, Point, SpanPoint, TargetPoint, TwoPoint, ZeroPoint, doubts, two_point
from calibration.qa.rules import Judgement
from calibration.sequence import Injection, Sequence
from metrology.clock import Clock
from metrology.periods import iso


@dataclass(frozen=True, slots=True)
class Taken:
    """An injection as it was carried out: when its port was opened, and between which instants readings counted."""

    injection: Injection
    opened: datetime
    began: datetime
    until: datetime


class Results:
    """The records of one run. A regulated instrument gets drift records and no coefficients (design, section 13.1).

    A standard check gets its own records, and never coefficients, whatever the instrument is.
    """

    def __init__(
        self,
        run: str,
        purpose: Purpose,
        sequence: Sequence,
        instrument: Instrument,
        ranges: Mapping[str, Range],
        intake: Intake,
        log: Log,
        clock: Clock,
    ) -> None:
        self.run = run
        self.purpose = purpose
        self._sequence = sequence
        self._instrument = instrument
        self._policy = policy_of(instrument)
        self._ranges = ranges
        self._intake = intake
        self._log = log
        self._clock = clock
        self._points: list[Point] = []
        self._taken: list[Taken] = []
        # Series whose gas gave no result, and why.
        self.unusable: dict[str, str] = {}

    async def record(self, what: str, **members: Any) -> None:
        """Append a calibration record of this run and wait for its commit."""
        await self._log.append("calibration", self._fields(what, members))

    def aborted(self, reason: str) -> None:
        """Post that the run ended early, without waiting: the station may be stopping."""
        self._log.post("calibration", self._fields("run-aborted", {"reason": reason}))
        self._log.post("event", {"what": "calibration-aborted", "origin": f"run:{self.run}", "reason": reason})

    def not_home(self, reason: str) -> None:
        """Post the alarm that the inlet may still be on gas."""
        self._log.post("event", {"what": "valve-not-safe", "origin": f"run:{self.run}", "reason": reason})

    def _fields(self, what: str, members: Mapping[str, Any]) -> dict[str, Any]:
        head = {"run": self.run, "sequence": self._sequence.name, "instrument": self._sequence.instrument}
        return {"what": what, **head, **members}

    async def add(self, found: Point, taken: Taken) -> None:
        """Record a point."""
        self._points.append(found)
        self._taken.append(taken)
        if not found.stable:
            self.unusable.setdefault(self._series(found), _why_unusable(found))
        await self.record("point", **self._point_fields(found), **{"from": iso(taken.began), "to": iso(taken.until)})

    def _series(self, found: Point) -> str:
        return f"{self._sequence.instrument}.{found.measurand}"

    def _point_fields(self, found: Point) -> dict[str, Any]:
        return {
            "series": self._series(found),
            "role": found.role,
            "gas": found.cylinder,
            "n": found.window.n,
            "mean": found.window.mean,
            "sd": found.window.sd,
            "slope_per_min": found.window.slope_per_min,
            "stdev_max": found.stdev_max,
            "stable": found.stable,
            "assigned": found.assigned.value,
            "uncertainty": found.assigned.uncertainty,
            "scale": found.assigned.scale,
            "unit": found.assigned.unit,
        }

    def _full_scale(self, series: str) -> float:
        low, high = self._ranges[series]
        return high - low

    async def conclude(self) -> None:
        """Record what the points say, then that the run is complete."""
        adopted: list[str] = []
        refused: dict[str, str] = {}
        if self.purpose == "check":
            for found, taken in zip(self._points, self._taken, strict=True):
                await self._record_check(found, taken)
        else:
            adopted, refused = await self._calibrated()
        await self.record("run-finished", adopted=adopted, refused=refused, unusable=self.unusable)
        if refused:
            event = {"what": "coefficients-refused", "origin": f"run:{self.run}", "series": refused}
            await self._log.append("event", event)

    async def _calibrated(self) -> tuple[list[str], dict[str, str]]:
        """As-found drift first, then coefficients, then what the target gas says of them."""
        for found in self._points:
            if isinstance(found, ZeroPoint | SpanPoint):
                await self._record_drift(found)
        adopted: list[str] = []
        refused: dict[str, str] = {}
        if self._instrument.kind == "research":
            for series in dict.fromkeys(self._series(found) for found in self._points):
                try:
                    adopted += await self._adopt(series)
                except FitError as error:
                    refused[series] = str(error)
                    if {"zero", "span"} <= {one.role for one in self._points if self._series(one) == series}:
                        self.unusable.setdefault(series, str(error))
        for found in self._points:
            if isinstance(found, TargetPoint):
                await self._record_target(found)
        return adopted, refused

    async def _record_drift(self, found: ZeroPoint | SpanPoint) -> None:
        if found.window.mean is None:
            return
        series = self._series(found)
        coefficients = self._intake.coefficients.get(series)
        corrected = coefficients.correct(found.reading) if coefficients else found.reading
        result = drift(found, self._full_scale(series), self._policy, corrected)
        await self.record(
            "drift",
            series=series,
            role=result.role,
            gas=found.cylinder,
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

    async def _adopt(self, series: str) -> list[str]:
        """Put a series' new coefficients in force; gives their ids. Raises FitError where they must not be."""
        zeros = [one for one in self._points if isinstance(one, ZeroPoint) and self._series(one) == series]
        spans = [one for one in self._points if isinstance(one, SpanPoint) and self._series(one) == series]
        if not zeros and not spans:
            return []
        if not zeros or not spans:
            raise FitError("two points are needed, a zero and a span gas")
        fit = two_point(zeros[-1], spans[-1])
        if found := doubts(fit, self._full_scale(series)):
            raise FitError("; ".join(found))
        return [await self._put_in_force(series, fit)]

    async def _put_in_force(self, series: str, fit: TwoPoint) -> str:
        previous = self._intake.coefficients.get(series)
        new = Coefficients(f"{self.run}.{series}", series, fit.zero, fit.slope, self._clock.now())
        await self.record(
            "coefficients",
            id=new.id,
            series=series,
            zero=new.zero,
            slope=new.slope,
            replaces=previous.id if previous else None,
            **{"from": iso(new.valid_from)},
        )
        self._intake.coefficients[series] = replace(new, previous=previous)
        return new.id

    async def _record_check(self, found: Point, taken: Taken) -> None:
        """What the station would have reported of the gas, beside its certificate."""
        if found.window.mean is None:
            return
        series = self._series(found)
        coefficients = self._intake.coefficients.get(series)
        reading = coefficients.correct(found.reading) if coefficients else found.reading
        full_scale = self._full_scale(series)
        configured = taken.injection.check_limit.get(found.measurand)
        result = standard_check(found, reading, full_scale, configured, self._policy)
        await self.record(
            "standard-check",
            series=series,
            role=found.role,
            gas=found.cylinder,
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

    async def _record_target(self, found: TargetPoint) -> None:
        if found.window.mean is None:
            return
        series = self._series(found)
        coefficients = self._intake.coefficients.get(series)
        corrected = coefficients.correct(found.reading) if coefficients else found.reading
        full_scale, assigned = self._full_scale(series), found.assigned
        rules = self._policy.judgement(found.measurand, "target", full_scale, assigned.value, assigned.unit)
        await self.record(
            "target",
            series=series,
            gas=found.cylinder,
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


def _why_unusable(found: Point) -> str:
    if found.window.mean is None:
        return f"{found.role} gas {found.cylinder}: no usable reading"
    return f"{found.role} gas {found.cylinder}: unstable, sd {found.window.sd} of {found.window.n} readings"
