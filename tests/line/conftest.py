"""A station's real log and a centre's real store, and what goes between them without a wire."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.stations import bare

from agent.config import Config
from agent.ledger.keys import StationKeys
from agent.store.log import Log
from agent.store.segment import Segment, segment_numbers
from agent.uplinks.challenged import Challenges
from central.challenge import Challenger
from central.config import Config as CentreConfig
from central.entries import Delivery, Entry
from central.store import Store
from host.clock import ManualClock
from host.hjson import load
from metrology.periods import iso
from protocols.mqtt.messages import Challenge, Challenged, build_message, parse_message
from protocols.record import KINDS, decode
from protocols.tlog import Signer, signer_from_seed
from protocols.tlog_cosign import cosigner_from_seed

STATION = "tower-01"
BEGIN = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def seed(letter: bytes) -> str:
    """Seed of a key, base64."""
    return base64.b64encode(letter * 32).decode()


def key_of(letter: bytes) -> Signer:
    """The station's key made of a letter."""
    return signer_from_seed(seed(letter), f"plumeline/{STATION}")


class Machine:
    """Hardware of the station: a folder with its configuration, key and log."""

    def __init__(self, folder: Path, letter: bytes = b"a") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.signer = folder, key_of(letter)
        self.file, self.segments = folder / "station.hjson", folder / "store" / "segments"
        self.clock = ManualClock(BEGIN)
        document = bare(STATION)
        key = folder / "key"
        key.write_text(seed(letter))
        key.chmod(0o600)
        document["ledger"] = {"key": {"file": str(key)}}
        document["store"] = {"path": str(folder / "store")}
        document["socket"] = str(folder / "agent.sock")
        self.file.write_text(json.dumps(document))

    @property
    def config(self) -> Config:
        """As it lies there."""
        return load(str(self.file), Config)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Log]:
        """The log as a start opens it, `self.keys` beside it."""
        self.segments.mkdir(parents=True, exist_ok=True)
        self.keys = StationKeys(self.segments, self.signer)
        log = Log(self.segments, self.clock, station_id=STATION, signer=self.keys.ring, commit_s=0.0)
        task = asyncio.create_task(log.run())
        await asyncio.sleep(0)  # a task that never began never closes
        await self.keys.begin(log)
        try:
            yield log
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def work(self, minutes: int, value: float = 400.0) -> None:
        """So many minutes of scans with averages; a checkpoint at the end. First of all configuration, coefficients."""
        async with self.running() as log:
            if log.next_seq == 0:
                config = {"sha256": "0" * 64, "version": "1", "document": {"channel_map": {"1": "co2"}}}
                await log.append("config", config)
                await log.append("calibration", self.coefficients("c1"))
            for _ in range(minutes):
                await self.minute(log, value)
            await log.post_checkpoint()

    def coefficients(self, name: str) -> dict[str, Any]:
        """Of the series gas.co2."""
        return {
            "what": "coefficients", "run": "r1", "id": name, "series": "gas.co2", "zero": 0.1, "slope": 1.01,
            "from": "2026-03-01T04:00:00.000Z", "sequence": "daily", "instrument": "gas",
        }  # fmt: skip

    async def minute(self, log: Log, value: float) -> None:
        """Two scans and their average."""
        start = self.clock.now()
        for second in (10, 40):
            at = iso(start + timedelta(seconds=second))
            values = {"co2": {"x": value, "u": "umol/mol"}}
            await log.append("scan", {"instrument": "gas", "at": at, "values": values, "status": {}})
            await self.clock.advance(30)
        row = {
            "u": "umol/mol", "n": 2, "valid": 1.0, "mean": value, "min": value, "max": value, "sd": 0.5, "rule": "ghg",
            "rev": 0, "final": True,
        }  # fmt: skip
        fields = {"start": iso(start), "end": iso(self.clock.now()), "period_s": 60, "rows": {"gas.co2": row}}
        await log.append("average", fields)

    def bodies(self) -> dict[tuple[int, int], bytes]:
        """What lies in the files, by epoch and number."""
        found: dict[tuple[int, int], bytes] = {}
        for path in sorted(self.segments.glob("log-*.db"), key=segment_numbers):
            segment = Segment(path, exclusive=False)
            after = segment.first_seq - 1
            while rows := segment.read(after, KINDS, 500, None):
                found.update({(row.epoch, row.seq): row.body for row in rows})
                after = rows[-1].seq
            segment.close()
        return found


class Centre:
    """A store with its witness, its configuration file, and its question."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "witness").write_text(seed(b"w"))
        (folder / "report.key").write_text(seed(b"r"))
        for name in ("witness", "report.key"):
            (folder / name).chmod(0o600)
        place = {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"}
        station = {"network": "n", "name_zh": "塔", "name_en": "tower", "position": place, "vkey": key_of(b"a").vkey}
        self.file = folder / "central.hjson"
        document = {
            "store": str(folder / "centre.db"), "stations": {STATION: station},
            "witness": {"name": "centre", "key": {"file": str(folder / "witness")}},
        }  # fmt: skip
        self.file.write_text(json.dumps(document))
        self.config = load(str(self.file), CentreConfig)
        self.now = 1_800_000_000.0
        self.cosigner = cosigner_from_seed(seed(b"w"), "centre")
        self.store = Store(self.config.store, self.config.stations, lambda: self.now, self.cosigner)
        self.challenger = Challenger(self.store.db, self.config.stations, lambda: self.now, 0, 24)

    def take(self, bodies: dict[tuple[int, int], bytes], after: tuple[int, int] = (0, -1)) -> None:
        """What a station sends: everything behind `after`, epoch by epoch."""
        for epoch in sorted({epoch for epoch, _ in bodies}):
            numbers = sorted(seq for own, seq in bodies if own == epoch and (epoch, seq) > after)
            if numbers:
                entries = tuple(
                    Entry.of(bodies[epoch, seq], {**decode(bodies[epoch, seq]), "epoch": epoch, "seq": seq})
                    for seq in numbers
                )
                prev = max([seq for own, seq in bodies if own == epoch and seq < numbers[0]], default=-1)
                self.store.add([Delivery(STATION, epoch, prev, entries)])

    def events(self) -> list[tuple[str, int | None]]:
        """What the centre says of the station, with the record; by name."""
        rows: Any = self.store.db.execute("SELECT what, detail FROM event WHERE origin = 'centre'")
        return sorted((what, json.loads(detail).get("seq")) for what, detail in rows)

    def verdicts(self, epoch: int) -> list[str]:
        """On the checkpoints of an epoch, by size."""
        sql = "SELECT verdict FROM checkpoint WHERE epoch = ? ORDER BY size"
        return [verdict for (verdict,) in self.store.db.execute(sql, (epoch,))]

    async def challenge(self, machine: Machine, epoch: int, seq: int) -> None:
        """Ask for one record, and judge what the machine has."""
        with self.store.db:
            self.challenger.ask(STATION, epoch, seq)
        async with machine.running() as log:
            said = await Challenges(STATION, log, machine.clock).take(build_message(Challenge(epoch=epoch, seq=seq)))
        assert said is not None
        answer = parse_message(Challenged, said[1])
        assert isinstance(answer, Challenged)
        self.challenger.take(answer)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """`machine(name, letter)`: hardware in a folder of its own."""
    return lambda name="a", letter=b"a": Machine(tmp_path / name, letter)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """A centre that has enrolled the station with the key of machine a."""
    made = Centre(tmp_path)
    yield made
    made.store.close()
