"""Asks chronyd how well the clock is kept: one datagram of its monitoring protocol on this machine, no root needed.

The protocol (version 6, `candm.h` of chrony 2.0 and later; `chronyc tracking` speaks it) has a request as long as its
reply, all numbers big-endian, floats of its own: 7 bits exponent, 25 bits coefficient, both signed.
"""

import os
import socket
import struct
import weakref
from contextlib import suppress
from typing import Final

PORT: Final = 323
_VERSION, _REQUEST, _REPLY, _TRACKING, _TRACKED = 6, 1, 2, 33, 5
_BYTES: Final = 104
_UNSYNCED_LEAP: Final = 3


class Chrony:
    """One asker. `look` gives the answer to the question of the look before and asks again: it never waits."""

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self._line: socket.socket | None = None
        self._sequence = 0
        self._told: tuple[bool, float] | None = None

    def look(self) -> tuple[bool, float] | None:
        """(follows a server, largest error in s) as last told; None where nobody answers. Raises OSError."""
        if self._line is None:
            self._line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            weakref.finalize(self, self._line.close)
            self._line.setblocking(False)
            self._line.connect(("127.0.0.1", self._port))
        elif self._sequence:
            self._told = self._answer(self._line)
        self._sequence = int.from_bytes(os.urandom(4), "big") | 1
        request = struct.pack("!BBBBHHI", _VERSION, _REQUEST, 0, 0, _TRACKING, 0, self._sequence)
        with suppress(OSError):
            self._line.send(request.ljust(_BYTES, b"\0"))
        return self._told

    def _answer(self, line: socket.socket) -> tuple[bool, float] | None:
        found = None
        with suppress(OSError):
            while answer := line.recv(_BYTES + 1):
                found = tracked(answer, self._sequence) or found
        return found


def tracked(answer: bytes, sequence: int) -> tuple[bool, float] | None:
    """What a reply to `tracking` says; None for anything else."""
    if len(answer) != _BYTES:
        return None
    version, kind, _, _, command, reply, status, *_, number = struct.unpack_from("!BBBBHHHHHHI", answer)
    if (version, kind, command, reply, status, number) != (_VERSION, _REPLY, _TRACKING, _TRACKED, 0, sequence):
        return None
    (leap,) = struct.unpack_from("!H", answer, 54)
    offset, *_, delay, dispersion, _ = (_number(word) for word in struct.unpack_from("!9I", answer, 68))
    return leap != _UNSYNCED_LEAP, abs(offset) + dispersion + delay / 2


def _number(word: int) -> float:
    exponent, coefficient = word >> 25, word & 0x1FFFFFF
    exponent -= 128 if exponent >= 64 else 0
    coefficient -= 1 << 25 if coefficient >= 1 << 24 else 0
    return float(coefficient) * 2.0 ** (exponent - 25)
