"""Averages for minute, hour and day with validity, as a pure state: fed with measurements, asked to close periods.

Rules (design, section 13.4). `hj-stack`: a minute needs 12 valid readings, an hour 45 valid minutes, a day 20 valid
hours (HJ 212-2017 formulas 23 to 25), means are unweighted means of valid lower means. `hj-ambient`: 75 % of the
expected readings, 45 minutes, 20 hours (GB 3095-2012 table 4 for the day). `ghg`: a minute needs one valid reading,
an hour 45 such minutes, a day 18 such hours; means are weighted by the number of readings.
A series of a rate (kg/h, m3/h) has an amount: of a valid minute or hour, and of a day that of its valid hours.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, cast

from agent.values.amounts import amount, amount_of
from agent.values.members import Members
from metrology.measurand import Averaging, catalogue
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, period_start
from metrology.quality import GOOD, Cause, Mark, Quality, few
from metrology.reading import Average, Measurement
from metrology.statistics import Moments, circular_mean, combine_circular, merge

Rule = Literal["hj-stack", "hj-ambient", "ghg"]
READINGS_MIN_STACK: Final = 12
AMBIENT_FRACTION_MIN: Final = 0.75
MINUTES_MIN: Final = 45
HOURS_MIN: Final = {"hj-stack": 20, "hj-ambient": 20, "ghg": 18}
LOWER: Final = {HOUR_S: (MINUTE_S, 60), DAY_S: (HOUR_S, 24)}
# After a longer stop only periods that hold something are written; the gap record speaks for the rest.
EMPTY_MINUTES_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """How one series is averaged; `expected` is the number of readings a full minute should hold."""

    series: str
    unit: str
    rule: Rule
    averaging: Averaging
    expected: float


@dataclass(slots=True)
class _Bucket:
    """Members of one period of one series: values of valid readings, and the marks seen on any."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    marks: frozenset[Mark] = frozenset()
    calibrations: frozenset[str] = frozenset()


class Averager:
    """All series of a station. `late` counts readings of periods already closed: they stay raw, in no average."""

    def __init__(
        self, specs: Iterable[SeriesSpec], start: datetime, day_offset_s: int = 8 * HOUR_S, *, resumed: bool = True
    ) -> None:
        """Minutes before the one that holds `start` count as closed.

        A first start that is not `resumed` leaves that open until the first `close`: an instrument with a memory may
        hand over readings from before it.
        """
        self._specs = {spec.series: spec for spec in specs}
        self._day_offset_s = day_offset_s
        self._minutes: dict[datetime, dict[str, _Bucket]] = {}
        self._lower: dict[tuple[int, datetime], dict[str, Members]] = {}
        # The last instant fed and its minute: the readings of one scan share them.
        self._minute_of = (start, period_start(start, MINUTE_S))
        # Readings a minute held before an instrument was set anew, and until when; oldest first.
        self._rates: dict[str, list[tuple[datetime, float]]] = {}
        self._closed_until = period_start(start, MINUTE_S)
        self._begun = resumed
        # Minutes before it that hold nothing are left to a gap record; up to `told_until` there is one.
        self.empty_from = self._closed_until
        self.told_until = start
        self.late = 0

    @property
    def closed_until(self) -> datetime:
        """End of the last closed minute."""
        return self._closed_until

    def expect(self, series: str, expected: float, at: datetime) -> None:
        """Expect so many readings a minute of a series from `at` on; what the open minutes hold stays."""
        spec = self._specs[series]
        self._rates.setdefault(series, []).append((at, spec.expected))
        self._specs[series] = replace(spec, expected=expected)

    def feed(self, measurement: Measurement) -> None:
        """Take one measurement. A repeat of an old value (cause stale) is no member of any average."""
        reading = measurement.reading
        series = reading.series
        if series not in self._specs or Cause.STALE in reading.quality.causes:
            return
        if reading.at is not self._minute_of[0]:
            self._minute_of = (reading.at, period_start(reading.at, MINUTE_S))
        start = self._minute_of[1]
        if start < self._closed_until and self._begun:
            self.late += 1
            return
        buckets = self._minutes.setdefault(start, {})
        bucket = buckets.get(series)
        if bucket is None:
            bucket = buckets[series] = _Bucket()
        if reading.quality.marks:
            bucket.marks |= {replace(mark, since=start) for mark in reading.quality.marks}
        if measurement.value is not None and reading.quality.valid:
            bucket.values.append(measurement.value)
            if measurement.calibration is not None and measurement.calibration not in bucket.calibrations:
                bucket.calibrations |= {measurement.calibration}

    def mark_open(self, mark: Mark) -> None:
        """Put a mark on every open minute, as after a step of the clock."""
        for buckets in self._minutes.values():
            for bucket in buckets.values():
                bucket.marks |= {mark}

    def restore(self, averages: Iterable[Average]) -> None:
        """Take averages of an open hour or day that were written before a restart."""
        for average in averages:
            if average.series in self._specs:
                self._collect(average)
                if average.period_s == MINUTE_S:
                    self._closed_until = max(self._closed_until, average.end)

    def restart(self, until: datetime, now: datetime) -> None:
        """Go on from `until` after the clock jumped; what is open stays where it lies between then and `now`."""
        self._minutes = {start: open_ for start, open_ in self._minutes.items() if until <= start <= now}
        self._lower, self._begun = {}, True
        self._closed_until = self.empty_from = self.told_until = until

    def close(self, until: datetime) -> list[list[Average]]:
        """Close every period that ends at or before `until`, oldest first; one list per period."""
        closed: list[list[Average]] = []
        until = period_start(until, MINUTE_S)
        if not self._begun:
            self._begun = True
            self._closed_until = self.empty_from = min([self._closed_until, *self._minutes])
        first_empty = max(until - timedelta(minutes=EMPTY_MINUTES_MAX), self.empty_from)
        while self._closed_until < until:
            start = self._next_minute(first_empty)
            self._closed_until = end = start + timedelta(minutes=1)
            buckets = self._minutes.pop(start, {})
            if buckets or start >= first_empty:
                closed.append([self._minute(spec, start, buckets.get(spec.series)) for spec in self._specs.values()])
                for average in closed[-1]:
                    self._collect(average)
            left = {series: [row for row in past if row[0] > end] for series, past in self._rates.items()}
            self._rates = {series: past for series, past in left.items() if past}
            closed += self._close_upper(end)
        return closed

    def _next_minute(self, first_empty: datetime) -> datetime:
        """The minute to close next: years of a stop, or of a clock that began in 1970, are not walked through."""
        ends = [start + timedelta(seconds=period_s - MINUTE_S) for period_s, start in self._lower]
        return max(self._closed_until, min([first_empty, *self._minutes, *ends]))

    def _collect(self, average: Average) -> None:
        for upper, (lower, _) in LOWER.items():
            if average.period_s == lower:
                key = (upper, period_start(average.start, upper, self._day_offset_s))
                self._lower.setdefault(key, {}).setdefault(average.series, Members()).add(average)

    def _close_upper(self, end: datetime) -> list[list[Average]]:
        closed = []
        for period_s in (HOUR_S, DAY_S):
            start = period_start(end - timedelta(seconds=1), period_s, self._day_offset_s)
            if start + timedelta(seconds=period_s) == end and (members := self._lower.pop((period_s, start), None)):
                closed.append(
                    [_upper(s, start, period_s, members.get(s.series, Members())) for s in self._specs.values()]
                )
                for average in closed[-1]:
                    self._collect(average)
        return closed

    def _minute(self, spec: SeriesSpec, start: datetime, bucket: _Bucket | None) -> Average:
        bucket = bucket or _Bucket()
        count, expected = len(bucket.values), self._expected(spec, start)
        enough = {
            "hj-stack": count >= READINGS_MIN_STACK,
            "hj-ambient": count >= AMBIENT_FRACTION_MIN * expected,
            "ghg": count >= 1,
        }[spec.rule]
        moments = _moments(spec, bucket.values)
        return Average(
            series=spec.series,
            unit=spec.unit,
            start=start,
            period_s=MINUTE_S,
            n=count,
            valid_fraction=count / expected,
            mean=moments.mean,
            minimum=moments.minimum,
            maximum=moments.maximum,
            sd=moments.sd,
            rule=spec.rule,
            quality=_quality(enough, bucket.marks, start),
            sum=amount(spec.unit, moments.mean, MINUTE_S) if enough else None,
            calibrations=tuple(sorted(bucket.calibrations)),
        )

    def _expected(self, spec: SeriesSpec, start: datetime) -> float:
        """Readings a minute should hold: where the rate changed within it, each rate counts for the time it held."""
        end, readings = start + timedelta(minutes=1), 0.0
        for until, former in self._rates.get(spec.series, ()):
            held = min(until, end)
            readings += former * (max(0.0, (held - start).total_seconds()) / MINUTE_S)
            start = max(start, held)
        return readings + spec.expected * ((end - start).total_seconds() / MINUTE_S)


def upper(spec: SeriesSpec, start: datetime, period_s: int, lower: Iterable[Average]) -> Average:
    """An hour of its minutes, or a day of its hours."""
    return _upper(spec, start, period_s, Members(lower))


def _upper(spec: SeriesSpec, start: datetime, period_s: int, members: Members) -> Average:
    needed = MINUTES_MIN if period_s == HOUR_S else HOURS_MIN[spec.rule]
    return _joined(spec, start, period_s, members, needed, LOWER[period_s][1])


def several_minutes(members: list[Average], start: datetime, minutes: int) -> Average:
    """One average of `minutes` minutes from those of one series that exist, by its own rule.

    As for an hour three quarters of them must be valid; there is at least one member.
    """
    last = members[-1]
    spec = SeriesSpec(last.series, last.unit, cast(Rule, last.rule), _averaging(last.series), 0.0)
    same = [a for a in members if (a.unit, a.rule) == (last.unit, last.rule)]
    needed = math.ceil(minutes * MINUTES_MIN / 60)
    return _joined(spec, start, minutes * MINUTE_S, Members(same), needed, minutes)


def _averaging(series: str) -> Averaging:
    return catalogue()[series.partition(".")[2]].averaging


def _joined(spec: SeriesSpec, start: datetime, period_s: int, members: Members, needed: int, full: int) -> Average:
    """An average of averages: `needed` of the `full` members must be valid."""
    parts = members.moments
    moments = _combine(spec, parts)
    return Average(
        series=spec.series,
        unit=spec.unit,
        start=start,
        period_s=period_s,
        n=sum(part.n for part in parts) if spec.rule == "ghg" else len(parts),
        valid_fraction=members.valid / full,
        mean=moments.mean,
        minimum=moments.minimum,
        maximum=moments.maximum,
        sd=moments.sd,
        rule=spec.rule,
        quality=_quality(members.valid >= needed, (Mark(*mark, start) for mark in members.marks), start),
        sum=amount_of(spec.unit, period_s, members, moments.mean, valid=members.valid >= needed),
        calibrations=members.calibrations,
    )


def _quality(enough: bool, seen: Iterable[Mark], start: datetime) -> Quality:
    """Marks of a period: while it satisfies its rule only those that leave a value valid; else all, and incomplete."""
    marks = {replace(mark, since=start) for mark in seen if mark.cause is not Cause.INCOMPLETE}
    if enough and not marks:
        return GOOD
    if enough:
        return Quality(few(m for m in marks if Quality.of(m).valid))
    return Quality(few(marks) | {Mark(Cause.INCOMPLETE, "averaging", start)})


def _moments(spec: SeriesSpec, values: Sequence[float]) -> Moments:
    return circular_mean(values) if spec.averaging == "circular" else Moments.of(values)


def _combine(spec: SeriesSpec, parts: list[Moments]) -> Moments:
    if spec.averaging == "circular":
        return combine_circular(parts)
    return merge(parts, weighted=spec.rule == "ghg")
