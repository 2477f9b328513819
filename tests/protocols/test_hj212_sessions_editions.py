"""What is different in 2005 and 2025: numbers in replies, RF, heartbeats, encryption, keys; peers of another kind."""

from datetime import UTC, datetime
from typing import Any

import pytest

from protocols.hj212.crc import crc16
from protocols.hj212.decoder import Decoder
from protocols.hj212.frame import Frame
from protocols.hj212.message import Message, encode
from protocols.hj212.profile import Leniency, Profile
from protocols.hj212.reader import judge
from protocols.hj212.session import (
    HEARTBEAT,
    BadBytes,
    Commanded,
    Delivered,
    Failed,
    Identity,
    Notified,
    Output,
    Rejected,
    RequestEnded,
    Send,
    Unexpected,
    Uploaded,
)

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
QN = "20260115100000001"
OLD, NEW = b"0000000000000000", b"msbE74gsiSHSEh5e"
DATA = ((("DataTime", "20260115093000"),), (("a05001-Avg", "1"),))


def of(kind: type[Output], outputs: list[Output]) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


# -- 2005


# dialogues.md 7 of the fact tables: composed frames of an outside source, byte by byte.
def test_replies_of_2005_carry_the_number_in_the_data_area(line: Any, identity: Any) -> None:
    run = line(me=identity(2005, mn="GHG20260100001"))
    asked = b"##0091QN=20260115100000001;ST=31;CN=1062;PW=123456;MN=GHG20260100001;Flag=1;CP=&&RtdInterval=60&&95C1\r\n"
    assert [one.data for one in run.station.receive(asked, 0.0) if isinstance(one, Send)] == [
        b"##0084ST=91;CN=9011;PW=123456;MN=GHG20260100001;Flag=0;CP=&&QN=20260115100000001;QnRtn=1&&8BC1\r\n",
        b"##0085ST=91;CN=9012;PW=123456;MN=GHG20260100001;Flag=0;CP=&&QN=20260115100000001;ExeRtn=1&&03C0\r\n",
    ]
    data = (
        b"##0145QN=20260115100031000;ST=31;CN=2011;PW=123456;MN=GHG20260100001;Flag=1;"
        b"CP=&&DataTime=20260115100030;02-Rtd=18.5,02-Flag=N;S01-Rtd=6.4,S01-Flag=N&&2800\r\n"
    )
    (uploaded,) = run.platform.receive(data, 0.0)
    assert run.platform.accepted(uploaded.message) == [
        Send(b"##0076ST=91;CN=9014;PW=123456;MN=GHG20260100001;Flag=0;CP=&&QN=20260115100031000&&F281\r\n")
    ]


def test_a_whole_dialogue_of_2005(line: Any) -> None:
    run = line(2005, handled=frozenset({"1072"}), allowed=frozenset({"1072"}))
    run.submit(resent=True)
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert b";Flag=1;CP" in run.up[0]
    assert run.asked("1061").data == (((("RtdInterval", "30"),),),)
    run.ask("1072", ((("PW", "abc123"),),))
    wish = run.requested()
    assert wish.message.value("PW") == "abc123"
    run.finish(wish, 1)
    assert [one.outcome for one in run.ended] == ["done"]


def test_an_edition_has_its_own_commands_only(line: Any) -> None:
    run = line(2005)
    with pytest.raises(ValueError, match="1064"):
        run.ask("1064", ((("MinInterval", "1"),),))
    run = line(2017)
    with pytest.raises(ValueError, match="3024"):
        run.ask("3024", ((("PolId", "a05001"),),))


def test_2005_has_no_codes_for_what_is_wrong_but_refused(line: Any) -> None:
    run = line(2005)
    me = run.station.identity
    wire = encode(Message(QN, "31", "3011", me.pw, me.mn, 1, ((("PolId", "01"),),)))
    assert b"QnRtn=2" in of(Send, run.station.receive(wire, 0.0))[0].data
    wire = encode(Message(QN, "31", "1062", me.pw, me.mn, 1, ((("RtdInterval", "1"),),)))
    assert b"ExeRtn=2" in of(Send, run.station.receive(wire, 0.0))[1].data


def test_uploads_without_number_and_flag_are_taken_once_and_unanswered(line: Any, identity: Any) -> None:
    profile = Profile.strict(2005).with_leniencies(["missing_qn", "missing_flag"])
    run = line(2005, enrolled=identity(2005, profile=profile))
    run.commit = False
    segment = b"ST=31;CN=2011;PW=123456;MN=0100B1F2A00002;CP=&&DataTime=20260115100030;02-Rtd=%b,02-Flag=N&&"
    for value in (b"1", b"2"):
        text = segment % value
        outputs = run.platform.receive(framed(text) * 2, 0.0)
        (uploaded,) = outputs
        assert isinstance(uploaded, Uploaded)
        assert {"missing_qn", "missing_flag"} <= set(uploaded.message.deviations)
        assert run.platform.accepted(uploaded.message) == []
        assert run.platform.receive(framed(text), 0.0) == []


def framed(segment: bytes) -> bytes:
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc16(segment))


# -- peers of another kind than agreed


@pytest.mark.parametrize("edition", [2005, 2025])
def test_another_edition_than_enrolled_is_told_in_its_own_version_bits(line: Any, identity: Any, edition: int) -> None:
    me = identity(edition, mn="0100B1F2A00002A00000007B")
    run = line(me=me, enrolled=identity(2017))
    run.submit()
    (rejected,) = run.at_platform
    assert isinstance(rejected, Rejected)
    assert rejected.reason == f"edition {edition}, agreed is 2017"
    (answer,) = run.down
    assert b"CN=9011" in answer
    assert b"QnRtn=6" in answer
    assert (b";Flag=%d;" % (me.edition.version << 2)) in answer
    assert [type(one) for one in run.at_station] == [Failed]


def test_another_edition_is_taken_where_that_was_agreed(line: Any, identity: Any) -> None:
    lenient = identity(2017, profile=Profile.strict(2017).with_leniencies(["other_edition"]))
    run = line(me=identity(2005, mn=lenient.mn), enrolled=lenient)
    run.submit()
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert run.at_platform[0].message.deviations == ("other_edition",)


def test_a_request_of_another_edition_is_refused_with_6(line: Any) -> None:
    run = line(2017)
    me = run.station.identity
    outputs = run.station.receive(encode(Message(QN, "31", "1061", me.pw, me.mn, 9)), 0.0)
    assert b"QnRtn=6" in of(Send, outputs)[0].data
    assert of(Commanded, outputs)[0].result == "QnRtn 6"


def test_a_deviation_is_refused_unless_it_is_agreed_and_seen_either_way(line: Any, identity: Any) -> None:
    text = (
        b"QN=20260115100000001,ST=31;CN=2051;PW=123456;MN=0100B1F2A00002A00000007B;Flag=5;"
        b"CP=&&DataTime=20260115093000;a05001-Avg=1&&"
    )
    run = line()
    outputs = run.platform.receive(framed(text), 0.0)
    assert of(Rejected, outputs)[0].reason == "deviation comma_after_qn"
    assert b"QnRtn=100" in of(Send, outputs)[0].data
    run.stations[run.station.identity.mn] = identity(profile=Profile.strict().with_leniencies(["comma_after_qn"]))
    (uploaded,) = run.platform.receive(framed(text), 0.0)
    assert uploaded.message.deviations == (Leniency.COMMA_AFTER_QN,)
    # What the line may have done is not answered: its sender sends it again.
    good = framed(text.replace(b",ST", b";ST").replace(b"=1&&", b"=7&&"))
    assert good[-6:-2].lower() != good[-6:-2]
    assert [type(one) for one in run.platform.receive(good[:-6] + good[-6:].lower(), 0.0)] == [Rejected]


def test_the_station_judges_its_platform_too(line: Any) -> None:
    run = line()
    run.lose = lambda data: b"9014" in data
    run.submit()
    (answer,) = run.down
    modbus = answer[:-6] + b"0000\r\n"
    assert [type(one) for one in run.station.receive(modbus, 1.0)] == [BadBytes]
    foreign = encode(Message(run.up[0][9:26].decode(), "91", "9014", "123456", run.station.identity.mn, 8))
    assert [type(one) for one in run.station.receive(foreign, 1.0)] == [Unexpected]
    assert run.station.receive(answer, 2.0) == [Delivered("k", confirmed=True)]


def test_several_stations_share_one_link(line: Any, identity: Any) -> None:
    run = line()
    other = identity(2005)
    run.stations[other.mn] = other
    for me, version in ((identity(), 1), (other, 0)):
        wire = encode(Message(QN, "31", "2051", me.pw, me.mn, version << 2 | 1, DATA))
        (uploaded,) = run.platform.receive(wire, 0.0)
        (answer,) = run.platform.accepted(uploaded.message)
        assert (me.mn.encode() + b";Flag=%d;" % (version << 2)) in answer.data
    qn, outputs = run.platform.request(other.mn, "1061", (), 0.0)
    stranger = encode(Message(qn, "91", "9011", "123456", identity().mn, 4, ((("QnRtn", "1"),),)))
    assert [type(one) for one in run.platform.receive(stranger, 0.0)] == [Unexpected]
    del run.stations[other.mn]
    assert of(Rejected, run.platform.receive(encode(Message(QN, "31", "2051", other.pw, other.mn, 1, DATA)), 0.0))
    assert len(outputs) == 1


# -- 2025


def test_what_was_sent_in_vain_before_says_so_where_the_edition_can(line: Any) -> None:
    for edition, expected in ((2005, False), (2017, False), (2025, True)):
        run = line(edition)
        run.submit(resent=True)
        assert (b";RF=1;CP" in run.up[0]) is expected
        assert run.at_platform[0].message.resent is expected


def test_a_silent_link_of_2025_sends_heartbeats(line: Any) -> None:
    run = line(2025, heartbeat_s=60.0)
    assert run.wait()
    assert run.up == []
    run.now = 50.0
    run.submit()
    for _ in range(3):
        run.wait()
    assert run.now == 230.0
    assert [b"CN=9015" in data for data in run.up] == [False, True, True, True]
    assert [one.message.cn for one in of(Notified, run.at_platform)] == ["9015"] * 3
    assert run.at_station == [Delivered("k", confirmed=True)]


def test_a_heartbeat_nobody_answers_says_that_the_link_is_dead(line: Any) -> None:
    run = line(2025, heartbeat_s=60.0)
    run.lose = lambda _: True
    while not run.at_station:
        run.wait()
    assert run.at_station == [Failed(HEARTBEAT, others_answered=False, reason="no answer")]
    assert (run.now, len(run.up)) == (100.0, 4)
    run.station.disconnected()
    run.at_station.clear()
    run.lose = lambda _: False
    run.wait()
    run.wait()
    assert b"CN=9015" in run.up[-1]


@pytest.mark.parametrize("edition", [2005, 2017])
def test_no_heartbeat_before_2025(line: Any, edition: int) -> None:
    run = line(edition, heartbeat_s=60.0)
    assert run.station.deadline is None


def test_data_go_out_encrypted_and_the_rest_does_not(line: Any) -> None:
    run = line(2025, OLD, handled=frozenset({"3020"}))
    run.submit()
    run.notify("1014", ((("SKCreateTime", "20260115093000"),),))
    run.notify("1013")
    run.ask("3020", ((("InfoId", "i11001"),),))
    run.finish(run.requested(), 1, ((("DataTime", "20260115093000"),), (("i11001-Info", "a long line of the log"),)))
    plain = [b"DataTime" in data or b"SKCreateTime" in data for data in run.up]
    assert plain == [False] * len(run.up)
    assert of(Uploaded, run.at_platform)[0].upload.rows[0].values == {"Avg": 181500.0}
    assert [one.message.cn for one in of(Notified, run.at_platform)] == ["1014", "1013"]
    assert run.ended[0].data[0][1] == (("i11001-Info", "a long line of the log"),)
    assert b"QnRtn=1" in run.up[3]


def test_a_long_upload_goes_out_encrypted_in_parts(line: Any) -> None:
    run = line(2025, OLD)
    run.submit(items=tuple(((f"a{i:05d}-Avg", "1234.567"),) for i in range(60)))
    assert len(run.up) > 1
    assert run.at_station == [Delivered("k", confirmed=True)]


def test_a_key_is_changed_without_losing_a_frame(line: Any, identity: Any) -> None:
    run = line(2025, OLD, handled=frozenset({"1014"}), allowed=frozenset({"1014"}))
    mn = run.station.identity.mn
    # Asked for by the station, delivered by the platform, which reads both from now on.
    run.notify("1014", ((("SKCreateTime", "20260115093000"),),))
    run.ask("1014", ((("SKCreateTime", "20260115093100"),), (("NewSK", NEW.decode()),)))
    run.stations[mn] = identity(2025, NEW, OLD)
    wish = run.requested()
    run.submit("under the old key")
    run.finish(wish, 1)
    run.station.identity = identity(2025, wish.message.value("NewSK").encode(), OLD)
    run.submit("under the new key")
    run.stations[mn] = identity(2025, NEW)
    run.submit("the old one is forgotten")
    assert [one.key for one in of(Delivered, run.at_station)][1:] == [
        "under the old key", "under the new key", "the old one is forgotten",
    ]  # fmt: skip
    assert [one.outcome for one in run.ended] == ["done"]


def test_the_wrong_key_is_no_frame(line: Any, identity: Any) -> None:
    run = line(2025, OLD, enrolled=identity(2025, NEW))
    run.submit()
    assert of(Uploaded, run.at_platform) == []
    assert run.down == []


def test_a_new_number_and_password_hold_after_the_old_ones_answered(line: Any, identity: Any) -> None:
    run = line(2025, handled=frozenset({"1002", "1072"}), allowed=frozenset({"1002", "1072"}))
    old = run.station.identity
    run.notify(
        "1001", ((("i23005-Info", "X1"),), (("i23006-Info", "C1"),), (("i23007-Info", "M1"),), (("i23008-Info", "M2"),))
    )
    run.ask("1002", ((("MN", "B" * 24),),))
    run.lose = lambda data: b"CN=2051" in data
    run.submit("in flight")
    run.finish(run.requested(), 1)
    assert [(one.mn, one.outcome) for one in of(RequestEnded, run.at_platform)] == [(old.mn, "done")]
    new = run.station.identity = identity(2025, mn="B" * 24, pw="abc123")
    run.stations[new.mn] = new
    run.lose = lambda _: False
    while run.wait():
        pass
    run.submit("new")
    assert of(Delivered, run.at_station)[1:] == [
        Delivered("in flight", confirmed=True),
        Delivered("new", confirmed=True),
    ]
    assert run.asked("1061").outcome == "done"


def test_an_mn_given_out_in_another_length_is_no_reason_to_refuse_its_replies() -> None:
    identity = Identity("GHG20260100001", "123456")
    wire = encode(Message("20260115093000120", "91", "9014", "123456", "GHG20260100001", 4))
    (frame,) = Decoder(Profile.lenient()).feed(wire)
    assert isinstance(frame, Frame)
    assert judge(identity.profile, frame)[1] is None
    assert judge(Profile.strict(2017), frame)[1] is not None
