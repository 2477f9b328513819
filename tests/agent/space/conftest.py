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
from metrology.periods import iso
from metrology.reading import Reading, Scan
from protocols.record import scan_fields
from protocols.tlog import Signer, signer_from_seed

BEGAN = datetime(2020, 3, 1, tzinfo=UTC)
SCANS_A_DAY = 6


def signer_of(station: str) -> Signer:
    return signer_from_seed(base64.b64encode(bytes(range(32))).decode(), f"plumeline/{station}")


def document(folder: Path, uplinks: dict[str, Any] | None = None, **store: Any) -> dict[str, Any]:
    return {
        "uplinks": uplinks or {},
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

    def __init__(self, folder: Path, clock: ManualClock, station: str = "old", **store: Any) -> None:
        self.folder, self.clock, self.store = folder, clock, store
        self.segments = folder / "segments"
        self.config = Config.model_validate(document(folder, **store))
        self.log = Log(
            self.segments, clock, station_id=station, signer=signer_of(station), commit_s=0,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", self.segments, self.log.files)
        self.deletion = Deletion(self.config, self.log, self.index, self.segments)
        self.task = asyncio.create_task(self.log.run())

    async def days(self, count: int) -> None:
        """Days with scans, an average, an event, checkpoints; the log is in a new file after each."""
        for _ in range(count):
            for number in range(SCANS_A_DAY):
                at = self.clock.now()
                scan = Scan("ndir", at, (Reading("ndir", "co2", float(number), "umol/mol", at),))
                await self.log.append("scan", scan_fields(scan))
                await self.clock.advance(3600)
            end = self.clock.now()
            span = {"start": iso(end - timedelta(hours=1)), "end": iso(end), "period_s": 3600}
            await self.log.append("average", {**span, "rows": {}})
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

    def make(folder: Path = tmp_path, station: str = "old", **store: Any) -> Life:
        made.append(Life(folder, ManualClock(BEGAN), station, **store))
        return made[-1]

    yield make
    for one in made:
        await one.end()
