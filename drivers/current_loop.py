"""Milliampere loops: a current becomes a value by the range the site declares, a current outside the signal a fault.

value = low + (I - 4 mA) / 16 mA x (high - low). NAMUR NE 43: below 3.6 mA and above 21 mA the transmitter says that it
failed; 3.8 to 20.5 mA is the span in which it measures (that band unverified).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.base import DriverError, Option, Options
from drivers.register_site import number, pairs
from metrology.declaration import unknown
from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading
from metrology.units import STACK_DRY, UnitError, convert

LIVE_ZERO_mA, SPAN_mA = 4.0, 16.0
MEASURES_FROM_mA, MEASURES_TO_mA = 3.8, 20.5
# What is carried by current loops at a stack, a station or a gas cabinet.
MEASURANDS: Final = (
    "so2", "no", "no2", "nox", "co", "hcl", "o2", "o2_wet", "co2_percent", "dust", "differential_pressure",
    "static_pressure", "stack_temperature", "stack_humidity", "stack_velocity", "co2", "ch4", "air_temperature",
    "air_pressure", "relative_humidity", "gas_pressure", "gas_temperature", "mass_flow",
)  # fmt: skip
OPTIONS: Final = {
    "channels": Option(
        ("list of texts",), 'measurand, channel from 0, range at 4 and 20 mA, its unit: "so2=0:0..200 mg/m3"'
    ),
    "fault_below_mA": Option(("number",), "a current below it says that the transmitter failed", 3.6),
    "fault_above_mA": Option(("number",), "a current above it says that the transmitter failed", 21.0),
}  # fmt: skip
_ENTRY: Final = re.compile(r"(\d{1,3}) *: *([-+.\d]+?) *\.\. *([-+.\d]+)(?: +(\S+))?")


@dataclass(frozen=True, slots=True)
class Channel:
    """One loop: which input, and the values at 4 and 20 mA in the catalogue's unit."""

    measurand: str
    number: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of a module. Currents below `fault_below` or above `fault_above` carry no value."""

    channels: tuple[Channel, ...]
    fault_below: float
    fault_above: float

    @property
    def measurands(self) -> dict[str, str]:
        """Ids of the measurands, with the unit of each."""
        return {channel.measurand: catalogue()[channel.measurand].unit for channel in self.channels}

    def reading(self, instrument: str, channel: Channel, current_mA: float, at: datetime) -> Reading:
        """The reading a current stands for; beside the span it measures in it keeps its value and is flagged."""
        unit = catalogue()[channel.measurand].unit
        value: float | None = channel.low + (current_mA - LIVE_ZERO_mA) / SPAN_mA * (channel.high - channel.low)
        marks = []
        if not self.fault_below <= current_mA <= self.fault_above:
            value = None
            marks.append(Mark(Cause.FAULT, f"{current_mA:.2f} mA: the loop or its transmitter failed", at))
        elif not MEASURES_FROM_mA <= current_mA <= MEASURES_TO_mA:
            marks.append(Mark(Cause.OUT_OF_RANGE, f"{current_mA:.2f} mA: beside the transmitter's range", at))
        return Reading(instrument, channel.measurand, value, unit, at, Quality.of(*marks))


def _channel(measurand: str, text: str) -> Channel:
    if measurand not in MEASURANDS:
        raise unknown("measurand in channels", measurand, MEASURANDS)
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise DriverError(f'channels: write "{measurand}=0:0..200 mg/m3" instead of {measurand}={text!r}')
    about = catalogue()[measurand]
    try:
        low, high = (
            convert(number("channels", end), found[4] or about.unit, about.unit, molar_mass=about.molar_mass,
                    state=STACK_DRY)
            for end in (found[2], found[3])
        )  # fmt: skip
    except UnitError as error:
        raise DriverError(f"channels: {measurand}: {error}") from None
    if low == high:
        raise DriverError(f"channels: the range of {measurand} is empty")
    return Channel(measurand, int(found[1]), low, high)


def loops_of(options: Options, channels_max: int) -> Loops:
    """The loops that options declare. Raises `DriverError`."""
    entries = pairs(options, "channels", "so2=0:0..200 mg/m3")
    channels = tuple(_channel(measurand, text) for measurand, text in entries.items())
    numbers = [channel.number for channel in channels]
    if not numbers or len(set(numbers)) != len(numbers) or max(numbers) >= channels_max:
        raise DriverError(f"channels: name each channel once, from 0 to {channels_max - 1}")
    below, above = options["fault_below_mA"], options["fault_above_mA"]
    assert isinstance(below, int | float), "settled options"
    assert isinstance(above, int | float), "settled options"
    if not below < LIVE_ZERO_mA < LIVE_ZERO_mA + SPAN_mA < above:
        raise DriverError(f"fault_below_mA {below:g}, fault_above_mA {above:g}: 4 to 20 mA lie between them")
    return Loops(channels, float(below), float(above))
