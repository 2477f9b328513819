"""The HJ 212 uplink on a real log and real TCP against the platform's own end: the data's way up."""

import asyncio
import itertools
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.store.log import Log, Place
from agent.store.salvaging import Salvaging
from host.clock import AcceleratedClock, RealClock
from metrology.quality import Cause, Mark, Quality

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)


async def test_averages_go_up_by_their_command_in_the_platforms_units_and_are_acknowledged(
    hj: Any, platform: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hj.sending(await platform.start()) as uplink:
        fault = Quality.of(Mark(Cause.INCOMPLETE, "hj-stack", T0))
        co2 = hj.average("stack.co2", T0, 400.0, unit="umol/mol", sum=7.0)
        await hj.put(hj.average("stack.so2", T0, 35.126), co2, hj.average("other.so2", T0, 1.0))
        await hj.put(hj.average("stack.so2", T0, 35.0, 3600, quality=fault, valid_fraction=0.7))
        await hj.put(hj.average("stack.so2", T0, None, 86400, quality=fault))
        await hj.put(hj.average("stack.so2", T0, 36.0, revision=1))
        await hj.put(hj.average("other.so2", T0, 36.0))
        last = await hj.log.append("event", {"what": "anything", "origin": "test"})
        await hj.until(lambda: uplink.status()["acknowledged"] == 4)
        async with asyncio.timeout(5):
            await uplink.drain(5)
        status = uplink.status()
    assert status["connected"]
    assert (status["unacknowledged"], status["backlog"], status["resent"]) == (0, 0, 0)
    by_cn = {
        one.message.cn: {row.code: (dict(row.values), row.flag) for row in one.upload.rows}
        for one in platform.uploads
        if one.message.cn != "2081"
    }
    mg = round(400.0 * 44.01 / 22.4, 1)
    assert by_cn == {
        "2051": {
            "a21026": ({"Min": 35.13, "Avg": 35.13, "Max": 35.13}, "N"),
            "a05001": ({"Cou": 7.0, "Min": mg, "Avg": mg, "Max": mg}, "N"),
        },
        "2061": {"a21026": ({"Min": 35.0, "Avg": 35.0, "Max": 35.0}, "D")},
        "2031": {"a21026": ({}, "D")},
    }
    assert {one.upload.data_time for one in platform.uploads if one.upload} == {T0}
    again = Log(hj.folder, hj.clock, station_id="stack-01", signer=hj.SIGNER)
    place = await again.load_place("gov")
    assert place is not None
    assert (place.through, place.above) == (last.seq, ())
    assert hj.PASSWORD not in caplog.text


async def test_after_an_outage_the_newest_go_first_everything_arrives_once_and_a_restart_resends_nothing(
    hj: Any, platform: Any
) -> None:
    port = await platform.start()
    async with hj.logging() as log:
        async with hj.running(hj.uplink(port)) as uplink:
            await log.append("average", hj.minute(0))
            await hj.until(lambda: platform.minutes == [0])
            await platform.stop()
            await hj.until(lambda: not uplink.status()["connected"])
            for n in range(1, 13):
                await log.append("average", hj.minute(n))
            await platform.start(port)
            await hj.until(lambda: len(platform.minutes) == 13)
            await uplink.drain(5)
        assert sorted(platform.minutes) == list(range(13))
        assert platform.minutes[1] == 12
        assert platform.minutes.index(11) < platform.minutes.index(2)
        # 2017 has no sign for what comes late.
        assert not any(one.message.resent for one in platform.uploads)
        async with hj.running(hj.uplink(port)) as uplink:
            await log.append("average", hj.minute(13))
            await hj.until(lambda: 13 in platform.minutes)
            await uplink.drain(5)
        assert sorted(platform.minutes) == list(range(14))


async def test_a_frame_the_platform_never_answers_is_set_aside_with_an_alarm_and_blocks_nobody(
    hj: Any, platform: Any
) -> None:
    platform.silent_on = lambda one: one.message.cn == "2061"
    async with hj.sending(await platform.start()) as uplink:
        hour = await hj.put(hj.average("stack.so2", T0, 1.0, 3600))
        await hj.until(lambda: platform.of("2061"))
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: uplink.status()["set_aside"] == 1)
        await hj.log.append("average", hj.minute(1))
        await hj.until(lambda: platform.minutes == [0, 1])
        await uplink.drain(5)
        assert uplink.status()["connected"]
        assert len({one.message.qn for one in platform.of("2061")}) == 1
        (alarm,) = await hj.events()
        assert alarm["what"] == "uplink-set-aside"
        assert (alarm["cn"], alarm["record"]) == ("2061", {"epoch": hj.log.epoch, "seq": hour.seq})
        # It stays open in the kept place: a restart offers it again.
        platform.silent_on = lambda _: False
    answered = len(platform.of("2061"))
    async with hj.sending(platform.port):
        await hj.until(lambda: len(platform.of("2061")) > answered)
        assert platform.of("2061")[-1].upload.data_time == T0


async def test_a_frame_refused_alone_costs_no_connection(hj: Any, platform: Any) -> None:
    """Nothing else is under way when the hour fails: the next minute tells that the line is well."""
    platform.silent_on = lambda one: one.message.cn == "2061"
    async with hj.sending(await platform.start()) as uplink:
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: platform.minutes == [0])
        await hj.put(hj.average("stack.so2", T0, 1.0, 3600))
        await hj.until(lambda: uplink.status()["failed"] == 1)
        assert (uplink.status()["connected"], uplink.status()["set_aside"]) == (True, 0)
        await hj.log.append("average", hj.minute(1))
        await hj.until(lambda: uplink.status()["set_aside"] == 1)
        assert platform.connections == 1
        # With the line dead too, the second frame in vain ends it.
        platform.silent_on = lambda _: True
        await hj.log.append("average", hj.minute(2))
        await hj.log.append("average", hj.minute(3))
        await hj.until(lambda: platform.connections == 2)
        platform.silent_on = lambda _: False
        await hj.until(lambda: {2, 3} <= set(platform.minutes) and uplink.status()["backlog"] is not None)


async def test_a_platform_that_answers_nothing_is_left_and_tried_again(hj: Any, platform: Any) -> None:
    platform.silent_on = lambda _: True
    async with hj.sending(await platform.start()) as uplink:
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: not uplink.status()["connected"] and uplink.status()["failed"] >= 1)
        platform.silent_on = lambda _: False
        await hj.until(lambda: uplink.status()["acknowledged"] == 2)
        assert set(platform.minutes) == {0}
        assert uplink.status()["down_wall_s"] is None
        told = await hj.events()
    assert [(event["what"], event.get("reason")) for event in told] == [
        ("uplink-down", "no answer"), ("uplink-up", None),
    ]  # fmt: skip


class HurriedClock(RealClock):
    """Wall time passes fifty times as fast."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wall_monotonic(self) -> float:
        return super().wall_monotonic() * 50

    async def sleep_wall(self, wall_s: float) -> None:
        self.pauses.append(wall_s)
        await super().sleep_wall(wall_s / 50)


@pytest.mark.parametrize(("ack", "hangs_up"), [("required", False), ("required", True), ("none", True)])
async def test_a_platform_that_will_not_have_us_is_told_once_and_asked_ever_more_slowly(
    hj: Any, caplog: pytest.LogCaptureFixture, ack: str, *, hangs_up: bool
) -> None:
    """As one does that does not know our MN: it refuses, or just hangs up."""
    clock = hj.clock = HurriedClock()
    platform = hj.platform()
    known, platform.stations, platform.hangs_up = platform.stations, {}, hangs_up
    port = await platform.start()
    async with hj.logging() as log, hj.running(hj.uplink(port, ack=ack, overtime_s=99)) as uplink:
        await log.append("average", hj.minute(0))
        await hj.until(lambda: platform.connections >= 7)
        assert max(clock.pauses) > 15
        down = uplink.status()
        assert down["last_error"] == ("the connection ended" if hangs_up else "refused with QnRtn 4")
        assert [event["what"] for event in await hj.events()] == ["uplink-down"]
        assert len([row for row in caplog.records if row.name.startswith("agent.")]) == 1
        platform.stations, platform.hangs_up = known, False
        for n in itertools.count(1):
            await log.append("average", hj.minute(n))
            if uplink.status()["down_wall_s"] is None:
                break
            await asyncio.sleep(0.05)
        assert down["down_wall_s"] > 15
        assert [event["what"] for event in await hj.events()] == ["uplink-down", "last", "uplink-up"]
    await platform.stop()
    assert len([row for row in caplog.records if row.name.startswith("agent.")]) == 2


async def test_without_acknowledgements_records_are_counted_as_sent_unconfirmed(hj: Any, platform: Any) -> None:
    async with hj.sending(await platform.start(), ack="none") as uplink:
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: platform.minutes == [0])
        await uplink.drain(5)
        # The minute and the start (2081).
        assert (uplink.status()["sent_unconfirmed"], uplink.status()["acknowledged"]) == (2, 0)


async def test_simulated_records_do_not_leave_this_machine(hj: Any, platform: Any) -> None:
    async with hj.logging(simulated=True) as log:
        async with hj.running(hj.uplink(9, host="192.0.2.1")) as uplink:
            await log.append("average", hj.minute(0))
            await hj.until(lambda: uplink.status()["last_error"])
            await uplink.drain(1)
            await log.append("average", hj.minute(1))
            (event,) = await hj.events()
        assert event["what"] == "uplink-down"
        assert not uplink.status()["connected"]
        # A station that was simulated once and is real now: its old records stay at home too, also when asked for.
        log.simulated = False
        async with hj.running(hj.uplink(await platform.start(), simulated_allowed=False)) as uplink:
            await log.append("average", hj.minute(2))
            await hj.until(lambda: 2 in platform.minutes)
            await uplink.drain(5)
            range_ = {"BeginTime": "20260115093000", "EndTime": "20260115093100"}
            assert (await platform.request("2051", **range_)).code == 100
            assert platform.minutes == [2]


async def test_real_time_values_go_at_the_interval_of_world_time_and_the_platform_may_change_it(hj: Any) -> None:
    hj.clock = AcceleratedClock(datetime.now(UTC).timestamp(), T0.timestamp(), 200.0)
    platform = hj.platform()
    async with hj.sending(await platform.start()) as uplink:
        hj.measure("stack.so2", 1.25, T0)
        await hj.until(lambda: len(platform.of("2011")) >= 2)
        first = platform.of("2011")[0].upload
        assert (first.data_time, first.rows[0].values) == (T0, {"Rtd": 1.25})
        assert (await platform.request("1062", RtdInterval="60")).outcome == "done"
        assert uplink.status()["realtime_s"] == 60
        assert (await platform.request("1061")).data == (((("RtdInterval", "60"),),),)
        assert (await platform.request("2012")).outcome == "done"
        assert uplink.status()["realtime_s"] is None
        said = [(event["what"], event.get("cn")) for event in await hj.events()]
        assert said == [("platform-request", "1062"), ("platform-request", "2012")]
    await platform.stop()


async def test_a_platform_that_answers_averages_and_never_real_time_values_stays_connected(hj: Any) -> None:
    hj.clock = AcceleratedClock(datetime.now(UTC).timestamp(), T0.timestamp(), 200.0)
    platform = hj.platform()
    platform.silent_on = lambda one: one.message.cn == "2011"
    async with hj.sending(await platform.start()) as uplink:
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: uplink.status()["acknowledged"] == 2)
        hj.measure("stack.so2", 1.25, T0)
        await hj.until(lambda: uplink.status()["failed"] >= 2)
        await hj.log.append("average", hj.minute(1))
        await hj.until(lambda: platform.minutes == [0, 1])
        assert platform.connections == 1
    await platform.stop()


async def test_what_an_older_epoch_still_owes_goes_up_too(hj: Any, platform: Any) -> None:
    async with hj.logging() as log:
        for n in range(3):
            await log.append("average", hj.minute(n))
        await log.save_place("gov", Place(log.epoch, 0))
        first = log.epoch
        # The next day's file is damaged: the log goes on in a new epoch.
        (hj.folder / f"log-{first:04d}-{log.next_seq:012d}.db").write_bytes(b"no database" * 100)
    async with hj.logging() as log:
        assert log.epoch == first + 1
        async with hj.running(hj.uplink(await platform.start())) as uplink:
            await log.append("average", hj.minute(3))
            await Salvaging(hj.folder, log, None, datetime.now(UTC)).run()
            await hj.until(lambda: sorted(platform.minutes) == [1, 2, 3])
            await uplink.drain(5)
        place = await log.load_place("gov")
        assert place is not None
        assert (place.epoch, place.through) == (first + 1, log.next_seq - 1)


async def test_an_uplink_that_is_added_later_begins_where_it_is_told(hj: Any, platform: Any) -> None:
    async with hj.logging() as log:
        for n in range(3):
            await log.append("average", hj.minute(n))
        async with hj.running(hj.uplink(await platform.start(), since="now")) as uplink:
            await hj.until(lambda: uplink.status()["connected"])
            await log.append("average", hj.minute(3))
            await hj.until(lambda: platform.minutes == [3])
        # It has a place of its own now: the key counts no more.
        async with hj.running(hj.uplink(platform.port, since="beginning")) as uplink:
            await log.append("average", hj.minute(4))
            await hj.until(lambda: platform.minutes == [3, 4])
            assert (await log.load_place("gov")).above == ()
