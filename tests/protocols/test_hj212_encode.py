"""Writing is strict, and what is written is read again as the same message, in every edition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212 import Decoder, Edition, EncodeError, Frame, Message, Profile, encode
from protocols.hj212.message import CP_MAX, SEGMENT_MAX, flag_of

APPENDIX_A = (
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&RtdInterval=30&&1C80\r\n"
)
NAMES = st.from_regex(r"[0-9A-Za-z]{1,8}(-[A-Za-z]{1,5})?", fullmatch=True)
VALUES = st.text(
    st.characters(exclude_characters=";,=&#", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")),
    min_size=1,
    max_size=12,
)
ITEMS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4).map(tuple)
KEY = b"0123456789abcdef"


@st.composite
def messages(draw: st.DrawFn, edition: Edition) -> Message:
    parts = draw(st.none() | st.integers(1, 9999).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
    pnum, pno = parts or (None, None)
    return Message(
        qn=draw(st.from_regex(r"[0-9]{17}", fullmatch=True)),
        st=draw(st.sampled_from(["31", "91", "A1"])),
        cn=draw(st.from_regex(r"[0-9]{4}", fullmatch=True)),
        pw=draw(st.from_regex(r"[0-9A-Za-z]{1,6}", fullmatch=True)),
        mn=draw(st.from_regex(r"[0-9A-Za-z]{14}" if edition is Edition.HJ2005 else r"[0-9A-Za-z]{24}", fullmatch=True)),
        flag=flag_of(edition, wants_answer=draw(st.booleans()), split=parts is not None),
        area=tuple(draw(st.lists(ITEMS, max_size=5))),
        pnum=pnum,
        pno=pno,
        resent=edition is Edition.HJ2025 and draw(st.booleans()),
    )


@pytest.mark.parametrize("edition", Edition)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 2000), encrypted=st.booleans())
def test_what_is_written_is_read_again_however_it_is_cut(
    edition: Edition, data: st.DataObject, size: int, encrypted: bool
) -> None:
    sent = data.draw(st.lists(messages(edition), max_size=3))
    wire = b"".join(encode(message, KEY if encrypted else None) for message in sent)
    for profile in (Profile.strict(edition), Profile.lenient()):
        decoder = Decoder(profile, lambda _: (b"another key 1234", KEY))
        found = [one for at in range(0, len(wire), size) for one in decoder.feed(wire[at : at + size])]
        assert all(isinstance(one, Frame) and one.deviations == [] for one in found)
        assert [one.message for one in found if isinstance(one, Frame)] == sent
        assert not decoder.unfinished


def test_the_worked_example_of_appendix_a_there_and_back() -> None:
    (frame,) = Decoder().feed(APPENDIX_A)
    assert isinstance(frame, Frame)
    message = frame.message
    assert (message.qn, message.st, message.cn, message.pw) == ("20160801085857223", "32", "1062", "100000")
    assert (message.mn, message.flag, message.version) == ("010000A8900016F000169DC0", 5, 1)
    assert (message.wants_answer, message.split, message.resent) == (True, False, False)
    assert message.value("rtdinterval") == "30"
    assert encode(message) == APPENDIX_A == frame.raw
    assert "100000" not in repr(frame) + repr(message)


def test_a_reply_of_2005_has_its_qn_in_the_data_area() -> None:
    message = Message("20260115100000001", "91", "9011", "123456", "GHG20260100001", 0, ((("QnRtn", "1"),),))
    wire = encode(message)
    assert wire == (
        b"##0084ST=91;CN=9011;PW=123456;MN=GHG20260100001;Flag=0;CP=&&QN=20260115100000001;QnRtn=1&&8BC1\r\n"
    )
    (frame,) = Decoder(Profile.strict(2005)).feed(wire)
    assert isinstance(frame, Frame)
    assert frame.message == message
    assert "QN" not in frame.fields


def message_of(**changes: object) -> Message:
    fields: dict[str, object] = {
        "qn": "20260115093000120", "st": "31", "cn": "2051", "pw": "123456", "mn": "0" * 24, "flag": 5,
    }  # fmt: skip
    return Message(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"qn": "2026"},
        {"qn": ""},
        {"pw": "a b"},
        {"pw": "a;RF=1"},
        {"mn": "12345"},
        {"flag": 7},
        {"flag": 1000},
        {"flag": 256},
        {"pnum": 1, "pno": 1},
        {"flag": 7, "pnum": 2, "pno": 3},
        {"flag": 7, "pnum": 2},
        {"resent": True},
        {"area": ((("a", "1;2"),),)},
        {"area": ((("a", "1;b=2"),),)},
        {"area": ((("a", "1,b=2"),),)},
        {"area": ((("a=1,b", "2"),),)},
        {"area": ((("a", ""),),)},
        {"area": ((("", "1"),),)},
        {"area": ((("a", "x\ty"),),)},
        {"area": ((("a", " x"),),)},
        {"area": ((("a", "x&y"),),)},
        {"area": ((("a", "x##y"),),)},
        {"area": ((),)},
        {"area": ((("a", "1"),), ())},
        {"area": ((("a", "1" * (CP_MAX + 1)),),)},
        {"area": ((("a", "\ud800"),),)},
    ],
)
def test_writing_is_strict(changes: dict[str, object]) -> None:
    with pytest.raises(EncodeError) as error:
        encode(message_of(**changes))
    assert str(changes.get("pw", "never")) not in str(error.value)


def test_the_longest_frame_that_may_be_written_is_read() -> None:
    room = CP_MAX - len("CP=&&a=&&")
    wire = encode(message_of(mn="0" * 14, area=((("a", "1" * room),),)))
    assert len(wire) - 12 <= SEGMENT_MAX
    (frame,) = Decoder(Profile.strict().with_leniencies(["mn_13_to_24"])).feed(wire)
    assert isinstance(frame, Frame)
