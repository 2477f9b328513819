"""Target gas: a bias beyond the limit puts the analyzer out of control until a check passes again.

From the failed check onward nothing is valid; back to the last passed check it is suspect, and counted apart (design,
section 13.10). A check is judged as found, by the calibrations made before it; those made after it may not excuse it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from calibration.chain.data import Check, Finding, Flag
from calibration.qa import control as qa
from calibration.qa.checks import Check as Judged
from calibration.qa.rules import CONFIGURED, Judgement


@dataclass(frozen=True, slots=True)
class Interval:
    """From a moment to another (exclusive), with what it says about the minutes in it."""

    from_s: float
    to_s: float
    flag: Flag


def out_of_control(checks: Sequence[Check], begin_s: float, end_s: float) -> list[Interval]:
    """Intervals by the checks in order of time: suspect before a failed check, out of control from it on.

    By the fold that judges a station's own checks (`calibration.qa.control`): each is a run of its own here.
    """
    fold, found = qa.Control(), list[qa.Interval]()
    seconds = {_instant(check.at_s): check.at_s for check in checks}
    for number, check in enumerate(checks):
        told = [*fold.checked(_judged(check, number)), *fold.finished(str(number), _instant(check.at_s), (0, number))]
        found += [one for one in told if isinstance(one, qa.Interval) and one.end is not None]
    intervals = []
    for one in sorted([*found, *fold.open.values()], key=lambda one: one.start):
        start, end = seconds[one.start], end_s if one.end is None else seconds[one.end]
        since = begin_s if one.suspect_from is None else seconds[one.suspect_from]
        intervals += [Interval(since, start, Flag.SUSPECT), Interval(start, end, Flag.OUT_OF_CONTROL)]
    return intervals


def _judged(check: Check, number: int) -> Judged:
    """A check of the chain as one of a station: by its limit alone, where it has one."""
    limit = check.limit
    rules = None if limit is None else Judgement(CONFIGURED, CONFIGURED, True, passes=limit, out=limit)
    return Judged(
        _instant(check.at_s), (0, number), str(number), "chain.target", "target", check.tank.label, check.bias, 0.0,
        None, "", True, rules,
    )  # fmt: skip


def _instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def trusted(checks: Sequence[Check], intervals: Sequence[Interval]) -> list[Check]:
    """The checks of times that are neither out of control nor suspect: they say how well the rest reproduces."""
    bad = [one for one in intervals if one.flag in (Flag.OUT_OF_CONTROL, Flag.SUSPECT)]
    return [check for check in checks if not any(one.from_s <= check.at_s <= one.to_s for one in bad)]


def breaks(checks: Sequence[Check]) -> list[float]:
    """Where the analyzer changed its state: halfway between a passed and a failed check, either way round."""
    return [0.5 * (a.at_s + b.at_s) for a, b in pairwise(checks) if a.passed != b.passed]


def found_out(checks: Sequence[Check], intervals: Sequence[Interval], unit: str) -> list[Finding]:
    """One finding for each time out of control, with the largest bias in it."""
    findings = []
    for one in intervals:
        if one.flag is not Flag.OUT_OF_CONTROL:
            continue
        inside = [check for check in checks if one.from_s <= check.at_s < one.to_s and not check.passed]
        if inside:
            worst = max(inside, key=lambda check: abs(check.bias))
            text = f"{len(inside)} checks failed; largest bias {worst.bias:+.4g}, limit {worst.limit:g}"
            findings.append(Finding("out-of-control", worst.tank.label, one.from_s, one.to_s, worst.bias,
                                    1.96 * worst.budget.total, unit, text))  # fmt: skip
    return findings
