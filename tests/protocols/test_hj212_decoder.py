"""The decoder: every leniency by name, every reason, any cutting, rubbish, forged lengths, bounded memory."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212 import Decoder, Frame, FrameError, Leniency, Profile
from protocols.hj212.candidate import Candidates
from protocols.hj212.crc import crc_text, modbus_text
from protocols.hj212.decoder import PIECE_MAX, no_keys
from protocols.hj212.plain import plain_flags, plain_frame
from protocols.hj212.segment import RefusedError

APPENDIX_A = (
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&RtdInterval=30&&1C80\r\n"
)
HEAD = b"QN=20160801085857223;ST=32;CN=2011;PW=100000;MN=010000A8900016F000169DC0;Flag=5"
SMALL = HEAD + b";CP=&&a=1&&"
LENIENT = Profile.lenient()
STRICT = Profile.strict(2017)
PROFILES = [STRICT, Profile.strict(2005), Profile.strict(2025), LENIENT]


def sealed(segment: bytes, tail: bytes = b"\r\n", crc: bytes | None = None) -> bytes:
    return b"##%04d%b%b%b" % (len(segment), segment, crc or crc_text(segment), tail)


GOOD = sealed(SMALL)


def whole(profile: Profile, wire: bytes) -> list[Frame | FrameError]:
    decoder = Decoder(profile)
    return decoder.feed(wire) + decoder.end()


def in_pieces(profile: Profile, pieces: Iterable[bytes]) -> list[Frame | FrameError]:
    decoder = Decoder(profile)
    return [found for piece in pieces for found in decoder.feed(piece)] + decoder.end()


def frames(found: list[Frame | FrameError]) -> list[bytes]:
    return [one.raw for one in found if isinstance(one, Frame)]


LONGER = HEAD + b";CP=&&a=123456789012345&&"
CHINESE = HEAD + ";CP=&&i23011-Info=//上海，正常//&&".encode()
CHINESE_GBK = HEAD + ";CP=&&i23011-Info=//上海，正常//&&".encode("gbk")


def in_characters(segment: bytes, encoding: str) -> bytes:
    return b"##%04d%b%b\r\n" % (len(segment.decode(encoding)), segment, crc_text(segment))


# Wire, the deviations it needs, the reason of strict 2017.
DEPARTURES: list[tuple[bytes, str, str]] = [
    (sealed(SMALL, crc=modbus_text(SMALL)), "modbus_crc", "crc"),
    (sealed(HEAD + b";CP=&&a=11&&", crc=crc_text(HEAD + b";CP=&&a=11&&").lower()), "lower_case_crc", "crc"),
    (b"##%d%b%b\r\n" % (len(LONGER), LONGER, crc_text(LONGER)), "three_digit_length", "length"),
    (in_characters(CHINESE, "utf-8"), "length_in_characters", "length"),
    (in_characters(CHINESE_GBK, "gbk"), "length_in_characters gbk_text", "length"),
    (sealed(HEAD + b"CP=&&a=1&&"), "missing_semicolon_before_cp", "header"),
    (sealed(SMALL.replace(b"223;ST", b"223,ST")), "comma_after_qn", "header"),
    (sealed(HEAD + b";CP=&&a=1;&&"), "trailing_semicolon", "segment"),
    (sealed(HEAD + b";CP=&&a=1 ; &&"), "trailing_semicolon", "segment"),
    (sealed(SMALL, b""), "missing_cr_lf", "truncated"),
    (sealed(SMALL, b"\n"), "other_tail", "truncated"),
    (sealed(SMALL, b"\r"), "other_tail", "truncated"),
    (sealed(SMALL, b"\n\r"), "other_tail", "truncated"),
    (sealed(SMALL, b"  \r\n"), "other_tail", "truncated"),
    (sealed(HEAD.replace(b"=5", b"=7") + b";PNO=1;PNUM=2;CP=&&a=1&&"), "pno_before_pnum", "header"),
    (sealed(HEAD + b";PNUM=2;PNO=1;CP=&&a=1&&"), "parts_against_flag", "header"),
    (sealed(HEAD.replace(b"=5", b"=7") + b";PNUM=2;CP=&&a=1&&"), "parts_against_flag", "header"),
    (sealed(HEAD + b";CP=&&a=1;;b=2&&"), "trailing_semicolon", "segment"),
    (sealed(SMALL.replace(b";Flag=5", b"")), "missing_flag", "header"),
    (sealed(SMALL.partition(b";")[2]), "missing_qn", "header"),
    (sealed(HEAD + b";CP=&&DataTime=20160801085857000;a=1&&"), "data_time_17", "segment"),
    (sealed(HEAD + b";CP=&&a=1;DataTime=20160801085857000&&"), "data_time_17", "segment"),
    (sealed(SMALL.replace(b"A8900016F000169DC0", b"_890001")), "mn_13_to_24", "header"),
    (sealed(CHINESE_GBK), "gbk_text", "segment"),
    (sealed(HEAD + b";CP=&&a=%b&&" % (b"1" * 1100)), "oversize_segment", "oversize"),
    (sealed(SMALL.replace(b"Flag=5", b"Flag=13")), "other_edition", "version"),
    (sealed(SMALL.replace(b"Flag=5", b"Flag=5;RF=1")), "other_edition", "version"),
]


@pytest.mark.parametrize(("wire", "names", "reason"), DEPARTURES, ids=lambda value: str(value)[:24])
def test_a_departure_is_refused_with_its_reason_and_taken_by_its_name(wire: bytes, names: str, reason: str) -> None:
    (refused,) = whole(STRICT, wire)
    assert isinstance(refused, FrameError)
    assert refused.reason == reason
    (taken,) = whole(LENIENT, wire)
    assert isinstance(taken, Frame)
    assert taken.deviations == names.split()
    assert STRICT.refusal(taken) == reason
    # Exactly the named leniencies are needed, and each of them is.
    (again,) = whole(STRICT.with_leniencies(names.split()), wire)
    assert isinstance(again, Frame)
    assert again.deviations == names.split()
    for name in names.split():
        fewer = Profile(STRICT.edition, frozenset(set(names.split()) - {name}))  # type: ignore[arg-type]
        assert frames(whole(fewer, wire)) == []
        assert fewer.refusal(taken) is not None
    # What follows comes through, and the cutting does not matter.
    for profile in PROFILES:
        assert in_pieces(profile, (wire[i : i + 1] for i in range(len(wire)))) == whole(profile, wire)
    assert frames(whole(STRICT, wire + GOOD)) == [GOOD]


def test_every_leniency_has_a_departure_that_shows_it() -> None:
    shown = {name for _, names, _ in DEPARTURES for name in names.split()} | {"back_to_back", "printed_ciphertext"}
    assert shown == set(Leniency)


def test_frames_back_to_back() -> None:
    bare = sealed(SMALL, b"")
    found = whole(LENIENT, bare * 3)
    assert frames(found) == [bare] * 3
    assert [one.deviations for one in found if isinstance(one, Frame)] == [
        ["back_to_back"], ["back_to_back"], ["missing_cr_lf"],
    ]  # fmt: skip
    assert [one.reason for one in whole(STRICT, bare * 2) if isinstance(one, FrameError)] == ["truncated"] * 2


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (APPENDIX_A.replace(b"1C80", b"1C81"), "crc"),
        (APPENDIX_A.replace(b"1C80", b"zzzz"), "crc"),
        (b"##00x1" + GOOD[6:], "length"),
        (APPENDIX_A.replace(b"##0101", b"##0100"), "length"),
        (APPENDIX_A.replace(b"##0101", b"##0120"), "length"),
        (APPENDIX_A[:60], "truncated"),
        (b"##", "header"),
        (b"##01", "truncated"),
        (b"no frame at all", "header"),
        (sealed(HEAD + b";Flag=5;CP=&&&&"), "header"),
        (sealed(HEAD + b";XX=1;CP=&&&&"), "header"),
        (sealed(HEAD.replace(b"CN=2011;", b"") + b";CP=&&&&"), "header"),
        (sealed(HEAD.replace(b"Flag=5", b"Flag=7") + b";PNUM=2;PNO=3;CP=&&&&"), "header"),
        (sealed(HEAD.replace(b"Flag=5", b"Flag=261") + b";CP=&&&&"), "header"),
        (sealed(HEAD.replace(b"010000A8900016F000169DC0", b"12345") + b";CP=&&&&"), "header"),
        (sealed(HEAD.replace(b"100000", "密".encode()) + b";CP=&&&&"), "header"),
        (sealed(HEAD + b";CP=&&a&&"), "segment"),
        (sealed(HEAD + b";CP=&&a=1,&&"), "segment"),
        (sealed(HEAD + b";CP=&&=1&&"), "segment"),
        (sealed(HEAD + b";CP=&&a=1"), "segment"),
        (sealed(HEAD + b";"), "segment"),
        (sealed(b""), "header"),
        (sealed(HEAD + b";CP=&&a=\x01&&"), "segment"),
        (sealed(HEAD + b";CP=&&a=\xff&&"), "segment"),
    ],
)
def test_what_no_leniency_takes(wire: bytes, reason: str) -> None:
    for profile in (STRICT, LENIENT):
        found = whole(profile, wire)
        assert [getattr(one, "reason", one) for one in found] == [reason]
        assert frames(whole(profile, wire + b"\r\n" + GOOD)) == [GOOD]


@pytest.mark.parametrize(
    ("area", "cp"),
    [
        (b"", []),
        (b"   ", []),
        (b" a = 1 , b=2 ; c = ", [[("a", "1"), ("b", "2")], [("c", "")]]),
        (b"a=1;a=1,a=2", [[("a", "1")], [("a", "1"), ("a", "2")]]),
        (b"BeginTime=1,EndTime=2", [[("BeginTime", "1"), ("EndTime", "2")]]),
        (b"a=x==", [[("a", "x==")]]),
        (b"i11001-Info=//a;b,c=d && e//;b=2", [[("i11001-Info", "//a;b,c=d && e//")], [("b", "2")]]),
        (b"a=//x,b=//y//,c=3", [[("a", "//x,b=//y//"), ("c", "3")]]),
        (b"a=http://x/y;b=//open", [[("a", "http://x/y")], [("b", "//open")]]),
        ("a=µ".encode(), [[("a", "µ")]]),
    ],
)
def test_the_data_area(area: bytes, cp: list[list[tuple[str, str]]]) -> None:
    (frame,) = whole(STRICT, sealed(HEAD + b";CP=&&%b&&" % area))
    assert isinstance(frame, Frame)
    assert frame.cp == cp


def test_editions_without_a_departure() -> None:
    old = b"ST=91;CN=9013;PW=123456;MN=88888880000001;Flag=0;CP=&&QN=20160801085857223&&"
    requested = b"QN=20160801085857223;ST=22;CN=1011;PW=123456;MN=88888880000001;Flag=3;CP=&&&&"
    for segment, year in ((old, 2005), (requested, 2005), (SMALL.replace(b"Flag=5", b"Flag=9;RF=1"), 2025)):
        for profile in (Profile.strict(year), LENIENT):
            (frame,) = whole(profile, sealed(segment))
            assert isinstance(frame, Frame)
            assert frame.deviations == []
            assert (frame.message.qn, frame.message.split) == ("20160801085857223", False)
            assert Profile.strict(year).refusal(frame) is None
            assert STRICT.refusal(frame) == "version"
            assert STRICT.with_leniencies(["other_edition"]).refusal(frame) is None


ANY_WIRE = st.lists(
    st.binary(max_size=60)
    | st.sampled_from([APPENDIX_A, GOOD, b"##", b"#", b"\r\n##01", b" ", GOOD[:40], GOOD[:-2], b"##0300", b"##9999"])
    | st.sampled_from([wire for wire, _, _ in DEPARTURES]),
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(ANY_WIRE, st.sampled_from(PROFILES), st.data())
def test_any_bytes_in_any_pieces_give_the_same_and_raise_nothing(
    chunks: list[bytes], profile: Profile, data: st.DataObject
) -> None:
    wire = b"".join(chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    found = whole(profile, wire)
    assert found == in_pieces(profile, pieces) == in_pieces(profile, (bytes([byte]) for byte in wire))
    # Nothing overlaps, nothing but blanks is left out.
    at = 0
    for one in found:
        assert wire[at : one.offset].strip() == b""
        assert wire[one.offset : one.offset + len(one.raw)] == one.raw
        at = one.offset + len(one.raw)
    assert wire[at:].strip() == b""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80).filter(lambda rubbish: b"#" not in rubbish), min_size=1, max_size=5))
def test_frames_among_rubbish_are_all_found(rubbish: list[bytes]) -> None:
    for profile in (STRICT, LENIENT):
        assert frames(whole(profile, GOOD.join([b"", *rubbish, b""]))) == [GOOD] * (len(rubbish) + 1)


@given(st.integers(0, len(APPENDIX_A) - 1), st.sampled_from(PROFILES[::3]))
def test_a_torn_frame_hides_nothing(torn: int, profile: Profile) -> None:
    wire = APPENDIX_A[:torn] + GOOD * 2
    found = frames(whole(profile, wire))
    # Torn behind its check sum it may itself be taken.
    assert found[-2:] == [GOOD] * 2
    assert len(found) == 2 + (profile is LENIENT and torn >= len(APPENDIX_A) - 2)


@pytest.mark.parametrize("length", [b"0001", b"0100", b"0200", b"1024", b"1025", b"9999", b"101Q", b"12"])
@pytest.mark.parametrize("profile", PROFILES[::3])
def test_a_forged_length_swallows_nothing(length: bytes, profile: Profile) -> None:
    for wire in (
        b"##" + length + GOOD * 3,
        GOOD + b"##" + length + SMALL + GOOD * 2,
        b"##" + length + b"x" * 40 + GOOD,
    ):
        assert frames(whole(profile, wire)) == [GOOD] * wire.count(GOOD)


@given(st.integers(0, len(GOOD) - 3), st.integers(1, 255))
def test_damage_to_one_byte_never_changes_what_is_read_unseen(at: int, flip: int) -> None:
    """One damaged byte always changes the sum, for one step of it loses nothing of the byte."""
    wire = bytearray(GOOD)
    wire[at] ^= flip
    assert frames(whole(STRICT, bytes(wire))) == []


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([GOOD, *(wire for wire, _, _ in DEPARTURES)]),
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from(b" ;,=&#/-aDQ0157.")), max_size=3),
    st.sampled_from(PROFILES),
)
def test_the_short_way_takes_only_what_the_long_way_takes_too(
    wire: bytes, changes: list[tuple[int, int]], profile: Profile
) -> None:
    segment = bytearray(wire[6:-6])
    for at, byte in changes:
        segment[at % len(segment)] = byte
    wire = sealed(bytes(segment))
    short = plain_frame(wire, 0, 7, plain_flags(profile))
    try:
        long = Candidates(profile, no_keys).read(wire, 0, 7, final=False)
    except RefusedError:
        long = None
    assert short in (None, long)


def test_ordinary_frames_go_the_short_way() -> None:
    for wire in (APPENDIX_A, GOOD, sealed(HEAD + b";CP=&&DataTime=20160801085857;a01-Rtd=1.5,a01-Flag=N&&")):
        assert plain_frame(wire, 0, 0, plain_flags(STRICT)) == whole(STRICT, wire)[0]


def test_memory_is_bounded_under_endless_rubbish() -> None:
    for profile in (STRICT, LENIENT):
        decoder = Decoder(profile)
        for rubbish in (b"##1024" + b"x" * 5000, b"##9999\xff", b"no frame at all" * 300, b"##" * 3000, b" " * 9000):
            for _ in range(20):
                assert all(len(one.raw) <= PIECE_MAX for one in decoder.feed(rubbish))
                assert len(decoder._rest) < PIECE_MAX + 3
        decoder.end()
        assert not decoder.unfinished


def test_many_heads_take_time_in_proportion_to_their_bytes() -> None:
    wire = b"##1024ST=31" * 3000
    found = whole(LENIENT, wire)
    assert len(found) == 3000
    assert b"".join(one.raw for one in found) == wire


def test_a_profile_names_leniencies_that_exist() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        STRICT.with_leniencies(["nonsense"])
