"""Messages too long for one frame: cut at a station, put together at a platform (HJ 212-2017 4.2, tables 2 and 3)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.hj212.message import CP_MAX, SEGMENT_MAX, Area, EncodeError, Item, Message, area_text
from protocols.hj212.session import PartsMissing

# Memory of one peer: so many sets are open at once, so many bytes of parts are kept.
SETS_MAX: Final = 16
BYTES_MAX: Final = 262_144


def split(items: Sequence[Item], header_bytes: int, split_header_bytes: int) -> list[tuple[Item, ...]]:
    """Cut items into parts that fit one message each, on factor boundaries.

    The first item (DataTime) stands at the head of every part. The header sizes are those of a message without and with
    PNUM and PNO. Raises EncodeError for one factor too long for any message.
    """
    if _size(items) <= _room(header_bytes):
        return [tuple(items)]
    first, room = items[0], _room(split_header_bytes)
    head = _size([first]) + 1
    parts: list[list[Item]] = []
    used = room + 1
    for item in items[1:]:
        size = _size([item])
        if head + size > room:
            raise EncodeError(f"{item[0][0]} does not fit a message")
        if used + 1 + size > room:
            parts.append([first])
            used = head - 1
        parts[-1].append(item)
        used += 1 + size
    return [tuple(part) for part in parts]


def _room(header_bytes: int) -> int:
    return min(CP_MAX, SEGMENT_MAX - header_bytes) - len("CP=&&&&")


def _size(items: Sequence[Item]) -> int:
    return len(area_text(tuple(items)).encode("utf-8"))


SetKey = tuple[str, str, str, str, int]


@dataclass(slots=True)
class _Set:
    deadline: float
    size: int = 0
    parts: dict[int, Area] = field(default_factory=dict)


class Reassembly:
    """Parts of split messages by MN, ST, CN, DataTime and PNUM, in any order, some of them twice or never.

    Each part is useful alone and need not wait here; this says which sets are whole and which never will be. A set is
    given up `wait_s` after its last part (own reading: OverTime x (ReCount + 1)), or when SETS_MAX or BYTES_MAX are
    passed, the oldest first. With `joined` False the contents are not kept.
    """

    def __init__(self, *, joined: bool = True) -> None:
        self._joined = joined
        self._sets: OrderedDict[SetKey, _Set] = OrderedDict()
        self._whole: OrderedDict[SetKey, None] = OrderedDict()
        self._bytes = 0

    @property
    def deadline(self) -> float | None:
        """When the first set is given up; the sets stand in the order of their deadlines."""
        return next(iter(self._sets.values())).deadline if self._sets else None

    def add(self, message: Message, now: float, wait_s: float) -> tuple[Area | None, list[PartsMissing]]:
        """Take one part: the joined data area where it was the last one missing, and the sets given up for room."""
        if message.pnum is None or message.pno is None:
            return message.area, []
        key = (message.mn, message.st, message.cn, message.value("DataTime") or "", message.pnum)
        if key in self._whole:
            return None, []
        one = self._sets.setdefault(key, _Set(now))
        one.deadline = now + wait_s
        self._sets.move_to_end(key)
        if message.pno not in one.parts:
            one.parts[message.pno] = message.area if self._joined else ()
            grown = len(message.raw) if self._joined else 0
            one.size += grown
            self._bytes += grown
        if len(one.parts) < message.pnum:
            return None, self._make_room()
        self._drop(key)
        self._whole[key] = None
        if len(self._whole) > SETS_MAX:
            self._whole.popitem(last=False)
        return _join([one.parts[pno] for pno in sorted(one.parts)]), []

    def expire(self, now: float) -> list[PartsMissing]:
        """Give up the sets whose time is over."""
        given_up = []
        while self._sets and next(iter(self._sets.values())).deadline <= now:
            given_up.append(self._drop(next(iter(self._sets))))
        return given_up

    def end(self) -> list[PartsMissing]:
        """Give up every set."""
        return [self._drop(key) for key in list(self._sets)]

    def _make_room(self) -> list[PartsMissing]:
        given_up = []
        while len(self._sets) > SETS_MAX or self._bytes > BYTES_MAX:
            given_up.append(self._drop(next(iter(self._sets))))
        return given_up

    def _drop(self, key: SetKey) -> PartsMissing:
        one = self._sets.pop(key)
        self._bytes -= one.size
        mn, _, cn, data_time, parts = key
        missing = tuple(pno for pno in range(1, parts + 1) if pno not in one.parts)
        return PartsMissing(mn, cn, data_time, parts, missing)


def _join(areas: Sequence[Area]) -> Area:
    """One data area: the items at the head of every part (DataTime) once."""
    first, *others = areas
    return (*first, *(item for area in others for item in (area[1:] if area[:1] == first[:1] else area)))
