"""A recomputation set up from what is on record, for the daemon that makes it and for whoever makes it once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agent.analysis.job import Job
from agent.analysis.plan import ByPlan, Known, Plan
from agent.analysis.recompute import Recomputation
from agent.analysis.section import AHEAD as STACK_AHEAD
from agent.analysis.section import Section, stacks_of
from agent.analysis.weights import Weights
from agent.values.averaging import SeriesSpec

Fields = Mapping[str, Any]
# A scan is written when its answer is complete; an instrument's own clock may be ahead by as much.
AHEAD: Final = timedelta(minutes=10)


def begin_of(series: Sequence[str], start: datetime, config: Fields | None) -> datetime:
    """From when on the log is read; `config` is the record in force."""
    return start - (STACK_AHEAD if stacks_of(series, config) else AHEAD)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a recomputation rests on.

    `before` are records on corrections from before its first scan, oldest first; `then` and `now` config records: the
    one in force at its first scan, and the one in force when it was asked for.
    """

    plan: Plan
    known: Known
    before: Sequence[Fields]
    then: Fields | None
    now: Fields | None

    def recomputation(self, job: Job, specs: Mapping[str, SeriesSpec], day_offset_s: int) -> Recomputation:
        """Raises LookupError where no configuration says what a stack is derived of."""
        names = sorted({one.partition(".")[0] for one in job.series})
        sections = {
            name: Section(name, job.name, self.plan.filed, self.then, self.now)
            for name in stacks_of(job.series, self.now)
        }
        corrections = {name: ByPlan(job.name, self.plan, self.known, self.before) for name in names}
        weights = Weights(self.plan, sections)
        return Recomputation(job, specs, day_offset_s, corrections, sections, weights)
