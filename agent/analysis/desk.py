"""Recomputation in the running daemon: asked for by a person, done beside the measurements, finished after a restart.

Live comes first: after each page of records the work rests for several times what it took. An hour's revisions are
posted together and so lie in one commit; what a crash cut off is made again at the next start.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from agent.analysis.again import KINDS
from agent.analysis.corrections import TOLD
from agent.analysis.plan import ByPlan, Known, Plan, fingerprint
from agent.analysis.recompute import DAY, Job, Recomputation, aligned, job_of
from agent.analysis.station import is_regulated, specs_in
from agent.changes import document_of
from agent.history.query import newest
from agent.values.series import series_of
from calibration.fit.linear import FitError
from host.control import RequestError
from host.hjson import Strict
from metrology.periods import DAY_S, EPOCH, HOUR_S, MINUTE_S, iso, parse_iso, period_start
from protocols.record import decode

if TYPE_CHECKING:
    from agent.daemon import Daemon

AHEAD: Final = timedelta(minutes=10)
PAGE: Final = 200
# The share of one core it takes is 1 / (1 + REST).
REST: Final = 4.0
QUEUE_MAX: Final = 8
RECORDS_MAX: Final = 100_000
RUNS: Final = ("point", "run-started")


class Asked(Strict):
    """A request."""

    do: str
    series: list[str]
    start: str
    end: str
    plan: Plan
    who: str
    reason: str
    layer: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Work:
    """One recomputation; `state` is what is told of it, `turn` is set and renewed at each change."""

    job: Job
    plan: Plan
    known: Known
    dry_run: bool
    state: dict[str, Any] = field(default_factory=dict)
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, **members: Any) -> None:
        """Change the state."""
        self.state.update(members)
        self.turn.set()
        self.turn = asyncio.Event()


class RecomputeDesk:
    """One for a daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._queue: asyncio.Queue[Work] = asyncio.Queue(QUEUE_MAX)

    async def run(self) -> None:
        """Work until cancelled: first what the last run of the daemon left."""
        for fields in await self._left():
            plan = Plan.model_validate(fields["plan"])
            known = (await self._known(plan)).before(fields)
            await self._done(Work(job_of(fields), plan, known, dry_run=False))
        while True:
            await self._done(await self._queue.get())

    async def serve(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Take a request and tell how far it is, to its end. Raises RequestError and ValueError."""
        asked = Asked.model_validate(dict(request))
        job = self._job(asked)
        known = await self._known(asked.plan)
        name = fingerprint(job.series, job.start, job.end, asked.plan, known.coefficients)
        job = replace(job, name=name)
        work = Work(job, asked.plan, known, asked.dry_run, {"id": job.name, "dry_run": asked.dry_run})
        if not asked.dry_run and job.name in await self._finished():
            yield {**work.state, "already": True}
            return
        # A plan that leaves a calibration without a line is refused before anything is written.
        ByPlan(job.name, asked.plan, known, ())
        if self._queue.full():
            raise RequestError(f"{QUEUE_MAX} recomputations wait already")
        if not asked.dry_run:
            await self._daemon.log.append("calibration", _begun(job, asked))
        self._queue.put_nowait(work)
        while "finished" not in work.state and "failed" not in work.state:
            turn = work.turn
            yield dict(work.state)
            await turn.wait()
        yield dict(work.state)

    # -- what is asked

    def _job(self, asked: Asked) -> Job:
        specs = {spec.series for spec in self._daemon.specs}
        if unknown := [one for one in asked.series if one not in specs] or not asked.series:
            raise RequestError(f"no series {unknown or ''}; known: {', '.join(sorted(specs))}")
        start, end = parse_iso(asked.start), parse_iso(asked.end)
        hours_end = period_start(self._daemon.averager.closed_until, HOUR_S)
        if not start < end <= hours_end or not aligned(start) or not aligned(end):
            raise RequestError(f"from and to: whole minutes, to not after the last full hour ({iso(hours_end)})")
        if not asked.who.strip() or not asked.reason.strip():
            raise RequestError("who and reason are needed")
        document = {"document": document_of(self._daemon.config)}
        regulated = [one for one in asked.series if is_regulated(document, one)]
        if derived := [one for one in regulated if one.partition(".")[0] in self._daemon.config.stacks]:
            raise RequestError(f"{', '.join(derived)}: derived of other series, which can be made again")
        if regulated and not asked.layer:
            raise RequestError(
                f"{', '.join(regulated)}: regulated, reported as the analyzer gave it and never replaced;"
                " an analysis layer beside it is made with --layer analysis"
            )
        if asked.layer and len(regulated) < len(asked.series):
            raise RequestError("--layer analysis is for regulated series alone")
        return Job("", tuple(dict.fromkeys(asked.series)), start, end, frozenset(regulated))

    async def _known(self, plan: Plan) -> Known:
        whats = ("coefficients", *RUNS) if plan.assigned else ("coefficients",)
        rows = await self._told("calibration", whats, iso(EPOCH), "~")
        coefficients = [row for row in rows if row["what"] == "coefficients"]
        return Known(coefficients, [row for row in rows if row["what"] in RUNS])

    async def _told(self, kind: str, whats: Sequence[str], after: str, until: str) -> list[dict[str, Any]]:
        """Records of a kind with after < t <= until, page by page."""
        index, found = self._daemon.index, []
        assert index is not None, "made with the daemon"
        while page := await self._daemon.log.call(index.told, kind, whats, after, until, 500):
            found += page
            after = page[-1]["t"]
            if len(found) > RECORDS_MAX:
                raise RequestError(f"more than {RECORDS_MAX} records of calibrations")
        return found

    async def _finished(self) -> set[str]:
        return {str(row["id"]) for row in await self._told("calibration", ("recompute-finished",), iso(EPOCH), "~")}

    async def _left(self) -> list[dict[str, Any]]:
        """Recomputations begun and not finished."""
        finished = await self._finished()
        begun = await self._told("calibration", ("recompute",), iso(EPOCH), "~")
        return list({row["id"]: row for row in begun if row["id"] not in finished}.values())

    # -- how it is done

    async def _done(self, work: Work) -> None:
        try:
            tally = await self._carried_out(work)
        except FitError as error:
            # A plan that makes no sense for these records; nothing of it is half done, for its hours stand.
            await self._end(work, {"failed": str(error)})
            work.tell(failed=str(error))
            return
        await self._end(work, tally)
        work.tell(finished=True, **tally)

    async def _end(self, work: Work, members: Mapping[str, Any]) -> None:
        if not work.dry_run:
            await self._daemon.log.append("calibration", {"what": "recompute-finished", "id": work.job.name, **members})

    async def _carried_out(self, work: Work) -> dict[str, Any]:
        state = await self._prepared(work)
        begin, markers = iso(work.job.start - AHEAD), _markers(work.job)
        for epoch in await self._daemon.log.epochs():
            after = await self._daemon.log.seq_at(epoch, begin) - 1
            while rows := await self._daemon.log.read(after, kinds=KINDS, limit=PAGE, epoch=epoch):
                began = self._daemon.clock.wall_monotonic()
                for row in rows:
                    if row.kind != "scan" or any(marker in row.body for marker in markers):
                        state.take(row.fields)
                after = rows[-1].seq
                for hour in state.ready():
                    await self._hour(work, state, hour)
                if state.closed_until >= work.job.end:
                    return state.tally.fields()
                await self._rest(began)
        for hour in state.left():
            await self._hour(work, state, hour)
        return state.tally.fields()

    async def _prepared(self, work: Work) -> Recomputation:
        job, config = work.job, self._daemon.config
        assert self._daemon.index is not None, "made with the daemon"
        begin = job.start - AHEAD
        statement = newest("config", (), iso(begin))
        found = await self._daemon.log.call(self._daemon.index.bodies, *statement)
        specs = {spec.series: spec for spec in series_of(config)} | (specs_in(decode(found[0])) if found else {})
        before: list[dict[str, Any]] = []
        for kind, what in TOLD:
            before += await self._told(kind, what, iso(EPOCH), iso(begin - timedelta(milliseconds=1)))
        before.sort(key=lambda row: (row["epoch"], row["seq"]))
        instruments = {one.partition(".")[0] for one in job.series}
        corrections = {name: ByPlan(job.name, work.plan, work.known, before) for name in instruments}
        return Recomputation(job, specs, int(config.station.day_start_utc_offset_h * HOUR_S), corrections)

    async def _hour(self, work: Work, state: Recomputation, hour: datetime) -> None:
        """Post what an hour comes to, all of it into one commit, and wait for that."""
        log, index = self._daemon.log, self._daemon.index
        assert index is not None, "made with the daemon"
        day = period_start(hour, DAY_S, state.day_offset_s)
        spans = ((MINUTE_S, hour, hour + timedelta(hours=1)), (HOUR_S, day, day + DAY), (DAY_S, day, day + DAY))
        kept: list[dict[str, Any]] = []
        for period_s, start, end in spans:
            kept += await log.call(_listed, index, period_s, iso(start), iso(end))
        await log.room()
        records = state.finish(hour, kept)
        if not work.dry_run and records:
            await asyncio.wait([log.post("average", fields) for fields in records])
        work.tell(until=iso(hour + timedelta(hours=1)), **state.tally.fields())

    async def _rest(self, began: float) -> None:
        spent = self._daemon.clock.wall_monotonic() - began
        if spent > 0:
            await self._daemon.clock.sleep_wall(spent * REST)
        else:
            await asyncio.sleep(0)


def _listed(index: Any, period_s: int, start: str, end: str) -> list[dict[str, Any]]:
    return list(index.averages(period_s, start, end))


def _markers(job: Job) -> list[bytes]:
    """What stands in the body of a scan of an instrument of the job."""
    return [f'"instrument":"{name}"'.encode() for name in {one.partition(".")[0] for one in job.series}]


def _begun(job: Job, asked: Asked) -> dict[str, Any]:
    layer = {"layer": "analysis"} if job.layered else {}
    return {
        "what": "recompute",
        "id": job.name,
        "who": asked.who,
        "reason": asked.reason,
        "series": list(job.series),
        "from": iso(job.start),
        "to": iso(job.end),
        "plan": asked.plan.model_dump(mode="json", exclude_none=True),
        "software": metadata.version("plumeline"),
        **layer,
    }
