"""A register map (`drivers/maps/*.hjson`) becomes a polled driver for Modbus; no Python per instrument."""

import math
import struct
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cache, partial
from typing import Final

from drivers import tables
from drivers.base import Answer, BadAnswer, Options, Poll, PolledEntry, ReadRegisters, Registers, Step
from drivers.register_table import FORMS, SITE_OPTIONS, Bit, Kind, Register, RegisterMap, placed
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading, Scan

ILLEGAL_ADDRESS: Final = 2  # exception code, Modbus application protocol V1.1b3, section 7


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers that belong together and are never torn apart: one value, or a block of them."""

    table: Kind
    address: int
    count: int

    @property
    def end(self) -> int:
        """Address after the last."""
        return self.address + self.count


def joined(spans: Iterable[Span], largest_gap: int, largest_block: int) -> list[Span]:
    """Blocks that cover all spans, in order of table and address."""
    blocks: list[Span] = []
    for span in sorted(spans):
        last = blocks[-1] if blocks else None
        if last is not None and last.table == span.table and span.address - last.end <= largest_gap:
            whole = Span(last.table, last.address, max(last.end, span.end) - last.address)
            if whole.count <= largest_block:
                blocks[-1] = whole
                continue
        blocks.append(span)
    return blocks


def decoded(words: tuple[int, ...], register: Register) -> float:
    """Value of a register in its unit; the decimal scale is applied exactly, so that 3 times 0.1 is 0.3."""
    wire = b"".join(word.to_bytes(2, "big") for word in words)
    if len(words) == 2:
        wire = bytes(wire[register.word_order.index(letter)] for letter in "ABCD")
    (raw,) = struct.unpack(FORMS[register.type], wire)
    if isinstance(raw, int):
        return float(raw * Fraction(str(register.scale)))
    return float(raw * register.scale)


class RegisterMapDriver:
    """Polls one unit by its map. All readings of a scan carry the moment its last block came."""

    def __init__(self, table: RegisterMap, instrument: str) -> None:
        self._map = table
        self._instrument = instrument
        self._spans = [Span(register.table, register.address, register.words) for register in table.registers]
        if table.status is not None:
            self._spans.append(Span(table.status.table, table.status.address, 1))
        self._blocks = joined(self._spans, table.largest_gap, table.largest_block)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {register.measurand: register.unit for register in self._map.registers}

    def poll(self) -> Poll:
        """Read every block; one scan."""
        words: dict[tuple[str, int], int] = {}
        last: Registers | None = None
        for block in list(self._blocks):
            last = yield from self._read(block, words)
        assert last is not None, "a map has at least one register"
        return [self._scan(words, last.at)]

    def _read(self, block: Span, words: dict[tuple[str, int], int]) -> Generator[Step, Answer, Registers]:
        try:
            answer = yield ReadRegisters(block.table, block.address, block.count)
        except BadAnswer as error:
            parts = self._parts(block)
            if error.modbus_exception != ILLEGAL_ADDRESS or len(parts) == 1:
                raise
            return (yield from self._read_apart(block, parts, words))
        assert isinstance(answer, Registers), "the bus answers ReadRegisters with Registers"
        if len(answer.values) != block.count:
            raise BadAnswer(f"{len(answer.values)} registers instead of {block.count} at {block.address}")
        words.update({(block.table, block.address + i): word for i, word in enumerate(answer.values)})
        return answer

    def _read_apart(
        self, block: Span, parts: list[Span], words: dict[tuple[str, int], int]
    ) -> Generator[Step, Answer, Registers]:
        """The unit does not answer across the gaps of this block: leave them out, now and from now on."""
        where = self._blocks.index(block)
        self._blocks[where : where + 1] = parts
        answers = []
        for part in parts:
            answers.append((yield from self._read(part, words)))
        return answers[-1]

    def _parts(self, block: Span) -> list[Span]:
        inside = [s for s in self._spans if s.table == block.table and block.address <= s.address < block.end]
        return joined(inside, 0, self._map.largest_block)

    def _scan(self, words: dict[tuple[str, int], int], at: datetime) -> Scan:
        status: dict[str, int] = {}
        bits: list[Bit] = []
        if self._map.status is not None:
            word = words[self._map.status.table, self._map.status.address]
            status[self._map.status.name] = word
            bits = [bit for bit in self._map.status.bits if word >> bit.bit & 1]
        readings = tuple(self._reading(register, words, at, bits) for register in self._map.registers)
        return Scan(self._instrument, at, readings, status)

    def _reading(self, register: Register, words: dict[tuple[str, int], int], at: datetime, bits: list[Bit]) -> Reading:
        concerned = (bit for bit in bits if not bit.of or register.measurand in bit.of)
        quality = Quality.of(*(Mark(bit.cause, bit.meaning, at) for bit in concerned))
        taken = tuple(words[register.table, register.address + i] for i in range(register.words))
        value: float | None = decoded(taken, register)
        if value is None or not math.isfinite(value):
            quality = quality.plus([Mark(Cause.FAULT, f"not a number: {taken}", at)])
            value = None
        return Reading(self._instrument, register.measurand, value, register.unit, at, quality)


def _make(table: RegisterMap, instrument: str, unit: int | None, options: Options) -> RegisterMapDriver:
    return RegisterMapDriver(placed(table, options) if table.set_on_site else table, instrument)


@cache
def entry(name: str) -> PolledEntry:
    """The driver of the map `drivers/maps/{name}.hjson`."""
    table = tables.load("maps", name, RegisterMap)
    info = table.info(name, "modbus", table.registers, SITE_OPTIONS if table.set_on_site else {})
    return PolledEntry(info, partial(_make, table))
