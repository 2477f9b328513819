"""In control or not: a fold over the calibration records of a station, in the order of their writing.

A check beyond the limit of its rule set opens an interval. A complete run in which every check of that role was good
closes it; what failed through the whole sampling line must be good through it, not at the analyzer. So does a research
series' own adoption of new coefficients by the zero and span gas. The person who adjusts an analyzer shows by a check
that it helped. The time from the last good check to the failed one is suspect, counted apart; a rule set that
back-dates makes it invalid. The same records give the same intervals, however often and wherever they are read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from calibration.qa.charts import Cusum, Ewma
from calibration.qa.checks import Check, RecordId, check_of
from calibration.qa.rules import Chart, Verdict
from calibration.sequence import Role
from metrology.periods import iso, parse_iso

# limit: beyond what is out of control; repeated: too often beyond what fails; the others are QAL3's alarms.
Reason = Literal["limit", "repeated", "drift", "precision"]
Standing = Literal["good", "suspect", "out"]
# Series, role, and whether the gas came through the whole sampling line.
_Key = tuple[str, Role, bool]
# Failed checks an interval names: the first, and the newest of the others.
WHY_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what it came to, with what went before; `adjust_by` is a chart's proposal, in its unit."""

    check: Check
    verdict: Verdict
    reason: Reason | None
    adjust_by: float | None = None

    def fields(self) -> dict[str, Any]:
        """For records and JSON."""
        check, rules = self.check, self.check.rules
        return {
            "role": check.role, "gas": check.gas, "whole_line": check.whole_line, "at": iso(check.at),
            "record": list(check.record),
            "deviation": check.deviation, "drift_percent": check.percent, "unit": check.unit, "verdict": self.verdict,
            "reason": self.reason, "adjust_by": self.adjust_by, "rules": rules.fields() if rules else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """Out of control in [start, end); `end` None: still. Suspect in [suspect_from, start), None where that is empty.

    `why` holds the checks that failed (WHY_MAX of them at most), the first first; `restored` is the record of the run
    that ended it. `unchecked_before`: no good check of the series is known before; all of its earlier time is suspect.
    """

    series: str
    start: datetime
    end: datetime | None
    suspect_from: datetime | None
    why: tuple[Finding, ...]
    restored: RecordId | None = None
    unchecked_before: bool = False

    @property
    def verified(self) -> bool:
        """Whether every limit it rests on was seen in its source."""
        return all(one.check.rules is not None and one.check.rules.verified for one in self.why)

    def fields(self) -> dict[str, Any]:
        """For records and JSON."""
        return {
            "series": self.series,
            "start": iso(self.start),
            "end": iso(self.end) if self.end else None,
            "suspect_from": iso(self.suspect_from) if self.suspect_from else None,
            "unchecked_before": self.unchecked_before,
            "why": [one.fields() for one in self.why],
            "restored": list(self.restored) if self.restored else None,
            "verified": self.verified,
        }


@dataclass(slots=True)
class _Role:
    """What is known of one role of one series; `failed` where the newest word on it is that it is out of control."""

    failed: bool = False
    good_at: datetime | None = None
    beyond: int = 0
    chart: Cusum | Ewma | None = None


class Control:
    """The state of all series after the records taken so far."""

    def __init__(self) -> None:
        self.open: dict[str, Interval] = {}
        self._roles: dict[_Key, _Role] = {}
        self._runs: dict[str, list[Finding]] = {}
        self._adopted: dict[str, set[str]] = {}

    def take(self, fields: Mapping[str, Any]) -> Iterator[Finding | Interval]:
        """Take the next record of kind `calibration`; gives what each check came to, intervals that opened or ended.

        An interval comes again when a further check adds to it.
        """
        check = check_of(fields)
        if check is not None:
            yield from self.checked(check)
        elif fields["what"] == "coefficients" and "run" in fields:
            self._adopted.setdefault(fields["run"], set()).add(fields["series"])
        elif fields["what"] == "adjustment":
            self._adjusted(fields["series"])
        elif fields["what"] == "run-finished":
            yield from self.finished(fields["run"], parse_iso(fields["t"]), (fields["epoch"], fields["seq"]))
        elif fields["what"] == "run-aborted":
            self._runs.pop(fields["run"], None)
            self._adopted.pop(fields["run"], None)

    def _role(self, key: _Key) -> _Role:
        return self._roles.setdefault(key, _Role())

    def _of(self, series: str) -> Iterator[_Role]:
        return (role for key, role in self._roles.items() if key[0] == series)

    def checked(self, check: Check) -> Iterator[Finding | Interval]:
        """Take a check: gives what it came to, and the interval it opened or adds to."""
        finding = self._found(check)
        self._runs.setdefault(check.run, []).append(finding)
        yield finding
        if finding.verdict == "out-of-control":
            yield self._opened(finding)

    def _found(self, check: Check) -> Finding:
        """A check judged by its limits, by repetition, and by its chart."""
        rules, role = check.rules, self._role(_key(check))
        if rules is None:
            return Finding(check, "unjudged", None)
        if rules.chart != "limits" and rules.sd and check.stable:
            return _charted(check, role, rules.chart, rules.sd)
        role.beyond = role.beyond + 1 if rules.passes is not None and abs(check.deviation) > rules.passes else 0
        if check.verdict == "out-of-control":
            return Finding(check, "out-of-control", "limit")
        if rules.count is not None and role.beyond >= rules.count:
            return Finding(check, "out-of-control", "repeated")
        return Finding(check, check.verdict, None)

    def _opened(self, finding: Finding) -> Interval:
        check = finding.check
        role = self._role(_key(check))
        role.failed = True
        good_at = role.good_at or self._good_at(check.series)
        # App. F: repetition counts from the check that completes it, a single large drift from the check before.
        back = check.rules is not None and check.rules.back_dates and finding.reason == "limit" and good_at is not None
        start = good_at if back and good_at is not None else check.at
        known = self.open.get(check.series)
        if known is None:
            suspect = None if back else good_at
            interval = Interval(check.series, start, None, suspect, (finding,), unchecked_before=good_at is None)
        else:
            start = min(start, known.start)
            earlier = [one for one in (known.suspect_from, good_at) if one is not None and one < start]
            interval = replace(
                known, start=start, suspect_from=min(earlier, default=None), why=_kept((*known.why, finding))
            )
        self.open[check.series] = interval
        return interval

    def _good_at(self, series: str) -> datetime | None:
        """The last good check of any gas: a role that was never good before has no better witness."""
        return max((role.good_at for role in self._of(series) if role.good_at is not None), default=None)

    def _adjusted(self, series: str) -> None:
        """Charts begin anew after an adjustment; it takes a good check to be in control again."""
        for role in self._of(series):
            role.chart, role.beyond = None, 0

    def finished(self, run: str, at: datetime, by: RecordId) -> Iterator[Interval]:
        """A run is complete (`by` its record): gives the intervals that its good checks end."""
        found = self._runs.pop(run, [])
        adopted = self._adopted.pop(run, set())
        by_role: dict[_Key, list[Finding]] = {}
        for finding in found:
            by_role.setdefault(_key(finding.check), []).append(finding)
        for (series, name, whole), findings in by_role.items():
            fitted = series in adopted and name != "target"
            # Gas through the whole line passes the analyzer too.
            for key in {(series, name, whole), (series, name, False)}:
                role = self._role(key)
                if fitted:
                    role.chart, role.beyond = None, 0
                if fitted or all(_good(one) for one in findings):
                    role.failed, role.good_at = False, at
        for series in dict.fromkeys(key[0] for key in by_role):
            if series in self.open and not any(role.failed for role in self._of(series)):
                yield replace(self.open.pop(series), end=at, restored=by)


def _key(check: Check) -> _Key:
    return check.series, check.role, check.whole_line


def _charted(check: Check, role: _Role, chart: Chart, sd: float) -> Finding:
    """A check judged by its chart, which alone decides: a single reading beyond 3 s on a chart of sums only warns."""
    if chart == "shewhart":
        beyond = check.verdict == "adjust"
        return Finding(check, check.verdict, "drift" if beyond else None, -check.deviation if beyond else None)
    kind = Ewma if chart == "ewma" else Cusum
    if not isinstance(role.chart, kind) or role.chart.sd != sd:
        role.chart = kind(sd)
    role.chart = state = role.chart.after(check.deviation)
    if isinstance(state, Ewma):
        if state.alarm:
            return Finding(check, "adjust", "drift", -state.value)
    elif state.alarm == "precision":
        return Finding(check, "out-of-control", "precision")
    elif state.alarm == "drift":
        return Finding(check, "adjust", "drift", state.adjustment)
    return Finding(check, "warning" if check.verdict == "adjust" else check.verdict, None)


def _kept(why: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return why if len(why) <= WHY_MAX else (why[0], *why[1 - WHY_MAX :])


def _good(finding: Finding) -> bool:
    """A drift alarm of the chart is no loss of control; what no rule judges any more keeps nothing out of control."""
    return finding.check.stable and (finding.verdict not in ("adjust", "out-of-control") or finding.reason == "drift")


def out_of_control(records: Iterable[Mapping[str, Any]]) -> list[Interval]:
    """All intervals that the calibration records (oldest first) tell of, by their start; open ones have no end."""
    control, ended = Control(), []
    for fields in records:
        ended += [one for one in control.take(fields) if isinstance(one, Interval) and one.end is not None]
    return sorted([*ended, *control.open.values()], key=lambda one: (one.start, one.series))


def standing(intervals: Iterable[Interval], series: str, start: datetime, end: datetime) -> Standing:
    """What a span [start, end) of a series is: out of control where any of it is, else suspect, else good."""
    worst: Standing = "good"
    for one in intervals:
        if one.series != series:
            continue
        if one.start < end and (one.end is None or one.end > start):
            return "out"
        before = one.start > start and (one.suspect_from is None or one.suspect_from < end)
        if before and (one.suspect_from is not None or one.unchecked_before):
            worst = "suspect"
    return worst
