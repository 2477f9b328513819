"""What comes of a run, as records: points as they are found, then drift, coefficients and the target gas's word."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agent.config import Instrument
from agent.gas.judged import Judged, Taken
from agent.gas.outcome import Purpose
from agent.gas.readings import Settled, usable
from agent.store.log import Log
from agent.values.intake import Intake, Range
from calibration.correction import Coefficients, brought, expired_among, of_curve
from calibration.density import AtDensity
from calibration.evaluate import FitError, Point, SpanPoint, TargetPoint, UnknownPoint, ZeroPoint, doubts, two_point
from calibration.response import curve, doubts_of, is_curve
from calibration.sequence import Sequence
from metrology.clock import Clock
from metrology.periods import iso, parse_iso
from metrology.reading import Reading, Scan

__all__ = ["Results", "Taken"]


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
        self.sequence = sequence
        self._research = instrument.kind == "research"
        self._density = instrument.density
        self._intake = intake
        self._log = log
        self._clock = clock
        self._judged = Judged(self.record, sequence, instrument, ranges, intake)
        self._points: list[Point] = []
        self._taken: list[Taken] = []
        self._recovery: Settled | None = None
        # Why the gas line leaks, where that only marks the points.
        self.leaking: list[str] = []
        # Series whose gas gave no result, and why.
        self.unusable: dict[str, str] = {}

    def usable(self, scan: Scan) -> Iterator[Reading]:
        """Usable readings of a scan, at the density that coefficients of this run will hold for.

        A check looks at what is reported: at the density of the coefficients in force.
        """
        for reading in usable(scan):
            density = self._declared(reading) if self.purpose == "calibration" else self._in_force(reading.series)
            value = brought(reading, density, scan.readings)
            if value is not None:
                yield replace(reading, value=value)

    def _declared(self, of: Reading | Point) -> AtDensity | None:
        own = self._density if isinstance(of, Point) or of.instrument == self.sequence.instrument else None
        return own.of(of.measurand) if own else None

    def _in_force(self, series: str) -> AtDensity | None:
        found = self._intake.coefficients.get(series)
        return found.density if found else None

    def _as_reported(self, found: Point) -> bool:
        """Whether the coefficients in force hold for readings as this run took them."""
        wanted = self._declared(found) if self.purpose == "calibration" else self._in_force(self._judged.series(found))
        return self._in_force(self._judged.series(found)) == wanted

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
        head = {"run": self.run, "sequence": self.sequence.name, "instrument": self.sequence.instrument}
        return {"what": what, **head, **members}

    async def line_checked(self, check: str, port: str | None, seen: Mapping[str, Any], gas: str | None = None) -> None:
        """Record what a check of the gas line found."""
        await self.record("line-check", check=check, port=port, gas=gas, **seen)

    def recovered(self, settled: Settled) -> None:
        """Keep how long sample air took to become steady again."""
        self._recovery = settled

    async def add(self, found: Point, taken: Taken) -> None:
        """Record a point. One of a loop that does not count, or of an unknown gas, is recorded and no more."""
        if taken.step.counted and not isinstance(found, UnknownPoint):
            self._points.append(found)
            self._taken.append(taken)
            if found.why_unusable:
                self.unusable.setdefault(self._judged.series(found), found.why_unusable)
        await self.record("point", **self._point_fields(found), **self._taken_fields(taken))

    def _point_fields(self, found: Point) -> dict[str, Any]:
        warnings = [*(["slope"] if found.sloping else []), *([found.doubt] if found.doubt else [])]
        known = not isinstance(found, UnknownPoint)
        return {
            "series": self._judged.series(found),
            "role": found.role,
            "gas": found.cylinder,
            "n": found.window.n,
            "mean": found.window.mean,
            "sd": found.window.sd,
            "slope_per_min": found.window.slope_per_min,
            "stdev_max": found.stdev_max,
            "slope_max": found.slope_max,
            "stable": found.stable,
            "warnings": warnings,
            "assigned": found.assigned.value if known else None,
            "uncertainty": found.assigned.uncertainty if known else None,
            "scale": found.assigned.scale if known else None,
            "unit": found.assigned.unit,
        }

    def _taken_fields(self, taken: Taken) -> dict[str, Any]:
        cylinder = taken.step.injection.cylinder
        return {
            "number": cylinder.number,
            "fill": cylinder.fill,
            "certificate": cylinder.certificate,
            "cautions": list(cylinder.cautions),
            "path": self.sequence.path,
            "loop": taken.step.loop,
            "counted": taken.step.counted,
            "flush_s": round(taken.settled.seconds, 3),
            "settled": not taken.settled.restless,
            "from": iso(taken.began),
            "to": iso(taken.until),
        }

    async def conclude(self) -> None:
        """Record what the points say, then that the run is complete."""
        adopted: list[str] = []
        refused: dict[str, str] = {}
        if self.purpose == "check":
            for found, taken in zip(self._points, self._taken, strict=True):
                await self._judged.check(found, taken)
        else:
            adopted, refused = await self._calibrated()
        recovery = {}
        if (seen := self._recovery) is not None:
            recovery = {"recovery_s": round(seen.seconds, 3), "settled": not seen.restless}
        await self.record("run-finished", adopted=adopted, refused=refused, unusable=self.unusable, **recovery)
        if refused:
            event = {"what": "coefficients-refused", "origin": f"run:{self.run}", "series": refused}
            await self._log.append("event", event)

    async def _calibrated(self) -> tuple[list[str], dict[str, str]]:
        """As-found drift first, then coefficients, then what the target gas says of them."""
        for found in self._points:
            if isinstance(found, ZeroPoint | SpanPoint) and self._as_reported(found):
                await self._judged.drift(found)
        adopted: list[str] = []
        refused: dict[str, str] = {}
        if self._research:
            for series in dict.fromkeys(self._judged.series(found) for found in self._points):
                try:
                    adopted += await self._adopt(series)
                except FitError as error:
                    refused[series] = str(error)
                    own = self._fitted(series)
                    if {"zero", "span"} <= {one.role for one in own} or is_curve(own):
                        self.unusable.setdefault(series, str(error))
        for found in self._points:
            if isinstance(found, TargetPoint) and self._as_reported(found):
                await self._judged.target(found)
        return adopted, refused

    def _fitted(self, series: str) -> list[ZeroPoint | SpanPoint]:
        """Points of a series that a fit may rest on."""
        found = [one for one in self._points if isinstance(one, ZeroPoint | SpanPoint)]
        return [one for one in found if self._judged.series(one) == series]

    async def _adopt(self, series: str) -> list[str]:
        """Put a series' new coefficients in force; gives their ids. Raises FitError where they must not be."""
        own = self._fitted(series)
        zeros = [one for one in own if isinstance(one, ZeroPoint)]
        spans = [one for one in own if isinstance(one, SpanPoint)]
        if not zeros and not spans:
            return []
        if is_curve(own):
            return [await self._adopt_curve(series, own)]
        if not zeros or not spans:
            raise FitError("two points are needed, a zero and a span gas")
        fit = two_point(zeros[-1], spans[-1])
        if found := doubts(fit, self._judged.full_scale(series)):
            raise FitError("; ".join(found))
        new = Coefficients(f"{self.run}.{series}", series, fit.zero, fit.slope, self._now())
        return [await self._put_in_force(new)]

    async def _adopt_curve(self, series: str, points: list[ZeroPoint | SpanPoint]) -> str:
        wanted = self.sequence.response
        found = curve(points, wanted.degree)
        limit = wanted.residual_max.get(points[0].measurand)
        if reasons := doubts_of(found, self._judged.full_scale(series), limit):
            raise FitError("; ".join(reasons))
        numbers = {one.cylinder.name: one.cylinder.number for one in self.sequence.injections}
        new = of_curve(f"{self.run}.{series}", series, found.fit.beta, self._now())
        return await self._put_in_force(new, **found.fields(numbers))

    def _standards(self, series: str) -> list[dict[str, Any]]:
        """The cylinders behind coefficients: what they are certified by, and what spoke against them."""
        own = {one.cylinder for one in self._points if self._judged.series(one) == series and one.role != "target"}
        gases = {one.cylinder.name: one.cylinder for one in self.sequence.injections if one.cylinder.name in own}
        return [
            {"gas": name, "number": one.number, "fill": one.fill, "certificate": one.certificate,
             "cautions": list(one.cautions)}
            for name, one in gases.items()
        ]  # fmt: skip

    def _now(self) -> datetime:
        """As a record has it: who reads coefficients back must correct the same readings by them."""
        return parse_iso(iso(self._clock.now()))

    async def _put_in_force(self, new: Coefficients, **members: Any) -> str:
        previous = self._intake.coefficients.get(new.series)
        density = self._density.of(new.series.partition(".")[2]) if self._density else None
        standards = self._standards(new.series)
        new = replace(new, density=density, expired=expired_among(standards))
        recorded = {
            **({"density": density.fields()} if density else {}),
            "id": new.id,
            "series": new.series,
            "replaces": previous.id if previous else None,
            "gases": standards,
            **new.fields(),
            **{**members, "from": iso(new.valid_from)},
        }
        await self._log.room()
        committed = self._log.post("calibration", self._fields("coefficients", recorded))
        # In force with its place in the log: what follows it there is corrected by it, also when it is read back.
        self._intake.coefficients[new.series] = replace(new, previous=previous)
        await committed
        return new.id
