"""When the tree is signed: as often as configured, and at once where a person would later ask what stood then.

A coefficient, the end of a run, a configuration, a mark or act of a person and a step of the clock are signed at most a
second later: from then on nobody alters them unseen, however long the interval is.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.store.log import Log

if TYPE_CHECKING:
    from agent.daemon import Daemon

WATCHED: Final = frozenset({"calibration", "config", "event"})
CALIBRATION: Final = frozenset(
    {"coefficients", "run-finished", "run-aborted", "adjustment", "cylinder", "recompute", "recompute-finished"}
)
EVENTS: Final = frozenset(
    {
        "clock-step", "clock-state", "clock-mapped", "clock-confirmed",
        "maintenance-lock", "maintenance-unlock", "maintenance-expired", "qa-signoff", "report-made",
        "instrument-confirmed", "instrument-changed", "board-confirmed", "board-setting", "board-time-set",
        "platform-request", "log-damaged", "key-lost", "key-rotated", "station-replaced", "mark", "mark-ended",
    }
)  # fmt: skip
AT_MOST_EVERY_WALL_S: Final = 1.0
READ_MAX: Final = 200


def calls_for_one(fields: Mapping[str, Any]) -> bool:
    """Whether a record is to be signed at once."""
    match fields["kind"]:
        case "config":
            return True
        case "calibration":
            return fields.get("what") in CALIBRATION
        case "event":
            return fields.get("what") in EVENTS
    return False


async def checkpoints(daemon: "Daemon") -> None:
    """Sign the tree as often as the configuration says, and at what calls for it, at most once a second."""
    log, clock = daemon.log, daemon.clock
    seen = log.next_seq - 1
    while True:
        due = asyncio.ensure_future(clock.sleep(daemon.config.ledger.checkpoint_s))
        called = asyncio.ensure_future(_called(log, seen))
        try:
            await asyncio.wait({due, called}, return_when=asyncio.FIRST_COMPLETED)
            if called.done():
                called.result()
        finally:
            for task in (due, called):
                task.cancel()
            await asyncio.gather(due, called, return_exceptions=True)
        await log.room()
        seen = (await log.post_checkpoint()).seq
        await clock.sleep_wall(AT_MOST_EVERY_WALL_S)


async def _called(log: Log, after: int) -> None:
    """Return when a record behind `after` is committed that calls for a checkpoint."""
    while True:
        await log.wait(after)
        end = log.next_seq
        rows = await log.read(after, kinds=WATCHED, limit=READ_MAX, before=end)
        if any(calls_for_one(row.fields) for row in rows):
            return
        after = rows[-1].seq if len(rows) >= READ_MAX else end - 1
