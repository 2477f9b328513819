"""What becomes of a scan on its way into the log, the averages and the latest values."""

import asyncio
import base64
import math
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
from calibration.correction import Coefficients
from host.clock import ManualClock
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Reading, Scan
from protocols.tlog import signer_from_seed

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SPECS = [SeriesSpec(f"a.{name}", unit, "ghg", "mean", 60) for name, unit in (("co2", "umol/mol"), ("h2o", "%"))]


class Entrance:
    """An intake over a real log whose commits wait for `commit_s` of a clock moved by hand."""

    def __init__(self, folder: Path, clock: ManualClock, commit_s: float = 0.0) -> None:
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.log = Log(folder, clock, station_id="test-01", signer=signer, commit_s=commit_s)
        self.live = Live()
        self.averager = Averager(SPECS, START)
        self.intake = Intake(self.log, self.live, self.averager, {"a.co2": (0.0, 1000.0)})

    async def record(self, scan: Scan) -> dict[str, Any]:
        """Take a scan and give its record's values."""
        await self.intake.take(scan)
        await self.log.wait(self.log.next_seq + self.log.pending - 2)
        [row] = await self.log.read(self.log.next_seq - 2, kinds=frozenset({"scan"}), limit=1)
        values: dict[str, Any] = row.fields["values"]
        return values

    def minute(self) -> Average:
        return self.averager.close(START + timedelta(minutes=1))[0][0]


@pytest.fixture
async def entrance(tmp_path: Path) -> AsyncIterator[Entrance]:
    made = Entrance(tmp_path, ManualClock(START))
    task = asyncio.create_task(made.log.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def scan(second: float, co2: float | None, *causes: Cause, h2o: float = 1.0) -> Scan:
    at = START + timedelta(seconds=second)
    quality = Quality(frozenset(Mark(cause, "instrument", at) for cause in causes))
    readings = (Reading("a", "co2", co2, "umol/mol", at, quality), Reading("a", "h2o", h2o, "%", at))
    return Scan("a", at, readings)


async def test_marks_go_on_every_reading_of_an_instrument_or_of_one_series(entrance: Entrance) -> None:
    whole = Mark(Cause.MAINTENANCE, "somebody", START)
    one = Mark(Cause.CALIBRATION, "run 1", START)
    entrance.intake.add_mark("a", whole)
    entrance.intake.add_mark("a.co2", one)
    values = await entrance.record(scan(1, 400.0))
    assert [cause for cause, _, _ in values["co2"]["q"]] == ["calibration", "maintenance"]
    assert values["h2o"]["q"] == [["maintenance", "somebody", "2026-03-01T08:00:00.000Z"]]
    entrance.intake.remove_mark("a", whole)
    entrance.intake.remove_mark("a.co2", one)
    entrance.intake.remove_mark("a.co2", one)
    values = await entrance.record(scan(2, 401.0))
    assert "q" not in values["co2"]
    average = entrance.minute()
    assert (average.n, average.mean) == (1, 401.0)


@pytest.mark.parametrize(("value", "flagged"), [(0.0, False), (1000.0, False), (1000.1, True), (-0.1, True)])
async def test_a_value_outside_its_range_is_flagged_and_kept(entrance: Entrance, value: float, flagged: bool) -> None:
    row = (await entrance.record(scan(1, value)))["co2"]
    assert row["x"] == value
    assert [q[:2] for q in row.get("q", [])] == ([["out_of_range", "range 0 to 1000"]] if flagged else [])
    assert entrance.minute().n == (0 if flagged else 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_what_is_no_number_is_a_fault_without_a_value(entrance: Entrance, value: float) -> None:
    values = await entrance.record(scan(1, value))
    assert values["co2"]["x"] is None
    assert [q[:2] for q in values["co2"]["q"]] == [["fault", "not a number"]]
    assert values["h2o"] == {"x": 1.0, "u": "%"}
    assert entrance.live.latest["a.co2"].value is None


async def test_the_record_holds_what_came_and_the_average_what_was_corrected(entrance: Entrance) -> None:
    entrance.intake.coefficients["a.co2"] = Coefficients("c1", "a.co2", 10.0, 1.1, START)
    assert (await entrance.record(scan(1, 410.0)))["co2"]["x"] == 410.0
    assert entrance.live.latest["a.co2"].value == pytest.approx(440.0)
    average = entrance.minute()
    assert (average.mean, average.calibrations) == (pytest.approx(440.0), ("c1",))


async def test_a_value_is_shown_only_when_it_is_committed(tmp_path: Path) -> None:
    clock = ManualClock(START)
    entrance = Entrance(tmp_path, clock, commit_s=5.0)
    task = asyncio.create_task(entrance.log.run())
    await entrance.intake.take(scan(1, 400.0))
    await clock.advance(4.9)
    assert (entrance.live.latest, entrance.intake.committed, entrance.intake.scans) == ({}, 0, 1)
    await clock.advance(0.2)
    await entrance.log.wait(-1)
    await asyncio.sleep(0)
    assert entrance.live.latest["a.co2"].value == 400.0
    assert entrance.intake.committed == 1
    task.cancel()
    await asyncio.wait([task])


async def test_a_stale_repeat_is_recorded_and_neither_shown_nor_averaged(entrance: Entrance) -> None:
    await entrance.record(scan(1, 400.0))
    assert (await entrance.record(scan(2, 400.0, Cause.STALE)))["co2"]["q"][0][0] == "stale"
    assert entrance.live.latest["a.co2"].reading.at == START + timedelta(seconds=1)
    assert entrance.minute().n == 1


async def test_a_reading_of_a_closed_minute_is_recorded_and_counted_late(entrance: Entrance) -> None:
    await entrance.record(scan(1, 400.0))
    assert entrance.minute().n == 1
    assert (await entrance.record(scan(2, 500.0)))["co2"]["x"] == 500.0
    assert entrance.averager.late == 2
    assert entrance.averager.close(START + timedelta(minutes=2))[0][0].n == 0
    # A watermark never goes back.
    assert entrance.intake.watermarks == {"a": START + timedelta(seconds=2)}
    await entrance.record(scan(1.5, 500.0))
    assert entrance.intake.watermarks == {"a": START + timedelta(seconds=2)}


async def test_a_subscriber_gets_each_scan_as_it_was_recorded(entrance: Entrance) -> None:
    entrance.intake.add_mark("a", Mark(Cause.CALIBRATION, "run 1", START))
    async with entrance.intake.subscribe("a") as scans, entrance.intake.subscribe("b"):
        await entrance.intake.take(scan(1, 400.0))
        await entrance.intake.take(Scan("b", START, ()))
        await entrance.intake.take(scan(2, math.nan))
        async with asyncio.timeout(5):
            seen = [await anext(scans), await anext(scans)]
    assert [[reading.value for reading in one.readings] for one in seen] == [[400.0, 1.0], [None, 1.0]]
    assert seen[0].readings[0].quality.causes == {Cause.CALIBRATION}
