"""Sensirion SPS30 on its serial interface (SHDLC): particles by laser scattering.

Asked: 7E, address, command, length, data, check, 7E. Answered: 7E, address, command, state, length, data, check, 7E.
The check is the inverted low byte of the sum; 7E, 7D, 11, 13 inside a frame are written as 7D and the byte XOR 20.
Source: SPS30 datasheet, version 1.0 (March 2020), section 5.
"""

import math
import struct
from collections.abc import Generator
from datetime import datetime
from typing import Final

from drivers.base import Answer, BadAnswer, DriverInfo, Options, Poll, PolledEntry, Scan, Step, Text
from drivers.binary import ask, frame_in
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading

END: Final = 0x7E
STUFFED: Final = frozenset({0x7E, 0x7D, 0x11, 0x13})
START_FLOATS, READ = (0x00, b"\x01\x03"), (0x03, b"")
NOT_ALLOWED: Final = 0x43  # command not allowed in the current state: the sensor is idle
DEVICE_ERROR: Final = 0x80  # bit of the state: something is wrong in the device status register
MEASURANDS: Final = ("pm1", "pm2_5", "pm4", "pm10")
COUNTS: Final = ("n0_5", "n1", "n2_5", "n4", "n10", "typical_size_um")  # per cm3, all from 0.3 um upward
UNIT: Final = "ug/m3"
_VALUES: Final = struct.Struct(">10f")


def shdlc(content: bytes) -> bytes:
    """A frame around address, command and the rest."""
    whole = content + bytes((~sum(content) & 0xFF,))
    body = b"".join(bytes((0x7D, byte ^ 0x20)) if byte in STUFFED else bytes((byte,)) for byte in whole)
    return bytes((END,)) + body + bytes((END,))


def content_of(frame: bytes) -> bytes | None:
    """What is inside a frame without its ends; None where the check is wrong or the length does not fit."""
    plain = bytearray()
    stuffed = False
    for byte in frame:
        if byte == 0x7D:
            stuffed = True
            continue
        plain.append(byte ^ 0x20 if stuffed else byte)
        stuffed = False
    content = bytes(plain[:-1])
    if len(content) < 4 or sum(plain) & 0xFF != 0xFF or content[3] != len(content) - 4:
        return None
    return content


class Sps30:
    """One sensor, address 0. An idle one is told to measure; until it has values it is warming up."""

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return dict.fromkeys(MEASURANDS, UNIT)

    def poll(self) -> Poll:
        """Read the newest values; no scan where there are no new ones since the last poll."""
        state, data, at = yield from self._command(*READ)
        if state & 0x7F == NOT_ALLOWED:
            state, _, at = yield from self._command(*START_FLOATS)
            if state & 0x7F:
                raise BadAnswer(f"does not start to measure: state {state:02X}")
            quality = Quality.of(Mark(Cause.WARM_UP, "was idle, told to measure", at))
            return [self._scan([None] * _VALUES.size, quality, state, at)]
        if state & 0x7F:
            raise BadAnswer(f"state {state:02X}")
        if not data:
            return []
        if len(data) != _VALUES.size:
            raise BadAnswer(f"{len(data)} bytes instead of {_VALUES.size}: was it started for floats?")
        error = Mark(Cause.FAULT, "device status register", at)
        return [self._scan(list(_VALUES.unpack(data)), Quality.of(error) if state & DEVICE_ERROR else GOOD, state, at)]

    def _command(self, command: int, data: bytes) -> Generator[Step, Answer, tuple[int, bytes, datetime]]:
        def take(came: bytes) -> bytes | None:
            end = came.find(END, 1)
            content = content_of(came[1:end]) if came[0] == END and end > 0 else None
            return content if content is not None and content[:2] == bytes((0, command)) else None

        answer = yield ask(shdlc(bytes((0, command, len(data))) + data), take)
        content = frame_in(answer, take)
        assert isinstance(answer, Text)
        return content[2], content[4:], answer.at

    def _scan(self, values: list[float | None], quality: Quality, state: int, at: datetime) -> Scan:
        readings = tuple(self._reading(*pair, quality, at) for pair in zip(MEASURANDS, values, strict=False))
        finite = [value if value is not None and math.isfinite(value) else None for value in values]
        counts = dict(zip(COUNTS, finite[len(MEASURANDS) :], strict=False))
        return Scan(self._instrument, at, readings, {**counts, "state": state})

    def _reading(self, measurand: str, value: float | None, quality: Quality, at: datetime) -> Reading:
        if value is not None and not math.isfinite(value):
            value, quality = None, quality.plus([Mark(Cause.FAULT, "not a number", at)])
        return Reading(self._instrument, measurand, value, UNIT, at, quality)


def _make(instrument: str, unit: int | None, options: Options) -> Sps30:
    return Sps30(instrument)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="sps30",
        title="Sensirion SPS30",
        kind="polled",
        protocol="text",
        measurands=dict.fromkeys(MEASURANDS, UNIT),
        manual="SPS30 datasheet, version 1.0 (March 2020), section 5",
        evidence="src",
    ),
    _make,
)
