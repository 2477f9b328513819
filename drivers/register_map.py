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
from drivers.base import Answer, BadAnswer, Options, Poll, PolledEntry, ReadRegisters, Registers, Step, Table
from drivers.register_site import SITE_OPTIONS, placed
from drivers.register_table import FORMS, FULL_SCALE, Place, Register, RegisterMap, Sign, StatusWord
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading, Scan

# Exception codes of the Modbus application protocol V1.1b3, section 7. To a read, a value that is illegal is its count.
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers or bits that belong together and are never torn apart: one value, or a block of them."""

    table: Table
    address: int
    count: int

    @property
    def end(self) -> int:
        """Address after the last."""
        return self.address + self.count


Words = dict[tuple[Table, int], int]  # what was read, by table and address


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


def raw(words: tuple[int, ...], place: Place | StatusWord) -> int | float:
    """The number in a register, as its type says."""
    if place.type == "u16":
        return words[0]
    wire = b"".join(word.to_bytes(2, "big") for word in words)
    if len(words) == 2:
        wire = bytes(wire[place.word_order.index(letter)] for letter in "ABCD")
    (found,) = struct.unpack(FORMS[place.type], wire)
    assert isinstance(found, int | float)
    return found


@cache
def _line(scale: float, offset: float) -> tuple[int, int, int]:
    """Whole numbers a, b, d by which raw times `scale` plus `offset`, both as decimals, is (a raw + b) / d exactly."""
    by, plus = Fraction(str(scale)), Fraction(str(offset))
    d = by.denominator * plus.denominator
    return int(by * d), int(plus * d), d


def scaled(found: int | float, place: Place) -> float:
    """Value of a raw number; decimal scales are applied exactly, so that 3 times 0.1 is 0.3."""
    if isinstance(found, int):
        a, b, d = _line(place.scale, place.offset)
        return (a * found + b) / d
    return float(found * place.scale + place.offset)


class RegisterMapDriver:
    """Polls one unit by its map. All readings of a scan carry the moment its last block came."""

    def __init__(self, table: RegisterMap, instrument: str) -> None:
        self._map = table
        self._instrument = instrument
        self._spans = [Span(place.table, place.address, place.words) for _, place in table.places()]
        self._blocks = joined(self._spans, table.largest_gap, table.largest_block)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {register.measurand: register.unit for register in self._map.registers}

    def poll(self) -> Poll:
        """Read every block; one scan."""
        words: Words = {}
        last: Registers | None = None
        for block in list(self._blocks):
            last = yield from self._read(block, words)
        assert last is not None, "a map has at least one register"
        return [self._scan(words, last.at)]

    def _read(self, block: Span, words: Words) -> Generator[Step, Answer, Registers]:
        try:
            answer = yield ReadRegisters(block.table, block.address, block.count)
        except BadAnswer as error:
            parts = self._parts(block, error.modbus_exception)
            if len(parts) == 1:
                raise
            return (yield from self._read_apart(block, parts, words))
        assert isinstance(answer, Registers), "the bus answers ReadRegisters with Registers"
        if len(answer.values) != block.count:
            raise BadAnswer(f"{len(answer.values)} registers instead of {block.count} at {block.address}")
        words.update({(block.table, block.address + i): word for i, word in enumerate(answer.values)})
        return answer

    def _read_apart(self, block: Span, parts: list[Span], words: Words) -> Generator[Step, Answer, Registers]:
        """The unit does not answer to a block like this: read its parts, now and from now on."""
        where = self._blocks.index(block)
        self._blocks[where : where + 1] = parts
        answers = []
        for part in parts:
            answers.append((yield from self._read(part, words)))
        return answers[-1]

    def _parts(self, block: Span, exception: int | None) -> list[Span]:
        """What to read instead of a refused block: without its gaps, or in halves where it is too long; else itself."""
        inside = [s for s in self._spans if s.table == block.table and block.address <= s.address < block.end]
        if exception == ILLEGAL_ADDRESS:
            return joined(inside, 0, self._map.largest_block)
        halves = joined(inside, self._map.largest_gap, (block.count + 1) // 2) if exception == ILLEGAL_VALUE else []
        # Values that share registers may be as long as the block.
        return halves if halves and max(part.count for part in halves) < block.count else [block]

    def _scan(self, words: Words, at: datetime) -> Scan:
        status: dict[str, int | float | None] = {}
        signs: list[Sign] = []
        for word in self._map.status:
            found = _status_word(words, word)
            status[word.name] = found
            signs += word.signs(found)
        readings = []
        for register in self._map.registers:
            top = self._full_scale(register, words)
            if register.full_scale is not None:
                status[register.measurand + FULL_SCALE] = top
            concerned = [sign for sign in signs if not sign.of or register.measurand in sign.of]
            readings.append(self._reading(register, _taken(words, register), top, at, concerned))
        return Scan(self._instrument, at, tuple(readings), status)

    def _full_scale(self, register: Register, words: Words) -> float | None:
        """Upper end of the range the instrument measures in, in our unit; None where it tells none."""
        if register.full_scale is None:
            return None
        top = register.in_ours(
            scaled(raw(_taken(words, register.full_scale), register.full_scale), register.full_scale)
        )
        return top if math.isfinite(top) else None

    def _reading(
        self, register: Register, taken: tuple[int, ...], top: float | None, at: datetime, signs: list[Sign]
    ) -> Reading:
        marks = [Mark(sign.cause, sign.meaning, at) for sign in signs]
        found = raw(taken, register)
        value: float | None = None
        said = next((one for one in register.invalid if one.raw == found), None)
        if said is not None:
            marks.append(Mark(said.cause, said.meaning, at))
        elif not math.isfinite(found):
            marks.append(Mark(Cause.FAULT, f"not a number: {taken}", at))
        else:
            value = register.in_ours(scaled(found, register))
            if top is not None and value > top:
                marks.append(Mark(Cause.OUT_OF_RANGE, f"above its range, {top:g} {register.unit}", at))
        return Reading(self._instrument, register.measurand, value, register.unit, at, Quality.of(*marks))


def _taken(words: Words, place: Place | StatusWord) -> tuple[int, ...]:
    if place.words == 1:
        return (words[place.table, place.address],)
    return tuple(words[place.table, place.address + i] for i in range(place.words))


def _status_word(words: Words, word: StatusWord) -> int:
    taken = _taken(words, word)
    if word.table in ("coil", "discrete"):
        return sum(bit << place for place, bit in enumerate(taken))
    return int(raw(taken, word))


def _make(table: RegisterMap, instrument: str, unit: int | None, options: Options) -> RegisterMapDriver:
    return RegisterMapDriver(placed(table, options) if table.set_on_site else table, instrument)


@cache
def entry(name: str) -> PolledEntry:
    """The driver of the map `drivers/maps/{name}.hjson`, or of a map of a station's own, read once."""
    table = tables.load("maps", name, RegisterMap)
    info = table.info(name, "modbus", table.registers, SITE_OPTIONS if table.set_on_site else {})
    return PolledEntry(info, partial(_make, table))
