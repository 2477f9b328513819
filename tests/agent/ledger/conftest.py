"""A station's log of forty minutes over two files, and one who has its machine and a database program."""

import asyncio
import base64
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from peers.stations import bare

from agent.store.log import Log
from agent.store.packing import unpack
from host.clock import ManualClock
from metrology.periods import iso
from protocols.record import decode, encode
from protocols.tlog import Signer, checkpoint_text, leaf_hash, open_checkpoint, signer_from_seed
from protocols.tlog_cosign import cosigner_from_seed

SIGNER = signer_from_seed(base64.b64encode(b"k" * 32).decode(), "plumeline/tower-01")
WITNESS = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre.example/witness")
# The station's day ends at 16:00 UTC: the log begins its second file amid these minutes.
BEGIN = datetime(2026, 3, 1, 15, 40, tzinfo=UTC)
ROW = {
    "u": "umol/mol", "n": 2, "valid": 1, "mean": 400.5, "min": 400.1, "max": 401.2, "sd": 0.5, "rule": "ghg",
    "rev": 0, "final": True,
}  # fmt: skip


class Station:
    """Writes a log by the real one."""

    def __init__(self, folder: Path, signer: Signer = SIGNER, minute: int = 0) -> None:
        self.folder = folder
        self.minute = minute
        self.clock = ManualClock(BEGIN + timedelta(minutes=minute))
        self.log = Log(folder, self.clock, station_id="tower-01", signer=signer, commit_s=0.0)

    async def run(self, minutes: int, value: float = 400.5) -> None:
        """So many minutes: two scans and an average each, a cosigned checkpoint every fifth."""
        task = asyncio.create_task(self.log.run())
        if self.minute == 0:
            await self.log.append("config", {"sha256": "0" * 64, "document": {"range": 500}, "version": "1"})
            coefficients = {"what": "coefficients", "run": "r1", "id": "c1", "series": "gas.co2", "zero": 0.1}
            await self.log.append("calibration", {**coefficients, "slope": 1.01, "from": iso(BEGIN)})
        for _ in range(minutes):
            await self.one_minute(value)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def one_minute(self, value: float) -> None:
        start = BEGIN + timedelta(minutes=self.minute)
        self.minute += 1
        for second in (10, 40):
            values = {"co2": {"x": value, "u": "umol/mol"}}
            await self.log.append(
                "scan",
                {"instrument": "gas", "at": iso(start + timedelta(seconds=second)), "values": values, "status": {}},
            )
            await self.clock.advance(30)
        end = iso(start + timedelta(minutes=1))
        row = {**ROW, "mean": value}
        await self.log.append("average", {"start": iso(start), "end": end, "period_s": 60, "rows": {"gas.co2": row}})
        if self.minute % 5 == 0:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        fields = (await self.log.post_checkpoint()).fields
        opened = open_checkpoint(fields["note"], [self.log.vkey])
        line = WITNESS.cosign(checkpoint_text(opened.origin, opened.size, opened.root), 1_800_000_000)
        told = {"epoch": fields["epoch"], "size": fields["size"], "witness": WITNESS.name, "cosignature": line}
        await self.log.append("event", {"what": "cosigned", "origin": "uplink centre", "checkpoint": told})


class Forger:
    """Has root on the station: changes what he wants in its files, hashes beside the bodies included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _each(self, act: Callable[[apsw.Connection], Any]) -> None:
        for path in sorted(self.folder.glob("log-*.db")):
            db = apsw.Connection(str(path))
            act(db)
            db.close()

    def bodies(self) -> dict[int, dict[str, Any]]:
        """What lies there, by number."""
        found: dict[int, dict[str, Any]] = {}
        rows = "SELECT seq, body FROM rec"
        self._each(lambda db: found.update({seq: decode(unpack(body)) for seq, body in db.execute(rows)}))
        return found

    def first(self, kind: str, after: int = 40) -> int:
        """Number of a record of a kind."""
        return next(seq for seq, fields in sorted(self.bodies().items()) if fields["kind"] == kind and seq > after)

    def put(self, seq: int, fields: dict[str, Any]) -> None:
        """Another body under a number, with its right hash beside it."""
        body = encode(fields)
        self._each(
            lambda db: db.execute("UPDATE rec SET body = ?, leaf = ? WHERE seq = ?", (body, leaf_hash(body), seq))
        )

    def execute(self, statement: str, *values: Any) -> None:
        """Whatever else he likes, in each file."""
        self._each(lambda db: db.execute(statement, values))

    def swap(self, one: int, other: int) -> None:
        """Two records in each other's place, numbers and hashes made to fit."""
        bodies = self.bodies()
        self.put(one, {**bodies[other], "seq": one})
        self.put(other, {**bodies[one], "seq": other})

    def remove(self, first: int, last: int) -> None:
        """Records gone."""
        self._each(lambda db: db.execute("DELETE FROM rec WHERE seq BETWEEN ? AND ?", (first, last)))


@pytest.fixture
def station() -> type[Station]:
    """Maker of logs."""
    return Station


@pytest.fixture
async def honest(tmp_path: Path) -> Path:
    """Folder of an honest log."""
    made = Station(tmp_path / "segments")
    await made.run(40)
    assert len(list(made.folder.glob("log-*.db"))) == 2
    return made.folder


@pytest.fixture
def copied(honest: Path, tmp_path: Path) -> Callable[[str], Forger]:
    """A copy of it in the forger's hands."""

    def make(name: str) -> Forger:
        shutil.copytree(honest, tmp_path / name)
        return Forger(tmp_path / name)

    return make


@pytest.fixture
def keys() -> tuple[str, str]:
    """The station's key and the witness's."""
    return SIGNER.vkey, WITNESS.vkey


@pytest.fixture
def bare_config() -> Callable[[Path], tuple[Path, Path]]:
    """`make(folder)`: file of a configuration of tower-01 with the key "o" * 32, and the folder of its log."""

    def make(folder: Path) -> tuple[Path, Path]:
        document = bare("tower-01")
        key = folder / "key"
        key.write_bytes(base64.b64encode(b"o" * 32))
        key.chmod(0o600)
        document["ledger"] = {"key": {"file": str(key)}}
        document["store"] = {"path": str(folder / "store")}
        document["socket"] = str(folder / "agent.sock")
        (folder / "store").mkdir()
        path = folder / "station.hjson"
        path.write_text(json.dumps(document))
        return path, folder / "store" / "segments"

    return make
