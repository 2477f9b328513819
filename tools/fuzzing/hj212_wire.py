"""What the fuzzer knows of the wire by itself: check sum, frames in an input, and a mutator that repairs them.

An input of the fuzzer is control bytes and tokens split by 0xFF, a byte that stands in no text of HJ 212. The first
token steers (see the targets), the others carry bytes for the wire.
"""

import random
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

SPLIT: Final = b"\xff"
HEAD: Final = 6
TAIL: Final = 6
OUTSIDE: Final = HEAD + TAIL
_TOKEN: Final = re.compile(rb"##|\xff|\Z")
NAMES: Final = (
    b"QN", b"ST", b"CN", b"PW", b"MN", b"Flag", b"PNUM", b"PNO", b"RF", b"CP", b"DataTime", b"QnRtn", b"ExeRtn",
    b"BeginTime", b"EndTime", b"SystemTime", b"PolId", b"a21026-Avg", b"a21026-Flag", b"a01001-Rtd", b"OverTime",
    b"ReCount", b"NewPW", b"RtdInterval", b"MinInterval", b"i12001-Info", b"NewMN", b"SM4Key",
)  # fmt: skip
VALUES: Final = (
    b"", b"0", b"1", b"2", b"3", b"4", b"5", b"7", b"8", b"9", b"11", b"255", b"256", b"9999", b"91", b"31", b"2011",
    b"2051", b"2061", b"3011", b"9011", b"9012", b"9013", b"9014", b"9015", b"1014", b"20240520210700000",
    b"20240520210600", b"20240520210600123", b"20249999999999", b"N", b"-", b"-0.0", b"1e9", b"nan", b"1.50",
    b"\xd6\xd0\xce\xc4", "中文".encode(), "²".encode(), "１２".encode(), "\u2028".encode(), b"\xed\xa0\x80", b"//dw=",
    b"88888880000001", b"0123456789ABCDEF0123456789ABCDEF", b" ", b"\x00", b"&&", b"&", b"#", b"##", b"##0010",
)  # fmt: skip
# Steps of a dialogue: time goes on to a deadline or by seconds, an upload is committed, a request is ended, a cut.
ENDINGS: Final = (b"\x04\x00", b"\x04\x10", b"\x06\x00", b"\x06\x01", b"\x07\x00", b"\x07\x21", b"\x05\x02\x01")
SEPARATORS: Final = (b";", b",", b"=", b"&&", b"CP=&&", b"##", b"\r\n", b"#")


def _step(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


TABLE: Final = tuple(_step(byte) for byte in range(256))


@lru_cache(maxsize=8192)
def check_sum(segment: bytes) -> int:
    """HJ 212-2017 appendix A, written here a second time: nothing is judged by the code under test."""
    register = 0xFFFF
    for byte in segment:
        register = TABLE[(register >> 8) ^ byte]
    return register


@lru_cache(maxsize=8192)
def wrap(segment: bytes) -> bytes:
    """A frame with right length and check sum."""
    return b"##%04d%b%04X\r\n" % (len(segment) % 10000, segment, check_sum(segment))


def spans(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of every frame whose end can be told without its length: CR LF before `##`, 0xFF or the end."""
    found = []
    begin = data.find(b"##")
    while begin >= 0:
        stop = _TOKEN.search(data, begin + 2)
        end = stop.start() if stop else len(data)
        if end - begin >= OUTSIDE and data[end - 2 : end] == b"\r\n":
            found.append((begin, end))
        begin = data.find(b"##", end)
    return found


def reframed(data: bytes, change: Callable[[bytes], bytes], places: list[tuple[int, int]] | None = None) -> bytes:
    """The data with every frame, head and tail included, put through `change`."""
    parts, last = [], 0
    for begin, end in spans(data) if places is None else places:
        parts += [data[last:begin], change(data[begin:end])]
        last = end
    return b"".join([*parts, data[last:]])


def repair(data: bytes) -> bytes:
    """The same input with length and check sum of every frame made right."""
    return reframed(data, lambda frame: wrap(frame[HEAD:-TAIL]))


def _field(rng: random.Random) -> bytes:
    return rng.choice(NAMES) + b"=" + rng.choice(VALUES)


def _cut(segment: bytes, rng: random.Random) -> tuple[list[bytes], bytes]:
    by = rng.choice((b";", b",", b"&&"))
    return segment.split(by), by


def _drop(segment: bytes, rng: random.Random) -> bytes:
    parts, by = _cut(segment, rng)
    del parts[rng.randrange(len(parts))]
    return by.join(parts)


def _double(segment: bytes, rng: random.Random) -> bytes:
    parts, by = _cut(segment, rng)
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    return by.join(parts)


def _swap(segment: bytes, rng: random.Random) -> bytes:
    parts, by = _cut(segment, rng)
    first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    return by.join(parts)


def _insert(segment: bytes, rng: random.Random) -> bytes:
    parts, by = _cut(segment, rng)
    parts.insert(rng.randrange(len(parts) + 1), _field(rng))
    return by.join(parts)


def _value(segment: bytes, rng: random.Random) -> bytes:
    """Another value for one of the fields."""
    marks = [at for at, byte in enumerate(segment) if byte == 0x3D]
    if not marks:
        return segment + _field(rng)
    begin = rng.choice(marks) + 1
    ends = re.compile(rb"[;,&]").search(segment, begin)
    return segment[:begin] + rng.choice(VALUES) + segment[ends.start() if ends else len(segment) :]


def _separator(segment: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(segment) + 1)
    return segment[:at] + rng.choice(SEPARATORS) + segment[at + rng.randrange(2) :]


def _grow(segment: bytes, rng: random.Random) -> bytes:
    """Towards the limits of 950 and 1024 bytes."""
    want = rng.choice((940, 949, 950, 951, 1000, 1023, 1024, 1025, 1100, 9999))
    head, marker, tail = segment.rpartition(b"&&")
    if not marker:
        head, tail = segment, b""
    filler = b";a21026-Info="
    return head + filler + b"9" * (want - len(segment) - len(filler)) + marker + tail


CHANGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    _drop, _double, _swap, _insert, _value, _value, _value, _separator, _grow,
)  # fmt: skip


Mutate = Callable[[bytes, int], bytes]


def damaged(segment: bytes, room: int, rng: random.Random, mutate: Mutate) -> bytes:
    """A segment changed in terms of the protocol, or by `mutate`, once or a few times."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if rng.random() < 0.4:
            segment = mutate(segment or b"CP=&&&&", max(8, min(1100, room + len(segment))))
        else:
            segment = rng.choice(CHANGES)(segment, rng)
    return segment


def damage_inside(data: bytes, max_size: int, seed: int, mutate: Mutate) -> bytes:
    """Change the inside of one frame and repair every frame's outside."""
    rng = random.Random(seed)
    found = spans(data)
    if not found:
        return repair(mutate(data, max_size))[:max_size]
    begin, end = rng.choice(found)
    segment = damaged(data[begin + HEAD : end - TAIL], max_size - len(data), rng, mutate)
    changed = data[:begin] + wrap(segment) + data[end:]
    if rng.random() < 0.2:
        changed += wrap(segment)
    return repair(changed)[:max_size]


def damage_step(data: bytes, max_size: int, seed: int, mutate: Mutate) -> bytes:
    """Change the inside of one step of a dialogue; the target itself gives each segment its length and check sum."""
    rng = random.Random(seed)
    steps = data.split(SPLIT)
    which = rng.randrange(len(steps))
    step = steps[which]
    match rng.randrange(10):
        case 0:
            del steps[which]
        case 1:
            steps.insert(rng.randrange(len(steps) + 1), step)
        case 2:
            steps.append(rng.choice(ENDINGS))
        case _:
            steps[which] = step[:1] + damaged(step[1:], max_size - len(data), rng, mutate).replace(SPLIT, b"")
    return SPLIT.join(steps)[:max_size]
