"""Checks with certified gas as the records of a station tell of them: one fold for the daemon, reports and recompute.

Every judgement is in the record itself (`rules`), made by the rules in force when the check was; a record of an older
version without it is judged by HJ 75's rows, as that version judged it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from calibration.qa.rules import CONFIGURED, DEFAULT, Judgement, Verdict
from calibration.sequence import Role
from metrology.periods import parse_iso

CHECKS: Final = frozenset({"drift", "standard-check", "target"})
# What else of a run, and of people, the fold of `calibration.qa.control` has to know.
WHATS: Final = (*sorted(CHECKS), "coefficients", "adjustment", "run-finished", "run-aborted")
RecordId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Check:
    """One gas read once. `reading` is the value as the station reports it before anything was adjusted (as found).

    `at` is when the check was complete, `record` its epoch and sequence number; amounts are in `unit`. `whole_line`:
    the gas came in at the probe, through the whole sampling line, and not at the analyzer.
    """

    at: datetime
    record: RecordId
    run: str
    series: str
    role: Role
    gas: str
    reading: float
    assigned: float
    full_scale: float | None
    unit: str
    stable: bool
    rules: Judgement | None
    whole_line: bool = False

    @property
    def deviation(self) -> float:
        """Reading minus certified value."""
        return self.reading - self.assigned

    @property
    def percent(self) -> float | None:
        """Deviation in percent of full scale; None where the record does not say how far the scale reaches."""
        return self.deviation / self.full_scale * 100.0 if self.full_scale else None

    @property
    def verdict(self) -> Verdict:
        """By the limits alone. An unsteady reading passes nothing."""
        found = self.rules.verdict(self.deviation) if self.rules else "unjudged"
        return "adjust" if found in ("pass", "warning") and not self.stable else found

    @property
    def good(self) -> bool:
        """True where the check shows the instrument in control: read steadily and within what passes."""
        return self.verdict in ("pass", "warning")


def record_id(fields: Mapping[str, Any]) -> RecordId:
    """Epoch and sequence number of a record."""
    return fields["epoch"], fields["seq"]


def check_of(fields: Mapping[str, Any]) -> Check | None:
    """The check that a record of kind `calibration` holds; None of any other `what`."""
    what = fields["what"]
    if what not in CHECKS:
        return None
    role: Role = "target" if what == "target" else cast(Role, fields["role"])
    reading = fields["corrected"] if fields.get("corrected") is not None else fields["reading"]
    return Check(
        parse_iso(fields["t"]),
        record_id(fields),
        fields["run"],
        fields["series"],
        role,
        fields["gas"],
        reading,
        fields["assigned"],
        fields.get("span"),
        fields["unit"],
        fields["stable"],
        _rules(fields, role),
        fields.get("path") == "line",
    )


def _rules(fields: Mapping[str, Any], role: Role) -> Judgement | None:
    if "rules" in fields:
        found: Judgement | None = Judgement.of(fields["rules"])
    else:
        measurand, span = fields["series"].partition(".")[2], fields.get("span")
        policy = DEFAULT["regulated" if span else "research"]
        found = policy.judgement(measurand, role, span or 0.0, fields["assigned"], fields["unit"])
    if found is None or fields.get("limit_source") != CONFIGURED:
        return found
    return configured(found, fields["limit"])


def configured(rules: Judgement, limit: float) -> Judgement:
    """The same with a limit of the site for what passes, in the unit of the reading; control is lost beyond both."""
    out = None if rules.out is None else max(rules.out, limit)
    return Judgement(rules.rule_set, CONFIGURED, True, None, limit, out, rules.count, rules.back_dates)


SD_CHECKS_MIN: Final = 20


def sd_in_control(checks: Iterable[Check], series: str, role: Role) -> float | None:
    """Standard deviation for a chart from good checks about their certified values; None for fewer than SD_CHECKS_MIN.

    About the certified value, not about their own mean: a lasting offset widens it, and is not hidden.
    """
    found = [one.deviation for one in checks if (one.series, one.role) == (series, role) and one.good]
    if len(found) < SD_CHECKS_MIN:
        return None
    return math.sqrt(math.fsum(one * one for one in found) / len(found))
