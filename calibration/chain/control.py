"""Target gas: a bias beyond the limit puts the analyzer out of control until a check passes again.

From the failed check onward nothing is valid; back to the last passed check it is suspect, and counted apart (design,
section 13.10). A check is judged as found, by the calibrations made before it; those made after it may not excuse it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from calibration.chain.data import Check, Finding, Flag


@dataclass(frozen=True, slots=True)
class Interval:
    """From a moment to another (exclusive), with what it says about the minutes in it."""

    from_s: float
    to_s: float
    flag: Flag


def out_of_control(checks: Sequence[Check], begin_s: float, end_s: float) -> list[Interval]:
    """Intervals by the checks in order of time: suspect before a failed check, out of control from it on."""
    found: list[Interval] = []
    last_passed, failed = begin_s, None
    for check in checks:
        if check.passed:
            if failed is not None:
                found.append(Interval(failed, check.at_s, Flag.OUT_OF_CONTROL))
            last_passed, failed = check.at_s, None
        elif failed is None:
            found.append(Interval(last_passed, check.at_s, Flag.SUSPECT))
            failed = check.at_s
    if failed is not None:
        found.append(Interval(failed, end_s, Flag.OUT_OF_CONTROL))
    return found


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
