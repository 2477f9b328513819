"""What the power-cut campaign traces: the real log, written as a station writes it, in one thread.

    powercut_writer.py FOLDER SEED COMMITS [BUG]

Days roll, checkpoints are signed, the places of two uplinks follow, the log is closed and opened again in between. On
descriptor 1 stands what a caller was told, in the order of the system calls around it: `ACK epoch seq leaf`,
`CHECKPOINT epoch seq`, `PLACE uplink epoch through`. What FOLDER holds already is gone on with. BUG plants one of
`powercut_bugs.BUGS` in this process alone.
"""

import asyncio
import json
import os
import random
import sys
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from powercut_bugs import BUGS

from agent.store import salvaging
from agent.store.index import Index
from agent.store.log import Log, Place, Record
from agent.store.salvage import salvage
from protocols.tlog import leaf_hash, signer_from_seed

SIGNER = signer_from_seed("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "plumeline/cut-01")
START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
REOPEN = 0.04
PLACE_LAG = 6


class Inline(Executor):
    """The log's thread, within ours: one order of system calls."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)
        return future


class Steps:
    """A clock that goes on at each look, so that days pass within a few hundred records."""

    rate = 1.0

    def __init__(self, seed: int) -> None:
        self._now = START
        self._dice = random.Random(seed)

    def now(self) -> datetime:
        self._now += timedelta(seconds=self._dice.choice((5, 60, 600, 1800)))
        return self._now

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    wall_monotonic = monotonic

    async def sleep(self, world_s: float) -> None:
        await asyncio.sleep(0)

    sleep_wall = sleep

    async def set_wall(self, at: datetime) -> bool:
        return False


async def _salvage_here(*arguments: str) -> tuple[int, str, str]:
    """In our process, what the daemon does in one of its own: a thousand starts would be a thousand interpreters."""
    damaged, made, epoch, first, *until = arguments
    found = salvage(Path(damaged), Path(made), int(epoch), int(first), int(until[0]) if until else None)
    return 0, json.dumps(found), ""


salvaging._child = _salvage_here


def open_log(folder: Path, clock: Any) -> tuple[Log, Index]:
    """Log and index as the daemon puts them together."""
    held: list[Index] = []
    log = Log(folder / "segments", clock, station_id="cut-01", signer=SIGNER, commit_s=0, executor=Inline(),
              on_commit=lambda rows: held[0].add(rows) if held else None)  # fmt: skip
    held.append(Index(folder / "station.db", folder / "segments", log.files))
    return log, held[0]


def say(*words: object) -> None:
    """Tell a caller; one write, so that the trace has it in one place."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Writer:
    """One run of a station."""

    def __init__(self, folder: Path, seed: int, bug: str) -> None:
        self.folder, self.bug, self.dice = folder, bug, random.Random(seed)
        self.clock = Steps(seed)
        self.at = dict.fromkeys(("centre", "province"), -1)

    def post(self, log: Log, number: int) -> "asyncio.Future[Record]":
        """One record, of one kind or another."""
        what = self.dice.random()
        text = "x" * self.dice.choice((10, 150, 400, 3000))
        if what < 0.08:
            return log.post_checkpoint()
        if what < 0.25:
            start = (START + timedelta(minutes=number)).isoformat()
            return log.post("average", {"start": start, "end": start, "period_s": 60, "rows": {"s": {"mean": number}}})
        if what < 0.32:
            return log.post("event", {"what": "test", "detail": text})
        return log.post("scan", {"instrument": "i", "values": {"a": {"x": number, "note": text}}})

    async def commit(self, log: Log, number: int) -> None:
        """A batch: told when its commit has returned, and never before."""
        futures = [self.post(log, number) for _ in range(self.dice.choice((1, 1, 2, 5)))]
        if self.bug == "acknowledge-before-commit":
            for row, *_ in log._waiting.batch():
                say("ACK", row.epoch, row.seq, leaf_hash(row.body).hex())
        if self.bug == "place-before-write":
            await self.place(log, "centre", log._assigned - 1)
        for row in await asyncio.gather(*futures):
            say("ACK", row.epoch, row.seq, leaf_hash(row.body).hex())
            if row.kind == "checkpoint":
                say("CHECKPOINT", row.epoch, row.seq)
        for uplink in self.at:
            if self.dice.random() < 0.15:
                await self.place(log, uplink, max(self.at[uplink], log.next_seq - 1 - self.dice.randrange(PLACE_LAG)))

    async def place(self, log: Log, uplink: str, through: int) -> None:
        """An uplink's place follows what is acknowledged to it."""
        self.at[uplink] = through
        await log.save_place(uplink, Place(log.epoch, through))
        say("PLACE", uplink, log.epoch, through)

    async def run(self, commits: int) -> None:
        """All commits, with a stop and a start now and then."""
        number = 0
        while number < commits:
            log, index = open_log(self.folder, self.clock)
            self.at |= {name: place.through for name, place in log.places.items() if place.epoch == log.epoch}
            task = asyncio.create_task(log.run())
            await salvaging.Salvaging(self.folder / "segments", log, index, START).run()
            while number < commits:
                await self.commit(log, number)
                number += 1
                if self.dice.random() < REOPEN:
                    break
            task.cancel()
            await asyncio.wait([task])
            index.close()


if __name__ == "__main__":
    place, seed, commits, *bug = sys.argv[1:]
    if bug:
        BUGS[bug[0]]()
    asyncio.run(Writer(Path(place), int(seed), bug[0] if bug else "").run(int(commits)))
