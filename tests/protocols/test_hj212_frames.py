"""HJ 212 frames: published ones, cut and dirtied in every way, and made ones there and back."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212.crc import crc16
from protocols.hj212.decoder import Decoder
from protocols.hj212.frame import (
    CP_MAX,
    FRAME_MAX,
    SEGMENT_MAX,
    EncodeError,
    Fault,
    Frame,
    FrameError,
    Slip,
    encode,
    flag_of,
)

# HJ 212-2017 appendix A, the one worked example.
APPENDIX_A = (
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&RtdInterval=30&&1C80\r\n"
)


def test_the_worked_example_of_appendix_a() -> None:
    assert crc16(APPENDIX_A[6:-6]) == 0x1C80
    (frame,) = Decoder().feed(APPENDIX_A)
    assert isinstance(frame, Frame)
    assert (frame.qn, frame.st, frame.cn, frame.pw) == ("20160801085857223", "32", "1062", "100000")
    assert (frame.mn, frame.flag, frame.version, frame.wants_answer) == ("010000A8900016F000169DC0", 5, 1, True)
    assert frame.value("rtdinterval") == "30"
    assert encode(frame) == APPENDIX_A == frame.raw
    assert "100000" not in repr(frame)


def published() -> list[tuple[str, str, str]]:
    folder = Path(os.environ.get("PLUMELINE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    path = folder.parent / "reference" / "hj212" / "frames_dev.txt"
    if not path.is_file():
        return []
    blocks = re.findall(r"^# source: (.*)\n# crc: (\w+); .*\n(##.*)$", path.read_text(encoding="utf-8"), re.M)
    return [(source, crc, frame) for source, crc, frame in blocks]


PUBLISHED = published()


@pytest.mark.skipif(not PUBLISHED, reason="no published frames beside the recorded data")
def test_published_frames_of_the_2017_form_decode_and_others_are_errors_that_cost_nothing_else() -> None:
    assert len(PUBLISHED) >= 40
    decoded = 0
    for source, crc, text in PUBLISHED:
        form_2017 = crc == "GB" and "QN=" in text[:9] and ";Flag=" in text
        wire = text.encode() + b"\r\n"
        whole = Decoder().feed(wire)
        assert isinstance(whole[0], Frame) == form_2017, (source, whole)
        assert crc != "MODBUS" or whole[0].fault is Fault.CRC  # type: ignore[union-attr]
        assert in_pieces(wire, 1) == whole, source
        # The next frame always comes through, whatever stood before it.
        assert Decoder().feed(wire + APPENDIX_A)[-1] == Decoder().feed(APPENDIX_A)[0], source
        decoded += form_2017
    assert decoded >= 12


def in_pieces(wire: bytes, size: int) -> list[Frame | FrameError]:
    decoder = Decoder()
    return [found for i in range(0, len(wire), size) for found in decoder.feed(wire[i : i + size])]


NAMES = st.from_regex(r"[0-9A-Za-z]{1,8}(-[A-Za-z]{1,5})?", fullmatch=True)
VALUES = st.text(
    st.characters(exclude_characters=";,=&#", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")),
    min_size=1,
    max_size=12,
).filter(lambda text: text == text.strip() and not any(c.isspace() for c in text))
ITEMS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4).map(tuple)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    parts = draw(st.none() | st.integers(1, 9999).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
    pnum, pno = parts or (None, None)
    return Frame(
        qn=draw(st.from_regex(r"[0-9]{17}", fullmatch=True)),
        st=draw(st.from_regex(r"[0-9A-Z]{2}", fullmatch=True)),
        cn=draw(st.from_regex(r"[0-9]{4}", fullmatch=True)),
        pw=draw(st.from_regex(r"[0-9A-Za-z]{1,6}", fullmatch=True)),
        mn=draw(st.from_regex(r"[0-9A-Za-z]{14,24}", fullmatch=True)),
        flag=flag_of(wants_answer=draw(st.booleans()), split=parts is not None, version=draw(st.integers(0, 3))),
        area=tuple(draw(st.lists(ITEMS, max_size=5))),
        pnum=pnum,
        pno=pno,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(frames(), max_size=3), st.integers(1, 2000))
def test_what_is_written_is_read_again_however_it_is_cut(sent: list[Frame], size: int) -> None:
    assert in_pieces(b"".join(encode(frame) for frame in sent), size) == sent


@given(st.lists(st.binary(max_size=60) | st.just(APPENDIX_A) | st.just(b"##") | st.just(b"\r\n##01"), max_size=12))
def test_any_bytes_in_any_pieces_give_the_same_and_raise_nothing(chunks: list[bytes]) -> None:
    wire = b"".join(chunks)
    decoder = Decoder()
    found = [one for chunk in chunks for one in decoder.feed(chunk)]
    assert found == Decoder().feed(wire) == in_pieces(wire, 1)
    assert all(len(one.raw) <= FRAME_MAX for one in found)


@given(st.binary(max_size=80).filter(lambda rubbish: b"#" not in rubbish), st.integers(0, len(APPENDIX_A) - 1))
def test_rubbish_and_a_torn_frame_before_a_frame_do_not_hide_it(rubbish: bytes, torn: int) -> None:
    good = Decoder().feed(APPENDIX_A)[0]
    assert Decoder().feed(rubbish + APPENDIX_A + rubbish)[-1 if not rubbish.strip() else 1] == good
    # Torn in the middle and sent again: the length of the first swallows the head of the second, which is found all
    # the same once its own end shows that the first was none.
    found = Decoder().feed(APPENDIX_A[:torn] + APPENDIX_A + APPENDIX_A)
    assert [one for one in found if isinstance(one, Frame)] == [good, good]


def test_memory_is_bounded_under_endless_rubbish() -> None:
    decoder = Decoder()
    for _ in range(200):
        decoder.feed(b"##1024" + b"x" * 5000)
        decoder.feed(b"no frame at all" * 300)
    assert len(decoder._buffer) + len(decoder._rubbish) <= 2 * FRAME_MAX


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"##9999QN=1", Fault.LENGTH),
        (b"##00x1QN=1", Fault.LENGTH),
        (APPENDIX_A.replace(b"1C80", b"1C81"), Fault.CRC),
        (APPENDIX_A.replace(b"1C80", b"zzzz"), Fault.CRC),
        (APPENDIX_A.replace(b"\r\n", b"\n\r"), Fault.TAIL),
        (APPENDIX_A.replace(b"##0101", b"##0100"), Fault.TAIL),
        (APPENDIX_A.replace(b"##0101", b"##0200"), Fault.LENGTH),
    ],
)
def test_what_is_wrong_is_said(wire: bytes, fault: Fault) -> None:
    found = Decoder().feed(wire + APPENDIX_A)
    assert isinstance(found[0], FrameError)
    assert found[0].fault is fault
    assert isinstance(found[-1], Frame)


def sealed(segment: bytes) -> bytes:
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc16(segment))


HEAD = b"QN=20160801085857223;ST=32;CN=2011;PW=100000;MN=010000A8900016F000169DC0;Flag=5"


@pytest.mark.parametrize(
    ("wire", "slip"),
    [
        (sealed(HEAD + b"CP=&&A=1&&"), Slip.SEPARATOR),  # C.19 prints no semicolon before CP
        (sealed(HEAD.replace(b"223;ST", b"223,ST") + b";CP=&&A=1&&"), Slip.SEPARATOR),  # C.22 prints a comma after QN
        (sealed(HEAD + b";CP=&& A = 1 &&"), Slip.BLANKS),  # C.2 prints blanks
        (sealed(HEAD + b";CP=&&A=1;&&"), Slip.EMPTY_ITEM),
        (APPENDIX_A.replace(b"1C80", b"1c80"), Slip.LOWER_CASE_CRC),
    ],
)
def test_slips_of_peers_are_read_and_named(wire: bytes, slip: Slip) -> None:
    (frame,) = Decoder().feed(wire)
    assert isinstance(frame, Frame)
    assert frame.slips == {slip}


@pytest.mark.parametrize(
    "segment",
    [
        HEAD.replace(b"QN=20160801085857223;", b"") + b";CP=&&&&",
        HEAD + b";Flag=5;CP=&&&&",
        HEAD + b";XX=1;CP=&&&&",
        HEAD + b";PNUM=2;PNO=1;CP=&&&&",
        HEAD.replace(b"Flag=5", b"Flag=7") + b";PNUM=2;PNO=3;CP=&&&&",
        HEAD + b";CP=&&A&&",
        HEAD + b";CP=&&A=1",
        HEAD + b";CP=&&A=\xff&&",
    ],
)
def test_a_frame_with_a_right_check_sum_and_wrong_fields_is_one_error(segment: bytes) -> None:
    found = Decoder().feed(sealed(segment) + APPENDIX_A)
    assert [type(one) for one in found] == [FrameError, Frame]


def frame_of(**changes: object) -> Frame:
    fields: dict[str, object] = {
        "qn": "20260115093000120", "st": "31", "cn": "2051", "pw": "123456", "mn": "0" * 24, "flag": 5,
    }  # fmt: skip
    return Frame(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"qn": "2026"},
        {"pw": "a b"},
        {"flag": 7},
        {"flag": 256},
        {"pnum": 1, "pno": 1},
        {"area": ((("a", "1;2"),),)},
        {"area": ((("a", "x y"),),)},
        {"area": ((),)},
        {"area": ((("a", "1" * (CP_MAX + 1)),),)},
        {"area": ((("a", "\ud800"),),)},
    ],
)
def test_writing_is_strict(changes: dict[str, object]) -> None:
    with pytest.raises(EncodeError):
        encode(frame_of(**changes))


def test_the_longest_frame_that_may_be_written_is_read() -> None:
    room = CP_MAX - len("CP=&&a=&&")
    wire = encode(frame_of(mn="0" * 14, area=((("a", "1" * room),),)))
    assert len(wire) - 12 <= SEGMENT_MAX
    assert isinstance(Decoder().feed(wire)[0], Frame)
