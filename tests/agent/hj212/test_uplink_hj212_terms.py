"""Editions, encryption, and what a platform sets on its link: it outlives a restart, and secrets stand nowhere else."""

import json
import stat
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.uplinks.hj212_kept import Kept

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
NEW_KEY = "ABCDEFGHIJKLMNOP"


def kept_bytes(hj: Any) -> bytes:
    return (hj.folder / "hj212-gov.json").read_bytes()


async def test_two_platforms_of_different_editions_at_once_one_encrypted_each_with_its_own_place(hj: Any) -> None:
    old, new = hj.platform(), hj.platform()
    other = "0100B1F2A00002A00000007C"
    old.stations = {"GHG20260100001": hj.identity(2005, mn="GHG20260100001", pw="abc")}
    new.stations = {other: hj.identity(2025, mn=other, keys=(hj.KEY,))}
    new.silent_on = lambda _: True
    async with hj.logging() as log:
        province = hj.uplink(await old.start(), "province", pw="abc", edition=2005, mn="GHG20260100001",
                             factors={"02": {"series": "stack.so2"}})  # fmt: skip
        city = hj.uplink(await new.start(), "city", key=hj.KEY, edition=2025, mn=other, overtime_s=99)
        async with hj.running(province), hj.running(city):
            await log.append("average", hj.minute(0, 35.25))
            await hj.until(lambda: old.minutes == [0] and new.minutes == [0])
            await province.drain(5)
            assert (province.status()["backlog"], city.status()["backlog"]) == (0, 1)
            new.release()
            await city.drain(5)
        assert old.uploads[0].message.version == 0
        assert old.uploads[0].upload.rows[0].values["Avg"] == 35.25
        # 2005 knows no start of a logger.
        assert old.of("2081") == []
        assert [one.message.version for one in new.uploads] == [2, 2]
        assert b"Avg" not in new.of("2051")[0].message.raw
        assert [(s["edition"], s["encrypted"]) for s in (province.status(), city.status())] == [
            (2005, False), (2025, True),
        ]  # fmt: skip
    for platform in (old, new):
        await platform.stop()


async def test_in_2025_what_was_not_sent_at_its_time_says_so(hj: Any, platform: Any) -> None:
    platform.stations = {hj.MN: hj.identity(2025)}
    async with hj.logging() as log:
        for n in range(6):
            await log.append("average", hj.minute(n))
        async with hj.running(hj.uplink(await platform.start(), edition=2025)) as uplink:
            await hj.until(lambda: len(platform.minutes) == 6)
            await log.append("average", hj.minute(6))
            await uplink.drain(5)
            late = {one.upload.data_time: one.message.resent for one in platform.of("2051")}
            assert [late[T0 + timedelta(minutes=n)] for n in range(7)] == [True] * 6 + [False]
            assert uplink.status()["resent"] == 6
            assert [one.message.resent for one in platform.of("2081")] == [False]


async def test_what_a_platform_set_outlives_a_restart(hj: Any, platform: Any) -> None:
    port = await platform.start()
    async with hj.sending(port):
        await hj.until(lambda: platform.of("2081"))
        for cn, fields in (("1000", {"OverTime": "7", "ReCount": "5"}), ("1062", {"RtdInterval": "90"}),
                           ("1064", {"MinInterval": "10"}), ("2012", {}), ("2022", {})):  # fmt: skip
            assert (await platform.request(cn, **fields)).outcome == "done"
        said = [(event["what"], event["cn"]) for event in await hj.events()]
        assert said == [("platform-request", cn) for cn in ("1000", "1062", "1064", "2012", "2022")]
    async with hj.sending(port) as uplink:
        await hj.until(lambda: len(platform.of("2081")) == 2)
        assert uplink.status()["realtime_s"] is None
        assert (await platform.request("1061")).data == (((("RtdInterval", "90"),),),)
        assert (await platform.request("1063")).data == (((("MinInterval", "10"),),),)
        assert (await platform.request("2011")).outcome == "done"
        assert uplink.status()["realtime_s"] == 90
    # Another value in the configuration wins over what the platform set before.
    async with hj.sending(port, realtime_s=45) as uplink:
        assert (uplink.status()["realtime_s"], uplink.status()["minute_min"]) == (45, 10)


async def test_a_new_password_is_stored_before_it_is_answered_and_stands_in_no_record(hj: Any, platform: Any) -> None:
    port = await platform.start()
    async with hj.sending(port, allow=["1072"]):
        await hj.until(lambda: platform.of("2081"))
        ended = await platform.request("1072", NewPW="fresh1")
        assert (ended.outcome, ended.code) == ("done", 1)
        assert b"fresh1" in kept_bytes(hj)
        assert stat.S_IMODE((hj.folder / "hj212-gov.json").stat().st_mode) == 0o600
        platform.stations[hj.MN] = hj.identity(pw="fresh1")
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: platform.minutes == [0])
        (event,) = await hj.events()
        assert (event["what"], event["cn"], event["result"]) == ("platform-request", "1072", "done")
        assert "fresh1" not in json.dumps(event)
    async with hj.sending(port, allow=["1072"]):
        await hj.log.append("average", hj.minute(1))
        await hj.until(lambda: platform.minutes == [0, 1])
    # A password changed in the configuration since wins.
    platform.stations[hj.MN] = hj.identity(pw="third3")
    async with hj.sending(port, pw="third3"):
        await hj.log.append("average", hj.minute(2))
        await hj.until(lambda: platform.minutes == [0, 1, 2])


@pytest.mark.parametrize(
    ("cn", "fields"),
    [("1072", {"NewPW": "fresh1"}), ("1012", {"SystemTime": "20260115093501"}), ("3011", {"PolId": "a21026"})],
)
async def test_what_is_not_allowed_is_refused_and_recorded_without_its_secret(
    hj: Any, platform: Any, cn: str, fields: dict[str, str]
) -> None:
    async def never(_: Any) -> Any:
        raise AssertionError("not allowed")

    hj.handlers = {"1012": never, "3011": never}
    async with hj.sending(await platform.start()) as uplink:
        await hj.until(lambda: platform.of("2081"))
        ended = await platform.request(cn, **fields)
        assert (ended.outcome, ended.code) == ("refused", 2)
        (event,) = await hj.events()
        assert (event["what"], event["cn"], event["result"]) == ("platform-request-refused", cn, "QnRtn 2")
        assert "fresh1" not in json.dumps(event)
        assert uplink.status()["refused_requests"] == 1


async def test_a_number_that_a_platform_assigns_is_used_from_then_on(hj: Any, platform: Any) -> None:
    given = "0100B1F2A00002A0000000FF"
    platform.stations = {hj.MN: hj.identity(2025)}
    async with hj.sending(await platform.start(), edition=2025, allow=["1002"]) as uplink:
        await hj.until(lambda: platform.of("2081"))
        assert (await platform.request("1002", MN=given)).outcome == "done"
        platform.stations[given] = hj.identity(2025, mn=given)
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: platform.minutes == [0])
        assert platform.of("2051")[0].message.mn == uplink.status()["mn"] == given


async def test_a_key_of_ninety_days_is_asked_to_be_replaced_and_the_new_one_used(hj: Any) -> None:
    hj.clock = hj.clock_at(T0)
    platform = hj.platform()
    platform.stations = {hj.MN: hj.identity(2025, keys=(hj.KEY,))}
    port = await platform.start()
    terms = {"edition": 2025, "key": hj.KEY, "allow": ["1014"]}
    async with hj.sending(port, **terms):
        await hj.until(lambda: platform.of("2081"))
        assert platform.notices("1014") == []
    platform.clock = hj.clock = hj.clock_at(T0 + timedelta(days=90, minutes=1))
    async with hj.sending(port, **terms):
        await hj.until(lambda: platform.notices("1014"))
        assert platform.notices("1014")[0].message.value("SKCreateTime").startswith("202601150930")
        assert (await platform.request("1014", SKCreateTime="20260415093000", NewSK="short")).code != 1
        ended = await platform.request("1014", SKCreateTime="20260415093000", NewSK=NEW_KEY)
        assert ended.outcome == "done"
        platform.stations[hj.MN] = hj.identity(2025, keys=(NEW_KEY.encode(),))
        await hj.log.append("average", hj.minute(0))
        await hj.until(lambda: platform.minutes == [0])
        assert all(NEW_KEY not in json.dumps(event) for event in await hj.events())
    async with hj.sending(port, **terms):
        await hj.log.append("average", hj.minute(1))
        await hj.until(lambda: platform.minutes == [0, 1])
        assert len(platform.notices("1014")) == 1
    await platform.stop()


async def test_a_damaged_file_costs_what_was_set_and_never_the_start(hj: Any, platform: Any) -> None:
    (hj.folder / "hj212-gov.json").write_text('{"salt": 5')
    async with hj.sending(await platform.start()) as uplink:
        assert uplink.status()["realtime_s"] == 30
        assert [event["what"] for event in await hj.events()] == ["link-state-unreadable"]


def test_values_are_kept_against_what_was_configured(tmp_path: Any) -> None:
    path = tmp_path / "link.json"
    kept = Kept(path)
    kept.set({"pw": "old", "n": 1}, {"pw": "new", "n": 2})
    assert "old" not in path.read_text()
    again = Kept(path)
    assert [again.get("pw", "old"), again.get("pw", "other"), again.get("n", 1), again.get("x", 7)] == [
        "new", "other", 2, 7,
    ]  # fmt: skip
    assert again.get("pw", "old") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
