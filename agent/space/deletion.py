"""Raw of old days removed when room is short: what stays is durable first, then the record of it, then the file goes.

A process that ends between two steps leaves a state that the next start finishes (where the record is there) or undoes.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from agent.config import Config
from agent.space.copies import Copies
from agent.space.days import Day, Days
from agent.space.holds import Holds
from agent.space.kept import make_kept
from agent.space.proof import Root, UnprovenError, proven
from agent.store.index import Index
from agent.store.log import Log
from agent.store.segment import KEPT, segment_name, segment_numbers
from agent.store.segments import remove

YEAR: Final = timedelta(days=366)
# Everything is kept so long by law; younger raw goes only where a second copy was verified by root hash.
YEARS_BY_LAW: Final = 5
DELETED_MAX: Final = 100_000
# Clocks that lost their time begin in 1970, 1980 or 2000.
UNDATED: Final = datetime(2001, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


class Deletion:
    """Of a running station. `guard` is held from a look at holds to the end of a deletion, and while a hold is set."""

    def __init__(self, config: Config, log: Log, index: Index, folder: Path) -> None:
        self._config = config
        self._log = log
        self._index = index
        self._folder = folder
        self.days = Days(log)
        self.holds = Holds(log, index)
        self.copies = Copies(config, log, index, self.days)
        self.guard = asyncio.Lock()
        self.blocked: Counter[str] = Counter()
        self.deleted = 0

    async def finish(self) -> None:
        """At a start: finish deletions that are on record, undo those that are not."""
        await self._log.call(self._finish)

    def _finish(self) -> None:
        told = {row["file"] for row in self._index.newest("event", "raw-deleted", DELETED_MAX)}
        for part in self._folder.glob(f"{KEPT}*.part*"):
            part.unlink()
        for kept in self._folder.glob(f"{KEPT}*.db"):
            whole = kept.with_name(segment_name(*segment_numbers(kept)))
            if not whole.exists():
                continue
            if whole.name in told:
                logger.warning("log: the deletion of %s is finished", whole.name)
                self._log.files.replace(whole, kept)
            else:
                logger.warning("log: the deletion of %s did not come to its record, and is undone", whole.name)
                remove(kept)

    async def one(self, now: datetime, *, dated: bool = True) -> bool:
        """Remove the raw of the oldest day that may go; whether there was one. Raises apsw.Error, OSError.

        Unless `now` is `dated` by a clock that is known to be right, age alone lets nothing go.
        """
        blocked: Counter[str] = Counter()
        async with self.guard:
            holds = await self.holds.now()
            await self.copies.look()
            for day in await self.days.closed():
                age = now - day.until
                if age < self._config.store.keep_raw_years * YEAR:
                    break
                if any(hold.covers(day.since, day.until) for hold in holds):
                    blocked["hold"] += 1
                    continue
                # What a machine wrote that woke in 1970 is not old.
                why = await self._evidence(day, old=dated and day.since > UNDATED and age >= YEARS_BY_LAW * YEAR)
                if isinstance(why, str):
                    blocked[why] += 1
                    continue
                self.blocked = blocked
                await self._delete(day, *why)
                return True
        self.blocked = blocked
        return False

    async def _evidence(self, day: Day, *, old: bool) -> tuple[dict[str, Any], Root] | str:
        """What stands for the day once it is gone, or why it may not go."""
        copy = await self.copies.of(day)
        if copy is None and not old:
            return "no-second-copy"
        root = await self.days.root(day) if copy is None else copy[1]
        if root is None:
            return "no-signed-root"
        try:
            await asyncio.to_thread(proven, day.path, root, self._log.vkeys)
        except UnprovenError as error:
            logger.error("log: raw stays: %s", error)
            return "not-as-signed"
        return (copy[0] if copy else {"at": "none"}), root

    async def _delete(self, day: Day, copy: Mapping[str, Any], root: Root) -> None:
        kept = await asyncio.to_thread(make_kept, day.path)
        years = self._config.store.keep_raw_years
        fields = {
            "origin": "space", "file": day.path.name, "kept": kept.name, "of_epoch": day.epoch, "first": day.first,
            "last": day.next_seq - 1, "size": root.checkpoint["size"], "root": root.checkpoint["root"],
            "copy": dict(copy), "reason": f"older than {years:g} years",
        }  # fmt: skip
        await self._log.append("event", {"what": "raw-deleted", **fields})
        await self._log.call(self._log.files.replace, day.path, kept)
        self.deleted += 1
        logger.warning("log: raw of %s removed; what stays is %s", day.path.name, kept.name)
