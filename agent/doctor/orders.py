"""The same registers under each order of bytes and words: which gives values that can be."""

from dataclasses import dataclass
from typing import Any, Final, get_args

from agent.doctor.identify import within
from drivers import tables
from drivers.base import ReadRegisters
from drivers.register_map import raw, scaled
from drivers.register_table import Kind, Place, Register, RegisterMap, WordOrder
from metrology.measurand import catalogue

ORDERS: Final[tuple[WordOrder, ...]] = get_args(WordOrder)
Words = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Row:
    """One number of two registers: its value under each order, and whether the measurand may have it.

    `measurand` None: of an unknown map, a value that any measurand may have is possible.
    """

    address: int
    measurand: str | None
    values: dict[str, tuple[float, bool]]

    def fields(self) -> dict[str, Any]:
        """For programs; a value that JSON cannot hold is a text."""
        orders = {
            order: {"value": value if abs(value) < float("inf") else str(value), "plausible": good}
            for order, (value, good) in self.values.items()
        }
        return {"address": self.address, "measurand": self.measurand, "orders": orders}


@dataclass(frozen=True, slots=True)
class Single:
    """One register by itself, of an unknown map: without and with a sign."""

    address: int
    u16: int

    @property
    def i16(self) -> int:
        """The same bits as two's complement."""
        return self.u16 - 0x10000 if self.u16 & 0x8000 else self.u16

    def fields(self) -> dict[str, int]:
        """For programs."""
        return {"address": self.address, "u16": self.u16, "i16": self.i16}


def singles(words: Words) -> list[Single]:
    """What was read, register by register."""
    return [Single(address, word) for (_, address), word in sorted(words.items(), key=lambda item: item[0][1])]


def map_of(driver: str) -> RegisterMap:
    """The register map behind a driver's name."""
    return tables.load("maps", driver, RegisterMap)


def wanted(driver: str | None, block: ReadRegisters) -> list[ReadRegisters]:
    """What is read: the two-register values of a known map, else the block."""
    if driver is None:
        return [block]
    return [ReadRegisters(one.table, one.address, 2) for one in map_of(driver).registers if one.words == 2]


def rows(driver: str | None, block: ReadRegisters, words: Words) -> list[Row]:
    """Every number of two registers that was read."""
    if driver is not None:
        known = [one for one in map_of(driver).registers if one.words == 2]
        return [Row(one.address, one.measurand, _known(one, words)) for one in known if _taken(one, words)]
    kind: Kind = "input" if block.table == "input" else "holding"
    pairs = [
        Place(table=kind, address=address, type="f32")
        for address in range(block.address, block.address + block.count - 1, 2)
    ]
    return [Row(one.address, None, _unknown(one, words)) for one in pairs if _taken(one, words)]


def telling(found: list[Row]) -> list[Row]:
    """Rows that can tell orders apart: not those that are 0 under all."""
    return [row for row in found if any(value for value, _ in row.values.values())]


def score(found: list[Row]) -> dict[str, int]:
    """How many of the telling values are possible under each order."""
    return {order: sum(row.values[order][1] for row in telling(found)) for order in ORDERS}


def _taken(place: Place, words: Words) -> tuple[int, ...]:
    taken = tuple(words.get((place.table, place.address + at), -1) for at in range(2))
    return () if -1 in taken else taken


def _known(register: Register, words: Words) -> dict[str, tuple[float, bool]]:
    found: dict[str, tuple[float, bool]] = {}
    for order in ORDERS:
        placed = register.model_copy(update={"word_order": order})
        value = register.in_ours(scaled(raw(_taken(register, words), placed), placed))
        found[order] = (value, within(register.measurand, value))
    return found


def _unknown(place: Place, words: Words) -> dict[str, tuple[float, bool]]:
    found: dict[str, tuple[float, bool]] = {}
    for order in ORDERS:
        value = float(raw(_taken(place, words), place.model_copy(update={"word_order": order})))
        found[order] = (value, any(within(measurand, value) for measurand in catalogue()))
    return found
