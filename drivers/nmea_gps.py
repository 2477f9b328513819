"""A satellite receiver on a mobile station: position from GGA sentences, motion from RMC sentences (NMEA 0183).

Source: NMEA 0183; sentences as published in many places. Every sentence is checked by the XOR between `$` and `*`.
Positions stay those of the receiver, WGS-84; nothing is moved to another datum.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import partial, reduce
from operator import xor
from typing import Final

from drivers.base import BadAnswer, DriverInfo, Options, Scan, StreamEntry
from drivers.line_stream import LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, missing, reading, the_only, told, units_of
from metrology.quality import Cause, Mark
from metrology.reading import Reading

BEGIN: Final = re.compile(rb"\$")
POSITION: Final = ("latitude", "longitude", "altitude")
MOTION: Final = ("ground_speed", "ground_course")
_SENTENCE: Final = re.compile(r"\$([^*$]*)\*([0-9A-Fa-f]{2})\s*")
_ANGLE: Final = re.compile(r"(\d{2,3})(\d{2}(?:\.\d+)?)")
# Quality field of GGA; what is not here is a fix.
_INVALID: Final = "0"
_MARKED: Final = {
    "6": (Cause.SUBSTITUTED, "position by dead reckoning"),
    "7": (Cause.FAULT, "position entered by hand"),
    "8": (Cause.FAULT, "receiver simulates"),
}


def fields(line: bytes) -> list[str]:
    """Fields of a sentence, the first its name. Raises `BadAnswer` where the check sum is missing or wrong."""
    text = line.decode("ascii", "replace")
    found = _SENTENCE.fullmatch(text)
    if found is None:
        raise BadAnswer(f"no sentence with a check sum: {text[:SHOWN_CHARACTERS_MAX]!r}")
    if reduce(xor, found[1].encode("ascii", "replace"), 0) != int(found[2], 16):
        raise BadAnswer(f"check sum wrong: {text[:SHOWN_CHARACTERS_MAX]!r}")
    return found[1].split(",")


def degrees(angle: str, side: str, sides: str) -> str | None:
    """`ddmm.mmmm` or `dddmm.mmmm` and its side (`sides`: the positive, then the negative letter) in degrees."""
    found = _ANGLE.fullmatch(angle)
    if found is None or side not in tuple(sides) or float(found[2]) >= 60:
        return None
    value = float(Fraction(found[1]) + Fraction(found[2]) / 60)
    return repr(-value if side == sides[1] else value)


def _no_fix(instrument: str, measurands: Sequence[str], at: datetime) -> tuple[Reading, ...]:
    return tuple(missing(instrument, one, at, [Mark(Cause.FAULT, "no fix", at)]) for one in measurands)


def _position(instrument: str, texts: list[str], at: datetime) -> Scan:
    """GGA: time, latitude, longitude, quality, satellites, dilution, height."""
    moment, latitude, north, longitude, east, quality, satellites, dilution, height, unit = texts[1:11]
    status = {"utc": moment, "fix": told(quality), "satellites": told(satellites), "hdop": told(dilution)}
    if quality in (_INVALID, ""):
        return Scan(instrument, at, _no_fix(instrument, POSITION, at), status)
    marks = [Mark(*_MARKED[quality], at)] if quality in _MARKED else []
    readings = (
        reading(instrument, "latitude", degrees(latitude, north, "NS"), "deg", at, marks),
        reading(instrument, "longitude", degrees(longitude, east, "EW"), "deg", at, marks),
        reading(instrument, "altitude", height, "m" if unit == "M" else unit, at, marks),
    )
    return Scan(instrument, at, readings, status)


def _motion(instrument: str, texts: list[str], at: datetime) -> Scan:
    """RMC: time, A or V, position, speed in knots, course, date. A course may be empty while standing still."""
    moment, valid, *_, speed, course, date = texts[1:10]
    status = {"utc": moment, "date": date, "valid": valid}
    if valid != "A":
        return Scan(instrument, at, _no_fix(instrument, MOTION, at), status)
    name = "ground_course"
    heading = reading(instrument, name, course, "deg", at) if course else missing(instrument, name, at)
    return Scan(instrument, at, (reading(instrument, "ground_speed", speed, "knot", at), heading), status)


_READERS: Final[dict[str, tuple[int, Callable[[str, list[str], datetime], Scan]]]] = {
    "GGA": (11, _position),
    "RMC": (10, _motion),
}


def scan(instrument: str, line: bytes, at: datetime) -> Scan | None:
    """Scan of a sentence, None for other sentences. Raises `BadAnswer` for a wrong check sum and missing fields."""
    texts = fields(line)
    least, read = _READERS.get(texts[0][2:], (0, None))
    if read is None:
        return None
    if len(texts) < least:
        raise BadAnswer(f"{texts[0]} with {len(texts)} fields")
    return read(instrument, texts, at)


def _make(units: Mapping[int, str], options: Options) -> LineStream:
    instrument = the_only(units, "satellite receiver")
    return LineStream(instrument, units_of([*POSITION, *MOTION]), partial(scan, instrument), begin=BEGIN)


STREAM: Final = StreamEntry(
    DriverInfo(
        name="nmea_gps",
        title="Satellite receiver, NMEA 0183",
        kind="stream",
        protocol="stream",
        measurands=units_of([*POSITION, *MOTION]),
        manual="NMEA 0183 version 3, sentences GGA and RMC (clauses unverified)",
        evidence="src",
    ),
    _make,
)
