"""What a simulated board answers when it is asked: frames of version 2, as docs/drivers/micro_board.md has them.

Identity, clock, settings, frames it kept, health, and SMP where a managed board stands behind it.
"""

import binascii
import struct
from collections.abc import Callable
from typing import Final, Protocol

from cobs import cobs

VERSION: Final = 2
EVERY: Final = 0xFFFF
WHO, TIME, READ, WRITE, KEPT, HEALTH, SMP, REFUSED = 1, 2, 3, 4, 5, 6, 7, 255
UNKNOWN, BAD_VALUE, NOT_THERE = 1, 2, 5


class Asked(Protocol):
    """A board as its desk knows it."""

    number: int
    chip: int
    boot: int
    sequence: int
    memory: dict[int, bytes]
    settings: dict[str, str]
    clock_ms: int
    management: Callable[[bytes], bytes] | None

    def uptime_s(self) -> int:
        """Seconds since its start."""


def letter(board: int, kind: int, tag: int, payload: bytes) -> bytes:
    """A frame of version 2 on the line."""
    body = struct.pack("<BHBH", VERSION, board, kind, tag) + payload
    return bytes(cobs.encode(body + struct.pack("<H", binascii.crc_hqx(body, 0)))) + b"\0"


class Gateway:
    """The listening side of a line: finds the questions in what is sent, and has the boards answer in their order."""

    def __init__(self) -> None:
        self.boards: list[Asked] = []
        self._rest = b""
        self.questions = 0

    def hear(self, data: bytes) -> bytes:
        """Bytes that came, in pieces of any size; what the boards answer."""
        *pieces, self._rest = (self._rest + data).split(b"\0")
        return b"".join(self._answers(piece) for piece in pieces if piece)

    def _answers(self, piece: bytes) -> bytes:
        try:
            frame = cobs.decode(piece)
        except cobs.DecodeError:
            return b""
        body, check = frame[:-2], frame[-2:]
        if len(body) < 6 or body[0] != VERSION or struct.pack("<H", binascii.crc_hqx(body, 0)) != check:
            return b""
        self.questions += 1
        _, number, kind, tag = struct.unpack_from("<BHBH", body)
        asked = [board for board in self.boards if number in (board.number, EVERY)]
        return b"".join(self._one(board, kind, tag, body[6:]) for board in asked)

    def _one(self, board: Asked, kind: int, tag: int, payload: bytes) -> bytes:
        try:
            answers = _ANSWERS[kind](board, payload)
        except KeyError:
            answers = None
        except (struct.error, UnicodeDecodeError, IndexError):
            return letter(board.number, REFUSED, tag, bytes((kind, BAD_VALUE)))
        if answers is None:
            return letter(board.number, REFUSED, tag, bytes((kind, UNKNOWN)))
        return b"".join(letter(board.number, kind | 0x80, tag, answer) for answer in answers)


def _who(board: Asked, payload: bytes) -> list[bytes]:
    first, last, _ = struct.unpack("<HHH", payload)
    if not first <= board.number <= last:
        return []
    chip = struct.pack(">Q", board.chip)
    kept = min(board.memory, default=board.sequence)
    return [chip + struct.pack("<BBHIHII", 1, 0, 3, 0, board.boot, kept, board.sequence)]


def _time(board: Asked, payload: bytes) -> list[bytes]:
    if payload:
        (board.clock_ms,) = struct.unpack("<Q", payload)
    return [struct.pack("<Q", board.clock_ms)]


def _read(board: Asked, payload: bytes) -> list[bytes] | None:
    name = payload[1 : 1 + payload[0]].decode()
    return [payload[: 1 + payload[0]] + board.settings[name].encode()] if name in board.settings else None


def _write(board: Asked, payload: bytes) -> list[bytes] | None:
    name, value = payload[1 : 1 + payload[0]].decode(), payload[1 + payload[0] :].decode()
    if name not in board.settings:
        return None
    # A board takes an interval no shorter than it can measure: what it answers is what is in force.
    board.settings[name] = str(max(int(value), 10)) if name == "interval_s" and value.isdigit() else value
    return _read(board, payload)


def _kept(board: Asked, payload: bytes) -> list[bytes]:
    boot, first, count = struct.unpack("<HIB", payload)
    return [board.memory[at] for at in range(first, first + count) if boot == board.boot and at in board.memory]


def _health(board: Asked, _: bytes) -> list[bytes]:
    return [struct.pack("<IBHHII", board.uptime_s(), 1, 0, 3900, 20_480, board.sequence)]


def _smp(board: Asked, payload: bytes) -> list[bytes] | None:
    if board.management is None:
        return None
    answer = board.management(payload)
    return [answer] if answer else []


_ANSWERS: Final[dict[int, Callable[[Asked, bytes], list[bytes] | None]]] = {
    WHO: _who, TIME: _time, READ: _read, WRITE: _write, KEPT: _kept, HEALTH: _health, SMP: _smp,
}  # fmt: skip
