"""After a start that set files aside: what they still hold comes back, what does not is named, while we measure."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.store.index import Index
from agent.store.log import Log
from agent.store.opening import QUARANTINE, SetAside, write_note
from metrology.periods import iso
from protocols import record

logger = logging.getLogger(__name__)


class Salvaging:
    """Reads each file of the quarantine once, in a process of its own. `started`: until when records are missing."""

    def __init__(self, folder: Path, log: Log, index: Index | None, started: datetime) -> None:
        self._folder = folder
        self._log = log
        self._index = index
        self._started = started

    def begin(self, event: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Say what the start set aside, or found too short."""
        for lost in self._log.quarantined:
            numbers: dict[str, Any] = {"of_epoch": lost.epoch, "first": lost.first, "until": lost.until}
            if lost.restored:
                numbers["restored"] = True
            event("log-damaged", {"detail": lost.detail, "origin": "log", **numbers})

    async def run(self) -> None:
        """Salvage what a start found, oldest first, then say what is lost."""
        found: list[tuple[SetAside, dict[str, Any]]] = []
        try:
            for lost in self._log.unsalvaged:
                found += [(lost, one)] if (one := await self._read(lost)) is not None else []
        finally:
            for lost in self._log.unsalvaged:
                self._log.salvaged(lost.epoch)
        for lost in self._log.quarantined:
            if not lost.kept_as and lost.until is not None and lost.until > lost.first:
                await self._missing(lost.epoch, lost.first, lost.until - 1)
        for lost, one in found:
            await self._log.append("event", {"what": "log-salvaged", **_of(lost), **one})
            for first, last in one["lost"]:
                await self._missing(lost.epoch, first, last)
            # Last of all: a start after a power cut before this does the whole again.
            await self._log.call(write_note, self._folder / QUARANTINE, lost, one)

    async def _read(self, lost: SetAside) -> dict[str, Any] | None:
        """Copy what a file still holds into the log; None where that failed, and the next start tries again."""
        made = self._folder / f"{Path(lost.name).stem}.salvage"
        damaged = self._folder / QUARANTINE / lost.kept_as
        until = [] if lost.until is None else [str(lost.until)]
        code, out, said = await _child(str(damaged), str(made), str(lost.epoch), str(lost.first), *until)
        if code:
            logger.error("log: nothing salvaged from %s: %s", lost.kept_as, said)
            await self._log.append("event", {"what": "log-salvage-failed", **_of(lost), "reason": said})
            return None
        segment = await self._log.adopt(made, lost)
        if self._index:
            await self._log.call(self._index.adopt, segment)
        await self._log.call(segment.close)
        return dict(json.loads(out))

    async def _missing(self, epoch: int, first: int, last: int) -> None:
        """Say which numbers of an epoch are in no file, and between which times they were written."""
        before = await self._log.read(first - 2, kinds=record.KINDS, limit=1, before=first, epoch=epoch)
        after = await self._log.read(last, kinds=record.KINDS, limit=1, epoch=epoch)
        until = after[0].fields["t"] if after else iso(self._started)
        since = before[0].fields["t"] if before else until
        gap = {"from": since, "to": until, "reason": "records lost", "of_epoch": epoch, "first": first, "last": last}
        await self._log.append("gap", gap)


def _of(lost: SetAside) -> dict[str, Any]:
    return {"origin": "log", "file": lost.kept_as, "of_epoch": lost.epoch}


async def _child(*arguments: str) -> tuple[int, str, str]:
    """Exit code, what it printed, and the last it said where it failed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.store.salvage", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, error = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    lines = error.decode(errors="replace").strip().splitlines()
    return await process.wait(), out.decode(), lines[-1][:500] if lines else ""
