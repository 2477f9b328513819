"""What a recomputation reads of the station's past, in the log's thread."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from agent.analysis.corrections import TOLD
from agent.analysis.job import Job
from agent.analysis.plan import Known, Plan
from agent.analysis.prepared import Ground, begin_of
from agent.analysis.recompute import Recomputation
from agent.analysis.station import specs_in
from agent.history.query import newest
from agent.store.index import Index
from agent.values.budgets import RECORDS, window
from agent.values.budgets import RECORDS_MAX as RECORDS_EACH
from agent.values.series import series_of
from host.control import RequestError
from metrology.periods import EPOCH, HOUR_S, iso, parse_iso
from protocols.record import decode

if TYPE_CHECKING:
    from agent.daemon import Daemon

Fields = dict[str, Any]
RECORDS_MAX: Final = 100_000
RUNS: Final = ("point", "run-started")
ALWAYS: Final = "~"


class Reads:
    """Of one daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon

    @property
    def _index(self) -> Index:
        assert self._daemon.index is not None, "made with the daemon"
        return self._daemon.index

    async def told(self, kind: str, whats: Sequence[str], after: str, until: str) -> list[Fields]:
        """Records of a kind with after < t <= until, page by page. Raises RequestError for too many."""
        found: list[Fields] = []
        while page := await self._daemon.log.look_up(self._index.told, kind, whats, after, until, 500):
            found += page
            after = page[-1]["t"]
            if len(found) > RECORDS_MAX:
                raise RequestError(f"more than {RECORDS_MAX} records of calibrations")
        return found

    async def known(self, plan: Plan) -> Known:
        """Calibrations on record, with the points that a corrected cylinder needs."""
        whats = ("coefficients", *RUNS) if plan.assigned else ("coefficients",)
        rows = await self.told("calibration", whats, iso(EPOCH), ALWAYS)
        coefficients = [row for row in rows if row["what"] == "coefficients"]
        return Known(coefficients, [row for row in rows if row["what"] in RUNS])

    async def finished(self) -> dict[str, Fields]:
        """The last word on each recomputation that ended, by id."""
        rows = await self.told("calibration", ("recompute-finished",), iso(EPOCH), ALWAYS)
        return {str(row["id"]): row for row in rows}

    async def left(self) -> list[tuple[Fields, Fields | None]]:
        """Recomputations that are not done: begun, and, where only its day was still open, how it ended."""
        ended = await self.finished()
        begun = {row["id"]: row for row in await self.told("calibration", ("recompute",), iso(EPOCH), ALWAYS)}
        return [(row, ended.get(name)) for name, row in begun.items() if name not in ended or "open" in ended[name]]

    async def config(self, before: str) -> Fields | None:
        """The config record in force before a time."""
        found = await self._daemon.log.look_up(self._index.bodies, *newest("config", (), before))
        return decode(found[0]) if found else None

    async def begin(self, job: Job, asked_at: str) -> datetime:
        """From when on the log is to be read."""
        return begin_of(job.series, job.start, await self.config(asked_at))

    async def prepared(self, job: Job, plan: Plan, known: Known, asked_at: str) -> Recomputation:
        """The state of a recomputation before its first record. Raises FitError, LookupError."""
        now, config = await self.config(asked_at), self._daemon.config
        begin = begin_of(job.series, job.start, now)
        then = await self.config(iso(begin))
        specs = {spec.series: spec for spec in series_of(config)} | (specs_in(then) if then else {})
        before: list[Fields] = []
        for kind, what in TOLD:
            before += await self.told(kind, what, iso(EPOCH), iso(begin - timedelta(milliseconds=1)))
        before.sort(key=lambda row: (row["epoch"], row["seq"]))
        ground = Ground(plan, known, before, then, now)
        return ground.recomputation(job, specs, int(config.station.day_start_utc_offset_h * HOUR_S))

    async def averages(self, period_s: int, start: datetime, end: datetime) -> list[Fields]:
        """Average records of periods that start then."""
        return await self._daemon.log.look_up(_listed, self._index, period_s, iso(start), iso(end))

    async def weigh(self, state: Recomputation, kept: Sequence[Mapping[str, Any]]) -> None:
        """Read what stands behind the coefficients that came up."""
        for name, one in state.unknown(kept):
            rows: list[Fields] = []
            if one is not None:
                span = [iso(at) for at in window(one)]
                rows = await self._daemon.log.look_up(
                    self._index.told, "calibration", RECORDS, span[0], span[1], RECORDS_EACH
                )
            state.weights.learn(name, one, rows)


def just_after(fields: Mapping[str, Any]) -> str:
    """The first time at which a record counts as written before."""
    return iso(parse_iso(fields["t"]) + timedelta(milliseconds=1))


def _listed(index: Index, period_s: int, start: str, end: str) -> list[Fields]:
    return list(index.averages(period_s, start, end))
