"""The shape of a register map (`drivers/maps/*.hjson`): values, ranges and status words of a Modbus unit."""

import struct
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from drivers import tables
from drivers.base import Table
from metrology.measurand import catalogue
from metrology.quality import Cause
from metrology.units import STACK_DRY, UnitError, convert

Kind = Literal["holding", "input"]
Address = Annotated[tables.Whole, Field(ge=0, le=65535)]
# How four bytes A (highest) to D arrive on the wire; one-word types have no choice.
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Type = Literal["u16", "i16", "u32", "i32", "f32"]
FORMS: Final = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f"}
WORDS: Final = {name: struct.calcsize(form) // 2 for name, form in FORMS.items()}
# Modbus application protocol V1.1b3, section 6.3: at most 125 registers in one answer.
REGISTERS_MAX: Final = 125
FULL_SCALE: Final = "_full_scale"


class Sign(tables.Strict):
    """What a bit or a code says: the cause it sets on the measurands `of` (all where empty)."""

    cause: Cause
    meaning: str
    of: tuple[str, ...] = ()


class Bit(Sign):
    """One bit of a status word (0 is the lowest)."""

    bit: tables.Whole = Field(ge=0, le=31)


class Code(Sign):
    """One value of a status word that counts states instead of having bits."""

    code: tables.Whole = Field(ge=0)


class StatusWord(tables.Strict):
    """Registers or bits that say how good the values are; the word itself goes to the scan's status under `name`.

    Of a table of bits, `count` of them make the word, the first as its lowest bit.
    """

    name: str
    table: Table
    address: Address
    type: Literal["u16", "u32"] = "u16"
    word_order: WordOrder = "ABCD"
    count: tables.Whole = Field(default=1, ge=1, le=32)
    bits: tuple[Bit, ...] = ()
    codes: tuple[Code, ...] = ()

    @property
    def words(self) -> int:
        """Registers or bits it takes."""
        return self.count if self.table in ("coil", "discrete") else WORDS[self.type]

    def signs(self, word: int) -> list[Sign]:
        """What the word says."""
        return [b for b in self.bits if word >> b.bit & 1] + [c for c in self.codes if word == c.code]


class Place(tables.Strict):
    """A number in registers. `address` is the protocol's (from 0), never the 1-based or 4xxxx number.

    value = raw times `scale` plus `offset`.
    """

    table: Kind
    address: Address
    type: Type
    word_order: WordOrder = "ABCD"
    scale: tables.Number = 1.0
    offset: tables.Number = 0.0

    @property
    def words(self) -> int:
        """Registers it takes."""
        return WORDS[self.type]


class NoValue(tables.Strict):
    """A raw number by which the instrument says that it has no value."""

    raw: tables.Whole
    cause: Cause
    meaning: str


class Register(Place, tables.Emitted):
    """One value. `stated` is the unit it has in the register, where that is not the catalogue's.

    `full_scale` is where the instrument tells the upper end of the range it measures in, in the register's unit: it
    goes to the scan's status, and a value above it is out of range.
    """

    stated: str = ""
    invalid: tuple[NoValue, ...] = ()
    full_scale: Place | None = None

    @model_validator(mode="after")
    def _convertible(self) -> "Register":
        try:
            self.in_ours(0.0)
        except UnitError as error:
            raise ValueError(f"{self.measurand}: {error}") from None
        return self

    def in_ours(self, value: float) -> float:
        """A value in the catalogue's unit; mole fractions become concentrations at the state of stack gas."""
        mass = catalogue()[self.measurand].molar_mass
        return convert(value, self.stated or self.unit, self.unit, molar_mass=mass, state=STACK_DRY)


class RegisterMap(tables.Table):
    """A whole map. Registers at most `largest_gap` apart are read together, at most `largest_block` in one request.

    `set_on_site` marks a map of a kind of device whose addresses differ from site to site: it takes options for them.
    """

    largest_gap: tables.Whole = Field(ge=0, le=REGISTERS_MAX)
    largest_block: tables.Whole = Field(ge=2, le=REGISTERS_MAX)
    set_on_site: tables.Flag = False
    registers: tuple[Register, ...] = Field(min_length=1)
    status: tuple[StatusWord, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> "RegisterMap":
        measurands = [register.measurand for register in self.registers]
        if len(set(measurands)) != len(measurands):
            raise ValueError("a measurand is read from one register only")
        named = [name for name, _ in self.places()]
        if len(set(named)) != len(named):
            raise ValueError("a status word has a name of its own")
        signs = [sign for word in self.status for sign in (*word.bits, *word.codes)]
        if strangers := {measurand for sign in signs for measurand in sign.of} - set(measurands):
            raise ValueError(f"status words name {', '.join(sorted(strangers))}, which no register holds")
        return self

    def places(self) -> Iterator[tuple[str, Place | StatusWord]]:
        """Everything that is read, by the name it has in a scan."""
        for register in self.registers:
            yield register.measurand, register
            if register.full_scale is not None:
                yield register.measurand + FULL_SCALE, register.full_scale
        for word in self.status:
            yield word.name, word
