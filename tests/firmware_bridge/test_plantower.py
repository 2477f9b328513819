"""Plantower frames: found again after loss, never taken with a wrong sum."""

import struct
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.plantower import Plantower
from metrology.quality import Cause
from metrology.reading import Scan, StreamFault

AT = datetime(2026, 1, 2, tzinfo=UTC)


def frame(pm2_5: int, error: int = 0) -> bytes:
    body = struct.pack(">4s13H", bytes.fromhex("424D001C"), 0, 0, 0, 1, pm2_5, 3, 0, 0, 0, 0, 0, 0, 0x9700 + error)
    return body + struct.pack(">H", sum(body))


def values(found: list[Scan | StreamFault]) -> list[float | None]:
    return [one.readings[1].value for one in found if isinstance(one, Scan)]


@given(st.lists(st.integers(0, 999), min_size=1, max_size=5), st.lists(st.integers(1, 70)))
def test_pieces_of_any_size(sent: list[int], sizes: list[int]) -> None:
    sensor, data = Plantower("pm"), b"".join(map(frame, sent))
    found: list[Scan | StreamFault] = []
    for size in [*sizes, len(data)]:
        found += sensor.feed(data[:size], AT)
        data = data[size:]
    assert values(found) == sent
    assert len(found) == len(sent), "no faults"


@given(st.integers(0, 31), st.integers(0, 31))
def test_lost_bytes_cost_their_frame_alone(first: int, second: int) -> None:
    cut = bytearray(frame(20))
    for place in sorted({first, second}, reverse=True):
        del cut[place]
    sensor = Plantower("pm")
    found = sensor.feed(frame(10) + bytes(cut) + frame(30) + frame(40), AT)
    assert values(found) == [10, 30, 40]
    assert any(isinstance(one, StreamFault) for one in found)


@given(st.binary(max_size=500))
def test_rubbish_never_raises_and_ends_with_the_next_frames(rubbish: bytes) -> None:
    found = Plantower("pm").feed(rubbish + frame(10) + frame(20), AT)
    assert values(found)[-1] == 20


@given(st.integers(0, 31), st.integers(1, 255))
def test_a_changed_byte_is_never_taken(place: int, change: int) -> None:
    data = bytearray(frame(10))
    data[place] ^= change
    assert values(Plantower("pm").feed(bytes(data), AT)) == []


def test_noise_between_frames_is_reported_once() -> None:
    found = Plantower("pm").feed(frame(10) + b"\x00" * 300 + frame(20), AT)
    assert values(found) == [10, 20]
    assert [one.what for one in found if isinstance(one, StreamFault)] == ["bytes outside a frame"]


def test_an_error_code_flags_the_values() -> None:
    (scan,) = Plantower("pm").feed(frame(10, error=3), AT)
    assert isinstance(scan, Scan)
    assert scan.status["error"] == 3
    assert {r.quality.causes for r in scan.readings} == {frozenset({Cause.FAULT})}
