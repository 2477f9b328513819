"""What a platform asks of the past, answered from the log over real TCP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.uplinks.hj212_past import PAGE_PERIODS
from metrology.quality import Cause, Mark, Quality

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
DAY = datetime(2026, 1, 14, 16, tzinfo=UTC)
RANGE = {"BeginTime": "20260115093100", "EndTime": "20260115093300"}


async def test_a_range_holds_both_its_ends_and_comes_oldest_first_each_with_its_own_number(
    hj: Any, platform: Any
) -> None:
    async with hj.logging() as log:
        for n in range(6):
            await log.append("average", hj.minute(n))
        # A revision holds on the platform's own request, a provisional value never.
        await log.append("average", hj.minute(2, 20.5, revision=1))
        await log.append("average", hj.minute(3, 30.5, revision=1, final=False))
        async with hj.running(hj.uplink(await platform.start())) as uplink:
            await hj.until(lambda: len(platform.minutes) == 6)
            await uplink.drain(5)
            before = len(platform.uploads)
            ended = await platform.request("2051", **RANGE)
            assert (ended.outcome, ended.code, ended.data) == ("done", 1, ())
            asked = platform.uploads[before:]
            assert [one.upload.rows[0].values["Avg"] for one in asked] == [1.0, 20.5, 3.0]
            assert len({one.message.qn for one in asked} - {ended.qn}) == 3
            empty = {"BeginTime": "20250115093100", "EndTime": "20250115093300"}
            assert (await platform.request("2051", **empty)).code == 100
            turned = {"BeginTime": "20260115093300", "EndTime": "20260115093100"}
            assert (await platform.request("2061", **turned)).code == 3
            assert uplink.status()["history"] is None
        # Reading is no act: nothing of it is on record.
        assert await hj.events() == []


async def test_more_than_a_page_is_read_and_live_data_goes_between(hj: Any, platform: Any) -> None:
    count = 3 * PAGE_PERIODS + 1
    async with hj.logging() as log:
        for n in range(count):
            await hj.put(hj.average("stack.so2", T0 + timedelta(hours=n), float(n), 3600))
        async with hj.running(hj.uplink(await platform.start(), backfill_per_s=1e6)):
            await hj.until(lambda: len(platform.of("2061")) == count)
            del platform.uploads[:]
            platform.silent_on = lambda one: one.message.cn == "2061"
            ended = asyncio.ensure_future(
                platform.request("2061", BeginTime="20260115000000", EndTime="20260201000000")
            )
            await hj.until(lambda: platform.of("2061"))
            await log.append("average", hj.minute(0))
            await hj.until(lambda: platform.minutes == [0])
            # One is under way at a time; it waits for its 9014.
            assert len({one.message.qn for one in platform.of("2061")}) == 1
            platform.release()
            assert (await ended).code == 1
            told = [one.upload.rows[0].values["Avg"] for one in platform.of("2061")]
            assert list(dict.fromkeys(told)) == [float(n) for n in range(count)]


async def test_while_one_runs_another_is_told_that_the_station_is_busy_and_a_cut_ends_it(
    hj: Any, platform: Any
) -> None:
    async with hj.logging() as log:
        for n in range(4):
            await log.append("average", hj.minute(n))
        async with hj.running(hj.uplink(await platform.start(), overtime_s=99)) as uplink:
            await hj.until(lambda: len(platform.minutes) == 4)
            await uplink.drain(5)
            platform.silent_on = lambda one: one.message.cn == "2051"
            area = tuple(((name, value),) for name, value in RANGE.items())
            first = platform.ask("2051", area)
            await hj.until(lambda: len(platform.minutes) == 5)
            assert (await platform.request("2061", **RANGE)).code == 5
            running = uplink.status()["history"]
            assert running["cn"] == "2051"
            assert (running["sent"], running["begin"]) == (0, "2026-01-15T01:31:00.000Z")
            await platform.cut()
            await hj.until(lambda: uplink.status()["history"] is None)
            platform.silent_on = lambda _: False
            await hj.until(lambda: platform.connections == 2 and uplink.status()["connected"])
            assert (await platform.request("2051", **RANGE)).code == 1
            first.cancel()


async def test_minutes_joined_as_the_platform_wants_them_go_up_and_answer_history(hj: Any, platform: Any) -> None:
    async with hj.logging() as log, hj.running(hj.uplink(await platform.start())) as uplink:
        await hj.until(lambda: uplink.status()["connected"] and platform.of("2081"))
        assert (await platform.request("1064", MinInterval="5")).outcome == "done"
        assert (await platform.request("1063")).data == (((("MinInterval", "5"),),),)
        fault = Quality.of(Mark(Cause.INCOMPLETE, "averaging", T0))
        for n in range(10):
            await log.append("average", hj.minute(n, quality=fault) if n in (1, 6, 7) else hj.minute(n))
        await hj.until(lambda: len(platform.minutes) == 2)
        await uplink.drain(5)
        assert uplink.status()["minute_min"] == 5
        rows = {one.upload.data_time: one.upload.rows[0] for one in platform.of("2051")}
        assert sorted(rows) == [T0, T0 + timedelta(minutes=5)]
        # Four valid minutes of five give a mean of those; three are too few.
        assert (rows[T0].values["Avg"], rows[T0].flag) == (2.25, "N")
        assert rows[T0 + timedelta(minutes=5)].flag == "D"
        del platform.uploads[:]
        whole = {"BeginTime": "20260115093000", "EndTime": "20260115093500"}
        assert (await platform.request("2051", **whole)).code == 1
        assert platform.minutes == [0, 5]
        assert platform.of("2051")[0].upload.rows[0].values["Avg"] == 2.25


async def test_a_period_that_no_minute_ended_goes_up_after_the_stop(hj: Any, platform: Any) -> None:
    async with hj.logging() as log:
        for n in (0, 1, 2, 3):
            await log.append("average", hj.minute(n))
        async with hj.running(hj.uplink(await platform.start(), minute_min=5)) as uplink:
            await log.append("average", hj.minute(360))
            await hj.until(lambda: platform.minutes == [0])
            for n in range(361, 365):
                await log.append("average", hj.minute(n))
            await hj.until(lambda: platform.minutes == [0, 360])
            await uplink.drain(5)
            assert uplink.status()["backlog"] == 0


async def test_what_was_made_again_goes_up_only_where_the_platform_asks_for_it(hj: Any, platform: Any) -> None:
    async with hj.logging() as log, hj.running(hj.uplink(await platform.start(), minute_min=5)) as uplink:
        await hj.until(lambda: uplink.status()["connected"])
        for n in range(5):
            # A minute is made again before the period that holds it was sent.
            await log.append("average", hj.minute(n))
            if n < 4:
                await log.append("average", hj.minute(n, mean=100.0, revision=1))
        await hj.until(lambda: platform.minutes == [0])
        await log.append("average", hj.minute(4, mean=100.0, revision=1))
        await uplink.drain(5)
        assert [one.upload.rows[0].values["Avg"] for one in platform.of("2051")] == [2.0]
        whole = {"BeginTime": "20260115093000", "EndTime": "20260115093000"}
        assert (await platform.request("2051", **whole)).code == 1
        assert [one.upload.rows[0].values["Avg"] for one in platform.of("2051")] == [2.0, 100.0]


async def test_hours_of_treatment_units_come_of_the_minutes_of_the_day(hj: Any, platform: Any) -> None:
    status = {"1": {"series": "stack.so2", "running_above": 5.0}, "2": {"series": "stack.nox"}}
    async with hj.logging():
        for n in range(90):
            await hj.put(hj.average("stack.so2", DAY + timedelta(minutes=n), 4.0 if n < 60 else 6.0))
        async with hj.running(hj.uplink(await platform.start(), status=status, periods=["day"])):
            await hj.put(hj.average("stack.so2", DAY, 5.0, 86400))
            await hj.until(lambda: platform.of("2041"))
            (told,) = platform.of("2041")
            assert told.message.area == ((("DataTime", "20260115000000"),), (("SB1-RT", "0.50"),))
            await hj.until(lambda: platform.of("2031"))
            day = {"BeginTime": "20260115000000", "EndTime": "20260115000000"}
            assert (await platform.request("2041", **day)).code == 1
            assert platform.of("2041")[-1].message.area == told.message.area
            assert (await platform.request("2031", **day)).code == 1


async def test_standard_checks_are_told_and_can_be_asked_for(hj: Any, platform: Any) -> None:
    platform.stations = {hj.MN: hj.identity(2025)}
    check = {
        "what": "standard-check", "run": "c-1", "instrument": "stack", "series": "stack.so2",
        "start": "2026-01-15T01:30:00.000Z", "reading": 79.456, "assigned": 80.2, "unit": "mg/m3", "passed": True,
    }  # fmt: skip
    hj.clock = hj.clock_at(T0 + timedelta(minutes=7))
    async with hj.logging() as log, hj.running(hj.uplink(await platform.start(), edition=2025)) as uplink:
        await log.append("calibration", {"what": "point", "run": "c-1", "instrument": "stack"})
        await log.append("calibration", check)
        await hj.until(lambda: platform.of("2062"))
        told = platform.of("2062")[0].message
        assert told.area == (
            (("DataTime", "20260115093000"),), (("a21026-SampleRd", "79.46"),), (("a21026-StandardValue", "80.20"),),
            (("a21026-ResultType", "1"),),
        )  # fmt: skip
        await uplink.drain(5)
        range_ = {"BeginTime": "20260115093000", "EndTime": "20260115093000"}
        assert (await platform.request("2062", **range_)).code == 1
        assert [one.message.area for one in platform.of("2062")] == [told.area] * 2
        assert (await platform.request("2013", **range_)).code == 100


@pytest.mark.parametrize("ack", ["required", "none"])
async def test_history_comes_with_and_without_acknowledgements(hj: Any, platform: Any, ack: str) -> None:
    async with hj.logging() as log:
        for n in range(6):
            await log.append("average", hj.minute(n))
        async with hj.running(hj.uplink(await platform.start(), ack=ack)) as uplink:
            await hj.until(lambda: len(platform.minutes) == 6)
            await uplink.drain(5)
            assert (await platform.request("2051", **RANGE)).code == 1
            assert platform.minutes[6:] == [1, 2, 3]
