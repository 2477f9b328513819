"""Questions to a board and its answers: frames of version 2 on the board's own line (docs/drivers/micro_board.md).

Stuffed and checked as version 1 is. The frame, little-endian: version u8 (2), board id u16 (65535: all boards), kind
u8, tag u16 (an answer bears its question's), payload. An answer's kind is its question's plus 128; 255 is a refusal.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

from firmware_bridge.frame import FRAME_BYTES_MAX, FrameError, stuffed

VERSION: Final = 2
EVERY_BOARD: Final = 0xFFFF
ANSWER: Final = 0x80
_HEADER: Final = struct.Struct("<BHBH")
_WHO: Final = struct.Struct("<HHH")
_IDENTITY: Final = struct.Struct("<8sBBHIHII")
_HEALTH: Final = struct.Struct("<IBHHII")
_KEPT: Final = struct.Struct("<HIB")
_TIME: Final = struct.Struct("<Q")
PAYLOAD_BYTES_MAX: Final = FRAME_BYTES_MAX - _HEADER.size - 2
NAME_BYTES_MAX: Final = 32
VALUE_BYTES_MAX: Final = 200
KEPT_COUNT_MAX: Final = 16
REFUSALS: Final[Mapping[int, str]] = {1: "unknown", 2: "value not taken", 3: "busy", 4: "not now", 5: "not there"}


class Kind(IntEnum):
    """What is asked."""

    WHO = 1
    TIME = 2
    READ = 3
    WRITE = 4
    KEPT = 5
    HEALTH = 6
    SMP = 7
    REFUSED = 255


@dataclass(frozen=True, slots=True)
class Letter:
    """One frame of version 2, question or answer."""

    board: int
    kind: int
    tag: int
    payload: bytes = b""

    @property
    def refusal(self) -> str | None:
        """Why the board refuses, None for an answer."""
        if self.kind != Kind.REFUSED:
            return None
        code = self.payload[1] if len(self.payload) > 1 else 0
        return f"{REFUSALS.get(code, 'refused')} ({code})"

    def answers(self, question: "Letter") -> bool:
        """Whether this answers a question."""
        kinds = (question.kind | ANSWER, int(Kind.REFUSED))
        return self.tag == question.tag and self.kind in kinds and question.board in (self.board, EVERY_BOARD)


def encode_letter(letter: Letter) -> bytes:
    """Bytes for the line, delimiter included. Raises ValueError for a payload that is too long."""
    if len(letter.payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"{len(letter.payload)} bytes exceed {PAYLOAD_BYTES_MAX}")
    return stuffed(_HEADER.pack(VERSION, letter.board, letter.kind, letter.tag) + letter.payload)


def decode_letter(body: bytes) -> Letter:
    """Letter from a frame whose check was right. Raises `FrameError`."""
    if len(body) < _HEADER.size:
        raise FrameError(f"{len(body)} bytes are too few")
    if len(body) > _HEADER.size + PAYLOAD_BYTES_MAX:
        raise FrameError(f"{len(body)} bytes are too many")
    _, board, kind, tag = _HEADER.unpack_from(body)
    return Letter(board, kind, tag, body[_HEADER.size :])


# -- payloads


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a board is: number of its chip, firmware, and the frames it still keeps (`kept_from` to `next`)."""

    chip: str
    version: str
    boot: int
    kept_from: int
    next: int


@dataclass(frozen=True, slots=True)
class Health:
    """How a board is. `start_cause` and `errors` are the firmware's own numbers and bits."""

    uptime_s: int
    start_cause: int
    errors: int
    battery_mV: int
    free_bytes: int
    frames_sent: int


def who(first: int, last: int, slot_ms: int) -> bytes:
    """Payload that has boards `first` to `last` say who they are, each `slot_ms` after the one before."""
    return _WHO.pack(first, last, slot_ms)


def identity(letter: Letter) -> Identity:
    """Who answered. Raises `FrameError`."""
    chip, major, minor, revision, build, boot, kept, following = _unpacked(_IDENTITY, letter)
    version = f"{major}.{minor}.{revision}" + (f".{build}" if build else "")
    return Identity(chip.hex(), version, boot, kept, following)


def health(letter: Letter) -> Health:
    """How the board is. Raises `FrameError`."""
    return Health(*_unpacked(_HEALTH, letter))


def time_payload(at: datetime) -> bytes:
    """Payload that sets the board's clock (aware)."""
    return _TIME.pack(round(at.timestamp() * 1000))


def time_of(letter: Letter) -> datetime:
    """The board's clock after it was set. Raises `FrameError`."""
    (milliseconds,) = _unpacked(_TIME, letter)
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise FrameError(f"{milliseconds} ms are no time") from None


def setting(name: str, value: str | None = None) -> bytes:
    """Payload that reads a setting, or writes it. Raises ValueError for what does not fit."""
    key, text = name.encode(), (value or "").encode()
    if not 0 < len(key) <= NAME_BYTES_MAX or len(text) > VALUE_BYTES_MAX:
        raise ValueError(f"a name has 1 to {NAME_BYTES_MAX} bytes, a value at most {VALUE_BYTES_MAX}")
    return bytes((len(key),)) + key + text


def setting_of(letter: Letter) -> tuple[str, str]:
    """Name and value that are in force on the board. Raises `FrameError`."""
    length = letter.payload[0] if letter.payload else 0
    try:
        return letter.payload[1 : 1 + length].decode(), letter.payload[1 + length :].decode()
    except UnicodeDecodeError:
        raise FrameError("a setting that is no text") from None


def kept(boot: int, first: int, count: int) -> bytes:
    """Payload that asks for frames a board sent before, each in an answer of its own."""
    return _KEPT.pack(boot, first, count)


def _unpacked(form: struct.Struct, letter: Letter) -> tuple[Any, ...]:
    if len(letter.payload) != form.size:
        raise FrameError(f"board {letter.board} answers {len(letter.payload)} bytes where {form.size} belong")
    return form.unpack(letter.payload)
