"""Plantower PMS particle sensors (PMS5003, PMS7003 and kin) in active mode, one sensor on a line.

A frame is 32 bytes: 42 4D, length 001C, 13 words, sum of the 30 bytes before it; words are high byte first. Words 1 to
3 are PM1, PM2.5, PM10 by the factory's particles, 4 to 6 for atmospheric ones (taken), 7 to 12 counts per 0.1 L above
0.3, 0.5, 1, 2.5, 5, 10 um, 13 version and error code (its meaning unverified: any but 0 is a fault).
Source: PMS5003 series data manual, appendix I.
"""

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from metrology.declaration import DriverError, DriverInfo, Options
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading, Scan, StreamFault

HEADER: Final = bytes.fromhex("42 4D 00 1C")
FRAME_BYTES: Final = 32
_WORDS: Final = struct.Struct(">4x14H")
_MEASURANDS: Final = ("pm1", "pm2_5", "pm10")
_UNIT: Final = "ug/m3"
_COUNTS: Final = ("n0_3", "n0_5", "n1", "n2_5", "n5", "n10")


class Plantower:
    """One sensor. Its memory never holds more than one frame; a wrong sum costs one header, not what follows it."""

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._buffer = bytearray()
        self._aligned = False
        self.bad_frames = 0

    @property
    def measurands(self) -> dict[str, str]:
        """See `StreamDriver`."""
        return dict.fromkeys(_MEASURANDS, _UNIT)

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        """See `StreamDriver`. Bytes outside frames are reported once until a frame is found again."""
        found: list[Scan | StreamFault] = []
        for start in range(0, len(data), FRAME_BYTES):
            self._buffer += data[start : start + FRAME_BYTES]
            self._take(found, at)
        return found

    def _take(self, found: list[Scan | StreamFault], at: datetime) -> None:
        while self._align(found, at) and len(self._buffer) >= FRAME_BYTES:
            frame = bytes(self._buffer[:FRAME_BYTES])
            *words, total = _WORDS.unpack(frame)
            if sum(frame[:-2]) == total:
                self._aligned = True
                del self._buffer[:FRAME_BYTES]
                found.append(self._scan(words, at))
            else:
                self._aligned = False
                self.bad_frames += 1
                del self._buffer[:1]
                found.append(StreamFault("sum wrong", at, 0, self._instrument))

    def _align(self, found: list[Scan | StreamFault], at: datetime) -> bool:
        """Drop what cannot begin a frame; tell whether a whole header stands first."""
        skip = next(i for i in range(len(self._buffer) + 1) if HEADER.startswith(self._buffer[i : i + len(HEADER)]))
        if skip and self._aligned:
            self._aligned = False
            found.append(StreamFault("bytes outside a frame", at, 0, self._instrument))
        del self._buffer[:skip]
        return len(self._buffer) >= len(HEADER)

    def _scan(self, words: list[int], at: datetime) -> Scan:
        version, error = divmod(words[12], 256)
        quality = Quality.of(Mark(Cause.FAULT, f"error code {error}", at)) if error else GOOD
        readings = tuple(
            Reading(self._instrument, measurand, float(word), _UNIT, at, quality)
            for measurand, word in zip(_MEASURANDS, words[3:6], strict=True)
        )
        factory = {f"factory_{measurand}": word for measurand, word in zip(_MEASURANDS, words[:3], strict=True)}
        counts = dict(zip(_COUNTS, words[6:12], strict=True))
        return Scan(self._instrument, at, readings, {**factory, **counts, "version": version, "error": error})


INFO: Final = DriverInfo(
    name="plantower_pms",
    title="Plantower PMS5003, PMS7003",
    kind="stream",
    protocol="stream",
    measurands=dict.fromkeys(_MEASURANDS, _UNIT),
    manual="PMS5003 series data manual, appendix I (revision and page unverified)",
    evidence="src",
)


def make(units: Mapping[int, str], options: Options) -> Plantower:
    """Driver for the one sensor of a line. Raises `DriverError` for more: the frames carry no address."""
    if len(units) != 1:
        raise DriverError(f"a {INFO.title} is alone on its line: its frames carry no address, found {len(units)}")
    return Plantower(next(iter(units.values())))
