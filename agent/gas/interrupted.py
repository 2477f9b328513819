"""Runs that a kill or a power cut ended: found at the next start, recorded as aborted, never resumed."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from agent.config import Config
from agent.gas.plan import recovery_s
from agent.gas.run import GasMarks
from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from metrology.clock import Clock
from metrology.quality import Cause

RUNS_LOOKED_BACK: Final = 50
ENDS: Final = ("run-finished", "run-aborted")
BEFORE_ALL: Final = (-1, -1)


class Interrupted:
    """Runs without an end in the log. Their instruments are marked here, before the first reading comes."""

    def __init__(self, config: Config, index: Index, intake: Intake, log: Log, clock: Clock) -> None:
        self._config = config
        self._log = log
        self._clock = clock
        ends = [row for what in ENDS for row in index.newest("calibration", what, RUNS_LOOKED_BACK)]
        ended = {row["run"]: _place(row) for row in sorted(ends, key=_place)}
        started = index.newest("calibration", "run-started", RUNS_LOOKED_BACK)
        self._found = [
            (row, GasMarks(intake, row["marked"], row["run"], clock))
            for row in started
            # A log may hold two runs of one name, from before a clock was set back and behind it.
            if ended.get(row["run"], BEFORE_ALL) < _place(row)
        ]
        for row, marks in self._found:
            # The valve of a calibration by the instrument itself is None.
            if row["valve"] is None or row["valve"] in config.valves:
                marks.put(Cause.BLOWBACK if row.get("purpose") == "blowback" else Cause.CALIBRATION)

    async def record(self) -> None:
        """Record each as aborted."""
        for row, _ in self._found:
            names = {key: row[key] for key in ("run", "sequence", "instrument")}
            reason = "the station stopped during the run"
            await self._log.append("calibration", {"what": "run-aborted", **names, "reason": reason})

    async def recover(self, valve: str | None) -> None:
        """Mark the recovery of those on a valve that is home again, wait for it, and take the marks off.

        None: of calibrations an instrument carried out by itself; where it still does, its own run marks it anew.
        """
        own = [(row, marks) for row, marks in self._found if row["valve"] == valve]
        for _, marks in own:
            marks.put(Cause.RECOVERY)
        if own:
            await self._clock.sleep(self._recovery_s(row for row, _ in own))
        for _, marks in own:
            marks.put(None)

    def _recovery_s(self, rows: Iterable[Mapping[str, Any]]) -> float:
        """The longest; a sequence that is no longer declared has none."""
        declared = (self._config.sequences.get(row["sequence"]) for row in rows)
        return max(recovery_s(sequence) if sequence else 0.0 for sequence in declared)


def _place(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["epoch"], row["seq"]
