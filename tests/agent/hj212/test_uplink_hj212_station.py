"""What a platform is told of the station itself: units, information, identities; and how its acts are answered."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.uplinks.hj212_requests import OPEN_MAX, Answer, told
from calibration.correction import Coefficients
from metrology.quality import Cause, Mark, Quality
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Message
from protocols.tlog_carried import read_carried

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
EPC = "0123456789ABCDEF01234567"
STATUS = {
    "1": {"series": "meter.current", "running_above": 5.0},
    "2": {"series": "stack.so2"},
    "3": {"series": "meter.silent", "running_above": 1.0},
}
INFO = {code: {} for code in ("i11001", "i12001", "i12002", "i13001", "i13007", "i13008", "i21001", "i22001")} | {
    "i23001": {"value": "101.325"},
    "i33101": {"series": "room.temperature"},
}


def marked(*causes: Cause) -> Quality:
    return Quality.of(*(Mark(cause, "test", T0) for cause in causes))


async def test_states_of_units_go_with_the_real_time_data_and_can_be_switched_off(hj: Any) -> None:
    hj.clock = hj.clock_at(T0)
    hj.clock = type(hj.clock)(datetime.now(UTC).timestamp(), T0.timestamp(), 200.0)
    platform = hj.platform()
    hj.measure("meter.current", 7.5)
    hj.measure("stack.so2", 1.0, quality=marked(Cause.CALIBRATION))
    async with hj.sending(await platform.start(), status=STATUS):
        await hj.until(lambda: platform.of("2021") and platform.of("2011"))
        # Of a unit whose series is silent nobody knows the state.
        assert platform.of("2021")[0].message.area[1:] == ((("SB1-RS", "1"),), (("SB2-RS", "2"),))
        assert (await platform.request("2022")).outcome == "done"
        del platform.uploads[:]
        await hj.until(lambda: len(platform.of("2011")) >= 2)
        assert platform.of("2021") == []
    await platform.stop()


async def test_station_information_is_told_when_it_changes_and_when_it_is_asked_for(hj: Any) -> None:
    hj.clock = type(hj.clock_at(T0))(datetime.now(UTC).timestamp(), T0.timestamp(), 200.0)
    platform = hj.platform()
    maintained: list[bool] = []
    one = Coefficients("c-1", "stack.so2", 0.5, 1.02, T0)
    hj.facts = {
        "ranges": {"stack.so2": (0.0, 100.0)},
        "coefficients": {"stack.so2": one},
        "maintained": lambda: bool(maintained),
    }
    hj.measure("stack.so2", 1.0)
    hj.measure("room.temperature", 21.26)
    async with hj.sending(await platform.start(), info=INFO):
        await hj.until(lambda: len(platform.of("3020")) == 3)
        said = {one.message.area[1:] for one in platform.of("3020")}
        assert said == {
            ((("PolId", "a21026"),), (("i12001-Info", "0"),)),
            ((("PolId", "a21026"),), (("i12002-Info", "0"),)),
            ((("i22001-Info", "0"),),),
        }
        maintained.append(True)
        await hj.until(lambda: len(platform.of("3020")) == 4)
        assert platform.of("3020")[-1].message.area[1:] == ((("i22001-Info", "3"),),)

        async def asked(code: str, **fields: str) -> Any:
            ended = await platform.request("3020", InfoId=code, **fields)
            return ended.data[0][-1] if ended.data else ended.code

        assert await asked("i13001", PolId="a21026") == (("i13001-Info", "0-100"),)
        assert await asked("i13007", PolId="a21026") == (("i13007-Info", "-0.510000"),)
        assert await asked("i13008", PolId="a21026") == (("i13008-Info", "1.020000"),)
        assert await asked("i23001") == (("i23001-Info", "101.325"),)
        assert await asked("i33101") == (("i33101-Info", "21.3"),)
        assert await asked("i33102") == ExeRtn.NO_DATA
        assert await asked("i13001", PolId="a99999") == ExeRtn.CONDITION
        assert (await platform.request("1011", PolId="a21026")).code == ExeRtn.NO_DATA
    await platform.stop()


async def test_lines_of_the_logs_go_up_as_they_appear_and_answer_for_a_range(hj: Any, platform: Any) -> None:
    hj.clock = hj.clock_at(T0)
    info = {"i11001": {}, "i21001": {}}
    async with hj.sending(await platform.start(), info=info) as uplink:
        run = {"what": "run-started", "run": "daily-1", "instrument": "stack", "note": "a;b,c=d//e"}
        await hj.log.append("calibration", run)
        await hj.log.append("event", {"what": "clock-step", "origin": "clock", "step_s": 2.5})
        await hj.log.append("event", {"what": "of no interest", "origin": "test"})
        await hj.until(lambda: len(platform.of("3020")) == 2)
        await uplink.drain(5)
        analyser, logger = (
            next(one.message for one in platform.of("3020") if one.message.value(f"{code}-Info")) for code in info
        )
        assert analyser.value("PolId") == "a21026"
        said = "//run-started instrument stack note a；b，c＝d/e run daily-1//"
        assert analyser.value("i11001-Info") == said
        assert logger.value("PolId") is None
        assert "step_s 2.5" in (logger.value("i21001-Info") or "")
        day = {"BeginTime": "20260115000000", "EndTime": "20260116000000"}
        del platform.uploads[:]
        assert (await platform.request("3020", PolId="a21026", InfoId="i11001", **day)).code == 1
        assert [one.message.area for one in platform.of("3020")] == [analyser.area]


async def test_a_serial_number_is_told_when_asked_and_when_an_analyser_was_replaced(hj: Any, platform: Any) -> None:
    port = await platform.start()
    hj.facts = {"serials": {"stack": EPC}}
    async with hj.sending(port):
        await hj.until(lambda: platform.of("2081"))
        ended = await platform.request("3019", PolId="a21026")
        assert ended.data == (((("PolId", "a21026"),), (("a21026-SN", EPC),)),)
        assert (await platform.request("3019", PolId="a34013")).code == ExeRtn.CONDITION
        assert platform.of("3019") == []
    hj.facts = {"serials": {"stack": EPC[::-1]}}
    for _ in range(2):
        async with hj.sending(port):
            await hj.until(lambda: {one.message.value("PolId") for one in platform.of("3019")} == {"a21026", "a05001"})
    assert [one.message.value("a21026-SN") for one in platform.of("3019") if one.message.value("a21026-SN")] == [
        EPC[::-1]
    ]


@pytest.mark.parametrize("cut", [False, True])
async def test_an_act_is_answered_when_it_has_ended_and_stands_on_record(hj: Any, platform: Any, *, cut: bool) -> None:
    ended, asked = asyncio.Event(), []

    async def act(message: Message) -> Answer:
        asked.append(message.value("PolId"))
        await ended.wait()
        return Answer(ExeRtn.DONE, detail={"run": "r-1"})

    hj.handlers = {"3011": act}
    async with hj.sending(await platform.start(), allow=["3011"]) as uplink:
        await hj.until(lambda: platform.of("2081"))
        answer = platform.ask("3011", ((("PolId", "a21026"),),))
        await hj.until(lambda: asked == ["a21026"])
        assert not answer.done()
        if cut:
            await platform.cut()
            await hj.until(lambda: platform.connections == 2 and uplink.status()["connected"])
        ended.set()
        if not cut:
            assert (await answer).code == ExeRtn.DONE
        acts = []
        while not acts:
            acts = [event for event in await hj.events() if event["what"] == "platform-request"]
        assert (acts[0]["cn"], acts[0]["result"], acts[0]["run"]) == ("3011", "done", "r-1")
        assert acts[0]["fields"] == {"PolId": "a21026"}


async def test_more_requests_than_are_handled_at_once_are_answered_busy(hj: Any, platform: Any) -> None:
    ended = asyncio.Event()

    async def act(_: Message) -> Answer:
        await ended.wait()
        return Answer(ExeRtn.DONE)

    hj.handlers = {"3011": act}
    async with hj.sending(await platform.start(), allow=["3011"]):
        await hj.until(lambda: platform.of("2081"))
        answers = [platform.ask("3011", ((("PolId", "a21026"),),)) for _ in range(OPEN_MAX + 1)]
        assert (await answers[-1]).code == ExeRtn.BUSY
        ended.set()
        assert {(await one).code for one in answers[:-1]} == {ExeRtn.DONE}


@pytest.mark.parametrize("taken", [True, False])
async def test_departures_are_counted_by_name_and_taken_where_the_configuration_says_so(
    hj: Any, platform: Any, *, taken: bool
) -> None:
    leniencies = ["lower_case_crc"] if taken else []
    async with hj.sending(await platform.start(), leniencies=leniencies) as uplink:
        await hj.until(lambda: platform.of("2081"))
        session, link = platform.lines[-1]
        # The check sum of every other request has a letter.
        for interval in itertools.count(60):
            qn, [send] = session.request(hj.MN, "1062", ((("RtdInterval", str(interval)),),), link.now)
            data = send.data[:-6] + send.data[-6:].lower()
            if data != send.data:
                break
        platform.asked[qn] = asyncio.get_running_loop().create_future()
        link.perform([type(send)(data)])
        await hj.until(lambda: uplink.status()["deviations"] == {"lower_case_crc": 1})
        if taken:
            assert (await platform.asked[qn]).code == ExeRtn.DONE
            assert uplink.status()["realtime_s"] == interval
        else:
            assert uplink.status()["realtime_s"] == 30


def test_secrets_of_a_request_never_stand_in_what_is_recorded() -> None:
    area = tuple(((name, "x"),) for name in ("NewPW", "newsk", "PW", "SKCreateTime", "MN"))
    message = Message("20260115093001000", "31", "1014", "p", "M" * 24, 9, area)
    assert told(message) == {"SKCreateTime": "x", "MN": "x"}


async def test_checkpoints_go_up_as_lines_where_switched_on_and_few_enough(hj: Any) -> None:
    platform = hj.platform()
    async with hj.sending(await platform.start(), checkpoints=True):
        for _ in range(3):
            row = await hj.log.post_checkpoint()
            await hj.put(hj.average("stack.so2", T0, 1.0))
        await hj.until(lambda: platform.of("3020"))
        first = await hj.log.read(-1, kinds=frozenset({"checkpoint"}), limit=1)
        line = platform.of("3020")[0].message.value("i21001-Info")
        found = read_carried(line)
        assert found is not None
        assert found.note("plumeline/stack-01") == first[0].fields["note"]
        assert row.seq > first[0].seq
        # One in five minutes: the others stay at home.
        await hj.until(lambda: platform.of("2051"))
        assert len(platform.of("3020")) == 1
    await platform.stop()
