"""When periods close, and what a step of the wall clock does."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.store.log import Log
from agent.values.averaging import Averager, SeriesSpec
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.periods import GRACE_WORLD_S, ROWS_MAX, STEP_S, ClockWatch, PeriodWriter, portions
from host.clock import ManualClock
from metrology.periods import iso
from metrology.quality import MORE, ORIGINS_MAX, Cause, Mark, Quality
from metrology.reading import Measurement, Reading, Scan
from protocols.record import averages_fields
from protocols.tlog import signer_from_seed

START = datetime(2026, 3, 1, 8, 57, tzinfo=UTC)


class Station:
    """Two instruments, `a` and `b`, that speak when told to."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.clock = clock
        self.log = Log(folder, clock, station_id="test-01", signer=signer, commit_s=0)
        self.averager = Averager([SeriesSpec(f"{i}.co2", "umol/mol", "ghg", "mean", 60) for i in "ab"], clock.now())
        self.intake = Intake(self.log, Live(), self.averager, {})
        self.watch = ClockWatch(clock, self.log, self.averager)
        self.writer = PeriodWriter(self.averager, self.log, clock, self.intake.watermarks, 2, self.watch)

    async def speak(self, *instruments: str, value: float = 400.0) -> None:
        now = self.clock.now()
        for name in instruments:
            await self.intake.take(Scan(name, now, (Reading(name, "co2", value, "umol/mol", now),)))

    async def records(self, kind: str) -> list[dict[str, Any]]:
        last = await self.log.append("event", {"what": "mark of the test"})
        rows = await self.log.read(-1, kinds=frozenset({kind}), limit=500, before=last.seq)
        return [row.fields for row in rows]

    async def closed(self) -> list[tuple[str, int]]:
        """Start (time of day) and length of every period written so far."""
        return [(fields["start"][11:16], fields["period_s"]) for fields in await self.records("average")]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    made = Station(tmp_path, ManualClock(START))
    tasks = [asyncio.create_task(part()) for part in (made.log.run, made.writer.run)]
    yield made
    for task in reversed(tasks):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_minute_closes_as_soon_as_all_have_spoken_after_it(station: Station) -> None:
    await station.clock.advance(30)
    await station.speak("a", "b")
    await station.clock.advance(30.5)
    await station.speak("a")
    await station.clock.advance(1)
    assert await station.closed() == []
    await station.speak("b")
    await station.clock.advance(0.3)
    assert await station.closed() == [("08:57", 60)]
    [fields] = await station.records("average")
    assert {series: row["n"] for series, row in fields["rows"].items()} == {"a.co2": 1, "b.co2": 1}


async def test_a_silent_instrument_delays_a_minute_by_the_grace_and_no_longer(station: Station) -> None:
    await station.clock.advance(30)
    await station.speak("a")
    await station.clock.advance(30 + GRACE_WORLD_S - 1)
    await station.speak("a")
    assert await station.closed() == []
    await station.clock.advance(1.3)
    assert await station.closed() == [("08:57", 60)]
    [fields] = await station.records("average")
    assert [row["n"] for row in fields["rows"].values()] == [1, 0]
    assert [cause for cause, _, _ in fields["rows"]["b.co2"]["q"]] == ["incomplete"]


async def test_the_hour_is_written_with_its_last_minute(station: Station) -> None:
    for _ in range(4):
        await station.clock.advance(30)
        await station.speak("a", "b")
        await station.clock.advance(30)
    await station.speak("a", "b")
    await station.clock.advance(1)
    assert await station.closed() == [("08:57", 60), ("08:58", 60), ("08:59", 60), ("08:00", 3600), ("09:00", 60)]
    hour = next(fields for fields in await station.records("average") if fields["period_s"] == 3600)
    assert {row["n"] for row in hour["rows"].values()} == {3}


async def test_minutes_that_a_long_step_leaves_out_are_a_gap(station: Station) -> None:
    """More of them than are written as empty minutes."""
    await station.clock.advance(90)
    await station.speak("a", "b")
    stepped = station.clock.now()
    station.clock.step(5 * 3600)
    for _ in range(10):
        await station.clock.advance(30)
        await station.speak("a", "b")
    [gap] = await station.records("gap")
    since, until = (datetime.fromisoformat(gap[name]) for name in ("from", "to"))
    assert (gap["reason"], until - since) == ("clock stepped", timedelta(hours=5))
    assert abs(since - stepped) <= timedelta(seconds=1)
    starts = {datetime.fromisoformat(row["start"]) for row in await station.records("average") if row["period_s"] == 60}
    every = [START + timedelta(minutes=i) for i in range(int((max(starts) - START).total_seconds()) // 60)]
    lacking = [at for at in every if at not in starts]
    assert lacking
    assert [at for at in lacking if not since < at + timedelta(minutes=1) <= until + timedelta(minutes=1)] == []


@pytest.mark.parametrize("remembered_min", [None, 7])
async def test_minutes_left_out_because_nothing_went_on_are_a_gap(tmp_path: Path, remembered_min: int | None) -> None:
    """A disk that takes nothing holds up a start; an instrument with a memory hands over what it measured meanwhile."""
    station = Station(tmp_path, ManualClock(START))
    log = asyncio.create_task(station.log.run())
    await station.clock.advance(3 * 3600)
    if remembered_min is not None:
        at = START + timedelta(minutes=remembered_min)
        await station.intake.take(Scan("a", at, (Reading("a", "co2", 400.0, "umol/mol", at),)))
    station.writer.write_due()
    written = {row["start"] for row in await station.records("average") if row["period_s"] == 60}
    gaps = [(row["from"], row["to"]) for row in await station.records("gap") if row["reason"] == "stalled"]
    assert len(gaps) == (1 if remembered_min is None else 2)
    for minute in range(179):
        start = START + timedelta(minutes=minute)
        told = sum(since <= iso(start) < until for since, until in gaps)
        assert (iso(start) in written) + told == 1, start
    log.cancel()
    await asyncio.wait([log])


@pytest.mark.parametrize("step_s", [-150.0, -20.0, 20.0, 150.0])
async def test_a_step_is_a_record_and_no_period_goes_out_twice(station: Station, step_s: float) -> None:
    for i in range(96):
        if i == 42:  # 09:00:30
            station.clock.step(step_s)
        await station.clock.advance(5)
        await station.speak("a", "b", value=float(i))
    [event] = [fields for fields in await station.records("event") if fields["what"] == "clock-step"]
    assert event["step_s"] == pytest.approx(step_s)
    assert station.watch.steps == 1
    averages = await station.records("average")
    assert set(Counter((fields["start"], fields["period_s"]) for fields in averages).values()) == {1}
    minutes = [fields for fields in averages if fields["period_s"] == 60]
    starts = [datetime.fromisoformat(fields["start"]) for fields in minutes]
    assert starts == [START + timedelta(minutes=i) for i in range(len(starts))]
    # The minute that was open at the step says that its time is in doubt, and stays valid.
    doubtful = [
        fields["start"][11:16]
        for fields in minutes
        if "clock_doubtful" in [cause for cause, _, _ in fields["rows"]["a.co2"].get("q", [])]
    ]
    assert "09:00" in doubtful
    # What came for minutes written before stays raw, and is counted.
    assert (station.averager.late > 0) == (step_s < -60)
    scans = await station.log.read(-1, kinds=frozenset({"scan"}), limit=500)
    assert len(scans) == 2 * 96


async def test_a_clock_that_is_disciplined_slowly_steps_nowhere(station: Station) -> None:
    for _ in range(20):
        station.clock.step(STEP_S / 10)
        await station.clock.advance(1)
    assert station.watch.steps == 0
    assert await station.records("event") == []


async def test_a_clock_that_starts_in_1970_and_is_set_does_not_hold_the_station(tmp_path: Path) -> None:
    clock = ManualClock(datetime(1970, 1, 1, 0, 0, 30, tzinfo=UTC))
    station = Station(tmp_path, clock)
    task = asyncio.create_task(station.log.run())
    await station.speak("a", "b")
    clock.step((START - clock.now()).total_seconds())
    await station.speak("a", "b")
    station.writer.write_due()
    averages = await station.records("average")
    assert averages[0]["start"].startswith("1970-01-01T00:00")
    assert all(fields["period_s"] != 60 or fields["start"] >= "2026-03-01T06" for fields in averages[1:])
    task.cancel()
    await asyncio.wait([task])


async def test_a_very_large_station_writes_a_period_in_several_records(tmp_path: Path) -> None:
    clock = ManualClock(START)
    station = Station(tmp_path, clock)
    names = [f"i{n:04d}" for n in range(2 * ROWS_MAX + 1)]
    averager = Averager([SeriesSpec(f"{name}.co2", "umol/mol", "ghg", "mean", 60) for name in names], clock.now())
    intake = Intake(station.log, Live(), averager, {})
    writer = PeriodWriter(averager, station.log, clock, intake.watermarks, len(names), station.watch)
    task = asyncio.create_task(station.log.run())
    for _ in range(2):
        for name in names:
            await intake.take(Scan(name, clock.now(), (Reading(name, "co2", 1.0, "umol/mol", clock.now()),)))
        await clock.advance(60)
    writer.write_due()
    records = await station.records("average")
    assert [len(one["rows"]) for one in records] == [ROWS_MAX, ROWS_MAX, 1]
    assert {(one["start"], one["period_s"]) for one in records} == {("2026-03-01T08:57:00.000Z", 60)}
    assert sorted(series for one in records for series in one["rows"]) == [f"{name}.co2" for name in names]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_an_instrument_that_talks_nonsense_for_an_hour_makes_no_record_too_large(tmp_path: Path) -> None:
    """Each mark says what was heard, another thing each time: the end of the hour once ended the daemon."""
    clock = ManualClock(START.replace(minute=0))
    station = Station(tmp_path, clock)
    names = [f"s{number}" for number in range(90)]
    station.averager = Averager([SeriesSpec(f"a.{name}", "1", "ghg", "mean", 1) for name in names], clock.now())
    task = asyncio.create_task(station.log.run())
    for minute in range(60):
        at = clock.now()
        for count in range(12):
            mark = Mark(Cause.COMMUNICATION, f"{minute}/{count}: " + "5a " * 120, at)
            for name in names:
                station.averager.feed(Measurement(Reading("a", name, None, "1", at, Quality.of(mark)), None))
        clock.pass_by(60)
        for period in station.averager.close(clock.now()):
            for portion in portions(period):
                station.log.post("average", averages_fields(portion))
    rows = await station.records("average")
    hours = [row for row in rows if row["period_s"] == 3600]
    assert sorted(name for row in hours for name in row["rows"]) == sorted(f"a.{name}" for name in names)
    told = [origin for cause, origin, _ in hours[0]["rows"]["a.s0"]["q"] if cause == "communication"]
    assert len(told) == ORIGINS_MAX + 1
    assert MORE in told
    task.cancel()
    await asyncio.wait([task])
