"""Instruments that are nothing but registers: probes, analyzers, meters, input modules as units of a Modbus line.

Each knows its own addresses; sources are named at each. Answers that carry a value are journalled.
"""

import math
import struct
from collections.abc import Mapping
from typing import Final

from simulation.journal import Pen
from simulation.modbus import HOLDING, INPUT


def high_first(value: float) -> tuple[int, int]:
    """A 32-bit float as two registers, high word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def _single(value: float) -> float:
    (found,) = struct.unpack(">f", struct.pack(">f", value))
    return float(found)


def _span(words: Mapping[int, int], address: int, count: int) -> list[int] | None:
    wanted = range(address, address + count)
    return [words[register] for register in wanted] if words.keys() >= set(wanted) else None


class Gmp252:
    """Vaisala GMP252: floats low word first; NaN until it is warm. Source: M211897EN-E, appendix A.

    The guide lists no register 3: whether the probe answers a read across it is a switch here.
    """

    def __init__(self, journal: Pen) -> None:
        self._journal = journal
        self.co2 = 420.0
        self.temperature = 24.0
        self.ready = True
        self.error = False
        self.answers_across_gaps = True

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Holding registers alone."""
        words: dict[int, int] = {}
        for place, value in ((0, self.co2 if self.ready else math.nan), (4, self.temperature)):
            words[place + 1], words[place] = high_first(value)
        if self.answers_across_gaps:
            words |= {2: 0, 3: 0}
        words |= {0x100: min(round(self.co2), 0x7FFF), 0x800: 2 * self.error, 0x801: 0 if self.ready else 0x102}
        found = _span(words, address, count) if table == HOLDING else None
        if found is not None and address <= 4 < address + count and self.ready:
            self._journal({"co2": _single(self.co2), "probe_temperature": _single(self.temperature)})
        return found

    def write(self, table: int, address: int, value: int) -> bool:
        """Nothing is written to it."""
        return False


class InputModule:
    """Eight current inputs, input registers from 0. `counts`: microamperes, or parts (0 to 65535 for 4 to 20 mA)."""

    def __init__(self, counts: str = "microamperes") -> None:
        self._counts = counts
        self.currents_mA = [4.0] * 8

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """What the converter gives; it cannot give less than nothing."""
        if self._counts == "microamperes":
            raw = [round(current * 1000) for current in self.currents_mA]
        else:
            raw = [round((current - 4) / 16 * 65535) for current in self.currents_mA]
        words = {place: min(max(word, 0), 65535) for place, word in enumerate(raw)}
        return _span(words, address, count) if table == INPUT else None

    def write(self, table: int, address: int, value: int) -> bool:
        """Nothing is written to it."""
        return False


class Sdm630:
    """Eastron SDM630: input registers 0 to 380 as floats, high word first, at most 80 in one request.

    Source: SDM630 Modbus protocol, table of input registers: 1-3 voltages, 4-6 currents, 27 total power in W, 32 total
    power factor, 36 frequency, 37 imported energy in kWh.
    """

    _PARAMETERS: Final = {
        "voltage_a": 1, "voltage_b": 2, "voltage_c": 3, "current_a": 4, "current_b": 5, "current_c": 6,
        "active_power": 27, "power_factor": 32, "mains_frequency": 36, "active_energy": 37,
    }  # fmt: skip

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = dict(values)

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Parameter n stands at 2 (n - 1); what is not measured reads 0."""
        words = dict.fromkeys(range(382), 0)
        for name, parameter in self._PARAMETERS.items():
            shown = self.values[name] * (1000 if name == "active_power" else 1)
            words[2 * parameter - 2], words[2 * parameter - 1] = high_first(shown)
        return _span(words, address, count) if table == INPUT and count <= 80 else None

    def write(self, table: int, address: int, value: int) -> bool:
        """Nothing is written to it."""
        return False


class StackDevice:
    """A device at a stack with floats at the addresses it was built with, and words for state. No maker's: built here.

    A device whose register list has holes refuses to be read across them.
    """

    def __init__(self, floats: Mapping[int, float], words: Mapping[int, int], *, holes: bool = False) -> None:
        self.floats = dict(floats)
        self.words = dict(words)
        self._holes = holes

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Holding registers."""
        words = {} if self._holes else dict.fromkeys(range(100), 0)
        for place, value in self.floats.items():
            words[place], words[place + 1] = high_first(value)
        return _span(words | self.words, address, count) if table == HOLDING else None

    def write(self, table: int, address: int, value: int) -> bool:
        """Nothing is written to it."""
        return False
