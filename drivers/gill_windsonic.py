"""Gill WindSonic: polar lines, sent unasked (as delivered) or polled, and the NMEA sentence MWV.

Source: WindSonic user manual 1405-PS-0019 issue 28, sections 9 (formats) and 11.5 (status codes). A polar line is STX,
node, direction, speed, unit, status, ETX, then the XOR of the bytes between STX and ETX. At low wind the
direction is empty.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial, reduce
from operator import xor
from typing import Final

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Option, Options, PolledEntry, Scan, StreamEntry
from drivers.line_stream import LINE_BYTES_MAX, AskedLine, LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, missing, reading, the_only, units_of
from metrology.quality import Cause, Mark
from metrology.reading import Reading

UNITS: Final = {"M": "m/s", "N": "knot", "P": "mph", "K": "km/h", "F": "ft/min"}
GOOD_CODES: Final = frozenset({"00", "0", "A"})
# Section 11.5; the codes of NMEA are A for acceptable and V for void.
CODES: Final = {
    "01": "too few samples on the U axis",
    "02": "too few samples on the V axis",
    "04": "too few samples on both axes",
    "08": "check sum of the settings failed",
    "09": "check sum of the program failed",
    "V": "void",
}
BEGIN: Final = re.compile(rb"\x02|\$(?=..MWV,)")
_POLAR: Final = re.compile(
    r"\x02(?P<covered>(?P<node>[A-Z]),(?P<direction>[^,]*),(?P<speed>[^,]*),(?P<unit>[A-Z]),"
    r"(?:[^,]*,)*?(?P<status>[0-9A-Z]{1,2}),)\x03(?P<sum>[0-9A-Fa-f]{2})"
)
_SENTENCE: Final = re.compile(
    r"\$(?P<covered>(?P<node>..)MWV,(?P<direction>[^,]*),(?P<reference>[RT]),(?P<speed>[^,]*),(?P<unit>[A-Z]),"
    r"(?P<status>[0-9A-Z]{1,2}))\*(?P<sum>[0-9A-Fa-f]{2})"
)
MEASURANDS: Final = ("wind_direction", "wind_speed")


def _checked(line: str) -> re.Match[str]:
    found = _POLAR.match(line) or _SENTENCE.match(line)
    if found is None:
        raise BadAnswer(f"no line of a WindSonic: {line[:SHOWN_CHARACTERS_MAX]!r}")
    if reduce(xor, found["covered"].encode("ascii", "replace")) != int(found["sum"], 16):
        raise BadAnswer(f"check sum wrong: {line[:SHOWN_CHARACTERS_MAX]!r}")
    return found


def scan(instrument: str, line: bytes, at: datetime) -> Scan:
    """Scan of one line. Raises `BadAnswer` for a line of another shape and for a wrong check sum."""
    found = _checked(line.decode("ascii", "replace"))
    status = found["status"]
    marks = [] if status in GOOD_CODES else [Mark(Cause.FAULT, CODES.get(status, f"status {status}"), at)]
    readings = (
        _direction(instrument, found["direction"].strip(), at, marks),
        reading(instrument, "wind_speed", found["speed"].strip(), UNITS.get(found["unit"], found["unit"]), at, marks),
    )
    return Scan(instrument, at, readings, {"node": found["node"], "status": status})


def _direction(instrument: str, text: str, at: datetime, marks: list[Mark]) -> Reading:
    """An empty direction is missing, not 0, and no fault of its own."""
    if not text:
        return missing(instrument, "wind_direction", at, marks)
    return reading(instrument, "wind_direction", text, "deg", at, marks)


def _last_line(instrument: str, data: bytes, at: datetime) -> Scan:
    """Scan of an answer: its last line, noise before it or not."""
    begins = [found.start() for found in BEGIN.finditer(data)]
    return scan(instrument, data[begins[-1] :], at)


def _whole(came: bytes) -> bool:
    begins = [found.start() for found in BEGIN.finditer(came)]
    return bool(begins) and came[begins[-1] :].endswith((b"\r", b"\n"))


def _make_asked(instrument: str, unit: int | None, options: Options) -> AskedLine:
    node = str(options["node"])
    if not re.fullmatch("[A-Z]", node):
        raise DriverError(f"node {node!r}: write the letter the anemometer answers to, A to Z")
    # The manual's own order for each poll: `?` enables polling in case the power was off, the letter asks.
    question = Ask(f"?{node}".encode("ascii"), (b"\r", b"\n"), LINE_BYTES_MAX, _whole)
    return AskedLine(units_of(MEASURANDS), question, partial(_last_line, instrument))


def _make_stream(units: Mapping[int, str], options: Options) -> LineStream:
    instrument = the_only(units, "WindSonic")
    return LineStream(instrument, units_of(MEASURANDS), partial(scan, instrument), begin=BEGIN)


_MANUAL: Final = "WindSonic user manual 1405-PS-0019, issue 28 (November 2019), pages 27, 31 to 33, 58"
ENTRY: Final = PolledEntry(
    DriverInfo(
        "gill_windsonic_polled", "Gill WindSonic, polled", "polled", "text", units_of(MEASURANDS), _MANUAL, "src",
        {"node": Option(("text",), "the letter the anemometer answers to", "Q")},
    ),
    _make_asked,
)  # fmt: skip
STREAM: Final = StreamEntry(
    DriverInfo("gill_windsonic", "Gill WindSonic", "stream", "stream", units_of(MEASURANDS), _MANUAL, "src"),
    _make_stream,
)
