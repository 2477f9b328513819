"""The centre's cosignatures at the station: records of this log's own checkpoints, each once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.store.log import Log
from agent.uplinks.cosigned import Cosigned
from host.clock import RealClock
from protocols.mqtt.messages import Witnessed, build_message
from protocols.tlog import Signer, checkpoint_text, open_checkpoint, signer_from_seed
from protocols.tlog_cosign import Cosigner, cosigner_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/tower-01")
WITNESS = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre")
STRANGER = cosigner_from_seed(base64.b64encode(b"s" * 32).decode(), "stranger")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(tmp_path / "segments", RealClock(), station_id="tower-01", signer=SIGNER, commit_s=0.0)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def checkpoint(log: Log) -> dict[str, Any]:
    await log.append("event", {"what": "tick", "origin": "test"})
    return (await log.post_checkpoint()).fields


def answer(fields: dict[str, Any], cosigner: Cosigner = WITNESS, signer: Signer = SIGNER, at: int = 9) -> bytes:
    opened = open_checkpoint(fields["note"], [signer.vkey])
    line = cosigner.cosign(checkpoint_text(opened.origin, opened.size, opened.root), at)
    return build_message(Witnessed(epoch=fields["epoch"], size=fields["size"], line=line))


async def told(log: Log) -> list[tuple[int, str]]:
    await log.append("event", {"what": "tick", "origin": "test"})
    rows = [row.fields for row in await log.read(-1, kinds=frozenset({"event"}), limit=100)]
    return [(row["checkpoint"]["size"], row["checkpoint"]["witness"]) for row in rows if row["what"] == "cosigned"]


async def test_each_checkpoint_is_recorded_as_cosigned_once(log: Log) -> None:
    first, second = await checkpoint(log), await checkpoint(log)
    cosigned = Cosigned("centre", log, WITNESS.vkey)
    for fields in (first, first, second, second, first):
        await cosigned.take(answer(fields))
    assert await told(log) == [(first["size"], "centre"), (second["size"], "centre")]
    assert cosigned.status() == {"cosigned": second["size"], "refused_cosignatures": 0}


async def test_what_is_not_about_this_log_is_counted_and_not_kept(log: Log) -> None:
    fields = await checkpoint(log)
    cosigned = Cosigned("centre", log, WITNESS.vkey)
    refused = [
        b"rubbish",
        build_message(Witnessed(epoch=1, size=0, line="— centre AAAAAAAA\n")),
        build_message(Witnessed(epoch=7, size=fields["size"], line="— centre AAAAAAAA\n")),
        build_message(Witnessed(epoch=1, size=fields["size"], line="no line")),
        answer(fields, STRANGER),
        answer(fields).replace(b"AAAAAAA", b"AAAAAAB"),
    ]
    for data in refused:
        await cosigned.take(data)
    assert await told(log) == []
    assert cosigned.status()["refused_cosignatures"] == len(refused)


async def test_without_the_witness_key_the_answer_is_kept_for_others_to_judge(log: Log) -> None:
    fields = await checkpoint(log)
    cosigned = Cosigned("centre", log, None)
    await cosigned.take(answer(fields, STRANGER))
    assert await told(log) == [(fields["size"], "stranger")]
