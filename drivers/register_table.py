"""The shape of a register map (`drivers/maps/*.hjson`), and how a site moves the addresses of a generic one."""

import struct
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from drivers import tables
from drivers.base import DriverError, Option, Options
from metrology.declaration import unknown
from metrology.quality import Cause

Kind = Literal["holding", "input"]
Address = Annotated[int, Field(ge=0, le=65535)]
# How four bytes A (highest) to D arrive on the wire; one-word types have no choice.
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
FORMS: Final = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f"}
# Modbus application protocol V1.1b3, section 6.3: at most 125 registers in one answer.
REGISTERS_MAX: Final = 125


class Bit(tables.Strict):
    """One bit of a status word (0 is the lowest), the cause it sets on the measurands `of` (all where empty)."""

    bit: int = Field(ge=0, le=15)
    cause: Cause
    meaning: str
    of: tuple[str, ...] = ()


class StatusWord(tables.Strict):
    """A register whose bits say how good the values are; the word itself goes to the scan's status under `name`."""

    name: str
    table: Kind
    address: Address
    bits: tuple[Bit, ...]


class Register(tables.Emitted):
    """One value. `address` is the protocol's (from 0), never the 1-based or 4xxxx number; value = raw times `scale`."""

    table: Kind
    address: Address
    type: Literal["u16", "i16", "u32", "i32", "f32"]
    word_order: WordOrder = "ABCD"
    scale: float = 1.0

    @property
    def words(self) -> int:
        """Registers it takes."""
        return struct.calcsize(FORMS[self.type]) // 2


class RegisterMap(tables.Table):
    """A whole map. Registers at most `largest_gap` apart are read together, at most `largest_block` in one request.

    `set_on_site` marks a map of a kind of device whose addresses differ from site to site: it takes options for them.
    """

    largest_gap: int = Field(ge=0, le=REGISTERS_MAX)
    largest_block: int = Field(ge=2, le=REGISTERS_MAX)
    set_on_site: bool = False
    registers: tuple[Register, ...] = Field(min_length=1)
    status: StatusWord | None = None

    @model_validator(mode="after")
    def _once(self) -> "RegisterMap":
        measurands = [register.measurand for register in self.registers]
        if len(set(measurands)) != len(measurands):
            raise ValueError("a measurand is read from one register only")
        bits = self.status.bits if self.status else ()
        if strangers := {measurand for bit in bits for measurand in bit.of} - set(measurands):
            raise ValueError(f"status bits name {', '.join(sorted(strangers))}, which no register holds")
        return self


SITE_OPTIONS: Final = {
    "base_address": Option(("whole number",), "added to every address of the map", 0),
    "table": Option(("text",), "table of all registers: holding or input; empty: as in the map", ""),
    "word_order": Option(("text",), "order of 32-bit values: ABCD, CDAB, BADC or DCBA; empty: as in the map", ""),
    "addresses": Option(
        ("list of texts",), 'single addresses, not moved by base_address: "so2=100"; empty: as in the map', []
    ),
}  # fmt: skip


def _placed_addresses(table: RegisterMap, options: Options) -> dict[str, int]:
    """Address of each measurand and status word after the options of the site."""
    base = options["base_address"]
    assert isinstance(base, int), "settled options"
    places = {register.measurand: register.address + base for register in table.registers}
    if table.status is not None:
        places[table.status.name] = table.status.address + base
    given = options["addresses"]
    assert isinstance(given, list), "settled options"
    for entry in given:
        name, equals, number = entry.partition("=")
        if not equals or not number.strip().isdecimal():
            raise DriverError(f'addresses: write "so2=100" instead of {entry!r}')
        if name.strip() not in places:
            raise unknown("register in addresses", name.strip(), places)
        places[name.strip()] = int(number)
    return places


def placed(table: RegisterMap, options: Options) -> RegisterMap:
    """The map with the addresses, table and word order of a site. Raises `DriverError`."""
    places = _placed_addresses(table, options)
    everywhere = {"table": options["table"]} if options["table"] else {}
    order = {"word_order": options["word_order"]} if options["word_order"] else {}
    shape = table.model_dump()
    for register in shape["registers"]:
        register |= {"address": places[register["measurand"]]} | everywhere | order
    if table.status is not None:
        shape["status"] |= {"address": places[table.status.name]} | everywhere
    try:
        return RegisterMap.model_validate(shape)
    except ValueError as error:
        raise DriverError(f"options of {table.maker} {table.model} do not fit: {error}") from None
