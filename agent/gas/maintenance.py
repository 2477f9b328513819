"""The local maintenance lock: while a person holds it, no valve moves by schedule, from afar or at a start.

It lies in a file of its own, written so that a power cut leaves the old or the new state and never half of one. A file
that cannot be read counts as a lock: a person must look.
"""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from agent.store.log import Log
from metrology.clock import Clock
from metrology.periods import iso, parse_iso

EXPIRY_LOOK_S: Final = 5.0
UNREADABLE: Final = "the lock's file cannot be read"


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds the lock, why, since when and until when (world time, UTC; None: until taken off)."""

    owner: str
    reason: str
    since: datetime
    until: datetime | None

    def expired(self, now: datetime) -> bool:
        """True where its end has come."""
        return self.until is not None and self.until <= now

    def fields(self) -> dict[str, str | None]:
        """As it stands in the file and in records."""
        until = iso(self.until) if self.until else None
        return {"owner": self.owner, "reason": self.reason, "since": iso(self.since), "until": until}


def stored_in(path: Path, now: datetime) -> Held | None:
    """The lock in a file, expired or not."""
    try:
        fields = json.loads(path.read_bytes())
        until = fields["until"]
        end = parse_iso(until) if until else None
        return Held(str(fields["owner"]), str(fields["reason"]), parse_iso(fields["since"]), end)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Held("unknown", f"{UNREADABLE}: {error}", now, None)


def held_in(path: Path, now: datetime) -> Held | None:
    """The lock in a file, if one is in force at `now`."""
    held = stored_in(path, now)
    return None if held is None or held.expired(now) else held


class Maintenance:
    """The lock of a running station; each change is an event record."""

    def __init__(self, path: Path, log: Log, clock: Clock) -> None:
        self._path = path
        self._log = log
        self._clock = clock
        self._before_lock: list[Callable[[str], Awaitable[None]]] = []

    @property
    def held(self) -> Held | None:
        """The lock in force; None where valves may move."""
        return held_in(self._path, self._clock.now())

    def before_lock(self, give_way: Callable[[str], Awaitable[None]]) -> None:
        """Have `give_way(owner)` awaited before the lock comes into force: what moves valves ends in order first."""
        self._before_lock.append(give_way)

    async def lock(self, owner: str, reason: str, until: str | None = None) -> None:
        """Take the lock, or replace the one held. Raises ValueError for an `until` that is no time to come."""
        now = self._clock.now()
        end = parse_iso(until) if until is not None else None
        if end is not None and end <= now:
            raise ValueError(f"until {until} is past: give a time to come, or none")
        for give_way in self._before_lock:
            await give_way(owner)
        held = Held(owner, reason, now, end)
        replaced = self.held
        self._write(held)
        detail = {"replaced": replaced.fields()} if replaced else {}
        await self._log.append("event", {"what": "maintenance-lock", "origin": owner, **held.fields(), **detail})

    async def unlock(self, who: str) -> None:
        """Take the lock off. Raises ValueError where none is held."""
        held = self.held
        if held is None:
            raise ValueError("the maintenance lock is not held")
        self._remove()
        await self._log.append("event", {"what": "maintenance-unlock", "origin": who, **held.fields()})

    async def expire(self) -> None:
        """Record the end of locks that run out, for ever."""
        while True:
            stored = stored_in(self._path, self._clock.now())
            if stored is not None and stored.expired(self._clock.now()):
                self._remove()
                await self._log.append("event", {"what": "maintenance-expired", "origin": "clock", **stored.fields()})
            await self._clock.sleep_wall(EXPIRY_LOOK_S)

    def status(self) -> dict[str, Any]:
        """For people."""
        held = self.held
        return {"held": held.fields() if held else None}

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._sync_folder()

    def _write(self, held: Held) -> None:
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(json.dumps(held.fields(), ensure_ascii=False).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
