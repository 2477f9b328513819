"""Who looks after the room of a running station: measures it, says when it ends, stops what gives way, deletes.

Steps (design, section 6): a warning and an alarm come early; then raw of optional instruments is not written; then
no raw at all, while averages, calibrations, events and checkpoints go on into the reserve. A commit that finds the disk
full goes to the last step at once and frees the ballast for what must be said.
"""

import asyncio
import errno
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apsw

from agent.space.ballast import Ballast
from agent.space.deletion import Deletion
from agent.space.gate import FULL, Gate
from agent.space.ladder import GB, Room, Step, measured, step_of
from agent.store.recovery import last_record_time
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon

LOOK_WALL_S: Final = 10.0
LOOK_FULL_WALL_S: Final = 1.0
# While raw is not written, a gap record so often; at the end of it one more.
TOLD_EVERY: Final = timedelta(hours=1)
DAYS_AVERAGED: Final = 7
# Where nothing may go, years of days are not gone through again at once.
TRY_AGAIN: Final = timedelta(minutes=10)
# A disk with less than this is full, whatever its errors are called.
FULL_BYTES: Final = 64 * 1024
MB: Final = 1_000_000

logger = logging.getLogger(__name__)


class Keeper:
    """One for a daemon, made before its log: where the disk is full already, the ballast makes room for a start."""

    def __init__(self, daemon: "Daemon") -> None:
        config = daemon.config
        self._daemon = daemon
        self._folder = Path(config.store.path)
        self._folder.mkdir(parents=True, exist_ok=True)
        space = config.store.space
        self._thresholds = {
            Step.WARNING: space.warning_percent,
            Step.ALARM: space.alarm_percent,
            Step.OPTIONAL_STOPPED: space.optional_percent,
            Step.RESERVE_ONLY: space.reserve_percent,
        }
        self._quota = int(config.store.quota_GB * GB)
        self.ballast = Ballast(self._folder, int(space.ballast_MB * MB))
        optional = [name for name, block in config.instruments.items() if block.optional]
        self.gate = Gate(config.instruments, optional, lambda: daemon.log.crowded)
        self.step = Step.WELL
        self.room: Room | None = None
        self._full = False
        self._pause: asyncio.Future[None] | None = None
        self._told_at = daemon.clock.now()
        self._in_vain: datetime | None = None
        self._bytes_a_day: float | None = None
        self._deletion: Deletion | None = None
        if _disk_free(self._folder) < FULL_BYTES and self.ballast.release():
            logger.error("space: the disk is full; the ballast was freed for this start")
            self._full = True

    @property
    def deletion(self) -> Deletion:
        """What removes raw; made when the log and its index are there."""
        if self._deletion is None:
            assert self._daemon.index is not None, "made with the daemon"
            segments = self._folder / "segments"
            self._deletion = Deletion(self._daemon.config, self._daemon.log, self._daemon.index, segments)
        return self._deletion

    # -- a disk that is full

    def failed(self, error: Exception) -> None:
        """A commit failed: where that is for want of room, say so, free the ballast and write no more raw."""
        if self._full or not self._for_want_of_room(error):
            return
        self._full = True
        released = self.ballast.release()
        logger.error("space: the disk is full (%s)%s", error, "; the ballast was freed" if released else "")
        self._go(Step.RESERVE_ONLY)
        if self._pause is not None:
            # From now on it looks each second, so that raw goes on as soon as there is room.
            self._pause.cancel()

    def _for_want_of_room(self, error: Exception) -> bool:
        full = isinstance(error, apsw.FullError) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        return full or _disk_free(self._folder) < FULL_BYTES

    # -- all the time

    async def begin(self) -> None:
        """First of a run: finish deletions, and name the raw that a run before this one left out without a word."""
        await self.deletion.finish()
        assert self._daemon.index is not None, "made with the daemon"
        newest = self._daemon.index.newest
        rows = [*await self._daemon.log.look_up(newest, "event", "space-low", 1)]
        rows += await self._daemon.log.look_up(newest, "event", "space-better", 1)
        last = max(rows, key=lambda row: (row["epoch"], row["seq"]), default=None)
        if last is None:
            return
        self.step = _step(last["step"])
        self._stop()
        if self.gate.stopped and (until := await last_record_time(self._daemon.log)) is not None:
            gaps = await self._daemon.log.look_up(newest, "gap", None, 100)
            told = [row["to"] for row in gaps if row["reason"] == FULL and row["to"] > last["t"]]
            since = max([last["t"], *told])
            if since < iso(until):
                names = [{}] if last["stopped"] == "all" else [{"instrument": one} for one in last["stopped"]]
                for name in names:
                    self._daemon.log.post("gap", {"from": since, "to": iso(until), "reason": FULL, **name})

    async def run(self) -> None:
        """Look after it for ever."""
        try:
            while True:
                await self.look()
                full = self.step >= Step.RESERVE_ONLY
                wait_s = LOOK_FULL_WALL_S if full else LOOK_WALL_S
                self._pause = asyncio.ensure_future(self._daemon.clock.sleep_wall(wait_s))
                await asyncio.wait([self._pause])
        finally:
            if self._pause is not None:
                self._pause.cancel()
            self._tell()

    async def look(self) -> None:
        """Measure, say what changed, make room where that is allowed."""
        now = self._daemon.clock.now()
        if not await self._measure():
            return
        if self.step >= Step.WARNING:
            await self._make_room(now)
        if self.gate.missing and (not self.gate.stopped or abs(now - self._told_at) >= TOLD_EVERY):
            self._tell()
            self._told_at = now

    async def _measure(self) -> bool:
        ballast = self.ballast
        try:
            self.room = await asyncio.to_thread(
                measured, self._folder, self._quota, ballast.size, ballast.on_disk
            )  # fmt: skip
            self._bytes_a_day = await asyncio.to_thread(bytes_a_day, self._folder / "segments")
        except OSError as error:
            logger.warning("space: not measured: %s", error)
            return False
        step = step_of(self.room.percent, self._thresholds, self.step)
        if step < Step.RESERVE_ONLY and not self._daemon.log.crowded and await asyncio.to_thread(ballast.make):
            self._full = False
        self._go(Step.RESERVE_ONLY if self._full else step)
        return True

    async def _make_room(self, now: datetime) -> None:
        if self._in_vain is not None and abs(now - self._in_vain) < TRY_AGAIN:
            return
        try:
            while self.step >= Step.WARNING:
                if not await self.deletion.one(now, dated=self._daemon.clock_state.dated):
                    self._in_vain = now
                    return
                await self._measure()
        except (apsw.Error, OSError) as error:
            logger.error("space: raw was not removed: %s", error)

    def _go(self, step: Step) -> None:
        """Enter or leave a step: once said, then done."""
        before, self.step = self.step, step
        self._stop()
        if step == before:
            return
        detail = {"origin": "space", "step": step.word, "before": before.word, **self._figures()}
        detail["stopped"] = self._stopped()
        if step > before:
            self._daemon.event("space-low", detail)
        else:
            self._daemon.event("space-better", detail)
            self._tell()

    def _stop(self) -> None:
        self.gate.stop(everything=self.step >= Step.RESERVE_ONLY, optional=self.step >= Step.OPTIONAL_STOPPED)

    def _stopped(self) -> str | list[str]:
        return "all" if self.step >= Step.RESERVE_ONLY else sorted(self.gate.stopped)

    def _tell(self) -> None:
        for gap in self.gate.told():
            logger.error("space: raw was not written: %s", gap)
            self._daemon.log.post("gap", gap)

    def _figures(self) -> dict[str, Any]:
        room = self.room
        if room is None:
            return {"used_GB": None, "free_GB": None, "percent": None, "days_left": None}
        days = None if not self._bytes_a_day else round(max(0, room.free) / self._bytes_a_day, 1)
        return {
            "used_GB": round(room.used / GB, 3),
            "free_GB": round(room.free / GB, 3),
            "percent": round(room.percent, 1),
            "days_left": days,
        }

    def status(self) -> dict[str, Any]:
        """For people: the step, the figures, what is not written and why nothing more is removed."""
        return {
            "step": self.step.word,
            **self._figures(),
            "limit_GB": round((self.room.limit if self.room else self._quota) / GB, 3),
            "ballast": self.ballast.whole,
            "stopped": self._stopped(),
            "not_written": self.gate.missing,
            "removed": self.deletion.deleted,
            "blocked": dict(self.deletion.blocked),
        }


def _step(word: str) -> Step:
    return next((step for step in Step if step.word == word), Step.WELL)


def _disk_free(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return FULL_BYTES
    return disk.f_bavail * disk.f_frsize


def bytes_a_day(segments: Path) -> float | None:
    """What the last closed days took, on average; None before the first is closed. Raises OSError."""
    closed = sorted(segments.glob("log-*.db"))[:-1][-DAYS_AVERAGED:]
    sizes = [path.stat().st_blocks * 512 for path in closed]
    return sum(sizes) / len(sizes) if sizes else None


async def space(daemon: "Daemon") -> None:
    """The duty of a daemon."""
    await daemon.space.run()
