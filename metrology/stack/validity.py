"""When a minute, an hour, a day, a month, a quarter of stack data is valid; each answer with the rule it is by."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from metrology.stack.hours import Hour, total
from metrology.stack.tables import rows

Level = Literal["minute", "hour", "day", "month", "february", "quarter"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How many valid members a level needs, of how many where that is fixed."""

    needed: float
    of: int | None
    what: str
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a period is valid, and by what rule: a person must be able to see both."""

    valid: bool
    found: float
    rule: Rule


@cache
def rule(level: Level) -> Rule:
    """The rule of a level, from the table beside this module."""
    row = next(row for row in rows("validity") if row["level"] == level)
    of = int(row["of"]) if row["of"] else None
    return Rule(float(row["needed"]), of, row["what"], row["source"], row["verified"] == "yes")


def judge(level: Level, found: float) -> Verdict:
    """Judge a period by the number of its valid members (for a quarter: by its capture rate in percent)."""
    known = rule(level)
    return Verdict(found >= known.needed, found, known)


def judge_month(valid_days: int, month: int) -> Verdict:
    """Judge a calendar month (1 to 12); February needs fewer days."""
    return judge("february" if month == 2 else "month", valid_days)


def capture_percent(hours: Iterable[Hour]) -> float | None:
    """Valid hours over the hours the source ran, percent; None where it never ran.

    Hours out of control are not valid; suspect ones are. HJ 75-2017 (recalled: unverified).
    """
    found = total(hours)
    return 100.0 * found.counted / found.ran if found.ran else None


def judge_quarter(hours: Iterable[Hour]) -> Verdict | None:
    """Judge a quarter by its capture rate; None where the source never ran."""
    percent = capture_percent(hours)
    return None if percent is None else judge("quarter", percent)
