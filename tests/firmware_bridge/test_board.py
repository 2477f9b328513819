"""The board's frames: cut anywhere, corrupted anywhere, lost, repeated; and the firmware's side of them."""

import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from drivers.registry import stream_driver
from firmware_bridge.board import Boards, channels
from firmware_bridge.frame import STUFFED_BYTES_MAX, Frame, FrameError, decode_frame, encode_frame
from metrology.declaration import DriverError
from metrology.measurand import catalogue
from metrology.reading import Scan, StreamFault
from simulation.boards import frame as simulated

AT = datetime(2026, 1, 2, tzinfo=UTC)
UNITS = {1: "one", 2: "two"}
CLEAN = encode_frame(Frame(1, 9, 5, 1000, ((1, 2.0),)))

frames = st.builds(
    Frame,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.tuples(st.integers(0, 255), st.floats(width=32, allow_nan=False)), max_size=255).map(tuple),
)


def frame(board: int, sequence: int, boot: int = 9) -> Frame:
    return Frame(board, boot, sequence & 0xFFFFFFFF, 0, ((1, float(sequence & 0xFF)),))


def fed(pieces: Iterable[bytes], boards: Boards | None = None) -> list[Scan | StreamFault]:
    boards = boards or Boards(UNITS)
    return [found for piece in pieces for found in boards.feed(piece, AT)]


def scans(found: Iterable[Scan | StreamFault]) -> list[Scan]:
    return [one for one in found if isinstance(one, Scan)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(frames)
def test_what_firmware_encodes_is_what_comes_out(sent: Frame) -> None:
    stuffed = encode_frame(sent)
    assert stuffed.index(0) == len(stuffed) - 1 <= STUFFED_BYTES_MAX
    assert decode_frame(stuffed[:-1]) == sent


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_are_told_so(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode_frame(data)


@pytest.mark.parametrize(
    ("place", "byte", "words"), [(0, 2, "frame version 2"), (13, 3, "length does not fit 3 values")]
)
def test_a_right_check_sum_does_not_save_a_wrong_header(place: int, byte: int, words: str) -> None:
    body = bytearray(cobs.decode(CLEAN[:-1])[:-2])
    body[place] = byte
    stuffed = cobs.encode(bytes(body) + binascii.crc_hqx(body, 0).to_bytes(2, "little"))
    with pytest.raises(FrameError, match=words):
        decode_frame(stuffed)


@given(st.lists(st.integers(0, 10_000)))
def test_cuts_do_not_matter(places: list[int]) -> None:
    data = b"\0".join(encode_frame(frame(board, n)) for n in range(5) for board in UNITS)
    found = fed(cut(data, places))
    assert [(s.instrument, s.status["sequence"]) for s in scans(found)] == [
        (name, n) for n in range(5) for name in UNITS.values()
    ]
    assert len(scans(found)) == len(found), "no faults"


@given(st.sets(st.integers(1, 18)), st.sets(st.integers(1, 18)), st.integers(0, 2**32 - 1))
def test_lost_frames_are_counted_by_board(gone_1: set[int], gone_2: set[int], first: int) -> None:
    gone = {1: gone_1, 2: gone_2}
    sent = [encode_frame(frame(b, first + n)) for n in range(20) for b in UNITS if n not in gone[b]]
    boards = Boards(UNITS)
    found = fed(sent, boards)
    assert boards.lost == {board: len(numbers) for board, numbers in gone.items() if numbers}
    faults = [one for one in found if isinstance(one, StreamFault)]
    for board, name in UNITS.items():
        assert sum(fault.lost for fault in faults if fault.instrument == name) == len(gone[board])
    assert len(scans(found)) == len(sent)
    assert boards.bad_frames == 0


@given(st.data())
def test_corrupted_bytes_never_raise_and_the_next_frame_is_found(data: st.DataObject) -> None:
    wire = bytearray(b"".join(encode_frame(frame(1, n)) for n in range(4)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(wire) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "insert"])):
            case "flip":
                wire[place] ^= data.draw(st.integers(1, 255))
            case "drop":
                del wire[place]
            case _:
                wire.insert(place, data.draw(st.integers(0, 255)))
    found = fed(cut(bytes(wire) + b"\0" + CLEAN, data.draw(st.lists(st.integers(0, 500)))))
    last = scans(found)[-1]
    assert (last.status["sequence"], last.status["ticks_ms"]) == (5, 1000)


def test_one_flipped_bit_costs_its_frame_and_is_seen_as_lost() -> None:
    sent = [bytearray(encode_frame(frame(1, n))) for n in range(3)]
    sent[1][8] ^= 0x10
    boards = Boards(UNITS)
    found = fed(map(bytes, sent), boards)
    assert [s.status["sequence"] for s in scans(found)] == [0, 2]
    assert (boards.bad_frames, boards.lost) == (1, {1: 1})


def test_a_line_without_delimiters_costs_one_fault_and_no_memory() -> None:
    boards = Boards(UNITS)
    for _ in range(1000):
        assert boards.feed(b"\x55" * 1000, AT) == []
    (fault,) = boards.feed(b"\0", AT)
    assert isinstance(fault, StreamFault)
    assert "without a delimiter" in fault.what
    assert len(scans(boards.feed(CLEAN, AT))) == 1


def test_the_longest_frame_passes() -> None:
    full = Frame(1, 9, 0, 0, tuple((1, float(n)) for n in range(255)))
    (scan,) = scans(fed([encode_frame(full)]))
    assert scan.readings[0].value == 254.0


def test_a_frame_that_comes_again_is_left_out() -> None:
    found = fed([encode_frame(frame(1, n)) for n in (0, 1, 1, 2)])
    assert [s.status["sequence"] for s in scans(found)] == [0, 1, 2]


def test_a_restart_counts_no_loss() -> None:
    boards = Boards(UNITS)
    sent = [frame(1, 700), frame(1, 0, boot=10), frame(1, 1, boot=10), frame(1, 0, boot=10)]
    assert len(scans(fed(map(encode_frame, sent), boards))) == 4
    assert boards.lost == {}


def test_a_board_nobody_configured_is_a_fault() -> None:
    (fault,) = fed([encode_frame(frame(3, 0))])
    assert isinstance(fault, StreamFault)
    assert "board 3 is not configured" in fault.what


def test_channels_are_measurands_in_their_unit() -> None:
    assert {c.measurand: c.unit for c in channels().values()} == {
        c.measurand: catalogue()[c.measurand].unit for c in channels().values()
    }


def test_units_that_cannot_be() -> None:
    with pytest.raises(DriverError, match="between 0 and 65535"):
        stream_driver("micro_board", {70000: "x"}, {})
    with pytest.raises(DriverError, match="alone on its line"):
        stream_driver("plantower_pms", UNITS, {})


def test_the_simulated_boards_speak_the_same_frame() -> None:
    values = {"ch4": 2.5, "board_temperature": 21.5, "battery_voltage": 3.875}
    theirs = cobs.encode(simulated(7, 1, 65536, 1000, values)) + b"\0"
    assert theirs == encode_frame(Frame(7, 1, 65536, 1000, ((1, 2.5), (3, 21.5), (5, 3.875))))
