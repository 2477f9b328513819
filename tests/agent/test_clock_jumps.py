"""Jumps of the wall clock of every size, starts in between, times nobody believes: what the log says of them."""

import asyncio
import base64
import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.clock.state import ClockState
from agent.clock.turns import Turns
from agent.store.index import Index
from agent.store.log import Log
from agent.store.recovery import last_known, replay, restored_averager, write_gap
from agent.values.averaging import SeriesSpec
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.periods import BACK_S, ClockWatch, PeriodWriter
from host.clock import ManualClock
from host.timesync import Reference
from metrology.periods import HOUR_S, MINUTE_S, iso, parse_iso
from metrology.reading import Reading, Scan
from protocols.tlog import signer_from_seed

START = datetime(2026, 11, 1, 8, 57, tzinfo=UTC)
POWER_ON = datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)
SPECS = [SeriesSpec("a.co2", "umol/mol", "ghg", "mean", 4)]
YEARS = 54 * 365 * 86400.0
EVERY_S = 15.0


class Life:
    """A station between two starts, on a clock that may follow a server (`synced`)."""

    def __init__(self, folder: Path, clock: ManualClock, *, synced: bool = True) -> None:
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.clock, self.synced = clock, synced
        self.log = Log(
            folder / "segments", clock, station_id="test-01", signer=signer, commit_s=0,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.files)
        self.averager = restored_averager(self.index, SPECS, clock.now(), 8 * HOUR_S)
        self.intake = Intake(self.log, Live(), self.averager, {})
        self.state = ClockState(clock, self._reference, last_known(self.log, self.index))
        self.log.about_clock = self.state.members
        self.intake.clock = self.state
        self.turns = Turns(self.log, self.index, self.averager, self.intake, clock, self.state)
        self.watch = ClockWatch(clock, self.log, self.averager, self.state, self.turns)
        self.writer = PeriodWriter(
            self.averager, self.log, clock, self.intake.watermarks, 1, self.watch, turns=self.turns
        )

    def _reference(self) -> Reference:
        return Reference(self.synced, 0.001, "a server")

    async def __aenter__(self) -> "Life":
        self._task = asyncio.create_task(self.log.run())
        if self.state.believed:
            known = await self.turns.begin()
            await write_gap(self.log, self.clock.now(), self.averager.closed_until, known)
            await replay(self.log, self.intake, self.averager.closed_until)
        self.watch.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.index.close()
        assert self._task.cancelled()

    async def measure(self, seconds: float) -> None:
        for _ in range(int(seconds / EVERY_S)):
            now = self.clock.now()
            await self.intake.take(Scan("a", now, (Reading("a", "co2", 400.0, "umol/mol", now),)))
            await self.writer.turn()
            self.writer.write_due()
            self.clock.pass_by(EVERY_S)
            # The log commits meanwhile, as it does between two polls.
            await self.log.call(lambda: None)

    async def rows(self) -> list[dict[str, Any]]:
        await self.log.append("event", {"what": "mark of the test"})
        found: list[dict[str, Any]] = []
        after = -1
        while rows := await self.log.read(after, kinds=frozenset({"average", "gap", "event", "scan"}), limit=500):
            after = rows[-1].seq
            found += [row.fields for row in rows]
        return found


def of(rows: list[dict[str, Any]], kind: str, what: str | None = None) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind and (what is None or row["what"] == what)]


def judge(rows: list[dict[str, Any]]) -> list[datetime]:
    """No period twice, no minute missing without a gap; gives the minutes there are."""
    keys = Counter((row["start"], row["period_s"], row["rows"]["a.co2"]["rev"]) for row in of(rows, "average"))
    assert [key for key, count in keys.items() if count > 1] == []
    gaps = [(parse_iso(row["from"]), parse_iso(row["to"])) for row in of(rows, "gap")]
    starts = {parse_iso(row["start"]) for row in of(rows, "average") if row["period_s"] == MINUTE_S}
    minute = timedelta(minutes=1)
    ordered = sorted(starts)
    for one, after in itertools.pairwise(ordered):
        at = one + minute
        while at < after:
            told = [until for since, until in gaps if since < at + minute and until > at]
            assert told, f"{at} is neither averaged nor in a gap"
            at = max(at + minute, max(told) - (max(told) - at) % minute)
    return ordered


def doubtful(row: dict[str, Any]) -> bool:
    return "clock_doubtful" in [cause for cause, _, _ in row["rows"]["a.co2"].get("q", [])]


@pytest.mark.parametrize("seed", range(2))
async def test_a_hundred_steps_and_some_starts_double_and_lose_no_period(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    clock = ManualClock(START)
    steps = 0
    for _ in range(5):
        async with Life(tmp_path, clock) as life:
            for _ in range(20):
                await life.measure(dice.uniform(20, 900))
                clock.step(round(dice.choice((-1, 1)) * 10 ** dice.uniform(-0.2, 5.2), 3))
            await life.measure(300)
            steps += life.watch.steps
        clock.step(dice.uniform(-8000, 8000))
        clock.pass_by(dice.uniform(1, 4000))
    async with Life(tmp_path, clock) as life:
        # Beyond all that was: what comes after the last minute of a running station is not missing yet.
        clock.step(30 * 86400)
        await life.measure(120)
        rows = await life.rows()
    assert steps == 100
    assert len(judge(rows)) > 100
    assert all(row["boot"] and row["mono"] >= 0 and row["old"] for row in of(rows, "event", "clock-step"))


async def test_a_clock_decades_ahead_and_back_holds_no_average(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(600)
        clock.step(YEARS)
        await life.measure(1800)
        ahead = [path.name for path in (tmp_path / "segments").glob("log-*.db")]
        clock.step(-YEARS)
        await life.measure(600)
        rows = await life.rows()
    judge(rows)
    minutes = [row["start"][:16] for row in of(rows, "average") if row["period_s"] == MINUTE_S]
    assert minutes[-1] == iso(clock.now() - timedelta(seconds=90))[:16]
    assert sum(start.startswith("2080") for start in minutes) < 35, "no flood of empty minutes"
    # What comes after the return does not lie in the file of a day in 2080.
    assert len(list((tmp_path / "segments").glob("log-*.db"))) > len(ahead)


async def test_a_minute_written_before_gets_the_next_revision(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(BACK_S + 1800)
        clock.step(-BACK_S - 900)
        await life.measure(600)
    async with Life(tmp_path, clock) as life:
        await life.measure(BACK_S + 2400)
        rows = await life.rows()
    judge(rows)
    revisions = Counter(
        row["rows"]["a.co2"]["rev"] for row in of(rows, "average") if row["period_s"] == MINUTE_S and not row.get("q")
    )
    assert revisions[1] > BACK_S / 60
    assert max(revisions) == 1
    hour = [row for row in of(rows, "average") if row["period_s"] == HOUR_S and row["start"][11:13] == "09"]
    assert [row["rows"]["a.co2"]["rev"] for row in hour] == [0, 1]


async def test_a_station_that_wakes_in_1970_averages_by_the_true_time_once_it_is_known(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(330)
    clock.pass_by(300)
    true = clock.now()
    clock.step((POWER_ON - true).total_seconds())
    async with Life(tmp_path, clock, synced=False) as life:
        assert (life.state.state, life.state.held) == ("R", True)
        await life.measure(3000)
        rows = await life.rows()
        before = len(of(rows, "average"))
        assert all(row["clk"] == "R" and "mono" in row for row in rows if row["t"].startswith("1970"))
        clock.step((true - POWER_ON).total_seconds())
        life.synced = True
        await life.measure(600)
        assert (life.state.state, life.state.held) == ("S", False)
        rows = await life.rows()
    assert len(of(rows, "average")) > before
    minutes = judge(rows)
    assert not any(start.year == 1970 for start in minutes)
    # Not one minute of the fifty is missing, each has its readings, and each says that its stamps were inferred.
    mapped = [row for row in of(rows, "average") if row["period_s"] == MINUTE_S and iso(true) <= row["start"]]
    whole = mapped[1:49]
    assert {row["rows"]["a.co2"]["n"] for row in whole} == {4}
    assert all(doubtful(row) for row in whole)
    assert not doubtful(mapped[-1])
    [gap] = [row for row in of(rows, "gap") if row["reason"] == "not running"]
    assert abs(parse_iso(gap["to"]) - true) < timedelta(seconds=1)
    [told] = of(rows, "event", "clock-mapped")
    assert (told["scans"], told["boot"]) == (201, life.state.boot)
    step = of(rows, "event", "clock-step")[-1]
    assert step["old"].startswith("1970")
    assert parse_iso(step["at"]).year == 2026


async def test_two_starts_in_1970_leave_a_gap_for_the_first(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(330)
    true = clock.now()
    for _ in range(2):
        clock.step((POWER_ON - clock.now()).total_seconds())
        async with Life(tmp_path, clock, synced=False) as life:
            await life.measure(600)
            if _ == 1:
                clock.step((true - POWER_ON).total_seconds() + 1200)
                life.synced = True
                await life.measure(300)
                rows = await life.rows()
    judge(rows)
    [gap] = of(rows, "gap")
    assert parse_iso(gap["to"]) - parse_iso(gap["from"]) > timedelta(minutes=15)
    assert gap["from"] >= iso(START)


async def test_what_a_clock_ahead_wrote_before_a_start_in_1970_gets_the_next_revision(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(330)
        clock.step(900)
        await life.measure(1200)
    ahead = clock.now()
    true = ahead - timedelta(seconds=900)
    clock.step((POWER_ON - ahead).total_seconds())
    async with Life(tmp_path, clock, synced=False) as life:
        await life.measure(1500)
        clock.step((true - POWER_ON).total_seconds())
        life.synced = True
        await life.measure(300)
        rows = await life.rows()
    judge(rows)
    revisions = Counter(row["rows"]["a.co2"]["rev"] for row in of(rows, "average") if row["period_s"] == MINUTE_S)
    assert revisions[1] >= 13
    assert all(gap["from"] < gap["to"] for gap in of(rows, "gap"))


async def test_a_clock_lost_in_the_middle_costs_no_minute(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(330)
        life.synced = False
        lost = (POWER_ON - clock.now()).total_seconds()
        clock.step(lost)
        await life.measure(900)
        clock.step(-lost)
        life.synced = True
        await life.measure(300)
        rows = await life.rows()
    assert len(judge(rows)) >= 1500 // 60 - 2
    assert of(rows, "gap") == []
    assert [row["state"] for row in of(rows, "event", "clock-state")] == ["S", "R", "S"]


async def test_hold_over_is_silent_and_an_unsynced_clock_marks_its_averages(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with Life(tmp_path, clock) as life:
        await life.measure(120)
        life.synced = False
        await life.measure(180)
        held = of(await life.rows(), "scan")
        clock.pass_by(4 * 86400)
        await life.measure(180)
        rows = await life.rows()
    assert [row.get("clk") for row in held[::4]][:8] == [None, None, None, "H", "H"]
    states = of(rows, "event", "clock-state")
    assert [row["state"] for row in states] == ["S", "H", "U"]
    assert states[-1]["error_s"] > 5
    minutes = [row for row in of(rows, "average") if row["period_s"] == MINUTE_S]
    assert not any(doubtful(row) for row in minutes[:5])
    assert doubtful(minutes[-1])


@pytest.mark.parametrize("smeared", [True, False])
async def test_a_leap_second_doubles_no_minute_and_is_never_written(tmp_path: Path, smeared: bool) -> None:
    clock = ManualClock(datetime(2026, 12, 31, 23, 57, tzinfo=UTC))
    async with Life(tmp_path, clock) as life:
        await life.measure(180)
        for _ in range(20):
            clock.step(-0.05 if smeared else -1.0 if _ == 0 else 0.0)
            await life.measure(15)
        rows = await life.rows()
    starts = judge(rows)
    assert starts == [starts[0] + i * timedelta(minutes=1) for i in range(len(starts))]
    assert len(of(rows, "event", "clock-step")) == (0 if smeared else 1)
    assert not any(":60." in row["t"] for row in rows)


async def test_a_station_without_a_series_lives_through_its_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SPECS", [])
    async with Life(tmp_path, ManualClock(START)) as life:
        await life.measure(10 * MINUTE_S)
        rows = await life.rows()
    assert of(rows, "average") == []
    assert len(of(rows, "scan")) == 40
