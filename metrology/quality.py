"""Quality of a value: a set of causes, each with its start and origin; letters are derived from it elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby


class Cause(StrEnum):
    """Why a value is not simply good (design, section 5)."""

    STOPPED = "stopped"
    COMMUNICATION = "communication"
    FAULT = "fault"
    CALIBRATION = "calibration"
    RECOVERY = "recovery"
    MAINTENANCE = "maintenance"
    FLUSH = "flush"
    WARM_UP = "warm_up"
    BLOWBACK = "blowback"
    OUT_OF_RANGE = "out_of_range"
    SUBSTITUTED = "substituted"
    OUT_OF_CONTROL = "out_of_control"
    INCOMPLETE = "incomplete"
    MARK = "mark"
    STALE = "stale"
    CLOCK_DOUBTFUL = "clock_doubtful"
    # The value rests on a cylinder that had expired when it was read (design, section 13.6): used, and said.
    EXPIRED = "expired"


_NO_CAUSES: frozenset[Cause] = frozenset()
# Causes that leave a value valid: it counts in averages, the cause is shown beside it.
VALID_CAUSES = frozenset({Cause.CLOCK_DOUBTFUL, Cause.EXPIRED, Cause.MARK})

# HJ 212-2017 table 8; the order is ours: the standard gives none. A cause that is absent here is sent as N.
LETTERS: tuple[tuple[str, frozenset[Cause]], ...] = (
    ("F", frozenset({Cause.STOPPED})),
    ("B", frozenset({Cause.COMMUNICATION})),
    ("D", frozenset({Cause.FAULT, Cause.INCOMPLETE, Cause.OUT_OF_CONTROL})),
    ("C", frozenset({Cause.CALIBRATION, Cause.RECOVERY})),
    ("M", frozenset({Cause.MAINTENANCE, Cause.FLUSH, Cause.WARM_UP, Cause.BLOWBACK})),
    ("T", frozenset({Cause.OUT_OF_RANGE})),
    ("S", frozenset({Cause.SUBSTITUTED})),
)


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One cause, who or what set it, and since when (aware UTC)."""

    cause: Cause
    origin: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Quality:
    """The set of marks on a value. Empty means good."""

    marks: frozenset[Mark] = field(default_factory=frozenset)

    @classmethod
    def of(cls, *marks: Mark) -> "Quality":
        """Quality made of the given marks."""
        return cls(frozenset(marks)) if marks else GOOD

    @property
    def causes(self) -> frozenset[Cause]:
        """The causes alone."""
        return frozenset(mark.cause for mark in self.marks) if self.marks else _NO_CAUSES

    @property
    def valid(self) -> bool:
        """True where the value may count in an average."""
        return not self.marks or self.causes <= VALID_CAUSES

    def __or__(self, other: "Quality") -> "Quality":
        return Quality(self.marks | other.marks)

    def plus(self, marks: Iterable[Mark]) -> "Quality":
        """This quality with more marks."""
        return Quality(self.marks | frozenset(marks))


GOOD = Quality()

# An instrument that answers nonsense says another nonsense each time.
ORIGINS_MAX = 8
MORE = "and others"


def few(marks: Iterable[Mark]) -> frozenset[Mark]:
    """At most ORIGINS_MAX origins of a cause, the first in their order; where there were more, MORE stands for those.

    Marks of parts and of the whole give the same, in any order.
    """
    kept: set[Mark] = set()
    for _, same in groupby(sorted(marks), key=lambda mark: mark.cause):
        others: list[Mark] = []
        named: list[Mark] = []
        for mark in same:
            (others if mark.origin == MORE else named).append(mark)
        others += [replace(mark, origin=MORE) for mark in named[ORIGINS_MAX:]]
        kept.update(named[:ORIGINS_MAX], others[:1])
    return frozenset(kept)


def letter(causes: Iterable[Cause]) -> str:
    """Give the HJ 212-2017 data flag (table 8) for a set of causes, by the order of `LETTERS`; N where none applies."""
    present = frozenset(causes)
    return next((flag for flag, members in LETTERS if present & members), "N")
