"""DL/T 645-2007 electricity meters: frames, BCD with 33H added, data identifiers.

FE (0 to 4 times), 68, address (6 BCD bytes, low byte first), 68, control, length, data (each byte + 33H), sum, 16. The
sum is that of all bytes from the first 68. Control 11 reads, 91 answers (B1 where more would follow), D1 refuses.
Sources: DL/T 645-2007, sections 5 to 7 and annex A (formats of the items unverified); exchanges published by users.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

from drivers.base import BadAnswer, DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from drivers.binary import Take, ask, frame_in
from drivers.register_site import listed
from metrology.declaration import unknown
from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading

WAKE_UP: Final = b"\xfe" * 4
START, END = 0x68, 0x16
READ: Final = 0x11
ANSWERS: Final = frozenset({0x91, 0xB1})
REFUSAL: Final = 0xD1
SHIFT: Final = 0x33
WILDCARD: Final = "A" * 12
ADDRESS_BYTES, HEAD_BYTES = 6, 10
# Bits of a refusal's code (section 7.1.7, unverified).
REFUSED: Final = ("other error", "no such data", "no authority", "baud rate", "year zones", "day zones", "tariffs")


@dataclass(frozen=True, slots=True)
class Item:
    """What one data identifier holds: a number for each measurand, of `size` BCD bytes with `decimals`."""

    di: int
    measurands: tuple[str, ...]
    size: int
    decimals: int
    signed: bool = False


ITEMS: Final = {
    "active_energy": Item(0x00010000, ("active_energy",), 4, 2),
    "combined_energy": Item(0x00000000, ("active_energy",), 4, 2, signed=True),
    "voltages": Item(0x0201FF00, ("voltage_a", "voltage_b", "voltage_c"), 2, 1),
    "voltage_a": Item(0x02010100, ("voltage_a",), 2, 1),
    "currents": Item(0x0202FF00, ("current_a", "current_b", "current_c"), 3, 3, signed=True),
    "current_a": Item(0x02020100, ("current_a",), 3, 3, signed=True),
    "active_power": Item(0x02030000, ("active_power",), 3, 4, signed=True),
    "power_factor": Item(0x02060000, ("power_factor",), 2, 3, signed=True),
    "mains_frequency": Item(0x02800002, ("mains_frequency",), 2, 2),
}  # fmt: skip
MEASURANDS: Final = tuple(dict.fromkeys(name for item in ITEMS.values() for name in item.measurands))


def frame(address: bytes, control: int, data: bytes) -> bytes:
    """A frame without wake-up bytes; `address` as on the wire, `data` not yet shifted."""
    shifted = bytes((byte + SHIFT) & 0xFF for byte in data)
    body = bytes((START, *address, START, control, len(data))) + shifted
    return body + bytes((sum(body) & 0xFF, END))


def taker(address: bytes) -> Take:
    """Finds answers of a meter; every address fits the wildcard. The echo of a question is no answer."""

    def take(came: bytes) -> bytes | None:
        if len(came) < HEAD_BYTES or came[0] != START or came[7] != START:
            return None
        if came[8] not in ANSWERS | {REFUSAL} or (address != b"\xaa" * ADDRESS_BYTES and came[1:7] != address):
            return None
        found = came[: HEAD_BYTES + came[9] + 2]
        whole = len(found) == HEAD_BYTES + came[9] + 2
        return found if whole and sum(found[:-2]) & 0xFF == found[-2] and found[-1] == END else None

    return take


def bcd(data: bytes, item: Item) -> float | None:
    """Number of BCD bytes, low byte first; None where a digit is none (meters fill what they lack with FF)."""
    digits = data[::-1].hex()
    negative = item.signed and data[-1] & 0x80 and data[-1] != 0xFF
    if negative:
        digits = f"{int(digits[0], 16) & 7}{digits[1:]}"
    if not digits.isdecimal():
        return None
    return float(Fraction(-int(digits) if negative else int(digits), 10**item.decimals))


class Dlt645:
    """One meter. Each item is a question of its own; one the meter does not have costs its own readings only."""

    def __init__(self, instrument: str, address: str, items: Iterable[Item]) -> None:
        self._instrument = instrument
        self._address = bytes.fromhex(address)[::-1]
        self._take = taker(self._address)
        self._items = tuple(items)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {name: catalogue()[name].unit for item in self._items for name in item.measurands}

    def poll(self) -> Poll:
        """Ask every item; one scan at the moment of the last answer."""
        values: dict[str, float | str] = {}
        meter = ""
        for item in self._items:
            question = WAKE_UP + frame(self._address, READ, item.di.to_bytes(4, "little"))
            answer = yield ask(question, self._take)
            found = frame_in(answer, self._take)
            assert isinstance(answer, Text)
            meter = found[6:0:-1].hex().upper()
            values |= self._values(item, found)
            at = answer.at
        return [Scan(self._instrument, at, tuple(self._reading(*one, at) for one in values.items()), {"meter": meter})]

    def _values(self, item: Item, found: bytes) -> dict[str, float | str]:
        """Number of each measurand, or a word for why there is none."""
        data = bytes((byte - SHIFT) & 0xFF for byte in found[HEAD_BYTES:-2])
        if found[8] == REFUSAL:
            code = data[0] if data else 0
            said = [meaning for bit, meaning in enumerate(REFUSED) if code >> bit & 1]
            return dict.fromkeys(item.measurands, f"the meter refuses: {', '.join(said) or code}")
        if data[:4] != item.di.to_bytes(4, "little"):
            raise BadAnswer(f"answers another item: {data[3::-1].hex()} instead of {item.di:08x}")
        if len(data) != 4 + item.size * len(item.measurands):
            raise BadAnswer(f"item {item.di:08x} has {len(data) - 4} bytes, not {item.size} for each value")
        pieces = [data[start : start + item.size] for start in range(4, len(data), item.size)]
        numbers = [bcd(piece, item) for piece in pieces]
        return {
            name: "no BCD number" if number is None else number
            for name, number in zip(item.measurands, numbers, strict=True)
        }

    def _reading(self, measurand: str, value: float | str, at: datetime) -> Reading:
        unit = catalogue()[measurand].unit
        if isinstance(value, str):
            return Reading(self._instrument, measurand, None, unit, at, Quality.of(Mark(Cause.FAULT, value, at)))
        return Reading(self._instrument, measurand, value, unit, at)


def _make(instrument: str, unit: int | None, options: Options) -> Dlt645:
    address = str(options["meter"]).upper()
    if len(address) != 12 or not (address.isdecimal() or address == WILDCARD):
        raise DriverError(f'meter {address!r}: write the 12 digits on the meter, or "{WILDCARD}" where it is alone')
    items = listed(options, "read")
    for name in items:
        if name not in ITEMS:
            raise unknown("item in read", name, ITEMS)
    chosen = [ITEMS[name] for name in items]
    names = [name for item in chosen for name in item.measurands]
    if not names or len(set(names)) != len(names):
        raise DriverError(f"read: name at least one item, and none twice: {', '.join(names)}")
    return Dlt645(instrument, address, chosen)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="dlt645",
        title="DL/T 645-2007 electricity meter",
        kind="polled",
        protocol="text",
        measurands={name: catalogue()[name].unit for name in MEASURANDS},
        manual="DL/T 645-2007, sections 5 to 7 and annex A",
        evidence="src",
        options={
            "meter": Option(("text",), f"the meter's 12 digits; {WILDCARD}: whichever is alone on the line"),
            "read": Option(
                ("list of texts",), f"items to ask: {', '.join(ITEMS)}",
                ["active_energy", "voltages", "currents", "active_power", "power_factor"],
            ),
        },
    ),
    _make,
)  # fmt: skip
