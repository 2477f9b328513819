"""A CEMS block on Modbus: nine values as big-endian floats and a status word, its gases fed through a valve block.

Register map (holding registers, high word first, two registers per value): 0 SO2, 2 NOx, 4 O2, 6 CO2, 8 dust,
10 differential pressure, 12 stack temperature, 14 static pressure, 16 humidity; 18 status word.
"""

import math
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from metrology.clock import Clock
from simulation.faults import Faults
from simulation.journal import Pen
from simulation.modbus import HOLDING
from simulation.valves import ValveBlock

ADDRESSES: Final = {
    "so2": 0, "nox": 2, "o2": 4, "co2_percent": 6, "dust": 8,
    "differential_pressure": 10, "stack_temperature": 12, "static_pressure": 14, "stack_humidity": 16,
}  # fmt: skip
STATUS: Final = 18
FAULT, MAINTENANCE, CALIBRATION, BLOWBACK, OUT_OF_RANGE = (1 << bit for bit in range(5))
RANGES: Final = {
    "so2": (-5.0, 100.0), "nox": (-5.0, 150.0), "o2": (-0.5, 25.0), "co2_percent": (-0.5, 25.0), "dust": (-1.0, 50.0),
    "differential_pressure": (-100.0, 1000.0), "stack_temperature": (0.0, 300.0),
    "static_pressure": (-5000.0, 5000.0), "stack_humidity": (0.0, 40.0),
}  # fmt: skip
# Zero offset, its growth per day, span factor minus one, its growth per day: within HJ 75 limits, and to be found.
DRIFT: Final = {
    "so2": (0.4, 0.3, 0.006, 0.002), "nox": (-0.5, 0.4, -0.008, -0.001),
    "o2": (0.05, 0.02, 0.003, 0.0), "co2_percent": (0.03, 0.01, 0.004, 0.0),
}  # fmt: skip
_NOISE: Final = {
    "so2": 0.25, "nox": 0.4, "o2": 0.02, "co2_percent": 0.03, "dust": 0.08,
    "differential_pressure": 2.5, "stack_temperature": 0.1, "static_pressure": 3.0, "stack_humidity": 0.05,
}  # fmt: skip
_PITOT: Final = ("differential_pressure", "static_pressure")
_RESPONSE_S: Final = 15.0
_DAY_S: Final = 86400.0


class Cems:
    """The block as one Modbus unit. The blowback of the pitot freezes its two pressures for some seconds."""

    def __init__(
        self, clock: Clock, journal: Pen, rng: np.random.Generator, valve: ValveBlock, faults: Faults,
        gases: Mapping[str, Mapping[str, float]], blowback_every_s: float = 1800.0, blowback_s: float = 20.0,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._journal = journal
        self._rng = rng
        self._valve = valve
        self._faults = faults
        self._gases = gases
        self._blowback_every_s = blowback_every_s
        self._blowback_s = blowback_s
        self._start = self._last = clock.now()
        self._stack: dict[str, float] = {}
        self._cell: dict[str, float] = {}
        self._shown = dict.fromkeys(ADDRESSES, 0.0)

    def step(self, at: datetime, stack: Mapping[str, float]) -> None:
        """Take what is inside the stack now."""
        self._stack = dict(stack)
        if not self._cell:
            self._cell = {gas: stack[gas] for gas in DRIFT}
            self._start = self._last = at

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Registers 0 to 18; each value whose two registers are both read is an answer and journalled."""
        if table != HOLDING or address + count > STATUS + 1:
            return None
        self._measure(self._clock.now())
        words = [word for name in ADDRESSES for word in struct.unpack(">HH", struct.pack(">f", self._shown[name]))]
        whole = {n: a for n, a in ADDRESSES.items() if address <= a and a + 2 <= address + count}
        if whole:
            self._journal({name: struct.unpack(">f", struct.pack(">f", self._shown[name]))[0] for name in whole})
        return [*words, self._status(self._clock.now())][address : address + count]

    def write(self, table: int, address: int, value: int) -> bool:
        """Nothing can be written."""
        return False

    def _measure(self, now: datetime) -> None:
        share = 1 - math.exp(-max((now - self._last).total_seconds(), 0.0) / _RESPONSE_S)
        days = (now - self._start).total_seconds() / _DAY_S
        self._last = now
        stuck = _PITOT if self._blowing(now) else ()
        for name in ADDRESSES:
            if name in DRIFT:
                self._shown[name] = self._gas(name, share, days)
            elif name not in stuck:
                self._shown[name] = self._stack[name] + self._noise(name)

    def _gas(self, name: str, share: float, days: float) -> float:
        feed = self._stack if self._valve.open == "sample" else self._gases[self._valve.open]
        self._cell[name] += share * (feed[name] - self._cell[name])
        zero, zero_day, span, span_day = DRIFT[name]
        return (1 + span + span_day * days) * self._cell[name] + zero + zero_day * days + self._noise(name)

    def _noise(self, name: str) -> float:
        return float(self._rng.normal(0.0, _NOISE[name]))

    def _blowing(self, now: datetime) -> bool:
        seconds = (now - self._start) / timedelta(seconds=1)
        return seconds > self._blowback_s and seconds % self._blowback_every_s < self._blowback_s

    def _status(self, now: datetime) -> int:
        outside = any(not low <= self._shown[name] <= high for name, (low, high) in RANGES.items())
        return (
            FAULT * self._faults.active("cems-fault", now)
            | CALIBRATION * (self._valve.open != "sample")
            | BLOWBACK * self._blowing(now)
            | OUT_OF_RANGE * outside
        )
