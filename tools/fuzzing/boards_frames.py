"""What micro-sensor boards send: frames among rubbish, letters, and SMP on a console.

What must hold: `feed` never raises and what is held is bounded; scans can be records; a payload is read or is a
FrameError; an SMP answer is the expected one or a refusal; what `Console` gives was between two delimiters.
"""

import random
from contextlib import suppress
from functools import cache
from typing import Any, Final
from zlib import crc32

import cbor2
from cobs import cobs
from drivers_scans import AT, check, joined, pieces
from hj212_held import held
from must import need
from smp.header import Header
from smp.image_management import ImageStatesReadResponse, ImageUploadWriteResponse
from smp.message import Response
from smp.os_management import EchoWriteResponse

from firmware_bridge import manage, smp_talk
from firmware_bridge.board import Boards, channels
from firmware_bridge.frame import Frame, FrameError, checked, encode_frame, stuffed, unstuffed
from firmware_bridge.smp_line import Console, lines
from metrology.reading import Scan

KINDS: Final = 4
# The longest frame or line of a console, and what the counters of a few boards take.
HELD_MAX: Final = 16 * 1024
REPEATS: Final = 64
# First bytes from here on: what is held is looked at, after all came many times; one in so many, by their check sum.
WATCHED: Final = 232
SELDOM: Final = 32
UNITS: Final = {channel.measurand: channel.unit for channel in channels().values()}
# Looking at all an object holds takes longer than all it does: only where much came.
CONSOLE_WATCHED: Final = 500
ANSWERS: Final[tuple[type[Response], ...]] = (EchoWriteResponse, ImageStatesReadResponse, ImageUploadWriteResponse)
WORDS: Final = (
    b"\x00",
    b"\x01\x07\x00",
    b"\x02\xff",
    b"\x06\x09",
    b"\x04\x14",
    b"\n",
    b"\xbf",
    b"\xff",
    b"rc",
    b"images",
)


def _boards(data: bytes) -> None:
    boards = Boards({7: "b7", 9: "b9"}, ask_again=data[0] % 128 % 50)
    parts = list(pieces(data[1:]))
    watched = data[0] >= WATCHED and crc32(data) % SELDOM == 0
    for part in parts:
        found = boards.feed(part, AT)
        check([one for one in found if isinstance(one, Scan)], UNITS, {"b7", "b9"})
    if watched:
        for part in parts * REPEATS:
            boards.feed(part, AT)
    # Whoever asked takes the answers; their number is bounded.
    boards.answers.clear()
    if watched:
        need(held(boards).size <= HELD_MAX, "boards that hold on to what came")
    for question in boards.questions:
        need(manage.decode_letter(unstuffed(question[:-1])).kind != manage.Kind.REFUSED, "a question nobody can read")
    need(all(count >= 0 for count in boards.lost.values()), "fewer than no frames lost")


def _letter(data: bytes) -> None:
    with suppress(FrameError):
        letter = manage.decode_letter(checked(data))
        need(manage.decode_letter(unstuffed(manage.encode_letter(letter)[:-1])) == letter, "another letter")
        _ = letter.refusal
        for read in (manage.identity, manage.health, manage.time_of, manage.setting_of):
            with suppress(FrameError):
                read(letter)


def _console(data: bytes) -> None:
    whole, cut = Console(), Console()
    parts = list(pieces(data))
    messages = whole.feed(b"".join(parts))
    need([one for part in parts for one in cut.feed(part)] == messages, "other messages in pieces")
    if len(data) > CONSOLE_WATCHED and crc32(data) % SELDOM == 0:
        need(held(whole).size <= HELD_MAX, "a console that holds on to what came")


def _smp(data: bytes) -> None:
    for answer in ANSWERS:
        found = smp_talk.understood(data[1:], answer)
        need(isinstance(found, smp_talk.Refusal | answer), "neither an answer nor a refusal")
        if isinstance(found, smp_talk.Refusal):
            need(0 < len(found.text) <= 600, "a refusal without words")
    smp_talk.answers(data[1:9], data[1:])


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer. The first byte says what the rest is."""
    if len(data) < 3:
        return
    (_boards, _letter, _console, _smp)[data[0] % KINDS](data[1:])


def _smp_message(fields: dict[str, Any]) -> bytes:
    body = cbor2.dumps(fields)
    return bytes((0x03, 0, len(body) >> 8, len(body) & 255, 0, 1, 1, 0)) + body


@cache
def _known() -> list[bytes]:
    return seeds()


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    frames = [
        encode_frame(Frame(board, 3, number, 1000 * number, ((1, 2.0), (3, 21.5), (99, 1.0), (2, float("nan")))))
        for board, number in ((7, 0), (7, 1), (7, 5), (9, 0), (8, 0), (7, 3))
    ]
    long = (b"\xe8" + joined([b"\1" * size]) for size in range(600, 1600))
    found = [b"\0\x0a" + joined(frames), b"\0\0" + joined([b"".join(frames)])]
    found.append(b"\0" + next(one for one in long if crc32(one) % SELDOM == 0))
    letters = [
        manage.Letter(7, manage.Kind.HEALTH | manage.ANSWER, 4, bytes(20)),
        manage.Letter(7, manage.Kind.REFUSED, 4, b"\5\1"),
        manage.Letter(9, manage.Kind.WHO | manage.ANSWER, 1, bytes(30)),
        manage.Letter(9, 4 | manage.ANSWER, 1, b"\4namevalue"),
        manage.Letter(9, 3 | manage.ANSWER, 1, (1_780_000_000_000).to_bytes(8, "little")),
    ]  # fmt: skip
    found += [b"\1" + unstuffed(manage.encode_letter(one)[:-1]) + b"\0\0" for one in letters]
    found += [b"\0\x0a" + joined([manage.encode_letter(one)]) for one in letters]
    states = {"images": [{"slot": 0, "version": "1.0.0", "hash": bytes(32), "bootable": True, "active": True}]}
    smp = [
        _smp_message(one) for one in ({"r": "hello"}, states, {"off": 7}, {"rc": 10}, {"err": {"group": 1, "rc": 2}})
    ]
    found += [b"\3\0" + one for one in smp]
    return [*found, *(b"\2" + joined([b"boot ok\r\n", lines(one)]) for one in smp)]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage what is inside of frames and messages; stuffing, check sums and lengths are right again."""
    rng = random.Random(seed)
    if len(data) < 4:
        return rng.choice(_known())[:room]
    kind = data[0] % KINDS
    if kind == 0:
        parts = list(pieces(data[2:])) or [b""]
        at = rng.randrange(len(parts))
        with suppress(FrameError):
            parts[at] = stuffed(mutate(unstuffed(parts[at].rstrip(b"\0")), max(1, room // 2)))
        return (data[:2] + joined(parts))[:room]
    if kind == 1:
        body = mutate(data[1:-2], max(1, room - 4))
        return data[:1] + cobs.decode(stuffed(body)[:-1])
    if kind == 3:
        body = mutate(data[2 + Header.SIZE :], max(1, room - 12))
        return data[:2] + bytes((0x03, 0, len(body) >> 8 & 255, len(body) & 255, 0, 1, 1, 0)) + body
    parts = list(pieces(data[1:])) or [b""]
    at = rng.randrange(len(parts))
    changed = mutate(parts[at], max(1, room // 2))
    parts[at] = lines(changed[:2000]) if rng.randrange(2) else changed
    return (data[:1] + joined(parts))[:room]
