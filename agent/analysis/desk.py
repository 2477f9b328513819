"""Recomputation in the running daemon: asked for by a person, done beside the measurements, finished after a restart.

Live comes first: after each page of records the work rests for several times what it took. An hour's revisions are
posted together and so lie in one commit; what a crash cut off is made again at the next start. A day that is still open
is closed of what was first reported, as every day; its revision follows as soon as it stands on record.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from agent.analysis.again import KINDS
from agent.analysis.asked import Asked
from agent.analysis.job import Job, job_of
from agent.analysis.plan import ByPlan, Known, Plan, fingerprint
from agent.analysis.reads import Reads, just_after
from agent.analysis.recompute import DAY, Recomputation
from calibration.fit.linear import FitError
from host.control import RequestError
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, iso, parse_iso, period_start

if TYPE_CHECKING:
    from agent.daemon import Daemon

PAGE: Final = 200
# The share of one core it takes is 1 / (1 + REST).
REST: Final = 4.0
QUEUE_MAX: Final = 8


@dataclass(slots=True)
class Work:
    """One recomputation; `state` is what is told of it, `turn` is set and renewed at each change.

    `asked_at`: what was on record before then counts. `tally`: what it came to while its day was open.
    """

    job: Job
    plan: Plan
    known: Known
    dry_run: bool
    asked_at: str
    state: dict[str, Any] = field(default_factory=dict)
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    tally: Mapping[str, Any] = field(default_factory=dict)

    def tell(self, **members: Any) -> None:
        """Change the state."""
        self.state.update(members)
        self.turn.set()
        self.turn = asyncio.Event()


class RecomputeDesk:
    """One for a daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._reads = Reads(daemon)
        self._queue: asyncio.Queue[Work] = asyncio.Queue(QUEUE_MAX)
        # Done but for their last day, by its start, oldest first: as many as are asked for within a day.
        self._open: dict[datetime, list[Work]] = {}
        self._opened = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled: first what the last run of the daemon left."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._days())
            for begun, ended in await self._reads.left():
                plan = Plan.model_validate(begun["plan"])
                known = (await self._reads.known(plan)).before(begun)
                work = Work(job_of(begun), plan, known, dry_run=False, asked_at=just_after(begun))
                if ended is None:
                    await self._done(work)
                else:
                    self._leave_open(work, parse_iso(ended["open"]), ended)
            while True:
                await self._done(await self._queue.get())

    async def serve(self, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Take a request and tell how far it is, to its end. Raises RequestError and ValueError."""
        asked = Asked.model_validate(dict(request))
        job = asked.job(self._daemon)
        known = await self._reads.known(asked.plan)
        stacks = asked.stacks(job, self._daemon)
        name = fingerprint(job.series, job.start, job.end, asked.plan, known.coefficients, stacks)
        job = replace(job, name=name)
        now = iso(self._daemon.clock.now() + timedelta(milliseconds=1))
        work = Work(job, asked.plan, known, asked.dry_run, now, {"id": job.name, "dry_run": asked.dry_run})
        if not asked.dry_run and job.name in await self._reads.finished():
            yield {**work.state, "already": True}
            return
        # A plan that leaves a calibration without a line is refused before anything is written.
        ByPlan(job.name, asked.plan, known, ())
        if self._queue.full():
            raise RequestError(f"{QUEUE_MAX} recomputations wait already")
        if not asked.dry_run:
            work.asked_at = just_after((await self._daemon.log.append("calibration", asked.begun(job))).fields)
        self._queue.put_nowait(work)
        while "finished" not in work.state and "failed" not in work.state:
            turn = work.turn
            yield dict(work.state)
            await turn.wait()
        yield dict(work.state)

    async def _done(self, work: Work) -> None:
        try:
            tally, still_open = await self._carried_out(work)
        except (FitError, LookupError) as error:
            # A plan that makes no sense for these records; nothing of it is half done, for its hours stand.
            await self._end(work, {"failed": str(error)})
            work.tell(failed=str(error))
            return
        if still_open is not None:
            tally["open"] = iso(still_open)
            self._leave_open(work, still_open, tally)
        await self._end(work, tally)
        work.tell(finished=True, **tally)

    async def _end(self, work: Work, members: Mapping[str, Any]) -> None:
        if not work.dry_run:
            await self._daemon.log.append("calibration", {"what": "recompute-finished", "id": work.job.name, **members})

    async def _carried_out(self, work: Work) -> tuple[dict[str, Any], datetime | None]:
        """What it came to, and the start of its last day where that is still open."""
        state = await self._reads.prepared(work.job, work.plan, work.known, work.asked_at)
        begin, markers = iso(await self._reads.begin(work.job, work.asked_at)), _markers(state)
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
                    return state.tally.fields(), await self._still_open(work, state)
                await self._rest(began)
        for hour in state.left():
            await self._hour(work, state, hour)
        return state.tally.fields(), await self._still_open(work, state)

    async def _hour(self, work: Work, state: Recomputation, hour: datetime) -> None:
        """Post what an hour comes to, all of it into one commit, and wait for that."""
        day = period_start(hour, DAY_S, state.day_offset_s)
        spans = ((MINUTE_S, hour, hour + timedelta(hours=1)), (HOUR_S, day, day + DAY), (DAY_S, day, day + DAY))
        kept = [row for span in spans for row in await self._reads.averages(*span)]
        await self._reads.weigh(state, kept)
        await self._post(work, state.finish(hour, kept))
        work.tell(until=iso(hour + timedelta(hours=1)), **state.tally.fields())

    async def _post(self, work: Work, records: Sequence[dict[str, Any]]) -> None:
        await self._daemon.log.room()
        if not work.dry_run and records:
            await asyncio.wait([self._daemon.log.post("average", fields) for fields in records])

    async def _rest(self, began: float) -> None:
        spent = self._daemon.clock.wall_monotonic() - began
        if spent > 0:
            await self._daemon.clock.sleep_wall(spent * REST)
        else:
            await asyncio.sleep(0)

    # -- the day that is still open

    async def _still_open(self, work: Work, state: Recomputation) -> datetime | None:
        day = period_start(work.job.end - timedelta(milliseconds=1), DAY_S, state.day_offset_s)
        return None if work.dry_run or await self._reads.averages(DAY_S, day, day + DAY) else day

    def _leave_open(self, work: Work, day: datetime, tally: Mapping[str, Any]) -> None:
        work.tally = {name: tally[name] for name in ("records", "rows", "largest")}
        self._open.setdefault(day, []).append(work)
        self._opened.set()

    async def _days(self) -> None:
        """Make each day again when it stands on record; the newest of several recomputations speaks for all."""
        while True:
            await self._opened.wait()
            day = min(self._open)
            while self._daemon.averager.closed_until < day + DAY or not await self._reads.averages(
                DAY_S, day, day + DAY
            ):
                await self._daemon.log.wait(self._daemon.log.next_seq - 1)
            for work in reversed(self._open.pop(day)):
                await self._day(work, day)
            if not self._open:
                self._opened.clear()

    async def _day(self, work: Work, day: datetime) -> None:
        state = await self._reads.prepared(work.job, work.plan, work.known, work.asked_at)
        kept = [row for period_s in (HOUR_S, DAY_S) for row in await self._reads.averages(period_s, day, day + DAY)]
        await self._reads.weigh(state, kept)
        await self._post(work, state.day(day, kept))
        await self._end(work, _plus(work.tally, state.tally.fields()))


def _markers(state: Recomputation) -> list[bytes]:
    """What stands in the body of a scan that it takes."""
    return [f'"instrument":"{name}"'.encode() for name in sorted(state.instruments)]


def _plus(before: Mapping[str, Any], day: Mapping[str, Any]) -> dict[str, Any]:
    """What it came to with its last day."""
    added = {
        name: {key: before[name].get(key, 0) + day[name].get(key, 0) for key in sorted({*before[name], *day[name]})}
        for name in ("records", "rows")
    }
    largest = {
        key: max((one[key] for one in (before["largest"], day["largest"]) if key in one), key=abs)
        for key in sorted({*before["largest"], *day["largest"]})
    }
    return {**added, "largest": largest}
