"""Gas analyzers by the Bayern-Hessen (Gesytec II, Hessen) protocol: `DA` asks, `MD` answers with a group for each gas.

Sources: Thermo 42i and 49i manuals, appendix D (frames, block check, numbers, published answer); Ecotech Serinus
manuals, appendix C (status and failure bits); Teledyne API manuals, Hessen chapter (status flags). A frame is STX,
text, ETX and two hexadecimal digits, the XOR of all bytes from STX to ETX; or STX, text, CR without a check. A number
is a sign, four digits with the point behind the first, and an exponent. ST commands, which switch gases, are not sent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import xor
from typing import Final

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from drivers.bayern_hessen_status import PROFILES, Profile, marks, wrong_unit
from drivers.values import SHOWN_CHARACTERS_MAX, convertible, missing, reading, units_of
from metrology.declaration import unknown
from metrology.quality import Cause, Mark
from metrology.reading import Reading

FRAME_BYTES_MAX: Final = 1024
ADDRESS_MAX: Final = 999
MEASURANDS: Final = (
    "co2", "co2_percent", "ch4", "o2", "co_fraction", "so2_fraction", "no_fraction", "no2_fraction", "nox_fraction",
    "o3_fraction", "co", "so2", "no", "no2", "nox",
)  # fmt: skip
_CHECKED: Final = re.compile(rb"\x02([^\x02\x03]*)\x03([0-9A-Fa-f]{2})")
_PLAIN: Final = re.compile(rb"\x02([^\x02\r]*)\r")
_COUNT: Final = re.compile(r"MD ?(\d{2})(?= |$)")
_NUMBER: Final = re.compile(r"([-+])(\d{4})([-+]\d{2})")
_IDENTITY: Final = re.compile(r"\d{1,3}")  # longer ones are serial numbers
_BYTE: Final = re.compile(r"[0-9A-Fa-f]{2}")


def block_check(text: bytes, *, with_stx: bool) -> bytes:
    """Two hexadecimal digits over a frame's text and ETX, and STX where the devices of the line count it."""
    return f"{reduce(xor, text, 3 ^ (2 if with_stx else 0)):02X}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Group:
    """What an answer says of one gas: who says it, the number as sent, status and failure byte, the gas."""

    address: str | None
    number: str
    status: int
    failure: int
    gas: str | None


def groups(text: str) -> list[Group]:
    """The groups of an MD answer. Raises `BadAnswer` where it is none, or holds fewer or more than it announces."""
    count = _COUNT.match(text)
    if count is None:
        raise BadAnswer(f"no MD answer: {text[:SHOWN_CHARACTERS_MAX]!r}")
    words = text[count.end() :].split()
    numbers = [place for place, word in enumerate(words) if _NUMBER.fullmatch(word)]
    if len(numbers) != int(count[1]):
        raise BadAnswer(f"{int(count[1])} values announced, {len(numbers)} came: {text[:SHOWN_CHARACTERS_MAX]!r}")
    return [_group(words, place) for place in numbers]


def _group(words: list[str], place: int) -> Group:
    before = words[place - 1] if place else ""
    status, failure, after, *_ = [*words[place + 1 : place + 4], "", "", ""]
    if not _BYTE.fullmatch(status) or not _BYTE.fullmatch(failure):
        raise BadAnswer(f"no status behind {words[place]}: {status!r} {failure!r}")
    address, gas = (word if _IDENTITY.fullmatch(word) else None for word in (before, after))
    return Group(address, words[place], int(status, 16), int(failure, 16), gas)


def in_point_form(number: str, decimals: int) -> str:
    """A number of the protocol as a decimal number: `+2578+01` with 3 decimals is `+2578e-2`."""
    found = _NUMBER.fullmatch(number)
    assert found is not None, "groups are made of numbers"
    return f"{found[1]}{found[2]}e{int(found[3]) - decimals}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One configured gas: the three digits that tell it, its measurand and the unit the analyzer sends."""

    key: str
    measurand: str
    unit: str


def _channels(options: Options) -> list[Channel]:
    """Read the option `channels`: `["001=so2_fraction nmol/mol"]`."""
    entries = options["channels"]
    assert isinstance(entries, list), "settled options"
    channels = []
    for entry in entries:
        key, equals, rest = entry.partition("=")
        measurand, _, unit = rest.strip().partition(" ")
        if not equals or not key.strip().isdecimal() or not unit.strip():
            raise DriverError(f'channels: write "001=so2_fraction nmol/mol" instead of {entry!r}')
        if measurand not in MEASURANDS:
            raise unknown("measurand in channels", measurand, MEASURANDS)
        convertible(measurand, unit.strip(), f"channels: {entry!r}")
        channels.append(Channel(key.strip().zfill(3), measurand, unit.strip()))
    if not channels or any(len({getattr(c, name) for c in channels}) != len(channels) for name in ("key", "measurand")):
        raise DriverError("channels: name at least one gas, each number and each measurand once")
    return channels


def _one_of(options: Options, name: str, *allowed: str) -> str:
    value = str(options[name])
    if value not in allowed:
        raise DriverError(f"{name} {value!r}: write one of {', '.join(allowed)}")
    return value


class BayernHessen:
    """One analyzer, or one box that answers for several gases. Its line may carry others at other addresses."""

    def __init__(self, instrument: str, unit: int | None, options: Options) -> None:
        if unit is not None and unit > ADDRESS_MAX:
            raise DriverError(f"unit {unit}: an address lies between 0 and {ADDRESS_MAX}")
        decimals = options["decimals"]
        assert isinstance(decimals, int), "settled options"
        self._instrument = instrument
        self._channels = _channels(options)
        self._by_gas = _one_of(options, "told_by", "address", "gas") == "gas"
        self._with_stx = _one_of(options, "block_check", "with STX", "without STX") == "with STX"
        self._checked = _one_of(options, "frame", "ETX", "CR") == "ETX"
        self._profile: Profile = PROFILES[_one_of(options, "profile", *PROFILES)]
        self._decimals = decimals
        text = b"DA" if unit is None else f"DA{unit:03d}".encode("ascii")
        end = b"\x03" + block_check(text, with_stx=self._with_stx) if self._checked else b"\r"
        self._question = Ask(b"\x02" + text + end, (b"",), FRAME_BYTES_MAX, lambda came: any(self._frames(came)))

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return units_of(channel.measurand for channel in self._channels)

    def poll(self) -> Poll:
        """Ask once; one scan. Raises `BadAnswer` for a wrong check, and where the answer is no MD answer."""
        answer = yield self._question
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        found = groups(self._text(answer.data))
        readings = tuple(self._reading(channel, found, answer.at) for channel in self._channels)
        status: dict[str, int] = {}
        for place, group in enumerate(found, 1):
            name = self._key(group) or f"{place:03d}"
            status |= {f"status_{name}": group.status, f"failure_{name}": group.failure}
        return [Scan(self._instrument, answer.at, readings, status)]

    def _frames(self, came: bytes) -> Iterator[tuple[bytes, bool]]:
        """Text of each whole frame and whether its check is right. Frames that ask, heard back, are passed over."""
        for found in (_CHECKED if self._checked else _PLAIN).finditer(came):
            right = not self._checked or block_check(found[1], with_stx=self._with_stx) == found[2].upper()
            if not found[1].startswith(b"DA"):
                yield found[1], right

    def _text(self, came: bytes) -> str:
        frames = list(self._frames(came))
        right = [text for text, is_right in frames if is_right]
        if not right:
            raise BadAnswer(f"block check wrong: {frames[0][0][:SHOWN_CHARACTERS_MAX]!r}")
        return right[-1].decode("ascii", "replace")

    def _key(self, group: Group) -> str | None:
        key = group.gas if self._by_gas else group.address
        return None if key is None else key.zfill(3)

    def _reading(self, channel: Channel, found: list[Group], at: datetime) -> Reading:
        own = [group for group in found if self._key(group) == channel.key]
        if not own and len(self._channels) == len(found) == 1 and self._key(found[0]) is None:
            own = found  # an answer without an address has one sender and one gas
        if len(own) != 1:
            return reading(self._instrument, channel.measurand, None, channel.unit, at)
        (group,) = own
        said = [*marks(self._profile, group.status, group.failure, at)]
        if other := wrong_unit(self._profile, group.status, channel.unit):
            said.append(Mark(Cause.FAULT, f"the analyzer sends {other}, configured is {channel.unit}", at))
            return missing(self._instrument, channel.measurand, at, said)
        text = in_point_form(group.number, self._decimals)
        return reading(self._instrument, channel.measurand, text, channel.unit, at, said)


def _make(instrument: str, unit: int | None, options: Options) -> BayernHessen:
    return BayernHessen(instrument, unit, options)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="bayern_hessen",
        title="Gas analyzers by Bayern-Hessen (Gesytec II)",
        kind="polled",
        protocol="text",
        measurands=units_of(MEASURANDS),
        manual="Thermo 42i and 49i manuals, appendix D, pages D-2 to D-6; Serinus 30 manual, appendix C, pages 218-221",
        evidence="src",
        options={
            "channels": Option(("list of texts",), 'gases: "001=so2_fraction nmol/mol", number, measurand, unit sent'),
            "profile": Option(("text",), "whose status bits: serinus, teledyne, thermo, plain", "plain"),
            "told_by": Option(("text",), 'what tells gases: "address" before a value, or "gas" behind it', "address"),
            "frame": Option(("text",), '"ETX" with a block check, or "CR" without', "ETX"),
            "block_check": Option(("text",), '"with STX" or "without STX"', "with STX"),
            "decimals": Option(("whole number",), "digits of a mantissa behind its point", 3),
        },
    ),
    _make,
)
