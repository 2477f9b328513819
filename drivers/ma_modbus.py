"""A module of milliampere inputs on Modbus: one register a channel, scaled by what the site declares.

Which number a current is differs from module to module: microamperes (0..20000 = 0..20), parts of the range
(0..65535 = 4..20, or 0..4095 = 0..20); two points of that line are the option `counts`.
"""

import math
from typing import Final

from drivers.base import (
    BadAnswer,
    DriverError,
    DriverInfo,
    Option,
    Options,
    Poll,
    PolledEntry,
    ReadRegisters,
    Registers,
)  # fmt: skip
from drivers.current_loop import MEASURANDS, OPTIONS, Loops, loops_of
from drivers.register_map import raw
from drivers.register_site import number
from drivers.register_table import Place
from metrology.measurand import catalogue
from metrology.reading import Scan

CHANNELS_MAX: Final = 32
REGISTERS: Final = 0x10000


class MilliampereModule:
    """One module. All its channels are read in one request, so that they are of one moment."""

    def __init__(self, instrument: str, loops: Loops, place: Place) -> None:
        self._instrument = instrument
        self._loops = loops
        self._place = place
        self._first = min(channel.number for channel in loops.channels)
        self._count = max(channel.number for channel in loops.channels) - self._first + 1

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return self._loops.measurands

    def poll(self) -> Poll:
        """Read the channels; one scan, with the currents in its status."""
        words = self._place.words
        asked = self._count * words
        answer = yield ReadRegisters(self._place.table, self._place.address + self._first * words, asked)
        assert isinstance(answer, Registers), "the bus answers ReadRegisters with Registers"
        if len(answer.values) != asked:
            raise BadAnswer(f"{len(answer.values)} registers instead of {asked}")
        currents = {}
        for channel in self._loops.channels:
            start = (channel.number - self._first) * words
            found = raw(answer.values[start : start + words], self._place)
            currents[channel] = found * self._place.scale + self._place.offset
        readings = tuple(self._loops.reading(self._instrument, c, mA, answer.at) for c, mA in currents.items())
        status = {
            f"{channel.measurand}_mA": round(mA, 6) if math.isfinite(mA) else None for channel, mA in currents.items()
        }
        return [Scan(self._instrument, answer.at, readings, status)]


def _line(text: str) -> tuple[float, float]:
    """Scale and offset of `0..65535 = 4..20`."""
    ends = [number("counts", end.strip()) for side in text.split("=") for end in side.split("..")]
    if len(ends) != 4 or text.count("=") != 1 or ends[0] == ends[1] or ends[2] == ends[3]:
        raise DriverError(f'counts {text!r}: write two numbers and their currents, "0..20000 = 0..20"')
    scale = (ends[3] - ends[2]) / (ends[1] - ends[0])
    return scale, ends[2] - scale * ends[0]


def _make(instrument: str, unit: int | None, options: Options) -> MilliampereModule:
    scale, offset = _line(str(options["counts"]))
    loops = loops_of(options, CHANNELS_MAX)
    shape = {key: options[key] for key in ("table", "type", "word_order")}
    try:
        place = Place.model_validate({**shape, "address": options["base_address"], "scale": scale, "offset": offset})
    except ValueError as error:
        raise DriverError(f"options of a milliampere module do not fit: {error}") from None
    last = place.address + (max(channel.number for channel in loops.channels) + 1) * place.words
    if last > REGISTERS:
        raise DriverError(f"base_address {place.address}: the last channel lies beyond the registers")
    return MilliampereModule(instrument, loops, place)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="ma_modbus",
        title="4-20 mA input module on Modbus",
        kind="polled",
        protocol="modbus",
        measurands={name: catalogue()[name].unit for name in MEASURANDS},
        manual="the module's register list; NAMUR NE 43 (2003) for the limits",
        evidence="unverified",
        default_unit=1,
        options={
            **OPTIONS,
            "counts": Option(("text",), 'raw numbers and the currents they are: "0..20000 = 0..20"'),
            "base_address": Option(("whole number",), "register of channel 0", 0),
            "table": Option(("text",), "input or holding", "input"),
            "type": Option(("text",), "u16, i16, u32, i32 or f32", "u16"),
            "word_order": Option(("text",), "order of 32-bit values: ABCD, CDAB, BADC or DCBA", "ABCD"),
        },
    ),
    _make,
)
