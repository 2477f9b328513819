"""From a text an instrument sent to a reading in our unit, with what is wrong about it as a cause."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from drivers.base import DriverError
from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading
from metrology.units import UnitError, convert

SHOWN_CHARACTERS_MAX: Final = 80
# No instrument counts further, and every JSON reader has these exactly.
WHOLE_DIGITS_MAX: Final = 15
# Digits with or without a point, with or without an exponent: "400.0", "7349E+0", ".13". No words, no underscores.
NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def number(text: str) -> float | None:
    """Value of a text that is a number and nothing else; None for everything else, too large ones included."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def units_of(measurands: Iterable[str]) -> dict[str, str]:
    """Measurands with the unit each is kept in."""
    return {measurand: catalogue()[measurand].unit for measurand in measurands}


def reading(
    instrument: str, measurand: str, text: str | None, stated: str, at: datetime, marks: Iterable[Mark] = ()
) -> Reading:
    """Reading of a text in the unit `stated`. No text, no number or no conversion: no value and the cause `fault`."""
    unit = catalogue()[measurand].unit
    value, why = _value(measurand, text, stated, unit)
    wrong = [Mark(Cause.FAULT, why, at)] if why else []
    return Reading(instrument, measurand, value, unit, at, Quality().plus([*marks, *wrong]))


def missing(instrument: str, measurand: str, at: datetime, marks: Iterable[Mark] = ()) -> Reading:
    """Reading without a value; no fault of its own."""
    return Reading(instrument, measurand, None, catalogue()[measurand].unit, at, Quality().plus(marks))


def _value(measurand: str, text: str | None, stated: str, unit: str) -> tuple[float | None, str | None]:
    if text is None:
        return None, f"{measurand} is not in the answer"
    value = number(text)
    if value is None:
        return None, f"no number: {text[:SHOWN_CHARACTERS_MAX]!r}"
    try:
        return convert(value, stated, unit), None
    except UnitError as error:
        return None, str(error)


def whole(text: str) -> int | None:
    """A whole number without a sign, of as many digits as an instrument may mean; None for any other text."""
    return int(text) if text.isdecimal() and len(text) <= WHOLE_DIGITS_MAX else None


def told(text: str) -> str | int | float:
    """A text as it goes into the status of a scan: a number where it is one."""
    value = number(text)
    if value is None:
        return text[:SHOWN_CHARACTERS_MAX]
    return int(value) if value.is_integer() and abs(value) < 10.0**WHOLE_DIGITS_MAX else value


def convertible(measurand: str, stated: str, where: str) -> None:
    """Raise `DriverError` where a unit named in an option cannot become the measurand's."""
    try:
        convert(0.0, stated, catalogue()[measurand].unit)
    except UnitError as error:
        raise DriverError(f"{where}: {error}") from None


def the_only(units: Mapping[int, str], title: str) -> str:
    """Name of the one instrument of a line. Raises `DriverError` for more: its lines carry no address."""
    if len(units) != 1:
        raise DriverError(f"a {title} is alone on its line: its lines carry no address, found {len(units)}")
    return next(iter(units.values()))
