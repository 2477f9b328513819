"""What a start makes of the log it finds: the gap, the open minute, hour and day, the coefficients."""

import asyncio
import base64
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.store.index import Index
from agent.store.log import Log, Record
from agent.store.packing import pack
from agent.store.recovery import coefficients_in_force, kept_until, replay, restored_averager, write_gap
from agent.values.averaging import SeriesSpec
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.periods import ClockWatch, PeriodWriter
from host.clock import ManualClock
from metrology.periods import iso
from metrology.reading import Reading, Scan
from protocols.tlog import signer_from_seed

START = datetime(2026, 3, 1, 8, 58, tzinfo=UTC)
DAY_OFFSET_S = 8 * 3600
SPECS = [SeriesSpec("a.co2", "umol/mol", "ghg", "mean", 12)]


def spoil(folder: Path, row: Record) -> None:
    """Flip a bit of a record wherever its body lies."""
    path, stored = next((folder / "segments").glob("log-*.db")), pack(row.body)
    data = path.read_bytes()
    assert stored in data
    path.write_bytes(data.replace(stored, stored[:-9] + bytes([stored[-9] ^ 1]) + stored[-8:]))


class Life:
    """One life of a station, from a start to a kill: nothing is written at its end that was not due before."""

    def __init__(self, folder: Path, clock: ManualClock, first: dict[str, Any] | None = None) -> None:
        """`first` is an event that is committed before the gap."""
        self._first = first
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.clock = clock
        self.log = Log(
            folder / "segments", clock, station_id="test-01", signer=signer, commit_s=0,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.files)
        self.averager = restored_averager(self.index, SPECS, clock.now(), DAY_OFFSET_S)
        self.intake = Intake(self.log, Live(), self.averager, {})
        self.intake.coefficients.update(coefficients_in_force(self.index))
        watch = ClockWatch(clock, self.log, self.averager)
        self.writer = PeriodWriter(self.averager, self.log, clock, self.intake.watermarks, 1, watch)

    async def __aenter__(self) -> "Life":
        self._task = asyncio.create_task(self.log.run())
        if self._first:
            await self.log.append("event", self._first)
        kept = kept_until(self.log, self.index, self.averager.closed_until)
        await write_gap(self.log, self.clock.now(), kept)
        await replay(self.log, self.intake, self.averager.closed_until)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.index.close()

    async def measure(self, seconds: float, value: float = 400.0, every_s: float = 5) -> None:
        """Scans for so long."""
        for _ in range(int(seconds / every_s)):
            now = self.clock.now()
            await self.intake.take(Scan("a", now, (Reading("a", "co2", value, "umol/mol", now),)))
            self.writer.write_due()
            await self.clock.advance(every_s)

    async def records(self, kind: str) -> list[dict[str, Any]]:
        last = await self.log.append("event", {"what": "mark of the test"})
        rows = await self.log.read(-1, kinds=frozenset({kind}), limit=500, before=last.seq)
        return [row.fields for row in rows]

    async def averages(self, period_s: int) -> dict[str, dict[str, Any]]:
        """Rows of a.co2 by start; each period must be there once."""
        found = [fields for fields in await self.records("average") if fields["period_s"] == period_s]
        assert set(Counter(fields["start"] for fields in found).values()) <= {1}
        return {fields["start"][8:16]: fields["rows"]["a.co2"] for fields in found}


async def test_a_minute_broken_in_the_middle_is_averaged_from_both_halves(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(90, 400.0)
        assert await life.records("gap") == []
        last = (await life.log.append("event", {"what": "the last word"})).fields["t"]
    await clock.advance(10)
    async with Life(tmp_path, clock) as life:
        [gap] = await life.records("gap")
        assert (gap["from"], gap["to"], gap["reason"]) == (last, iso(START + timedelta(seconds=100)), "not running")
        await life.measure(25, 500.0)
        minutes = await life.averages(60)
        assert minutes["01T08:58"]["n"] == 12
        assert minutes["01T08:59"]["n"] == 10
        assert minutes["01T08:59"]["mean"] == pytest.approx((6 * 400 + 4 * 500) / 10)
        hours = await life.averages(3600)
        assert hours["01T08:00"]["n"] == 22


async def test_an_hour_and_a_day_hold_what_was_averaged_before_every_stop(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 14, 0, tzinfo=UTC))  # the station's day ends at 16:00 UTC
    for minutes in (65, 10, 20):
        async with Life(tmp_path, clock) as life:
            await life.measure(60 * minutes, every_s=30)
        await clock.advance(90)
    async with Life(tmp_path, clock) as life:
        await life.measure(30 * 60, every_s=30)
        hours, days = await life.averages(3600), await life.averages(86400)
        minutes_ = await life.averages(60)
    first, second = hours["01T14:00"]["n"], hours["01T15:00"]["n"]
    assert first == 120
    assert second == sum(row["n"] for name, row in minutes_.items() if name.startswith("01T15")) > 100
    assert list(days) == ["28T16:00"]
    assert days["28T16:00"]["n"] == first + second


async def test_a_clock_set_back_while_the_station_was_off_repeats_no_period(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(200)
        before = await life.averages(60)
    clock.step(-150)
    async with Life(tmp_path, clock) as life:
        await life.measure(300)
        after = await life.averages(60)
        assert life.averager.late > 0
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


async def test_a_clock_that_was_years_ahead_stops_no_averages(tmp_path: Path) -> None:
    clock = ManualClock(START + timedelta(days=3650))
    async with Life(tmp_path, clock) as life:
        await life.measure(130)
    clock.step(-3650 * 86400)
    async with Life(tmp_path, clock) as life:
        await life.measure(130)
        found = [fields for fields in await life.records("average") if fields["start"].startswith("2026")]
    assert found[-1]["rows"]["a.co2"]["n"] == 12


async def test_coefficients_are_in_force_again_each_from_its_time(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        for i, (zero, slope) in enumerate(((1.0, 1.0), (2.0, 1.5))):
            await life.log.append("calibration", {
                "what": "coefficients", "run": f"r{i}", "id": f"c{i}", "series": "a.co2", "zero": zero, "slope": slope,
                "from": iso(START + timedelta(minutes=i)),
            })  # fmt: skip
    async with Life(tmp_path, clock) as life:
        newest = life.intake.coefficients["a.co2"]
        second, first, none = (newest.at(START + timedelta(seconds=s)) for s in (60, 59, -1))
    assert second
    assert first
    assert (second.id, second.zero, first.id, first.zero, none) == ("c1", 2.0, "c0", 1.0, None)


async def test_a_start_reads_the_newest_average_and_not_days_of_them(tmp_path: Path) -> None:
    """What a start holds in memory must not grow with the log behind it."""
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(600)
        await life.log.append("event", {"what": "behind the averages, so they are committed"})
        rows = list(life.index.averages(60, "2026", "2027"))
        assert life.index.last_average(60, "2026", "2027") == rows[-1]
        assert life.index.last_average(60, "2026", rows[-1]["start"]) == rows[-2]
        assert life.index.last_average(86400, "2026", "2027") is None


async def test_a_damaged_log_leaves_a_gap_from_the_last_average_on(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(150)
        await life.log.append("event", {"what": "behind the scans, so they are committed"})
        scans = await life.log.read(-1, kinds=frozenset({"scan"}), limit=10)
    spoil(tmp_path, scans[-1])
    await clock.advance(3600)
    async with Life(tmp_path, clock) as life:
        [gap] = await life.log.read(-1, kinds=frozenset({"gap"}), limit=10)
    assert (life.log.epoch, gap.fields["reason"]) == (2, "log damaged")
    assert gap.fields["from"] == iso(START + timedelta(minutes=2))
    assert gap.fields["to"] == iso(clock.now())


async def test_a_log_damaged_before_the_first_average_leaves_a_gap_from_its_last_known_record_on(
    tmp_path: Path,
) -> None:
    """Whatever this run has written by then: it says nothing of the time before."""
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        [known] = [await life.log.append("event", {"what": "known"})]
        await clock.advance(20)
        scan = {"instrument": "a", "at": iso(clock.now()), "values": {}, "status": {}}
        hit = await life.log.append("scan", scan)
    spoil(tmp_path, hit)
    await clock.advance(45)
    async with Life(tmp_path, clock, first={"what": "log-damaged"}) as life:
        [gap] = await life.log.read(-1, kinds=frozenset({"gap"}), limit=10)
    assert (gap.seq, gap.fields["reason"]) == (1, "log damaged")
    assert (gap.fields["from"], gap.fields["to"]) == (known.fields["t"], iso(clock.now()))


async def test_what_a_start_writes_first_shortens_no_gap(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        last = await life.log.append("event", {"what": "last"})
    await clock.advance(45)
    async with Life(tmp_path, clock, first={"what": "log-damaged"}) as life:
        [gap] = await life.log.read(-1, kinds=frozenset({"gap"}), limit=10)
    assert (gap.fields["from"], gap.fields["to"]) == (last.fields["t"], iso(clock.now()))


async def test_a_start_killed_before_its_first_commit_takes_no_gap_with_it(tmp_path: Path) -> None:
    """It has set a file aside and begun an epoch; the next start finds nothing damaged any more."""
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        last = await life.log.append("event", {"what": "last"})
    spoil(tmp_path, last)
    killed = Life(tmp_path, clock)
    killed.index.close()
    killed.log.files.live.close()
    await clock.advance(45)
    async with Life(tmp_path, clock) as life:
        [gap] = await life.log.read(-1, kinds=frozenset({"gap"}), limit=10)
    assert life.log.quarantined == []
    assert (gap.fields["from"], gap.fields["reason"]) == (last.fields["t"], "log damaged")
