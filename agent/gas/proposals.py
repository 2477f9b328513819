"""Values that runs propose for unknown gases: each finished run in which one was read leaves a record of it.

Nobody uses a proposal until a person takes it over (`agent.gas.register_requests`).
"""

from datetime import timedelta
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from calibration.standards.proposal import Fields, proposed
from calibration.standards.register import Register
from metrology.clock import Clock
from metrology.periods import iso, parse_iso

# How soon after a run's end its proposal follows.
FOLLOW_S: Final = 10.0
PAGE: Final = 500
# A run is named by its sequence and its start; its points come within so long.
RUN_LONGEST: Final = timedelta(days=3)
_START_LENGTH: Final = len("2026-06-15T00:00:00.000Z")
POINTS_MAX: Final = 5000
# Assignments that are looked through for those of one cylinder.
RECORDED_MAX: Final = 200
_CALIBRATION: Final = frozenset({"calibration"})


class Proposals:
    """One for a station; `run` follows the log from the start on."""

    def __init__(self, register: Register, log: Log, index: Index, clock: Clock) -> None:
        self._register = register
        self._log = log
        self._index = index
        self._clock = clock
        self._after = log.next_seq - 1

    async def run(self) -> None:
        """Propose for ever."""
        while True:
            await self._clock.sleep(FOLLOW_S)
            end = self._log.next_seq
            while rows := await self._log.read(self._after, kinds=_CALIBRATION, limit=PAGE, before=end):
                self._after = rows[-1].seq
                for row in rows:
                    if row.fields["what"] == "run-finished":
                        await self._propose(row.fields)
            # Else each look would read all that came since the last run, through the files of weeks.
            self._after = max(self._after, end - 1)

    async def _propose(self, finished: Fields) -> None:
        """A record for every unknown gas and series of a run: what it is worth, or why that cannot be said."""
        points = await self._points(finished["run"])
        head = {name: finished[name] for name in ("run", "sequence", "instrument")}
        unknown = {(row["number"], row["fill"], row["series"]) for row in points if row["role"] == "unknown"}
        for number, fill, series in sorted(unknown):
            told: dict[str, Any] = {"number": number, "fill": fill, "series": series}
            try:
                cylinder = self._register.cylinder((number, fill))
                told["proposal"] = proposed(points, self._register, cylinder, series).fields()
            except (KeyError, ValueError) as error:
                told["refused"] = str(error)
            await self._log.append("calibration", {"what": "assignment", **head, **told})

    async def recorded(self, number: str, fill: str) -> list[dict[str, Any]]:
        """What runs said of a cylinder, the newest first: `run`, `series`, and `proposal` or why there is none."""
        rows = await self._log.look_up(self._index.newest, "calibration", "assignment", RECORDED_MAX)
        kept = ("run", "series", "t", "proposal", "refused")
        own = [row for row in rows if (row["number"], row["fill"]) == (number, fill)]
        return [{name: row[name] for name in kept if name in row} for row in own]

    async def points(self, run: str) -> list[dict[str, Any]]:
        """The point records of a run. Raises ValueError where its name is none, or where it left no points."""
        try:
            points = await self._points(run)
        except (ValueError, OverflowError) as error:  # the latter at an end of the calendar
            raise ValueError(f"run {run}: a run is named by its sequence and its start") from error
        if not points:
            raise ValueError(f"run {run} left no points")
        return points

    async def _points(self, run: str) -> list[dict[str, Any]]:
        start = parse_iso(run[-_START_LENGTH:])
        # The index reads what was written after an instant.
        since = start - timedelta(seconds=1)
        found = await self._log.look_up(
            self._index.told, "calibration", ("point",), iso(since), iso(start + RUN_LONGEST), POINTS_MAX
        )
        return [row for row in found if row["run"] == run]
