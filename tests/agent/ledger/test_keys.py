"""The station's key: changed in order it goes on in one epoch; lost, an epoch begins that says so."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.ledger.keys import StationKeys
from agent.ledger.walk import Row, Walk
from agent.store.log import Log
from agent.store.segment import Place
from host.clock import ManualClock
from protocols.record import KINDS
from protocols.tlog import Signer, open_checkpoint, signer_from_seed
from protocols.tlog_keys import read_rotation

OLD, NEW, STRANGER = (
    signer_from_seed(base64.b64encode(letter * 32).decode(), "plumeline/tower-01") for letter in (b"o", b"n", b"s")
)


@contextlib.asynccontextmanager
async def running(folder: Path, signer: Signer) -> AsyncIterator[tuple[Log, StationKeys]]:
    """A log as a start opens it."""
    folder.mkdir(exist_ok=True)
    keys = StationKeys(folder, signer)
    log = Log(folder, ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), station_id="tower-01", signer=keys.ring,
              commit_s=0.0)  # fmt: skip
    task = asyncio.create_task(log.run())
    await keys.begin(log)
    yield log, keys
    await log.post_checkpoint()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def tick(log: Log) -> None:
    await log.append("event", {"what": "tick", "origin": "test"})


async def rows(log: Log, epoch: int) -> list[Any]:
    return await log.read(-1, kinds=KINDS, limit=500, epoch=epoch)


def found(walked: list[Any], *vkeys: str) -> list[str]:
    walk = Walk(vkeys)
    seen = [one for row in walked for one in walk.take(Row(row.epoch, row.seq, row.body))]
    return [one.what for one in [*seen, *walk.end()]]


async def test_a_rotation_is_a_record_and_the_next_checkpoint_bears_both_signatures(tmp_path: Path) -> None:
    async with running(tmp_path / "log", OLD) as (log, keys):
        await tick(log)
        await log.post_checkpoint()
        said, checkpoint = await keys.rotate(log, "tower-01", NEW, "li", "yearly")
        assert log.vkey == NEW.vkey
        await tick(log)
        later = await log.post_checkpoint()
    assert read_rotation(said.fields, "tower-01", OLD.vkey) == NEW.vkey
    assert checkpoint.seq == said.seq + 1
    for key in (OLD, NEW):
        assert open_checkpoint(checkpoint.fields["note"], [key.vkey]).size == checkpoint.seq
    assert open_checkpoint(later.fields["note"], [NEW.vkey]).size == later.seq
    async with running(tmp_path / "log", NEW) as (log, _):
        await tick(log)
        assert log.epoch == 1
        walked = await rows(log, 1)
    assert found(walked, OLD.vkey) == []
    assert found(walked, STRANGER.vkey) == ["checkpoint-signature", "key-refused"] + ["checkpoint-signature"] * 3


async def test_a_former_key_signs_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path / "log", OLD) as (log, keys):
        await keys.rotate(log, "tower-01", NEW, "li", "yearly")
        log._signer = OLD
        await tick(log)
        await log.post_checkpoint()
        walked = await rows(log, 1)
    assert found(walked, OLD.vkey) == ["checkpoint-signature"]


async def test_a_lost_key_begins_an_epoch_that_names_the_last_cosigned_checkpoint(tmp_path: Path) -> None:
    async with running(tmp_path / "log", OLD) as (log, _):
        await tick(log)
        seen = await log.post_checkpoint()
        told = {"epoch": 1, "size": seen.seq, "witness": "centre", "cosignature": "— centre AAAA\n"}
        await log.append("event", {"what": "cosigned", "origin": "uplink", "checkpoint": told})
        await log.save_place("centre", Place(1, 2))
    async with running(tmp_path / "log", NEW) as (log, _):
        assert (log.epoch, log.quarantined) == (2, [])
        assert await log.load_place("centre") == Place(1, 2)
        first = (await rows(log, 2))[0].fields
        walked = [*await rows(log, 1), *await rows(log, 2)]
    assert (first["what"], first["seq"], first["vkey"], first["of_epoch"]) == ("key-lost", 0, NEW.vkey, 1)
    assert first["cosigned"] == told
    assert first["former"][0].startswith("plumeline/tower-01 ")
    assert found(walked, OLD.vkey, NEW.vkey) == []
    # The next start goes on.
    async with running(tmp_path / "log", NEW) as (log, _):
        assert log.epoch == 2


async def test_a_damaged_log_is_left_to_the_salvage(tmp_path: Path) -> None:
    async with running(tmp_path / "log", OLD) as (log, _):
        await tick(log)
    [path] = (tmp_path / "log").glob("log-*.db")
    path.write_bytes(b"rubbish" * 1000)
    async with running(tmp_path / "log", NEW) as (log, _):
        assert log.epoch == 2
        assert [lost.epoch for lost in log.quarantined] == [1]


def test_the_command_changes_the_key_of_a_stopped_station(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bare_config: Any
) -> None:
    config, folder = bare_config(tmp_path)
    asyncio.run(_begun(folder))
    new = tmp_path / "new"
    new.write_bytes(base64.b64encode(b"n" * 32))
    new.chmod(0o600)
    line = ["--lang", "en", "key", "rotate", str(config), "--new-key", str(new), "--reason", "yearly", "--who", "li"]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["vkey"] == NEW.vkey
    assert main(["verify", str(folder), "--vkey", OLD.vkey]) == 0
    new.chmod(0o644)
    assert main(line) == 2


async def _begun(folder: Path) -> None:
    async with running(folder, OLD) as (log, _):
        await tick(log)
