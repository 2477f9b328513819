"""When the tree is signed, what the daily walk finds, and what is answered to a challenge."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.ledger.checkpoints import checkpoints
from agent.ledger.daily import walk_once, walks
from agent.store.log import Log
from agent.uplinks.challenged import ANSWERS_MAX, Challenges
from host.clock import ManualClock
from protocols.mqtt.messages import Challenge, Challenged, build_message, parse_message
from protocols.record import encode
from protocols.tlog import signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(b"k" * 32).decode(), "plumeline/tower-01")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(tmp_path / "log", ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), station_id="tower-01", signer=SIGNER,
               commit_s=0.0)  # fmt: skip
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def sizes(log: Log) -> list[int]:
    return [row.seq for row in await log.read(-1, kinds=frozenset({"checkpoint"}), limit=100)]


async def test_what_a_person_would_ask_about_is_signed_within_a_second(log: Log, eventually: Any) -> None:
    clock: Any = log._clock
    daemon: Any = SimpleNamespace(
        log=log, clock=clock, config=SimpleNamespace(ledger=SimpleNamespace(checkpoint_s=300.0))
    )
    duty = asyncio.create_task(checkpoints(daemon))
    await asyncio.sleep(0)
    await log.append("scan", {"instrument": "gas"})
    await log.append("event", {"what": "unit-silent", "origin": "bus"})
    await log.append("calibration", {"what": "coefficients", "run": "r"})
    await eventually(lambda: log.next_seq == 4)
    assert await sizes(log) == [3]
    # A burst within the second is one more checkpoint, behind it.
    for what in ("clock-step", "maintenance-lock", "qa-signoff"):
        await log.append("event", {"what": what, "origin": "test"})
    assert await sizes(log) == [3]
    await clock.advance(1)
    await eventually(lambda: log.next_seq == 8)
    assert await sizes(log) == [3, 7]
    # Nothing calls for one: the interval alone.
    await clock.advance(1)
    await log.append("event", {"what": "cosigned", "origin": "uplink"})
    await clock.advance(250)
    assert await sizes(log) == [3, 7]
    await clock.advance(60)
    await eventually(lambda: log.next_seq == 10)
    assert await sizes(log) == [3, 7, 9]
    duty.cancel()
    await asyncio.gather(duty, return_exceptions=True)


async def test_the_daily_walk_tells_of_what_was_altered_in_a_closed_day(
    copied: Any, keys: tuple[str, str], honest: Path
) -> None:
    assert (await walk_once(honest, [keys[0]]))["findings"] == []
    forger = copied("daily")
    seq = forger.first("scan")
    forger.put(seq, {**forger.bodies()[seq], "instrument": "other"})
    # Only closed days are walked: what lies in the newest file is.
    shutil.copy(sorted(forger.folder.glob("log-*.db"))[-1], forger.folder / "log-0001-000000999999.db")
    found = await walk_once(forger.folder, [keys[0]])
    assert [(one["what"], one["seq"]) for one in found["findings"] if one["what"] == "altered"] == [("altered", seq)]
    told: list[Any] = []
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    daemon: Any = SimpleNamespace(
        config=SimpleNamespace(store=SimpleNamespace(path=str(forger.folder.parent))), clock=clock,
        log=SimpleNamespace(vkeys=[keys[0]]), index=None, event=lambda what, detail: told.append((what, detail)),
    )  # fmt: skip
    (forger.folder.parent / "segments").rename(forger.folder.parent / "honest")
    forger.folder.rename(forger.folder.parent / "segments")
    task = asyncio.create_task(walks(daemon))
    async with asyncio.timeout(20):
        while len(told) < 2:
            await clock.advance(1800)
            await asyncio.sleep(0.05)
    assert [what for what, _ in told[:2]] == ["ledger-walked", "ledger-broken"]
    assert {"what": "altered", "epoch": 1, "seq": seq}.items() <= told[1][1]["findings"][0].items()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def answer(asked: Challenges, seq: int, epoch: int = 1) -> Challenged:
    said = await asked.take(build_message(Challenge(epoch=epoch, seq=seq)))
    assert said is not None
    assert said[0] == "challenge"
    found = parse_message(Challenged, said[1])
    assert isinstance(found, Challenged)
    return found


async def test_a_challenge_is_answered_from_the_disk(log: Log) -> None:
    clock: Any = log._clock
    row = await log.append("event", {"what": "tick", "origin": "test"})
    asked = Challenges("tower-01", log, clock)
    assert base64.b64decode((await answer(asked, row.seq)).body or "") == row.body
    # The newest records are in memory too: what was altered on the disk shows all the same.
    forged = encode({**row.fields, "origin": "somebody"})
    segment = log.files.live
    await log.call(lambda: segment._db.execute("UPDATE rec SET body = ? WHERE seq = ?", (forged, row.seq)))
    assert base64.b64decode((await answer(asked, row.seq)).body or "") == forged
    assert (await answer(asked, 99)) == Challenged(station_id="tower-01", epoch=1, seq=99)
    deleted = {"what": "raw-deleted", "origin": "space", "of_epoch": 1, "first": 90, "last": 120}
    told = await log.append("event", deleted)
    assert (await answer(asked, 99)).gone == (1, told.seq)
    assert (await answer(asked, 99, epoch=2)).gone is None


async def test_answers_are_bounded(log: Log) -> None:
    clock: Any = log._clock
    asked = Challenges("tower-01", log, clock)
    assert await asked.take(b"rubbish") is None
    for _ in range(ANSWERS_MAX):
        await answer(asked, 0)
    assert await asked.take(build_message(Challenge(epoch=1, seq=0))) is None
    assert asked.status() == {"challenges_answered": ANSWERS_MAX, "challenges_refused": 2}
    await clock.advance(3600)
    await answer(asked, 0)
