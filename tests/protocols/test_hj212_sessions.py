"""The dialogues of HJ 212-2017: uploads, requests and notices, answered, refused, late and repeated."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocols.hj212.commands import commands
from protocols.hj212.decoder import Decoder
from protocols.hj212.frame import Frame
from protocols.hj212.message import Area, Message, encode
from protocols.hj212.profile import Edition
from protocols.hj212.service import ANSWERED_MAX, OPEN_MAX, StationState
from protocols.hj212.session import (
    BadBytes,
    Commanded,
    Delivered,
    Failed,
    Identity,
    Notified,
    Output,
    PartsMissing,
    Rejected,
    Requested,
    RequestEnded,
    Send,
    Timing,
    Unexpected,
    Uploaded,
)
from protocols.hj212.station import NOTICES_MAX, StationSession

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
QN = "20260115093100007"
TIME: Area = ((("SystemTime", "20260115093501"),),)


def of(kind: type[Output], outputs: list[Output]) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


# -- uploads


def test_an_upload_is_delivered_when_the_platform_has_committed_it(line: Any) -> None:
    run = line()
    run.commit = False
    run.submit()
    assert run.at_station == []
    (uploaded,) = run.at_platform
    assert isinstance(uploaded, Uploaded)
    assert uploaded.upload is not None
    assert (uploaded.upload.period_s, uploaded.upload.data_time) == (60, T0)
    assert uploaded.upload.rows[0].values == {"Avg": 181500.0}
    run.from_platform(run.platform.accepted(uploaded.message))
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert run.station.deadline is None


def test_the_same_bytes_go_again_until_the_resends_are_used_up(line: Any) -> None:
    run = line(state=StationState(Timing(5.0, 2)))
    run.lose = lambda _: True
    run.submit()
    while run.wait():
        pass
    assert len(run.up) == 3
    assert len(set(run.up)) == 1
    assert run.now == 15.0
    assert run.at_station == [Failed("k", others_answered=False, reason="no answer")]


def test_a_resent_upload_is_answered_again_but_committed_once(line: Any) -> None:
    run = line()
    run.submit()
    run.from_platform(run.platform.receive(run.up[0], 1.0))
    assert len(of(Uploaded, run.at_platform)) == 1
    # The second 9014 answers nothing that is still open.
    assert [type(one) for one in run.at_station] == [Delivered, Unexpected]


def test_an_upload_that_waits_for_its_commit_is_not_handed_over_twice(line: Any) -> None:
    run = line()
    run.commit = False
    run.submit()
    run.from_platform(run.platform.receive(run.up[0], 1.0))
    assert len(run.at_platform) == 1
    assert run.down == []
    uploaded = run.at_platform[0]
    assert run.platform.accepted(uploaded.message)
    assert run.platform.accepted(uploaded.message) == []


def test_a_frame_refused_while_others_are_taken_is_told_apart_from_a_dead_link(line: Any) -> None:
    run = line(state=StationState(Timing(5.0, 1)))
    run.lose = lambda data: b"2031" in data
    run.submit("day", "2031")
    run.submit("minute")
    while run.wait():
        pass
    assert run.at_station == [
        Delivered("minute", confirmed=True),
        Failed("day", others_answered=True, reason="no answer"),
    ]


def test_without_acknowledgements_an_upload_is_sent_and_unconfirmed(line: Any) -> None:
    run = line(ack=False)
    run.submit()
    assert run.at_station == [Delivered("k", confirmed=False)]
    assert b";Flag=4;" in run.up[0]
    assert len(of(Uploaded, run.at_platform)) == 1
    assert run.down == []


def test_one_upload_may_ask_for_what_the_others_do_not(line: Any) -> None:
    run = line(ack=False)
    run.submit(acknowledge=True)
    assert run.at_station == [Delivered("k", confirmed=True)]
    run = line()
    run.submit(acknowledge=False)
    assert run.at_station == [Delivered("k", confirmed=False)]


def test_many_factors_go_in_parts_each_useful_alone_and_acknowledged_in_turn(line: Any) -> None:
    run = line()
    run.submit(items=tuple(((f"a{i:05d}-Avg", "1234.567"), (f"a{i:05d}-Flag", "N")) for i in range(60)))
    uploads = of(Uploaded, run.at_platform)
    assert len(uploads) == len(run.up) > 2
    assert [(u.message.pnum, u.message.pno) for u in uploads] == [(len(uploads), i + 1) for i in range(len(uploads))]
    assert {u.upload.data_time for u in uploads} == {T0}
    assert [row.code for u in uploads for row in u.upload.rows] == [f"a{i:05d}" for i in range(60)]
    assert len({u.message.qn for u in uploads}) == len(uploads)
    assert all(u.message.flag == 7 for u in uploads)
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert run.platform.deadline is None


def test_parts_that_never_come_are_told(line: Any) -> None:
    run = line(platform={"timing": Timing(10.0, 3)})
    run.lose = lambda data: b"PNO=2;" in data
    run.submit(items=tuple(((f"a{i:05d}-Avg", "1234.567"),) for i in range(60)))
    while run.wait():
        pass
    (missing,) = of(PartsMissing, run.at_platform)
    assert missing == PartsMissing(run.station.identity.mn, "2051", "20260115093000", 2, (2,))
    assert of(Failed, run.at_station)
    assert len(of(Uploaded, run.at_platform)) == 1


def test_no_more_uploads_than_the_window(line: Any) -> None:
    run = line()
    run.lose = lambda _: True
    for key in range(4):
        run.submit(key)
    assert run.station.free == 0
    with pytest.raises(RuntimeError):
        run.submit()
    run.station.disconnected()
    assert run.station.free == 4


def test_uploads_that_are_no_values_are_handed_over_with_their_fields(line: Any) -> None:
    run = line()
    run.submit(cn="2021", items=((("SB1-RS", "1"),),))
    run.submit(cn="2081", items=((("RestartTime", "20260115090000"),),))
    assert [(one.message.cn, one.upload) for one in run.at_platform] == [("2021", None), ("2081", None)]
    assert run.at_platform[1].message.value("RestartTime") == "20260115090000"


# -- requests


def test_the_real_time_interval_is_set_and_read_back(line: Any) -> None:
    state = StationState()
    run = line(state=state)
    ended = run.asked("1062", ((("RtdInterval", "60"),),))
    assert (ended.outcome, ended.code) == ("done", 1)
    assert state.realtime_s == 60
    (act,) = run.at_station
    assert isinstance(act, Commanded)
    assert (act.cn, act.fields, act.result) == ("1062", {"RtdInterval": "60"}, "done")
    ended = run.asked("1061")
    assert ended.data == (((("RtdInterval", "60"),),),)


def test_the_orders_of_a_first_connection_are_served(line: Any) -> None:
    state = StationState()
    run = line(state=state)
    assert run.asked("1000", ((("OverTime", "7"),), (("ReCount", "5"),))).outcome == "done"
    assert state.timing == Timing(7.0, 5)
    assert run.asked("1064", ((("MinInterval", "10"),),)).outcome == "done"
    assert run.asked("1063").data == (((("MinInterval", "10"),),),)
    for cn, name, value in (
        ("2012", "realtime_on", False), ("2011", "realtime_on", True),
        ("2022", "status_on", False), ("2021", "status_on", True),
    ):  # fmt: skip
        assert run.asked(cn).outcome == "done"
        assert getattr(state, name) is value
    assert run.asked("1011").data == (((("SystemTime", "20260115093000"),),),)
    assert len(of(Commanded, run.at_station)) == 6


def test_a_minute_interval_must_divide_the_hour(line: Any) -> None:
    run = line()
    wire = encode(Message(QN, "31", "1064", "123456", run.station.identity.mn, 5, ((("MinInterval", "7"),),)))
    assert answers(run, wire) == [("9011", "1"), ("9012", "3")]


def test_setting_the_time_is_refused_unless_the_owner_allows_it(line: Any) -> None:
    run = line(handled=frozenset({"1012"}))
    ended = run.asked("1012", TIME)
    assert (ended.outcome, ended.code) == ("refused", 2)
    assert [(one.cn, one.result) for one in run.at_station] == [("1012", "QnRtn 2")]

    run = line(handled=frozenset({"1012"}), allowed=frozenset({"1012"}))
    run.ask("1012", TIME)
    wish = run.requested()
    assert wish.message.value("SystemTime") == "20260115093501"
    run.finish(wish, 2)
    assert [(one.outcome, one.code) for one in run.ended] == [("failed", 2)]


def test_reading_needs_no_permission(line: Any) -> None:
    run = line(handled=frozenset({"3019"}))
    run.ask("3019", ((("PolId", "a05001"),),))
    run.finish(run.requested(), 1, ((("PolId", "a05001"),), (("a05001-SN", "X1"),)))
    (ended,) = run.ended
    assert (ended.outcome, ended.data) == ("done", (((("PolId", "a05001"),), (("a05001-SN", "X1"),)),))


def test_a_busy_analyser_is_told_by_its_owner(line: Any) -> None:
    run = line(handled=frozenset({"3011"}), allowed=frozenset({"3011"}))
    run.ask("3011", ((("PolId", "a05001"),),))
    run.ask("3011", ((("PolId", "a05001"),),))
    first, second = run.requested(), run.requested()
    run.finish(second, 5)
    run.finish(first, 1)
    assert [(one.qn, one.code) for one in run.ended] == [(second.qn, 5), (first.qn, 1)]


def test_more_requests_than_can_be_open_are_busy(line: Any) -> None:
    run = line(handled=frozenset({"3019"}))
    area: Area = ((("PolId", "a05001"),),)
    for number in range(OPEN_MAX):
        wire = encode(Message(f"2026011509320{number:04d}", "31", "3019", "123456", run.station.identity.mn, 5, area))
        run.from_station(run.station.receive(wire, 0.0))
    assert len(of(Requested, run.at_station)) == OPEN_MAX
    assert answers(run, encode(Message(QN, "31", "3019", "123456", run.station.identity.mn, 5, area))) == [
        ("9011", "1"),
        ("9012", "5"),
    ]


def test_history_records_are_uploads_of_their_own_and_keep_the_request_alive(line: Any) -> None:
    run = line(handled=frozenset({"2061"}), platform={"execution_s": 30.0})
    run.ask("2061", ((("BeginTime", "20260115070000"),), (("EndTime", "20260115090000"),)))
    wish = run.requested()
    for hour in range(3):
        run.now += 20.0
        run.submit(hour, "2061", at=datetime(2026, 1, 14, 23, tzinfo=UTC) + timedelta(hours=hour))
        run.from_platform(run.platform.tick(run.now))
    assert run.ended == []
    run.finish(wish, 1)
    assert [(one.outcome, one.data) for one in run.ended] == [("done", ())]
    assert len(of(Uploaded, run.at_platform)) == 3
    assert of(Delivered, run.at_station) == [Delivered(hour, confirmed=True) for hour in range(3)]


def test_an_upload_outside_the_range_asked_for_is_no_progress(line: Any) -> None:
    run = line(handled=frozenset({"2061"}), platform={"execution_s": 30.0})
    run.ask("2061", ((("BeginTime", "20260115070000"),), (("EndTime", "20260115080000"),)))
    run.now = 20.0
    run.submit("live", "2061", at=T0.replace(minute=0))
    run.now = 30.0
    run.from_platform(run.platform.tick(run.now))
    assert [one.outcome for one in run.ended] == ["failed"]


def answers(run: Any, wire: bytes) -> list[tuple[str, str | None]]:
    sent = [one.data for one in run.station.receive(wire, 0.0) if isinstance(one, Send)]
    messages = [frame.message for frame in Decoder().feed(b"".join(sent)) if isinstance(frame, Frame)]
    return [(message.cn, message.value("QnRtn") or message.value("ExeRtn")) for message in messages]


def asking(run: Any, **changes: Any) -> bytes:
    me = run.station.identity
    fields: dict[str, Any] = {
        "qn": QN, "st": me.st, "cn": "1062", "pw": me.pw, "mn": me.mn, "flag": 5, "area": ((("RtdInterval", "60"),),),
    }  # fmt: skip
    return encode(Message(**(fields | changes)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pw": "000000"}, [("9011", "3")]),
        ({"mn": "A" * 24}, [("9011", "4")]),
        ({"st": "32"}, [("9011", "5")]),
        ({"qn": "9" * 17}, [("9011", "7")]),
        ({"cn": "1072", "area": ((("NewPW", "abc"),),)}, [("9011", "8")]),
        ({"cn": "1002", "area": ((("MN", "A" * 24),),)}, [("9011", "8")]),
        ({"cn": "2051"}, [("9011", "8")]),
        ({"cn": "1011", "area": ((("PolId", "a05001"),),)}, [("9011", "8")]),
        ({"cn": "1012", "area": TIME}, [("9011", "2")]),
        ({"area": ((("RtdInterval", "29"),),)}, [("9011", "1"), ("9012", "3")]),
        ({"area": ()}, [("9011", "1"), ("9012", "3")]),
        ({"area": ((("RtdInterval", "60"),), (("RtdInterval", "90"),))}, [("9011", "1"), ("9012", "3")]),
        ({}, [("9011", "1"), ("9012", "1")]),
        ({"cn": "2012", "area": (), "flag": 4}, []),
        ({"cn": "2012", "area": ()}, [("9013", None)]),
    ],
)
def test_a_wrong_request_is_refused_with_its_code(
    line: Any, changes: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    run = line(handled=frozenset({"1012"}))
    assert answers(run, asking(run, **changes)) == expected


def test_a_refused_password_change_leaves_no_trace_of_the_password(line: Any) -> None:
    run = line()
    wire = asking(run, cn="1072", area=((("NewPW", "secret"),),))
    assert "secret" not in repr(run.station.receive(wire, 0.0))


# dialogues.md 1 of the fact tables: composed frames of an outside source, byte by byte.
def test_refusal_and_execution_look_on_the_wire_as_printed(line: Any) -> None:
    run = line()
    ask_wrong = (
        b"##0101QN=20260115093100007;ST=31;CN=1062;PW=000000;MN=0100B1F2A00002A00000007B;Flag=5;"
        b"CP=&&RtdInterval=60&&AA01\r\n"
    )
    assert Send(
        b"##0094QN=20260115093100007;ST=91;CN=9011;PW=000000;MN=0100B1F2A00002A00000007B;Flag=4;CP=&&QnRtn=3&&1680\r\n"
    ) in run.station.receive(ask_wrong, 0.0)
    ask_right = (
        b"##0101QN=20260115093000120;ST=31;CN=1062;PW=123456;MN=0100B1F2A00002A00000007B;Flag=5;"
        b"CP=&&RtdInterval=60&&1E00\r\n"
    )
    head = b"QN=20260115093000120;ST=91;CN=90%b;PW=123456;MN=0100B1F2A00002A00000007B;Flag=4;"
    assert [one.data for one in run.station.receive(ask_right, 0.0) if isinstance(one, Send)] == [
        b"##0094" + head % b"11" + b"CP=&&QnRtn=1&&0D80\r\n",
        b"##0095" + head % b"12" + b"CP=&&ExeRtn=1&&ACC1\r\n",
    ]


def test_a_request_seen_before_is_answered_again_and_not_executed_again(line: Any) -> None:
    state = StationState()
    run = line(state=state)
    first = answers(run, asking(run))
    state.realtime_s = 30
    assert answers(run, asking(run)) == first == [("9011", "1"), ("9012", "1")]
    assert state.realtime_s == 30


def test_refusals_push_no_executed_request_out_of_memory(line: Any) -> None:
    state = StationState()
    run = line(state=state)
    answers(run, asking(run))
    state.realtime_s = 30
    for number in range(2 * ANSWERED_MAX):
        answers(run, asking(run, qn=f"202601150931{number:05d}", pw="000000"))
    assert answers(run, asking(run)) == [("9011", "1"), ("9012", "1")]
    assert state.realtime_s == 30


def test_a_number_that_is_under_way_is_not_taken_for_another_request(line: Any) -> None:
    run = line(handled=frozenset({"3019"}))
    assert answers(run, asking(run, cn="3019", area=((("PolId", "a05001"),),))) == [("9011", "1")]
    assert answers(run, asking(run)) == [("9011", "7")]


def test_a_request_under_way_that_comes_again_is_answered_as_far_as_it_is(line: Any) -> None:
    run = line(handled=frozenset({"3019"}))
    run.lose = lambda data: b"9011" in data
    run.ask("3019", ((("PolId", "a05001"),),))
    wish = run.requested()
    run.wait()
    assert [b"9011" in data for data in run.up] == [True, True]
    run.lose = lambda _: False
    run.finish(wish, 1)
    assert [one.outcome for one in run.ended] == ["done"]
    assert not of(Requested, run.at_station)


def test_an_execution_that_takes_too_long_is_not_asked_for_again(line: Any) -> None:
    run = line(handled=frozenset({"3011"}), allowed=frozenset({"3011"}))
    run.ask("3011", ((("PolId", "a05001"),),))
    run.wait()
    assert run.now == 1800.0
    assert [(one.outcome, one.code) for one in run.ended] == [("failed", 1)]
    assert len(run.down) == 1
    run.finish(run.requested(), 1)
    # Too late: it answers nothing any more.
    assert of(Unexpected, run.at_platform)


@pytest.mark.parametrize(
    ("execution_s", "cn", "expected"),
    [
        (None, "3012", 30.0),
        (5.0, "3012", 5.0),
        (5.0, "3011", 1800.0),
        ({"3012": 7.0}, "3012", 7.0),
        ({"3012": 7.0}, "3011", 1800.0),
        ({"3011": 7.0}, "3011", 7.0),
    ],
)
def test_how_long_an_execution_may_take(line: Any, execution_s: Any, cn: str, expected: float) -> None:
    run = line(
        handled=frozenset({cn}), allowed=frozenset({cn}),
        platform={"execution_s": execution_s, "timing": Timing(5.0, 1)},
    )  # fmt: skip
    run.ask(cn, ((("PolId", "a05001"),),))
    run.wait()
    assert (run.now, len(run.ended)) == (expected, 1)


def test_a_station_that_never_answers_is_asked_as_often_as_agreed(line: Any) -> None:
    run = line()
    run.lose = lambda _: True
    ended = run.asked("1061")
    assert (ended.outcome, run.now) == ("unanswered", 40.0)
    assert len(set(run.down)) == 1
    assert len(run.down) == 4


def test_what_cannot_be_asked(line: Any) -> None:
    run = line()
    for mn, cn, area in (
        ("X", "1061", ()),
        (run.station.identity.mn, "1014", ()),
        (run.station.identity.mn, "1062", ()),
    ):
        with pytest.raises(ValueError, match=r"1061|1014|RtdInterval|no station"):
            run.platform.request(mn, cn, area, 0.0)
    run.lose = lambda _: True
    for _ in range(16):
        run.ask("1061")
    with pytest.raises(RuntimeError):
        run.ask("1061")


# -- notices


def test_a_notice_is_delivered_by_its_9013_and_told_once(line: Any) -> None:
    run = line()
    run.lose = lambda data: b"9013" in data and len(run.down) == 1
    run.notify("1013")
    run.wait()
    assert [(type(one), one.message.cn) for one in run.at_platform] == [(Notified, "1013")]
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert len(run.up) == 2


def test_a_notice_nobody_answers_fails_and_only_so_many_wait(line: Any) -> None:
    run = line()
    run.lose = lambda _: True
    for key in range(NOTICES_MAX):
        run.notify("1013", key=key)
    with pytest.raises(RuntimeError):
        run.notify("1013")
    assert run.station.free == 4
    while run.wait():
        pass
    assert [one.key for one in of(Failed, run.at_station)] == list(range(NOTICES_MAX))


def test_where_nothing_is_acknowledged_notices_are_not_either(line: Any) -> None:
    run = line(ack=False)
    run.notify("1013")
    assert run.at_station == [Delivered("k", confirmed=False)]
    assert run.down == []
    assert of(Notified, run.at_platform)


# -- what a platform does not take


def test_a_platform_takes_nothing_of_strangers_and_says_why(line: Any, identity: Any) -> None:
    run = line()
    me = run.station.identity
    for stranger, reason in (
        (Identity("F" * 24, "123456"), "unknown MN"),
        (Identity(me.mn, "654321"), "wrong PW"),
        (Identity(me.mn, "123456", "22"), "wrong ST"),
    ):
        session = StationSession(stranger, StationState(), lambda: T0)
        (send,) = session.submit("k", "2051", T0, ((("a05001-Avg", "1"),),), 0.0)
        assert isinstance(send, Send)
        answer = run.platform.receive(send.data, 0.0)
        assert [one.reason for one in answer if isinstance(one, Rejected)] == [reason]
        (refusal,) = [one for one in answer if isinstance(one, Send)]
        (failed,) = session.receive(refusal.data, 0.0)
        assert isinstance(failed, Failed)
        assert failed.reason.startswith("refused with QnRtn")


def test_an_upload_without_time_is_not_taken_and_bad_bytes_are_a_value(line: Any) -> None:
    run = line()
    message = Message(QN, "31", "2051", "123456", run.station.identity.mn, 5, ((("a05001-Avg", "1"),),))
    assert of(Rejected, run.platform.receive(encode(message), 0.0))
    assert of(BadBytes, run.platform.receive(b"##no frame at all##xx", 0.0))
    assert of(BadBytes, run.station.receive(b"##no frame at all##xx", 0.0))


def test_more_uploads_than_may_wait_stay_unanswered_and_come_again(line: Any) -> None:
    run = line()
    run.commit = False
    me = run.station.identity
    item = ((("DataTime", "20260115093000"),), (("a05001-Avg", "1"),))
    wires = [encode(Message(f"2026011509310{n:04d}", "31", "2051", me.pw, me.mn, 5, item)) for n in range(257)]
    for wire in wires:
        run.from_platform(run.platform.receive(wire, 0.0))
    assert (len(of(Uploaded, run.at_platform)), len(of(Rejected, run.at_platform))) == (256, 1)
    assert run.down == []
    run.platform.accepted(run.at_platform[0].message)
    run.from_platform(run.platform.receive(wires[-1], 10.0))
    assert len(of(Uploaded, run.at_platform)) == 257


def test_a_reply_is_never_answered(line: Any) -> None:
    run = line()
    me = run.station.identity
    for cn, area in (("9011", ((("QnRtn", "2"),),)), ("9012", ((("ExeRtn", "1"),),)), ("9013", ()), ("9014", ())):
        for pw, mn in ((me.pw, me.mn), ("000000", me.mn), (me.pw, "F" * 24)):
            wire = encode(Message(QN, "91", cn, pw, mn, 5, area))
            for session in (run.station, run.platform):
                assert of(Send, session.receive(wire, 0.0)) == []


def test_both_ends_bear_their_own_echo(line: Any) -> None:
    run = line()
    # A line that gives back whatever is sent: what comes back of an upload is refused once, and that is the end.
    (send,) = run.station.submit("k", "2051", T0, ((("a05001-Avg", "1"),),), 0.0)
    replies, rounds = [send], 0
    while replies and rounds < 10:
        out = [one for reply in replies for one in run.station.receive(reply.data, 1.0)]
        replies, rounds = [one for one in out if isinstance(one, Send)], rounds + 1
    assert rounds < 10


# -- silence and the end of a stream


def test_what_a_forged_length_holds_back_is_taken_after_a_silence(line: Any) -> None:
    run = line()
    me = run.station.identity
    item = ((("DataTime", "20260115093000"),), (("a05001-Avg", "1"),))
    good = encode(Message(QN, "31", "2051", me.pw, me.mn, 5, item))
    run.from_platform(run.platform.receive(b"##1024QN=" + good, 0.0))
    while not of(Uploaded, run.at_platform) and run.wait():
        pass
    assert run.now <= 3.0
    assert len(of(Uploaded, run.at_platform)) == 1
    assert of(BadBytes, run.at_platform)


def test_the_end_of_a_stream_ends_what_was_open(line: Any) -> None:
    run = line(handled=frozenset({"3019"}))
    run.lose = lambda data: b"3019" in data
    run.ask("3019", ((("PolId", "a05001"),),))
    run.lose = lambda data: b"PNO=2;" in data
    run.submit(items=tuple(((f"a{i:05d}-Avg", "1234.567"),) for i in range(60)))
    run.from_platform(run.platform.receive(b"##01", run.now))
    outputs = run.platform.end(run.now)
    assert [type(one) for one in outputs] == [BadBytes, PartsMissing, RequestEnded]
    assert outputs[2].outcome == "lost"
    assert run.platform.deadline is None
    assert of(BadBytes, run.station.receive(b"##01", 0.0)) == []
    assert of(BadBytes, run.station.end(0.0))


# -- start-up


def test_a_station_that_comes_gets_its_orders_one_after_the_other_time_first(line: Any) -> None:
    state = StationState()
    orders = (
        ("1012", ()),
        ("1000", ((("OverTime", "5"),), (("ReCount", "2"),))),
        ("1062", ((("RtdInterval", "60"),),)),
        ("2022", ()),
    )
    run = line(state=state, platform={"startup": orders}, handled=frozenset({"1012"}), allowed=frozenset({"1012"}))
    run.submit()
    wish = run.requested()
    assert wish.message.value("SystemTime") == "20260115093000"
    assert len(run.down) == 2
    run.finish(wish, 1)
    assert [one.cn for one in run.ended] == ["1012", "1000", "1062", "2022"]
    assert (state.timing, state.realtime_s, state.status_on) == (Timing(5.0, 2), 60, False)
    run.submit("again")
    assert len(run.ended) == 4


def test_a_station_that_leaves_an_order_unanswered_gets_no_more(line: Any) -> None:
    run = line(platform={"startup": (("1062", ((("RtdInterval", "60"),),)), ("2011", ()))})
    run.lose = lambda data: b"CN=1062" in data
    run.submit()
    while run.wait():
        pass
    run.submit("again")
    assert [(one.cn, one.outcome) for one in run.ended] == [("1062", "unanswered")]


def test_orders_an_edition_does_not_have_are_left_out(line: Any) -> None:
    run = line(2005, platform={"startup": (("1064", ((("MinInterval", "1"),),)), ("2011", ()))})
    run.submit()
    assert [(one.cn, one.outcome) for one in run.ended] == [("2011", "done")]
    with pytest.raises(ValueError, match="1062"):
        line(platform={"startup": (("1062", ()),)})


def test_every_request_of_the_tables_that_the_link_serves_is_in_the_tables() -> None:
    for cn in ("1000", "1011", "1061", "1062", "2011", "2012", "2021", "2022"):
        assert all((cn, "to_station") in commands(edition) for edition in Edition)
