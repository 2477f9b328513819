"""Low-cost sensors that are asked: Winsen MH-Z19B, Nova SDS011, Sensirion SPS30, a Senseair K30 by its memory.

Sources: MH-Z19B user manual 1.0; SDS011 control protocol V1.3; SPS30 datasheet 1.0 (2020); Senseair K series UART
EEPROM/RAM access procedure.
"""

import struct
from typing import Final

from metrology.clock import Clock
from simulation.journal import Pen
from simulation.modbus import crc

_MHZ_WARM_UP_S: Final = 180.0
_MHZ_COLD: Final = 410
_SPS_NAMES: Final = ("pm1", "pm2_5", "pm4", "pm10")
_SPS_IDLE: Final = 0x43


class MhZ19B:
    """A sensor whose first three minutes show one fixed value."""

    def __init__(self, journal: Pen, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._started = clock.monotonic()
        self._buffer = b""
        self.co2 = 544

    def hear(self, data: bytes) -> bytes:
        """Commands have nine bytes; a wrong check meets silence."""
        self._buffer = (self._buffer + data)[-64:]
        answer = b""
        while len(self._buffer) >= 9:
            command, checked = self._buffer[:9], sum(self._buffer[1:9]) % 256 == 0
            if command[0] != 0xFF or not checked:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[9:]
            answer += self._value() if command[2] == 0x86 else b""
        return answer

    def _value(self) -> bytes:
        warm = self._clock.monotonic() - self._started >= _MHZ_WARM_UP_S
        co2 = self.co2 if warm else _MHZ_COLD
        self._journal({"co2": co2})
        body = bytes((0x86, co2 // 256, co2 % 256, 0x3B, 0, 0, 0))
        return b"\xff" + body + bytes((256 - sum(body) % 256 & 0xFF,))


class Sds011Sensor:
    """A sensor that answers and, where `active`, also speaks unasked just before each answer; asleep it is silent."""

    def __init__(self, journal: Pen, device: bytes = b"\xa1\x60") -> None:
        self._journal = journal
        self._device = device
        self._buffer = b""
        self.pm2_5 = 12.3
        self.pm10 = 26.1
        self.active = False
        self.asleep = False

    def hear(self, data: bytes) -> bytes:
        """Commands have 19 bytes."""
        self._buffer = (self._buffer + data)[-64:]
        answer = b""
        while len(self._buffer) >= 19:
            command = self._buffer[:19]
            if command[:2] != b"\xaa\xb4" or command[18] != 0xAB or sum(command[2:17]) % 256 != command[17]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[19:]
            if command[2] == 4 and command[15:17] in (b"\xff\xff", self._device) and not self.asleep:
                answer += (self._frame()[3:] if self.active else b"") + self._frame()
        return answer

    def _frame(self) -> bytes:
        """The values; an unasked one may be caught in its middle, by whoever opens the line then."""
        body = struct.pack("<HH", round(self.pm2_5 * 10), round(self.pm10 * 10)) + self._device
        self._journal({"pm2_5": round(self.pm2_5, 1), "pm10": round(self.pm10, 1)})
        return b"\xaa\xc0" + body + bytes((sum(body) % 256, 0xAB))


class Sps30Sensor:
    """A sensor that is idle until started, and has a new value each second of its clock."""

    def __init__(self, journal: Pen, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._buffer = b""
        self._told_at: float | None = None
        self.measuring = False
        self.error = False
        self.mass = [9.0625, 9.1875, 15.8125, 15.875]  # each has a byte that must be stuffed

    def hear(self, data: bytes) -> bytes:
        """Frames stand between two bytes 7E."""
        *frames, self._buffer = (self._buffer + data).split(b"\x7e")
        return b"".join(self._reply(frame) for frame in frames if frame)

    def _reply(self, frame: bytes) -> bytes:
        plain = frame.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x31", b"\x11").replace(b"\x7d\x33", b"\x13")
        plain = plain.replace(b"\x7d\x5d", b"\x7d")
        if len(plain) < 4 or sum(plain) % 256 != 255 or plain[2] != len(plain) - 4:
            return b""
        if plain[1] == 0x00:
            state, self.measuring = (_SPS_IDLE if self.measuring else 0), True
            return self._frame(0x00, state, b"")
        if plain[1] != 0x03 or not self.measuring:
            return self._frame(plain[1], _SPS_IDLE, b"")
        return self._frame(0x03, 0x80 * self.error, self._values())

    def _values(self) -> bytes:
        now = self._clock.monotonic()
        if self._told_at is not None and now - self._told_at < 1:
            return b""
        self._told_at = now
        self._journal(dict(zip(_SPS_NAMES, self.mass, strict=True)))
        return struct.pack(">10f", *self.mass, 8.0, 9.0, 9.25, 9.3, 9.31, 0.5)

    @staticmethod
    def _frame(command: int, state: int, data: bytes) -> bytes:
        plain = bytes((0, command, state, len(data))) + data
        plain += bytes((255 - sum(plain) % 256,))
        for byte in (0x7D, 0x7E, 0x11, 0x13):
            plain = plain.replace(bytes((byte,)), bytes((0x7D, byte ^ 0x20)))
        return b"\x7e" + plain + b"\x7e"


class K30Memory:
    """A K30 that answers function 0x44 at address 8, and to any address."""

    def __init__(self, journal: Pen) -> None:
        self._journal = journal
        self._buffer = b""
        self.co2 = 400

    def hear(self, data: bytes) -> bytes:
        """Questions have seven bytes; a wrong check sum meets silence."""
        self._buffer = (self._buffer + data)[-64:]
        answer = b""
        while len(self._buffer) >= 7:
            question = self._buffer[:7]
            if question[1] != 0x44 or crc(question[:5]) != question[5:]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[7:]
            body = bytes((question[0], 0x44, question[4])) + struct.pack(">h", self.co2)[: question[4]]
            if question[2:4] == b"\x00\x08":
                self._journal({"co2": self.co2})
                answer += body + crc(body)
        return answer
