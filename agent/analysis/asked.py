"""A request to make an interval again: what it may ask for, and the record of it."""

from importlib import metadata
from typing import TYPE_CHECKING, Any

from agent.analysis.job import Job
from agent.analysis.plan import Plan
from agent.analysis.recompute import aligned
from agent.analysis.section import stacks_of
from agent.analysis.station import is_regulated
from agent.changes import document_of
from calibration.models.rules import matches
from host.control import RequestError
from host.hjson import Strict
from metrology.periods import HOUR_S, iso, parse_iso, period_start

if TYPE_CHECKING:
    from agent.daemon import Daemon


class Asked(Strict):
    """A request; `by` is who sent it, as the socket knows."""

    do: str
    series: list[str]
    start: str
    end: str
    plan: Plan
    who: str
    reason: str
    layer: bool = False
    dry_run: bool = False
    by: dict[str, Any] | None = None

    def job(self, daemon: "Daemon") -> Job:
        """What it asks for, without a name. Raises RequestError."""
        specs = {spec.series for spec in daemon.specs}
        if unknown := [one for one in self.series if one not in specs] or not self.series:
            raise RequestError(f"no series {unknown or ''}; known: {', '.join(sorted(specs))}")
        start, end = parse_iso(self.start), parse_iso(self.end)
        hours_end = period_start(daemon.averager.closed_until, HOUR_S)
        if not start < end <= hours_end or not aligned(start) or not aligned(end):
            raise RequestError(f"from and to: whole minutes, to not after the last full hour ({iso(hours_end)})")
        if not self.who.strip() or not self.reason.strip():
            raise RequestError("who and reason are needed")
        regulated = self._layered({"document": document_of(daemon.config)})
        return Job("", tuple(dict.fromkeys(self.series)), start, end, regulated)

    def _layered(self, document: dict[str, Any]) -> frozenset[str]:
        """The regulated ones among its series."""
        regulated = [one for one in self.series if is_regulated(document, one)]
        if regulated and not self.layer:
            raise RequestError(
                f"{', '.join(regulated)}: regulated, reported as the analyzer gave it and never replaced;"
                " an analysis layer beside it is made with --layer analysis"
            )
        if self.layer and len(regulated) < len(self.series):
            raise RequestError("--layer analysis is for regulated series alone")
        return frozenset(regulated)

    def stacks(self, job: Job, daemon: "Daemon") -> dict[str, Any]:
        """The filed Kv of the stacks it is about, as they are known now. Raises RequestError."""
        document = document_of(daemon.config)
        stacks = stacks_of(job.series, {"document": document})
        if others := {one.stack for one in self.plan.filed} - set(stacks):
            raise RequestError(f"filed: {', '.join(sorted(others))}: no stack of the series that are made again")
        derived = [one for one in job.series if one.partition(".")[0] in stacks]
        lines = [one for one in self.plan.rules if one.use is None and one.series != "*"]
        if wrong := [series for series in derived if any(matches(one.series, series) for one in lines)]:
            raise RequestError(f"{', '.join(wrong)}: derived; correct the series it is derived of, or what was filed")
        return {name: document["stacks"][name]["kv"] for name in stacks}

    def begun(self, job: Job) -> dict[str, Any]:
        """Members of the record `recompute`."""
        layer = {"layer": "analysis"} if job.layered else {}
        return {
            "what": "recompute",
            "id": job.name,
            "who": self.who,
            "reason": self.reason,
            "series": list(job.series),
            "from": iso(job.start),
            "to": iso(job.end),
            "plan": self.plan.fields(exclude_none=True),
            "software": metadata.version("plumeline"),
            **layer,
            **({"by": self.by} if self.by else {}),
        }
