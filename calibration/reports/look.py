"""One pass over the calibration records of a station: checks with their drifts, intervals, runs, cylinders."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from calibration.qa.checks import CHECKS, Check
from calibration.qa.control import Control, Finding, Interval
from calibration.qa.drifts import DriftPoint, drift_points
from calibration.reports.frame import Frame
from calibration.standards.register import WHAT as CYLINDER
from calibration.standards.register import Register
from metrology.periods import parse_iso

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """A check with what it came to (repetition and charts counted) and how far it moved."""

    finding: Finding
    drift: DriftPoint

    @property
    def check(self) -> Check:
        """The check itself."""
        return self.drift.check


@dataclass(slots=True)
class Run:
    """Records of one run: of its start and end where they are known, and of its points."""

    name: str
    started: Fields | None = None
    ended: Fields | None = None
    points: list[Fields] = field(default_factory=list)


class Looked:
    """What the records tell of a period; `register` and `intervals` need those from the beginning."""

    def __init__(self, frame: Frame, records: Iterable[Fields]) -> None:
        self._frame = frame
        self._control = Control()
        self._ended: list[Interval] = []
        self._newest: list[Finding] = []
        self.judged: list[Judged] = []
        self.runs: dict[str, Run] = {}
        self.coefficients: list[Fields] = []
        self.adjustments: list[Fields] = []
        self.register = Register()
        # The coefficients in force before the period, by series.
        self.before: dict[str, Fields] = {}
        for point in drift_points(self._tapped(records)):
            finding = self._newest.pop()
            if frame.holds(point.check.at) and frame.wants(point.check.series):
                self.judged.append(Judged(finding, point))

    def _tapped(self, records: Iterable[Fields]) -> Iterator[Fields]:
        """The records on their way to the drifts, each taken by everything else first."""
        for fields in records:
            what = fields["what"]
            for one in self._control.take(fields):
                if isinstance(one, Finding):
                    self._newest.append(one)
                elif one.end is not None:
                    self._ended.append(one)
            if what == CYLINDER:
                self.register.take(fields)
            self._keep(what, fields)
            if what in CHECKS or (what in ("coefficients", "adjustment") and "series" in fields):
                yield fields

    def _keep(self, what: str, fields: Fields) -> None:
        wanted = "series" not in fields or self._frame.wants(fields["series"])
        if not self._frame.holds(parse_iso(fields["t"])):
            if what == "coefficients" and "series" in fields and parse_iso(fields["t"]) < self._frame.since:
                self.before[fields["series"]] = fields
            return
        if what == "coefficients" and "series" in fields and wanted:
            self.coefficients.append(fields)
        elif what == "adjustment" and wanted:
            self.adjustments.append(fields)
        if "run" in fields:
            run = self.runs.setdefault(fields["run"], Run(fields["run"]))
            if what == "run-started":
                run.started = fields
            elif what in ("run-finished", "run-aborted"):
                run.ended = fields
            elif what == "point":
                run.points.append(fields)

    @property
    def intervals(self) -> list[Interval]:
        """Out of control within the period, or suspect; by their start."""
        frame = self._frame
        found = [
            one
            for one in (*self._ended, *self._control.open.values())
            if frame.wants(one.series)
            and (one.suspect_from or one.start) < frame.until
            and (one.end is None or one.end > frame.since)
        ]
        return sorted(found, key=lambda one: (one.start, one.series))

    @property
    def series(self) -> list[str]:
        """Series that were checked in the period."""
        return sorted({one.check.series for one in self.judged})

    def of(self, series: str, *roles: str) -> list[Judged]:
        """Checks of a series, of some roles or all, oldest first."""
        return [one for one in self.judged if one.check.series == series and (not roles or one.check.role in roles)]

    def stretches(self) -> list[tuple[datetime, datetime, Run]]:
        """When runs of the period went on; one without an end until the end of the period."""
        return [
            (
                parse_iso(run.started["t"]) if run.started else self._frame.since,
                parse_iso(run.ended["t"]) if run.ended else self._frame.until,
                run,
            )
            for run in self.runs.values()
            if run.started or run.ended
        ]
