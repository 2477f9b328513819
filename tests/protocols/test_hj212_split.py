"""Messages cut into parts that fit, and put together again from what a bad line delivers of them."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.hj212.message import CP_MAX, SEGMENT_MAX, Area, EncodeError, Message, encode
from protocols.hj212.session import PartsMissing
from protocols.hj212.split import BYTES_MAX, SETS_MAX, Reassembly, split
from protocols.hj212.uploads import time_item

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
HEADER, SPLIT_HEADER = 80, 101


def part(pno: int | None, pnum: int | None, area: Area, cn: str = "2051", raw: bytes = b"") -> Message:
    return Message("2" * 17, "31", cn, "123456", "A" * 24, 5 if pno is None else 7, area, pnum, pno, raw=raw)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_parts_keep_every_item_once_in_order_and_fit(widths: list[int]) -> None:
    items = tuple((((f"a{i:05d}-Avg", "1" * width),)) for i, width in enumerate(widths))
    parts = split((time_item(T0), *items), HEADER, SPLIT_HEADER)
    assert tuple(item for one in parts for item in one[1:]) == items
    assert all(one[0] == time_item(T0) and len(one) > 1 for one in parts)
    for pno, one in enumerate(parts, 1):
        wire = encode(part(None, None, one) if len(parts) == 1 else part(pno, len(parts), one))
        assert len(wire) <= SEGMENT_MAX + 12


@given(st.integers(850, 1000))
def test_one_part_is_used_up_to_the_last_byte(size: int) -> None:
    """Whatever just fits is sent whole; one byte more makes two parts."""
    room = min(CP_MAX, SEGMENT_MAX - HEADER) - len("CP=&&&&")
    used = len("DataTime=20260115093000;a1-Avg=;a2-Avg=") + 400
    items = (time_item(T0), (("a1-Avg", "1" * 400),), (("a2-Avg", "1" * (size - used)),))
    parts = split(items, HEADER, SPLIT_HEADER)
    assert len(parts) == (1 if size <= room else 2)


def test_text_is_counted_in_bytes() -> None:
    items = (time_item(T0), *((((f"i{n}-Info", "烟" * 100),)) for n in range(4)))
    parts = split(items, HEADER, SPLIT_HEADER)
    assert len(parts) == 2
    for pno, one in enumerate(parts, 1):
        encode(part(pno, 2, one))


def test_a_factor_too_long_for_any_frame_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        split((time_item(T0), (("a", "1" * 950),)), HEADER, SPLIT_HEADER)


def items_of(number: int) -> Area:
    return (time_item(T0), ((f"a{number:05d}-Avg", str(number)),))


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_parts_in_any_order_and_twice_give_the_whole_once(pnum: int, seed: int) -> None:
    dice = random.Random(seed)
    parts = [part(pno, pnum, items_of(pno)) for pno in range(1, pnum + 1)]
    came = parts + dice.sample(parts, dice.randint(0, pnum))
    dice.shuffle(came)
    sets = Reassembly()
    wholes = [whole for now, one in enumerate(came) if (whole := sets.add(one, float(now), 40.0)[0]) is not None]
    assert wholes == [(time_item(T0), *(((f"a{pno:05d}-Avg", str(pno)),) for pno in range(1, pnum + 1)))]
    assert sets.deadline is None
    assert sets.end() == []


def test_what_does_not_come_is_told_when_its_time_is_over() -> None:
    sets = Reassembly()
    sets.add(part(1, 4, items_of(1)), 0.0, 40.0)
    sets.add(part(3, 4, items_of(3)), 10.0, 40.0)
    assert sets.deadline == 50.0
    assert sets.expire(49.9) == []
    assert sets.expire(50.0) == [PartsMissing("A" * 24, "2051", "20260115093000", 4, (2, 4))]
    assert sets.deadline is None


def test_sets_are_kept_apart_by_command_time_and_number_of_parts() -> None:
    sets = Reassembly()
    for message in (part(1, 2, items_of(1)), part(2, 2, items_of(2), cn="2061"), part(2, 3, items_of(2))):
        assert sets.add(message, 0.0, 40.0) == (None, [])
    assert len(sets.end()) == 3


def test_a_message_that_is_not_split_is_whole() -> None:
    assert Reassembly().add(part(None, None, items_of(1)), 0.0, 40.0) == (items_of(1), [])


def test_a_part_without_its_time_at_the_head_loses_nothing() -> None:
    sets = Reassembly()
    one, two = ((("a1-Avg", "1"),),), ((("a2-Avg", "2"),),)
    sets.add(part(1, 2, one), 0.0, 40.0)
    assert sets.add(part(2, 2, two), 0.0, 40.0)[0] == one + two


def test_memory_is_bounded_by_sets_and_by_bytes() -> None:
    sets = Reassembly()
    given_up = []
    for number in range(SETS_MAX + 3):
        area: Area = ((("DataTime", f"202601150930{number:02d}"),),)
        given_up += sets.add(part(1, 2, area), 0.0, 40.0)[1]
    assert [one.data_time[-2:] for one in given_up] == ["00", "01", "02"]
    assert len(sets.end()) == SETS_MAX

    raw = b"#" * 1036
    for pno in range(1, 2 * BYTES_MAX // len(raw)):
        given_up = sets.add(part(pno, 9999, items_of(pno), raw=raw), 0.0, 40.0)[1]
        if given_up:
            break
    assert BYTES_MAX // len(raw) <= pno <= BYTES_MAX // len(raw) + 1
    assert sets.deadline is None
