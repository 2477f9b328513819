"""A later revision made once more: by the rules of its recomputation, from what was known when it was asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent.analysis.corrections import TOLD
from agent.analysis.job import job_of
from agent.analysis.plan import Known, Plan
from agent.analysis.prepared import Ground, begin_of
from agent.analysis.recompute import DAY
from agent.analysis.station import day_offset_s, specs_in
from agent.values.budgets import RECORDS, window
from host.history import History
from metrology.layers import base_of
from metrology.periods import DAY_S, EPOCH, HOUR_S, MINUTE_S, parse_iso, period_start

Fields = Mapping[str, Any]


def asked_for(history: History, name: str) -> Fields | None:
    """The `recompute` record of an id."""
    rows = history.told("calibration", EPOCH, EPOCH + timedelta(days=10**6), ("recompute",))
    return next((row for row in rows if row["id"] == name), None)


class Revision:
    """Fed with the log from before the period; `row` is what the average comes to then."""

    def __init__(self, history: History, asked: Fields, average: Fields, series: str, config: Fields | None) -> None:
        self._history, self._average, self._series = history, average, series
        start, end = parse_iso(average["start"]), parse_iso(average["end"])
        job, base = job_of(asked), base_of(series)
        self._offset_s = day_offset_s(config)
        now = history.newest("config", parse_iso(asked["t"]) + timedelta(milliseconds=1))
        begin = begin_of((base,), start, now)
        whats = ("coefficients", "point", "run-started")
        told = list(history.told("calibration", EPOCH, parse_iso(asked["t"]) + DAY, whats))
        coefficients = [row for row in told if row["what"] == "coefficients"]
        known = Known(coefficients, [row for row in told if row["what"] != "coefficients"]).before(asked)
        before = [row for kind, what in TOLD for row in history.told(kind, EPOCH, begin, what)]
        self.known = {row["id"]: row for row in known.coefficients}
        job = replace(job, start=max(job.start, start), end=min(job.end, end), series=(base,))
        job = replace(job, layered=job.layered & {base})
        ground = Ground(Plan.model_validate(asked["plan"]), known, before, history.newest("config", begin), now)
        self._state = ground.recomputation(job, specs_in(config or {}), self._offset_s)
        self._row: Fields | None = None

    @property
    def kv(self) -> list[str]:
        """Velocity-field coefficients that a derived series was made with."""
        return self._state.kv

    def take(self, fields: Fields) -> None:
        """Take the next record of the log."""
        self._state.take(fields)
        self._finish(self._state.ready())

    def row(self) -> Fields | None:
        """The row, after the last record."""
        self._finish(self._state.left())
        return self._row

    def _finish(self, hours: list[Any]) -> None:
        for hour in hours:
            kept = list(self._kept(hour))
            for name, one in self._state.unknown(kept):
                rows = self._history.told("calibration", *window(one), RECORDS) if one else ()
                self._state.weights.learn(name, one, rows)
            for record in self._state.finish(hour, kept):
                if (record["period_s"], record["start"]) == (self._average["period_s"], self._average["start"]):
                    self._row = record["rows"].get(self._series, self._row)

    def _kept(self, hour: Any) -> Iterator[Fields]:
        """Averages on record before the revision, without those of the same recomputation."""
        day = period_start(hour, DAY_S, self._offset_s)
        place = (self._average["epoch"], self._average["seq"])
        spans = ((MINUTE_S, hour, hour + timedelta(hours=1)), (HOUR_S, day, day + DAY), (DAY_S, day, day + DAY))
        for period_s, start, end in spans:
            for row in self._history.averages(period_s, start, end):
                if (row["epoch"], row["seq"]) < place and row.get("recompute") != self._average["recompute"]:
                    yield row
