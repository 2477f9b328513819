"""Where an uplink begins that is added to a station later."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.config_since import Since
from agent.store.log import Log, Place
from agent.uplinks.since import beginning, place_of
from host.clock import ManualClock
from protocols.tlog import signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/tower-01")


@contextlib.asynccontextmanager
async def logging(folder: Path, clock: ManualClock) -> AsyncIterator[Log]:
    log = Log(folder, clock, station_id="tower-01", signer=SIGNER, commit_s=0.0)
    task = asyncio.create_task(log.run())
    yield log
    task.cancel()
    await asyncio.wait([task])


async def test_every_form_finds_its_record(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, 6, tzinfo=UTC))
    async with logging(tmp_path, clock) as log:
        for _ in range(5):
            await log.append("event", {"what": "tick"})
            clock.step(3600)
        assert await beginning(log, "beginning") == (log.epoch, 0)
        assert await beginning(log, "now") == (log.epoch, 5)
        assert await beginning(log, "2026-01-01T08:00:00Z") == (log.epoch, 2)
        assert await beginning(log, "2026-01-01T16:00:00.001+08:00") == (log.epoch, 3)
        assert await beginning(log, "2020-01-01T00:00:00Z") == (log.epoch, 0)
        assert await beginning(log, "2030-01-01T00:00:00Z") == (log.epoch, 5)


@pytest.mark.parametrize("lost", [{3}, {0, 1}, {*range(4, 17)}, {1, 2, 9, 10, 11, 18, 19}, {*range(20)}])
async def test_records_of_a_clock_nobody_believed_are_given_rather_than_left_out(
    tmp_path: Path, lost: set[int]
) -> None:
    begun = datetime(2026, 1, 1, 6, tzinfo=UTC)
    clock = ManualClock(begun)
    async with logging(tmp_path, clock) as log:
        for number in range(20):
            now = clock.now()
            if number in lost:
                log.about_clock = lambda: {"clk": "R", "mono": 1}
                clock.step(-now.timestamp())
            await log.append("event", {"what": "tick"})
            log.about_clock = dict
            clock.step((now + timedelta(hours=1) - clock.now()).total_seconds())
        for at in range(22):
            told = 20 if at > 20 else next((n for n in range(at, 20) if n not in lost), 20)
            while told - 1 in lost:
                told -= 1
            since = (begun + timedelta(hours=at)).isoformat()
            assert await beginning(log, since) == (log.epoch, told)


async def test_now_is_the_moment_of_the_first_start(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, 6, tzinfo=UTC))
    async with logging(tmp_path, clock) as log:
        await log.append("event", {"what": "tick"})
        assert await place_of(log, "city", "now") == Place(log.epoch, 0)
        await log.append("event", {"what": "tick"})
    async with logging(tmp_path, clock) as log:
        assert await place_of(log, "city", "now") == Place(log.epoch, 0)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01T08:00:00"])
def test_a_time_without_its_zone_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Since).validate_python(text)
