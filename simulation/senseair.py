"""A Senseair S8 NDIR sensor on Modbus RTU: input register 0 is the status, 3 the CO2 in umol/mol, refreshed each 4 s.

Source: Senseair S8 Modbus map (input registers 1 to 4); ABC period in holding register 31.
"""

import math
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from simulation.journal import Pen
from simulation.modbus import HOLDING, INPUT

ANY_ADDRESS: Final = 0xFE
_REFRESH: Final = timedelta(seconds=4)
_RESPONSE_S: Final = 20.0
_CO2: Final = 3
_ABC_PERIOD: Final = 31
_REGISTERS: Final = 32


class Senseair:
    """The sensor as one Modbus unit. `offset` and `noise` are its errors in umol/mol."""

    def __init__(self, journal: Pen, rng: np.random.Generator, offset: float = 6.0, noise: float = 2.0) -> None:
        self._journal = journal
        self._rng = rng
        self._offset = offset
        self._noise = noise
        self._state: float | None = None
        self._stepped: datetime | None = None
        self._co2 = 0
        self._holding = {_ABC_PERIOD: 0}

    def step(self, at: datetime, co2: float) -> None:
        """Let the gas (umol/mol) act until `at`."""
        if self._stepped is not None and at - self._stepped < _REFRESH:
            return
        if self._state is None or self._stepped is None:
            self._state = co2
        else:
            share = 1 - math.exp(-(at - self._stepped).total_seconds() / _RESPONSE_S)
            self._state += share * (co2 - self._state)
        self._stepped = at
        self._co2 = min(max(round(self._state + self._offset + self._rng.normal(0.0, self._noise)), 0), 10000)

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Input registers 0 to 31, holding registers 0 to 31; what is not used reads 0."""
        if address + count > _REGISTERS or table not in (INPUT, HOLDING):
            return None
        wanted = range(address, address + count)
        if table == HOLDING:
            return [self._holding.get(register, 0) for register in wanted]
        if _CO2 in wanted:
            self._journal({"co2": self._co2})
        return [self._co2 if register == _CO2 else 0 for register in wanted]

    def write(self, table: int, address: int, value: int) -> bool:
        """Holding registers keep what is written (background calibration itself is not imitated)."""
        if table != HOLDING or address >= _REGISTERS:
            return False
        self._holding[address] = value
        return True
