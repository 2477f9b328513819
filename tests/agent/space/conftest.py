"""A log of several days on a clock moved by hand, with what looks after its room."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.space.deletion import Deletion
from agent.store.index import Index
from agent.store.log import Log
from host.clock import ManualClock
from protocols.tlog import signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/old")
BEGAN = datetime(2020, 3, 1, tzinfo=UTC)
SCANS_A_DAY = 6


def document(folder: Path, **store: Any) -> dict[str, Any]:
    return {
        "station": {
            "id": "old", "network": "n", "name_zh": "站", "name_en": "old",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder), **store},
        "ledger": {"key": {"file": str(folder / "key")}},
        "buses": {},
        "instruments": {},
        "socket": str(folder / "socket"),
    }  # fmt: skip


class Life:
    """A station's log, its index and its deletion; `again` is the next start after whatever happened."""

    def __init__(self, folder: Path, clock: ManualClock, **store: Any) -> None:
        self.folder, self.clock, self.store = folder, clock, store
        self.segments = folder / "segments"
        self.config = Config.model_validate(document(folder, **store))
        self.log = Log(
            self.segments, clock, station_id="old", signer=SIGNER, commit_s=0,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", self.segments, self.log.live_segment)
        self.deletion = Deletion(self.config, self.log, self.index, self.segments)
        self.task = asyncio.create_task(self.log.run())

    async def days(self, count: int) -> None:
        """Days with scans, an average, an event, checkpoints; the log is in a new file after each."""
        for _ in range(count):
            for number in range(SCANS_A_DAY):
                await self.log.append("scan", {"instrument": "ndir", "at": "x", "values": {"co2": {"x": number}}})
                await self.clock.advance(3600)
            await self.log.append("average", {"start": "x", "end": "x", "period_s": 3600, "rows": {}})
            await self.log.post_checkpoint()
            await self.log.append("event", {"what": "seen", "origin": "test"})
            await self.clock.advance(86400 - SCANS_A_DAY * 3600)
        await self.log.append("event", {"what": "new day", "origin": "test"})
        await self.log.post_checkpoint()

    async def told(self, what: str) -> list[dict[str, Any]]:
        return await self.log.call(self.index.newest, "event", what, 1000)

    async def end(self) -> None:
        """Stop in order."""
        if not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])
            self.index.close()

    async def again(self, **store: Any) -> "Life":
        """The next start of the same station."""
        await self.end()
        return Life(self.folder, self.clock, **(store or self.store))


MakeLife = Callable[..., "Life"]


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[MakeLife]:
    """`life(**store)`: the station's first start."""
    made: list[Life] = []

    def make(**store: Any) -> Life:
        made.append(Life(tmp_path, ManualClock(BEGAN), **store))
        return made[-1]

    yield make
    for one in made:
        await one.end()


YEARS = timedelta(days=366)
