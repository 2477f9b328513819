"""A station without instruments: a log, its index, and what is written to them; see `storage`."""

import asyncio
import base64
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from agent.store.waiting import COMMIT_RECORDS
from host.clock import ManualClock
from metrology.reading import Reading, Scan
from protocols.record import scan_fields
from protocols.tlog import signer_from_seed

READINGS: Final = 20
MINUTE: Final = 60
CHECKPOINT: Final = 300
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER: Final = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/bench-01")


class Station:
    """A log and its index in a folder, without instruments."""

    def __init__(self, folder: Path, commit_records: int = COMMIT_RECORDS, commit_s: float = 0) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.log = Log(
            folder / "segments", self.clock, station_id="bench-01", signer=SIGNER, commit_s=commit_s,
            commit_records=commit_records, on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.files)

    async def __aenter__(self) -> "Station":
        self._task = asyncio.create_task(self.log.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.index.close()

    async def live(self, scans: int, instruments: int, commit_every_s: int) -> None:
        """So many seconds of a station, one commit in so many seconds; 0 for one of each scan, as 50 ms make it."""
        for second in range(scans):
            for scan in made(second, instruments, self.clock.now()):
                last = self.log.post("scan", scan_fields(scan))
                if not commit_every_s:
                    await last
            if second % MINUTE == MINUTE - 1:
                last = self.log.post("average", averages(self.clock.now()))
            if second % CHECKPOINT == CHECKPOINT - 1:
                last = self.log.post_checkpoint()
            if second % max(1, commit_every_s) == commit_every_s - 1:
                await last
            self.clock.step(1)  # no turn of the loop, and so no commit, before the batch is whole
        await last


def made(number: int, instruments: int, at: datetime) -> Iterator[Scan]:
    """The scans of one second: 20 values at levels of their own, with noise of as many digits as instruments give."""
    for i in range(instruments):
        count = READINGS // instruments
        noise = random.Random(number * instruments + i)
        values = (round(400 + 37.1 * k + 5 * noise.random(), 3) for k in range(count))
        yield Scan(
            f"analyzer{i}", at, tuple(Reading(f"analyzer{i}", f"m{k}", x, "umol/mol", at) for k, x in enumerate(values))
        )


def averages(at: datetime) -> dict[str, Any]:
    """A minute of every series, as large as real ones."""
    noise, rows = random.Random(at.timestamp()), {}
    for k in range(READINGS):
        level = 400 + 37.1 * k
        rows[f"analyzer.m{k}"] = {
            "u": "umol/mol", "n": 60, "valid": 1, "mean": level + 2.5 + noise.random() / 10,
            "min": round(level + noise.random(), 3), "max": round(level + 4 + noise.random(), 3),
            "sd": 1.4 + noise.random() / 10, "rule": "ghg", "rev": 0, "final": True,
        }  # fmt: skip
    start = at - timedelta(seconds=MINUTE - 1)
    return {"start": start.isoformat(), "end": at.isoformat(), "period_s": MINUTE, "rows": rows}
