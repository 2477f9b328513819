"""Micro-sensor boards on a serial gateway: frames pushed unasked, COBS with a zero byte after each.

Frame, little-endian: version u8 = 1, board u16, boot u16, sequence u32, ticks_ms u32, count u8, then count times
(channel u8, value f32), then CRC-16/XMODEM u16 over all before it. Channels: 1 ch4 in umol/mol, 3 board temperature
in degC, 5 battery voltage in V. Boot changes with each restart, ticks count from it. What a board answers when it is
asked is in `simulation.board_desk`.
"""

import binascii
import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from cobs import cobs

from simulation.faults import Faults
from simulation.journal import Pen
from simulation.sensor_error import SensorError
from simulation.serve import Pty

VERSION: Final = 1
CHANNELS: Final = {"ch4": 1, "board_temperature": 3, "battery_voltage": 5}
EVERY_S: Final = 30.0
KEPT_MAX: Final = 240


def frame(board: int, boot: int, sequence: int, ticks_ms: int, values: Mapping[str, float]) -> bytes:
    """A frame before its byte stuffing, check included."""
    header = struct.pack("<BHHIIB", VERSION, board, boot, sequence, ticks_ms & 0xFFFFFFFF, len(values))
    body = header + b"".join(struct.pack("<Bf", CHANNELS[name], value) for name, value in values.items())
    return body + struct.pack("<H", binascii.crc_hqx(body, 0))


class Board:
    """One board. Its ch4 is the mean over the interval since the last frame, with the sensor's error."""

    def __init__(
        self, number: int, line: Pty, journal: Pen, error: SensorError, rng: np.random.Generator, faults: Faults,
        start: datetime,
    ) -> None:  # fmt: skip
        self.number = number
        self.chip = 0x5EED_0000_0000 + number
        self._line = line
        self._journal = journal
        self._error = error
        self._rng = rng
        self._faults = faults
        self.boot = 1 + int(rng.integers(1000))
        self._booted = self._at = start
        self.sequence = 0
        self.memory: dict[int, bytes] = {}
        self.settings = {"interval_s": f"{EVERY_S:g}", "gain": "1"}
        self.clock_ms = 0
        self.management: Callable[[bytes], bytes] | None = None
        self._seen: list[float] = []
        self._due = start + timedelta(seconds=EVERY_S * (1.0 + number % 24 / 24.0))

    def step(self, at: datetime, ch4: float, air_degC: float) -> None:
        """Breathe air with this much ch4 (umol/mol) at `at`; push the frames that are due."""
        self._at = at
        self._seen.append(ch4)
        while self._due <= at:
            truth = sum(self._seen) / len(self._seen)
            self._seen = [ch4]
            self._push(self._due, self._error.reading(truth, self._due), air_degC)
            self._due += timedelta(seconds=EVERY_S)

    def restart(self, at: datetime) -> None:
        """Boot again."""
        self.boot = (self.boot + 1) & 0xFFFF
        self._booted = self._at = at
        self.sequence = 0
        self.memory = {}

    def uptime_s(self) -> int:
        """Seconds since its start."""
        return int((self._at - self._booted).total_seconds())

    def _push(self, at: datetime, ch4: float, air_degC: float) -> None:
        values = {
            "ch4": ch4,
            "board_temperature": air_degC + 2.0 + float(self._rng.normal(0.0, 0.1)),
            "battery_voltage": 3.9 + float(self._rng.normal(0.0, 0.005)),
        }
        ticks_ms = round((at - self._booted).total_seconds() * 1000)
        body = frame(self.number, self.boot, self.sequence, ticks_ms, values)
        self.memory[self.sequence] = body
        if len(self.memory) > KEPT_MAX:
            del self.memory[min(self.memory)]
        damaged = self._rng.random() < self._faults.bad_crc_share
        if damaged:
            body = body[:-1] + bytes((body[-1] ^ 0xFF,))
        if self._line.send(cobs.encode(body) + b"\0"):
            told = {} if damaged else {name: _f32(value) for name, value in values.items()}
            self._journal(told, sequence=self.sequence, **({"fault": "bad CRC"} if damaged else {}))
        self.sequence += 1


def _f32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
